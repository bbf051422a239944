"""Frames and descriptors over a socket: whole, in order, never blocking, nothing leaked."""

from __future__ import annotations

import os
import resource
import socket
import threading
from collections.abc import Iterator

import pytest

from snakepit.errors import ProtocolError
from snakepit.transport.fds import FdConnection, PeerGone
from snakepit.wire.frames import frame


@pytest.fixture
def pair() -> Iterator[tuple[FdConnection, FdConnection]]:
    one, two = (FdConnection(end) for end in socket.socketpair())
    yield one, two
    one.close()
    two.close()


def receive_all(connection: FdConnection) -> list[bytes]:
    found: list[bytes] = []
    while True:
        bodies = connection.receive()
        if not bodies:
            return found
        found += bodies


def test_frames_arrive_in_order(pair: tuple[FdConnection, FdConnection]) -> None:
    one, two = pair
    assert two.receive() == []
    for n in range(200):
        assert one.send(frame(b"%d" % n))
    assert receive_all(two) == [b"%d" % n for n in range(200)]


def test_descriptors_come_with_their_frame(pair: tuple[FdConnection, FdConnection]) -> None:
    one, two = pair
    reader, writer = os.pipe()
    one.send(frame(b"before"))
    one.send(frame(b"with"), (reader, writer))
    one.send(frame(b"after"))
    assert receive_all(two) == [b"before", b"with", b"after"]
    got_reader, got_writer = two.take_descriptors()
    assert two.take_descriptors() == ()
    for fd in (reader, writer):
        if fd not in (got_reader, got_writer):
            with pytest.raises(OSError):
                os.fstat(fd)
    os.write(got_writer, b"x")
    assert os.read(got_reader, 1) == b"x"
    assert not os.get_inheritable(got_reader)
    os.close(got_reader)
    os.close(got_writer)


def test_a_full_socket_does_not_block(pair: tuple[FdConnection, FdConnection]) -> None:
    one, two = pair
    body = os.urandom(300_000)
    sent = [one.send(frame(body), (os.dup(0),)) for _ in range(4)]
    assert not sent[-1]
    assert one.pending
    found: list[bytes] = []
    while len(found) < 4:
        one.flush()
        found += two.receive()
    assert found == [body] * 4 and one.flush() and not one.pending
    for _ in range(4):
        (fd,) = two.take_descriptors()
        os.close(fd)


def test_many_threads_may_send(pair: tuple[FdConnection, FdConnection]) -> None:
    one, two = pair

    def send(name: bytes) -> None:
        for n in range(500):
            one.send(frame(name + b"%d" % n))

    threads = [threading.Thread(target=send, args=(name,)) for name in (b"a", b"b", b"c")]
    for thread in threads:
        thread.start()
    found: list[bytes] = []
    while len(found) < 1500:
        one.flush()
        found += two.receive()
    for thread in threads:
        thread.join()
    for name in (b"a", b"b", b"c"):
        assert [f for f in found if f[:1] == name] == [name + b"%d" % n for n in range(500)]


def test_the_peers_end_is_told_after_what_it_sent(pair: tuple[FdConnection, FdConnection]) -> None:
    one, two = pair
    one.send(frame(b"last"), (os.dup(0),))
    two.send(frame(b"never read"))
    one.close()
    assert two.receive() == [b"last"]
    with pytest.raises(PeerGone):
        two.receive()
    assert two.send(frame(b"x"), (os.dup(0),))
    assert two.send(frame(b"y"), (os.dup(0),))


def test_no_room_for_descriptors_leaves_an_empty_batch(
    pair: tuple[FdConnection, FdConnection],
) -> None:
    one, two = pair
    first, second = os.dup(0), os.dup(0)
    one.send(frame(b"lost"), (first,))
    one.send(frame(b"kept"), (second,))
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, limits[1]))
    try:
        assert two.receive() == [b"lost"]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert two.receive() == [b"kept"]
    assert two.take_descriptors() == ()
    (fd,) = two.take_descriptors()
    os.close(fd)


def test_no_frames_are_refused(pair: tuple[FdConnection, FdConnection]) -> None:
    left, right = socket.socketpair()
    connection = FdConnection(right)
    left.sendall(b"\xff" * 8)
    with pytest.raises(ProtocolError):
        connection.receive()
    connection.close()
    left.close()
