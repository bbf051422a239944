"""Sockets as parts of values in inline mode: duplicates, as another process would have."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest

import snakepit
from snakepit import errors

# What calls were given is closed when it is dropped, in this process, where a warning says so.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


@pytest.fixture(autouse=True)
def inline() -> Iterator[Any]:
    with snakepit.init(mode="inline") as context:
        yield context


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.settimeout(10)
    with ours, theirs:
        yield ours, theirs
    count_dropped()


def count_dropped() -> None:
    if snakepit.is_initialized():
        snakepit.put(None)  # what was dropped is counted by the next call


@snakepit.remote
def say(sock: socket.socket) -> socket.socket:
    sock.sendall(b"x")
    return sock


@snakepit.remote(max_retries=1, retry_exceptions=True)
def complain(sock: socket.socket) -> None:
    with sock:
        sock.sendall(b"x")
    raise ValueError("mine")


@snakepit.remote(max_restarts=1)
class Speaker:
    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        sock.sendall(b"made ")

    def say(self, text: bytes) -> None:
        self.sock.sendall(text)


def test_a_call_has_duplicates(pair: Any) -> None:
    ours, theirs = pair
    ref = say.remote(theirs)
    theirs.close()
    with snakepit.get(ref) as one, snakepit.get(ref) as other:
        assert one.fileno() != other.fileno()
        one.sendall(b"y")
        other.sendall(b"z")
    del ref
    count_dropped()
    assert [ours.recv(1) for _ in range(4)] == [b"x", b"y", b"z", b""]


def test_each_try_has_its_own(pair: Any) -> None:
    ours, theirs = pair
    ref = complain.remote(theirs)
    theirs.close()
    with pytest.raises(ValueError):
        snakepit.get(ref)
    count_dropped()
    assert [ours.recv(1) for _ in range(3)] == [b"x", b"x", b""]


def test_a_closed_one_is_refused() -> None:
    with socket.socket() as closed:
        pass
    with pytest.raises(errors.SerializationError, match="is closed"):
        say.remote(closed)


def test_an_actor_that_is_made_anew(pair: Any) -> None:
    ours, theirs = pair
    speaker = Speaker.remote(theirs)
    theirs.close()
    snakepit.kill(speaker, no_restart=False)
    snakepit.get(speaker.say.remote(b"again"))
    assert ours.recv(100) == b"made made again"
    snakepit.kill(speaker)
    count_dropped()
    assert ours.recv(1) == b""


def test_a_shutdown_closes_what_is_stored(pair: Any) -> None:
    ours, theirs = pair
    ref = snakepit.put(theirs)
    theirs.close()
    snakepit.shutdown()
    assert ours.recv(1) == b""
    del ref
