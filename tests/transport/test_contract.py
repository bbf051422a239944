"""What a mailbox relies on, proven for real sockets and for the stream in memory alike."""

from __future__ import annotations

import os
import random
import select
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from snakepit.testing import memory_pair
from snakepit.transport.streams import Stream
from snakepit.wire.frames import FrameDecoder, frame

Pair = tuple[Stream, Stream]
MAKERS: dict[str, Callable[[], Pair]] = {
    "socket": lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM),
    "memory": memory_pair,
}


@pytest.fixture(params=MAKERS)
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    one, two = MAKERS[request.param]()
    one.setblocking(False)
    two.setblocking(False)
    yield one, two
    one.close()
    two.close()


def ready(stream: Stream) -> int:
    """The events that a poll finds at once, of those that anybody watches."""
    poll = select.poll()
    poll.register(stream.fileno(), select.POLLIN | select.POLLOUT)
    return sum(mask for _, mask in poll.poll(0))


def fill(stream: Stream) -> int:
    """Send until nothing more is taken; return how much was."""
    data, sent = bytes(range(256)) * 64, 0
    while True:
        try:
            sent += stream.send(data)
        except BlockingIOError:
            return sent


def read_all(stream: Stream, size: int = 1 << 20) -> bytes:
    """Everything that lies in the stream."""
    found = bytearray()
    while True:
        try:
            data = stream.recv(size)
        except BlockingIOError:
            return bytes(found)
        if not data:
            return bytes(found)
        found += data


def in_thread(work: Callable[[], Any]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def join(thread: threading.Thread) -> None:
    thread.join(30)
    assert not thread.is_alive()


def test_bytes_arrive_in_order_both_ways(pair: Pair) -> None:
    one, two = pair
    for part in (b"a", b"bc", b"def"):
        assert one.send(part) == len(part)
    assert two.send(memoryview(b"back")) == 4
    assert read_all(two) == b"abcdef"
    assert read_all(one) == b"back"


@pytest.mark.parametrize("chunk", [1, 2, 3, 5, 7, 4096])
def test_frames_survive_every_size_of_read(pair: Pair, chunk: int) -> None:
    one, two = pair
    bodies = [b"", b"x", b"four", os.urandom(300)]
    one.send(b"".join(map(frame, bodies)))
    decoder, found = FrameDecoder(), []
    while len(found) < len(bodies):
        found += decoder.feed(two.recv(chunk))
    assert found == bodies and not decoder.pending


def test_frames_survive_every_split_in_two(pair: Pair) -> None:
    one, two = pair
    data = frame(b"first") + frame(b"") + frame(b"last")
    for cut in range(len(data) + 1):
        decoder, found = FrameDecoder(), []
        for part in (data[:cut], data[cut:]):
            if part:
                one.send(part)
                found += decoder.feed(read_all(two))
        assert found == [b"first", b"", b"last"]


def test_nothing_there_does_not_block(pair: Pair) -> None:
    one, _ = pair
    with pytest.raises(BlockingIOError):
        one.recv(10)


def test_a_full_stream_takes_nothing_and_loses_nothing(pair: Pair) -> None:
    one, two = pair
    sent = fill(one)
    assert sent > 0
    with pytest.raises(BlockingIOError):
        one.send(b"x")
    data = read_all(two)
    assert len(data) == sent
    assert one.send(b"more") == 4
    assert read_all(two) == b"more"


def test_what_does_not_fit_is_taken_in_part(pair: Pair) -> None:
    one, two = pair
    data = os.urandom(4 << 20)
    sent = one.send(data)
    assert 0 < sent < len(data)
    assert read_all(two) == data[:sent]


def test_readable_exactly_while_something_is_there(pair: Pair) -> None:
    one, two = pair
    assert ready(two) == select.POLLOUT
    one.send(b"abc")
    for _ in range(2):
        assert ready(two) & select.POLLIN
    two.recv(2)
    assert ready(two) & select.POLLIN, "one byte is left"
    two.recv(2)
    assert ready(two) == select.POLLOUT


def test_writable_exactly_while_there_is_room(pair: Pair) -> None:
    one, two = pair
    fill(one)
    assert ready(one) == 0
    assert ready(two) == select.POLLIN | select.POLLOUT
    fill(two)
    assert ready(one) == select.POLLIN
    read_all(two)
    assert ready(one) == select.POLLIN | select.POLLOUT
    assert one.send(b"x") == 1


def test_epoll_is_told_of_each_change(pair: Pair) -> None:
    one, two = pair
    with select.epoll() as epoll:
        epoll.register(two.fileno(), select.EPOLLIN)
        assert epoll.poll(0) == []
        one.send(b"x")
        assert epoll.poll(0) == epoll.poll(0) == [(two.fileno(), select.EPOLLIN)]
        two.recv(1)
        assert epoll.poll(0) == []
        fill(two)
        epoll.modify(two.fileno(), select.EPOLLOUT)
        assert epoll.poll(0) == []
        read_all(one)
        assert epoll.poll(0) == [(two.fileno(), select.EPOLLOUT)]


def test_a_poller_is_woken_by_what_comes(pair: Pair) -> None:
    one, two = pair
    poll = select.poll()
    poll.register(two.fileno(), select.POLLIN)
    found: list[Any] = []
    waiter = in_thread(lambda: found.append(poll.poll(30_000)))
    one.send(b"x")
    join(waiter)
    assert found == [[(two.fileno(), select.POLLIN)]]


def test_the_end_comes_after_what_was_sent(pair: Pair) -> None:
    one, two = pair
    one.send(b"last words")
    one.close()
    assert ready(two) & select.POLLIN
    assert two.recv(4) == b"last"
    assert two.recv(100) == b" words"
    assert two.recv(100) == b"" == two.recv(100)
    assert ready(two) & (select.POLLIN | select.POLLHUP) == select.POLLIN | select.POLLHUP


def test_the_end_may_come_in_the_midst_of_a_frame(pair: Pair) -> None:
    one, two = pair
    one.send(frame(b"whole") + frame(b"torn")[:-2])
    one.close()
    decoder = FrameDecoder()
    assert decoder.feed(read_all(two)) == [b"whole"]
    assert decoder.pending == 6


def test_nobody_reads_any_more(pair: Pair) -> None:
    one, two = pair
    two.close()
    with pytest.raises(BrokenPipeError):
        one.send(b"x")
    assert ready(one) & select.POLLOUT
    assert one.recv(10) == b""


def test_what_was_never_read_breaks_the_connection(pair: Pair) -> None:
    one, two = pair
    two.send(b"before")
    one.send(b"never read")
    two.close()
    assert one.recv(100) == b"before"
    with pytest.raises(ConnectionResetError):
        one.recv(100)
    assert one.recv(100) == b""
    with pytest.raises(BrokenPipeError):
        one.send(b"x")


def test_a_full_stream_whose_reader_goes_is_writable_and_broken(pair: Pair) -> None:
    one, two = pair
    fill(one)
    two.close()
    assert ready(one) & select.POLLOUT
    with pytest.raises(BrokenPipeError):
        one.send(b"x")


def test_a_closed_end_has_no_descriptor(pair: Pair) -> None:
    one, _ = pair
    assert one.fileno() >= 0
    one.close()
    one.close()
    assert one.fileno() == -1
    for use in (lambda: one.recv(1), lambda: one.send(b"x")):
        with pytest.raises(OSError, match="Bad file descriptor"):
            use()


def test_a_blocking_end_sends_and_receives_what_exceeds_every_buffer(pair: Pair) -> None:
    one, two = pair
    one.setblocking(True)
    two.setblocking(True)
    data = random.Random(1).randbytes(5 << 20)
    sender = in_thread(lambda: one.sendall(data))
    found = bytearray()
    while len(found) < len(data):
        found += two.recv(1 << 16)
    join(sender)
    assert found == data


def test_a_blocked_reader_sees_the_end(pair: Pair) -> None:
    one, two = pair
    two.setblocking(True)
    found: list[bytes] = []
    reader = in_thread(lambda: found.extend((two.recv(10), two.recv(10))))
    one.send(b"x")
    one.close()
    join(reader)
    assert found == [b"x", b""]


def test_a_blocked_writer_learns_that_its_reader_went(pair: Pair) -> None:
    one, two = pair
    one.setblocking(True)
    failed: list[OSError] = []

    def write() -> None:
        try:
            one.sendall(bytes(32 << 20))
        except OSError as error:
            failed.append(error)

    writer = in_thread(write)
    two.setblocking(True)
    two.recv(1 << 16)
    two.close()
    join(writer)
    assert len(failed) == 1


def test_many_threads_at_one_end_lose_no_byte(pair: Pair) -> None:
    one, two = pair
    one.setblocking(True)
    two.setblocking(True)
    writers = [in_thread(lambda: [one.sendall(b"x" * 97) for _ in range(500)]) for _ in range(4)]
    total = 0
    while total < 4 * 500 * 97:
        total += len(two.recv(1000))
    for writer in writers:
        join(writer)
    two.setblocking(False)
    assert read_all(two) == b""
