"""The worker's mailbox, with more than one thread at it."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

import pytest

from snakepit.deadline import NEVER, Deadline
from snakepit.wire import codec
from snakepit.wire import messages as wire
from snakepit.wire.frames import FrameDecoder
from snakepit.workers.mailbox import Mailbox

PATIENCE = 30.0


class Slow:
    """A socket whose first write waits for a sign, as it would for a driver that does not read."""

    def __init__(self) -> None:
        self.ends = socket.socketpair()
        self.fileno = self.ends[0].fileno
        self.writing, self.go_on = threading.Event(), threading.Event()
        self.writes: list[bytes] = []

    def setblocking(self, flag: bool) -> None:
        pass

    def sendall(self, data: bytes) -> None:
        self.writing.set()
        assert self.go_on.wait(PATIENCE)
        self.writes.append(data)

    def numbers(self) -> list[list[int]]:
        """What each write had."""
        found: list[list[int]] = []
        for data in self.writes:
            bodies = FrameDecoder().feed(data)
            found.append([message.number for message in map(codec.decode, bodies)])
        return found


@pytest.fixture
def slow() -> Iterator[Slow]:
    made = Slow()
    yield made
    for end in made.ends:
        end.close()


@pytest.fixture
def mailbox(slow: Slow) -> Iterator[Mailbox]:
    made = Mailbox(slow, lambda message: None, lambda blocking, reads: None)  # type: ignore[arg-type]
    yield made
    os.close(made.descriptors[1])


def test_what_is_posted_while_another_thread_writes_goes_out_in_its_next_write(
    slow: Slow, mailbox: Mailbox
) -> None:
    mailbox.post(wire.Ping(1))
    writer = threading.Thread(target=mailbox.flush)
    writer.start()
    assert slow.writing.wait(PATIENCE)
    for number in (2, 3, 4):
        assert mailbox.post(wire.Ping(number)) == number - 1
        mailbox.flush()  # It does not wait for the writer.
    slow.go_on.set()
    writer.join(PATIENCE)
    assert slow.numbers() == [[1], [2, 3, 4]]


def test_what_is_posted_while_another_thread_sends_follows_by_itself(
    slow: Slow, mailbox: Mailbox
) -> None:
    for send in (
        lambda: mailbox.send(wire.Ping(1)),
        lambda: mailbox.send_fields((codec.SUBMIT, 1, 2, 0, b"", (), (), 0, None)),
    ):
        slow.writing.clear()
        slow.go_on.clear()
        slow.writes.clear()
        sender = threading.Thread(target=send)
        sender.start()
        assert slow.writing.wait(PATIENCE)
        mailbox.post(wire.Ping(2))
        mailbox.flush()
        slow.go_on.set()
        sender.join(PATIENCE)
        assert len(slow.writes) == 2


def test_what_was_posted_goes_before_what_is_sent(slow: Slow, mailbox: Mailbox) -> None:
    slow.go_on.set()
    mailbox.post(wire.Ping(1))
    mailbox.send(wire.Ping(2))
    mailbox.post(wire.Ping(3), wire.Ping(4))
    mailbox.drain()
    mailbox.drain()
    assert slow.numbers() == [[1, 2], [3, 4]]


def test_a_drain_waits_for_who_writes(slow: Slow, mailbox: Mailbox) -> None:
    mailbox.post(wire.Ping(1))
    writer = threading.Thread(target=mailbox.flush)
    writer.start()
    assert slow.writing.wait(PATIENCE)
    mailbox.post(wire.Ping(2))
    threading.Timer(0.01, slow.go_on.set).start()
    mailbox.drain()
    assert [number for write in slow.numbers() for number in write] == [1, 2]
    writer.join(PATIENCE)


@pytest.mark.parametrize("by_poke", [False, True])
def test_what_another_thread_read_meanwhile_is_not_waited_for(by_poke: bool) -> None:
    """It is read after the look for it, and before the role is taken."""
    ours, theirs = socket.socketpair()
    seen: list[Any] = []
    mailbox = Mailbox(ours, seen.append, lambda blocking, reads: None)
    looks = 0

    def ready() -> bool:
        nonlocal looks
        looks += 1
        if looks == 1:
            if by_poke:
                seen.append("what is looked for")
                mailbox.poke()
            else:
                theirs.sendall(codec.Encoder()(wire.Ping(1)))
            other = threading.Thread(target=mailbox.read_waiting)
            other.start()
            other.join()
            return False
        return bool(seen)

    waiter = threading.Thread(target=mailbox.wait_for, args=(ready, NEVER), daemon=True)
    waiter.start()
    waiter.join(PATIENCE)
    hangs = waiter.is_alive()
    mailbox.poke()
    os.close(mailbox.descriptors[1])
    ours.close()
    theirs.close()
    assert not hangs
    assert looks == 2


def test_who_stands_by_does_not_say_that_the_reader_wakes() -> None:
    ours, theirs = socket.socketpair()
    told: list[tuple[bool, bool]] = []
    sleeps = threading.Event()

    def blocks(blocking: bool, reads: bool) -> None:
        told.append((blocking, reads))
        if reads and blocking:
            sleeps.set()

    mailbox = Mailbox(ours, lambda message: None, blocks)
    over = threading.Event()
    reader = threading.Thread(target=mailbox.wait_for, args=(over.is_set, NEVER))
    reader.start()
    assert sleeps.wait(PATIENCE)
    assert not mailbox.wait_for(bool, Deadline.after(0.01))
    assert told == [(True, True), (True, False), (False, False)]
    over.set()
    mailbox.poke()
    reader.join(PATIENCE)
    assert told[3:] == [(False, True)]
    os.close(mailbox.descriptors[1])
    ours.close()
    theirs.close()


class Strike(BaseException):
    """What a signal's handler raises."""


def test_what_strikes_who_stands_by_comes_out_as_it_is() -> None:
    """At each instruction of what runs while it may strike."""
    ours, theirs = socket.socketpair()
    sleeps, over = threading.Event(), threading.Event()
    opened, steps, last = False, 0, 0

    def blocks(blocking: bool, reads: bool) -> None:
        nonlocal opened
        if reads:
            sleeps.set()
        else:
            opened = blocking

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal opened, steps
        frame.f_trace_opcodes = True
        if opened and event == "opcode":
            steps += 1
            if steps == last:
                opened = False
                raise Strike
        return trace

    mailbox = Mailbox(ours, lambda message: None, blocks)
    reader = threading.Thread(target=mailbox.wait_for, args=(over.is_set, NEVER))
    reader.start()
    assert sleeps.wait(PATIENCE)
    tracer = sys.gettrace()
    sys._getframe().f_trace_opcodes = True  # Python 3.12 looks for one when a tracer is set
    try:
        while steps == last:
            last, steps = last + 1, 0
            sys.settrace(trace)
            with contextlib.suppress(Strike):
                mailbox.wait_for(bool, Deadline.after(0.001))
    finally:
        sys.settrace(tracer)
        over.set()
        mailbox.poke()
        reader.join(PATIENCE)
        os.close(mailbox.descriptors[1])
        ours.close()
        theirs.close()
    assert last > 10
