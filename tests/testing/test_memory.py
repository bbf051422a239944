"""The faults of the stream in memory: what arrives, byte by byte, as told."""

from __future__ import annotations

import select
from collections.abc import Iterator

import pytest

from snakepit.testing import MemoryStream, memory_pair

Pair = tuple[MemoryStream, MemoryStream]


@pytest.fixture
def pair() -> Iterator[Pair]:
    one, two = memory_pair(capacity=10)
    one.setblocking(False)
    two.setblocking(False)
    yield one, two
    one.close()
    two.close()


def ready(stream: MemoryStream) -> int:
    poll = select.poll()
    poll.register(stream.fileno(), select.POLLIN | select.POLLOUT)
    return sum(mask for _, mask in poll.poll(0))


def test_the_capacity_is_exact(pair: Pair) -> None:
    one, two = pair
    assert one.send(bytes(12)) == 10 == one.unread
    with pytest.raises(BlockingIOError):
        one.send(b"x")
    two.recv(3)
    assert one.send(bytes(12)) == 3


def test_reads_come_in_chunks(pair: Pair) -> None:
    one, two = pair
    one.split(3)
    one.send(b"abcdefgh")
    assert [two.recv(100) for _ in range(2)] == [b"abc", b"def"]
    one.split(None)
    assert two.recv(100) == b"gh"


def test_what_is_held_arrives_when_released(pair: Pair) -> None:
    one, two = pair
    one.send(b"abc")
    one.hold(after=5)
    one.send(b"defg")
    assert two.recv(100) == b"abcde"
    assert not ready(two) & select.POLLIN
    with pytest.raises(BlockingIOError):
        two.recv(100)
    one.close()
    with pytest.raises(BlockingIOError):
        two.recv(100)
    one.release()
    assert ready(two) & select.POLLIN
    assert two.recv(100) == b"fg"
    assert two.recv(100) == b""


@pytest.mark.parametrize("reset", [True, False])
def test_the_stream_breaks_after_a_given_byte(pair: Pair, reset: bool) -> None:
    one, two = pair
    one.send(b"abc")
    one.cut(after=5, reset=reset)
    one.send(b"defg")
    assert two.recv(4) == b"abcd"
    assert two.send(b"still") == 5
    assert two.recv(4) == b"e"
    assert ready(two) & select.POLLIN
    if reset:
        with pytest.raises(ConnectionResetError):
            two.recv(4)
    assert two.recv(4) == b""
    for end in pair:
        with pytest.raises(BrokenPipeError):
            end.send(b"x")


def test_cut_at_once(pair: Pair) -> None:
    one, two = pair
    one.send(b"abc")
    one.cut(reset=False)
    assert two.recv(4) == b""
    assert ready(two) & select.POLLHUP
