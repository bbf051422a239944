"""A cancel strikes the user's code, and never a message on its way."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from snakepit.protocol import TaskInterrupt
from snakepit.wire import messages as wire
from snakepit.wire.codec import decode
from snakepit.wire.frames import FrameDecoder
from snakepit.workers.blocking import Blocking
from snakepit.workers.interruption import SIGNAL, Interruption
from snakepit.workers.mailbox import Mailbox

PATIENCE = 30.0
CALL = 7
SIZE = 4_000_000


@pytest.fixture(autouse=True)
def as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Put back what `install` replaces."""
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    before = signal.getsignal(SIGNAL)
    yield
    signal.signal(SIGNAL, before)


@pytest.fixture
def cancelled() -> Interruption:
    """What runs user code, in a call that is cancelled."""
    interruption = Interruption()
    interruption.install()
    interruption.stack.append(CALL)
    interruption.open = True
    interruption.want(CALL)
    return interruption


class Dropped:
    """Is struck when it goes, or whoever is told of that."""

    def __init__(self) -> None:
        self.ended: list[bool] = []

    def __del__(self) -> None:
        signal.raise_signal(SIGNAL)
        self.ended.append(True)


@pytest.mark.usefixtures("cancelled")
def test_a_finalizer_is_not_struck_but_what_comes_after_it() -> None:
    ended = (dropped := Dropped()).ended
    del dropped
    assert ended
    with pytest.raises(TaskInterrupt):
        signal.raise_signal(SIGNAL)


@pytest.mark.usefixtures("cancelled")
def test_what_comes_to_nothing_strikes_again(capsys: pytest.CaptureFixture[str]) -> None:
    value = threading.Event()
    told = weakref.ref(value, lambda _: signal.raise_signal(SIGNAL))
    del value
    assert told() is None
    assert capsys.readouterr().err == ""
    with pytest.raises(TaskInterrupt):
        signal.raise_signal(SIGNAL)


def test_a_section_is_struck_at_its_end_also_if_it_blocks(cancelled: Interruption) -> None:
    blocking = Blocking(cancelled)
    held = cancelled.hold()
    blocking(True, True)
    signal.raise_signal(SIGNAL)
    blocking(False, True)
    with pytest.raises(TaskInterrupt):
        cancelled.release(held)
    cancelled.release(cancelled.hold())  # It has been told.


def test_who_waits_is_struck_while_he_blocks(cancelled: Interruption) -> None:
    blocking = Blocking(cancelled)
    cancelled.open, cancelled.waits = False, True
    signal.raise_signal(SIGNAL)
    blocking(True, False)
    with pytest.raises(TaskInterrupt):
        signal.raise_signal(SIGNAL)


def test_a_message_is_never_torn() -> None:
    """The socket is full, so the signal comes between two writes of one message."""
    ours, theirs = socket.socketpair()
    mailbox = Mailbox(ours, lambda message: None, lambda blocking, reads: None)
    interruption = Interruption()
    interruption.sending = mailbox.sending
    interruption.install()
    received: list[Any] = []
    ended = threading.Event()

    def read() -> None:
        decoder = FrameDecoder()
        struck = False
        while not received and (data := theirs.recv(1 << 16)):
            received.extend(map(decode, decoder.feed(data)))
            if not struck:
                struck = True
                interruption.want(CALL)
                signal.pthread_kill(interruption.main or 0, SIGNAL)
        interruption.strike_until_ended(CALL)
        ended.set()

    reader = threading.Thread(target=read, daemon=True)
    interruption.stack.append(CALL)
    interruption.open = True
    try:
        with pytest.raises(TaskInterrupt):
            reader.start()
            mailbox.send(wire.Put(1, b"x" * SIZE, []))
            ended.wait(PATIENCE)
        interruption.stack.pop()
        interruption.ended(CALL)
        ours.shutdown(socket.SHUT_WR)
        reader.join(PATIENCE)
        assert ended.is_set()
        assert [len(message.payload) for message in received] == [SIZE]
    finally:
        ours.close()
        theirs.close()
        os.close(mailbox.descriptors[1])
