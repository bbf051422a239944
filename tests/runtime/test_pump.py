"""The pump's own promises, with sockets of the test."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from snakepit.runtime.interrupts import Interrupts
from snakepit.runtime.pump import Pump


@pytest.fixture
def pump() -> Iterator[Pump]:
    # Ignored when the suite runs in the background of a shell.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    interrupts = Interrupts()
    pump = Pump(interrupts, lambda: False)
    try:
        yield pump
    finally:
        pump.close()
        interrupts.uninstall()
        signal.signal(signal.SIGINT, before)


def test_an_interrupt_during_one_look_comes_after_it(pump: Pump) -> None:
    """What was read of a socket and not taken up yet would be lost."""
    reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    taken: list[bytes] = []

    def take(_: int) -> None:
        data = os.read(reader, 10)
        signal.raise_signal(signal.SIGINT)
        taken.append(data)

    try:
        pump.watch(reader, take)
        os.write(writer, b"news")
        with pytest.raises(KeyboardInterrupt):
            pump.step()
        assert taken == [b"news"]
        pump.unwatch(reader)
    finally:
        os.close(reader)
        os.close(writer)
