"""Sockets and connections as parts of values: duplicates, open as long as something needs them."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import resource
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

import pytest

import snakepit
from snakepit import errors
from tests.runtime.helpers import PATIENCE, Gate, Tally, core, entries, is_settled, wait_until

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture(autouse=True)
def nothing_held(runtime: Any) -> Iterator[None]:
    """After a test the driver holds no descriptor that somebody sent."""
    yield
    assert wait_until(lambda: is_settled() and not len(core().memory.descriptors))


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Two ends; whoever waits for the first does not wait for ever."""
    ours, theirs = socket.socketpair()
    ours.settimeout(PATIENCE)
    with ours, theirs:
        yield ours, theirs


def tcp_pair() -> Pair:
    with socket.create_server(("127.0.0.1", 0)) as server:
        ours = socket.create_connection(server.getsockname(), timeout=PATIENCE)
        theirs, _ = server.accept()
    return ours, theirs


def send(ref: Any) -> Any:
    return snakepit.get(ref, timeout=PATIENCE)


@snakepit.remote
def shout(sock: socket.socket) -> int:
    with sock:
        sock.sendall(sock.recv(100).upper())
    return os.getpid()


@snakepit.remote
def say(sock: socket.socket, text: bytes) -> None:
    sock.sendall(text)


@snakepit.remote
def fail() -> None:
    raise KeyError("never")


@snakepit.remote
def wait_at(gate: Gate) -> None:
    gate.wait()


@snakepit.remote
class Speaker:
    def __init__(self, sock: socket.socket | None = None) -> None:
        self.sock = sock
        if sock is not None:
            sock.sendall(b"made ")

    def shout(self, sock: socket.socket) -> None:
        sock.sendall(sock.recv(100).upper())

    def say(self, text: bytes) -> None:
        assert self.sock is not None
        self.sock.sendall(text)

    def end(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


# --- from one to another ----------------------------------------------------------------------


@pytest.mark.parametrize("make", [socket.socketpair, tcp_pair])
def test_to_a_task_while_the_sender_closes(make: Callable[[], Pair]) -> None:
    ours, theirs = make()
    ours.settimeout(PATIENCE)
    with ours:
        with theirs:
            ref = shout.remote(theirs)
        ours.sendall(b"hello")
        assert ours.recv(100) == b"HELLO"
        assert send(ref) != os.getpid()
        assert ours.recv(100) == b""  # nobody has the other end any more


def test_a_socket_arrives_as_what_it_was(pair: Pair) -> None:
    @snakepit.remote
    def describe(sock: socket.socket) -> tuple[Any, ...]:
        inheritable = os.get_inheritable(sock.fileno())
        return sock.family, sock.type, sock.proto, sock.gettimeout(), inheritable

    ours, theirs = pair
    same = (socket.AF_UNIX, socket.SOCK_STREAM, 0)
    assert send(describe.remote(ours)) == (*same, PATIENCE, False)
    assert send(describe.remote(theirs)) == (*same, None, False)


def test_a_listening_socket_is_accepted_from_in_a_task() -> None:
    @snakepit.remote
    def serve(server: socket.socket) -> None:
        peer, _ = server.accept()
        with peer, server:
            peer.sendall(b"served")

    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
        ref = serve.remote(server)
    with socket.create_connection(address, timeout=PATIENCE) as client:
        assert client.recv(100) == b"served"
    assert send(ref) is None


@pytest.mark.parametrize("duplex", [True, False])
def test_a_connection_to_a_task(duplex: bool) -> None:
    @snakepit.remote
    def tell(connection: Connection) -> tuple[bool, bool]:
        with connection:
            connection.send({"pid": os.getpid()})
            return connection.readable, connection.writable

    reader, writer = multiprocessing.Pipe(duplex)
    with reader:
        with writer:
            ref = tell.remote(writer)
        assert reader.poll(PATIENCE)
        assert reader.recv()["pid"] != os.getpid()
        assert send(ref) == (duplex, True)
        with pytest.raises(EOFError):
            reader.recv()


def test_to_a_method(pair: Pair) -> None:
    ours, theirs = pair
    speaker = Speaker.remote()
    ref = speaker.shout.remote(sock=theirs)
    theirs.close()
    ours.sendall(b"hello")
    assert ours.recv(100) == b"HELLO"
    assert send(ref) is None


@pytest.mark.parametrize("flavour", ["threads", "coroutines"])
def test_to_an_actor_that_runs_many_calls(flavour: str) -> None:
    @snakepit.remote(max_concurrency=4)
    class Threads:
        def shout(self, sock: socket.socket) -> None:
            sock.sendall(sock.recv(100).upper())

        def make(self) -> Any:
            ours, theirs = socket.socketpair()
            theirs.sendall(b"made")
            return ours

    @snakepit.remote
    class Coroutines:
        async def shout(self, sock: socket.socket) -> None:
            loop = asyncio.get_running_loop()
            sock.setblocking(False)
            await loop.sock_sendall(sock, (await loop.sock_recv(sock, 100)).upper())

        async def make(self) -> Any:
            ours, theirs = socket.socketpair()
            theirs.sendall(b"made")
            return ours

    actor: Any = (Threads if flavour == "threads" else Coroutines).remote()
    pairs = [socket.socketpair() for _ in range(8)]
    refs = [actor.shout.remote(theirs) for _, theirs in pairs]
    for ours, theirs in pairs:
        theirs.close()
        ours.settimeout(PATIENCE)
        ours.sendall(b"hello")
    assert [ours.recv(100) for ours, _ in pairs] == [b"HELLO"] * 8
    send(refs)
    for ours, _ in pairs:
        ours.close()
    for sock in send([actor.make.remote() for _ in range(8)]):
        with sock:
            assert sock.recv(100) == b"made"


def test_from_a_task_as_often_as_one_gets_it() -> None:
    @snakepit.remote
    def open_pair() -> Any:
        ours, theirs = socket.socketpair()
        return {"ours": ours, "theirs": [theirs, theirs]}

    ref = open_pair.remote()
    first, second = send(ref), send(ref)
    assert first["theirs"][0] is first["theirs"][1]
    assert first["ours"].fileno() != second["ours"].fileno()
    first["ours"].sendall(b"one")
    assert second["theirs"][0].recv(100) == b"one"
    for each in (first, second):
        each["ours"].close()
    del ref  # with the value go the driver's own duplicates
    entries()
    first["theirs"][0].settimeout(PATIENCE)
    assert first["theirs"][0].recv(100) == b""
    for each in (first, second):
        each["theirs"][0].close()


def test_several_results_and_items() -> None:
    @snakepit.remote(num_returns=2)
    def both() -> Any:
        return socket.socketpair()

    @snakepit.remote(num_returns="streaming")
    def one_by_one() -> Any:
        yield from socket.socketpair()

    for one, other in (both.remote(), one_by_one.remote()):
        with send(one) as ours, send(other) as theirs:
            ours.sendall(b"through")
            assert theirs.recv(100) == b"through"


def test_a_stored_value_is_read_by_many(pair: Pair) -> None:
    ours, theirs = pair
    stored = snakepit.put([theirs])
    theirs.close()

    @snakepit.remote
    def say_inside(nested: list[Any]) -> None:
        (sock,) = snakepit.get(nested[0])
        sock.sendall(b"x")

    @snakepit.remote
    def say_above(socks: list[socket.socket]) -> None:
        socks[0].sendall(b"x")

    send([say_inside.remote([stored]), say_above.remote(stored), say_above.remote(stored)])
    assert sum(len(ours.recv(1)) for _ in range(3)) == 3
    del stored
    entries()
    assert ours.recv(1) == b""


def test_a_large_value_with_a_socket(pair: Pair) -> None:
    @snakepit.remote
    def measure(data: bytes, sock: socket.socket) -> tuple[bytes, socket.socket]:
        sock.sendall(b"%d" % len(data))
        return data, sock

    ours, theirs = pair
    data, sock = send(measure.remote(bytes(300_000), theirs))
    with sock:
        assert (len(data), ours.recv(100)) == (300_000, b"300000")


def test_to_a_nested_task(pair: Pair) -> None:
    @snakepit.remote
    def outer(sock: socket.socket) -> bytes:
        ours, theirs = socket.socketpair()
        refs = [say.remote(theirs, b"inner"), say.remote(sock, b"outer")]
        theirs.close()
        sock.close()
        snakepit.get(refs)
        with ours:
            return ours.recv(100)

    ours, theirs = pair
    assert send(outer.remote(theirs)) == b"inner"
    assert ours.recv(100) == b"outer"


# --- what comes in between --------------------------------------------------------------------


def test_a_queued_call_that_is_cancelled_keeps_nothing_open(pair: Pair, gate: Gate) -> None:
    ours, theirs = pair
    running = [wait_at.remote(gate) for _ in range(2)]
    queued = say.remote(theirs, b"never")
    theirs.close()
    snakepit.cancel(queued)
    with pytest.raises(errors.TaskCancelledError):
        send(queued)
    assert ours.recv(100) == b""
    gate.open()
    send(running)


def test_a_call_that_never_runs_keeps_nothing_open(pair: Pair) -> None:
    ours, theirs = pair
    ref = say.remote(theirs, fail.remote())
    theirs.close()
    with pytest.raises(KeyError):
        send(ref)
    assert ours.recv(100) == b""


def test_a_call_that_is_tried_again_has_it_again(pair: Pair, tally: Tally) -> None:
    @snakepit.remote(max_retries=1)
    def die_once(sock: socket.socket) -> None:
        sock.sendall(b"try ")
        if tally.add() == 1:
            os.kill(os.getpid(), signal.SIGKILL)

    ours, theirs = pair
    ref = die_once.remote(theirs)
    theirs.close()
    assert send(ref) is None
    assert ours.recv(100) == b"try try "
    assert ours.recv(100) == b""


def test_a_restarted_actor_has_it_again(pair: Pair) -> None:
    ours, theirs = pair
    speaker = Speaker.options(max_restarts=1).remote(theirs)  # type: ignore[attr-defined]
    theirs.close()
    with pytest.raises(errors.ActorUnavailableError):
        send(speaker.end.remote())
    assert wait_until(partial(say_if_there, speaker))
    del speaker
    text = b""
    while part := ours.recv(100):
        text += part
    assert text == b"made made again"


def say_if_there(speaker: Any) -> bool:
    try:
        send(speaker.say.remote(b"again"))
    except errors.ActorUnavailableError:
        return False
    return True


def test_what_a_dead_worker_sent_stays() -> None:
    @snakepit.remote
    class Maker:
        def make(self) -> Any:
            ours, theirs = socket.socketpair()
            theirs.sendall(b"last words")
            return ours

    maker = Maker.remote()
    ref = maker.make.remote()
    snakepit.wait([ref], timeout=PATIENCE)
    snakepit.kill(maker)
    with pytest.raises(errors.ActorDiedError):
        send(maker.make.remote())
    with send(ref) as sock:
        assert sock.recv(100) == b"last words"


# --- what is refused --------------------------------------------------------------------------


def test_a_closed_one_is_refused() -> None:
    with socket.socket() as sock:
        pass
    reader, writer = multiprocessing.Pipe()
    reader.close()
    writer.close()
    for closed in (sock, reader):
        with pytest.raises(errors.SerializationError, match=r"args\[0\].*is closed") as info:
            say.remote(closed, b"")
        assert info.value.path == "args[0]"


def test_a_definition_keeps_none_open(pair: Pair) -> None:
    ours, theirs = pair

    @snakepit.remote
    def inside() -> None:
        theirs.sendall(b"never")

    with pytest.raises(errors.SerializationError, match="as an argument of the call"):
        inside.remote()
    theirs.close()
    assert ours.recv(1) == b""


def test_an_exception_carries_none() -> None:
    @snakepit.remote
    def complain() -> None:
        raise ValueError("mine", socket.socket())

    with pytest.raises(errors.TaskError) as info:
        send(complain.remote())
    assert isinstance(info.value.cause, errors.CauseUnavailableError)
    assert "not in definitions" in str(info.value.cause)


@contextmanager
def no_more_files() -> Iterator[None]:
    """This process can open nothing more, modules included: what follows has been done before."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    spare = os.dup(0)
    os.close(spare)
    resource.setrlimit(resource.RLIMIT_NOFILE, (spare, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_the_sender_can_open_no_more(pair: Pair) -> None:
    @snakepit.remote
    def poor(sock: socket.socket) -> str:
        snakepit.get(say.remote(sock, b""))
        with no_more_files():
            try:
                say.remote(sock, b"never")
            except errors.DescriptorLimitError as error:
                return str(error)
        return ""

    _, theirs = pair
    send(say.remote(theirs, b""))
    with no_more_files(), pytest.raises(errors.DescriptorLimitError, match="ulimit -n"):
        say.remote(theirs, b"never")
    assert f"process {os.getpid()}" not in send(poor.remote(theirs))


def test_the_receiver_can_open_no_more(pair: Pair) -> None:
    @snakepit.remote
    def poor(refs: list[Any]) -> None:
        snakepit.get(refs[0]).close()
        with no_more_files():
            snakepit.get(refs[0])

    ours, theirs = pair
    ref = snakepit.put(theirs)
    send(ref).close()
    with pytest.raises(errors.DescriptorLimitError, match="ulimit -n"):
        send(poor.remote([ref]))
    with no_more_files(), pytest.raises(errors.DescriptorLimitError, match="ulimit -n"):
        send(ref)
    say_to = send(ref)
    with say_to:
        say_to.sendall(b"all is well")
    assert ours.recv(100) == b"all is well"
