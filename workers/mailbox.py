"""The worker's mailbox: read by whichever thread waits, written frame by frame.

Purpose: the main thread reads its calls itself, spinning for a moment when the driver said that a
core is free for it; a thread that waits in `get()` reads likewise, until its answer is there.

Guarantees:
* One thread reads at a time, and messages are handled in the order they came, by the reader.
* A frame is written whole; frames of one thread keep their order.
* A signal's exception strikes only while a reader blocks, never between a read and its handling.

Assumptions: the reader's role is guarded by a condition; nothing relies on the GIL.
"""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Callable
from os import sched_yield
from time import perf_counter
from typing import Any, final

from snakepit.deadline import Deadline
from snakepit.transport.streams import Stream
from snakepit.wire.frames import FrameDecoder
from snakepit.wire.messages import Encoder, decode

from .seat import Seat

READ_SIZE = 64 << 10
SPIN = 100e-6


@final
class DriverGone(Exception):
    """The mailbox has been closed: there is nobody left to work for."""


@final
class Mailbox:
    """Both directions of the socket to the driver.

    Args:
        stream: the connection; made blocking.
        handle: takes each message, in the reading thread.
        blocks: called with True before the reader blocks, and with False after.
    """

    __slots__ = (
        "_blocks",
        "_changed",
        "_decoder",
        "_encode",
        "_handle",
        "_misses",
        "_poll",
        "_reading",
        "_seat",
        "_stream",
        "_wake",
        "_writing",
        "spin",
    )

    def __init__(
        self,
        stream: Stream,
        handle: Callable[[Any], None],
        blocks: Callable[[bool], None],
    ) -> None:
        stream.setblocking(True)
        self._stream = stream
        self._handle = handle
        self._blocks = blocks
        self._decoder = FrameDecoder()
        self._encode = Encoder()
        self._writing = threading.Lock()
        self._changed = threading.Condition()
        self._reading = False
        self._misses = 0
        self._seat = Seat()
        self._poll = select.poll()
        self._poll.register(stream, select.POLLIN)
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._poll.register(self._wake, select.POLLIN)
        self.spin = False

    # --- writing --------------------------------------------------------------------------

    def send(self, *messages: tuple[Any, ...]) -> None:
        """Write messages, joined.

        Raises:
            DriverGone: nobody reads any more.
        """
        with self._writing:
            encode = self._encode
            data = encode(messages[0])
            if len(messages) > 1:
                data = b"".join([data, *map(encode, messages[1:])])
            self._write(data)

    def send_fields(self, numbered: tuple[Any, ...]) -> None:
        """Write one message given as its kind's number and its fields (see `Encoder.fields`)."""
        with self._writing:
            self._write(self._encode.fields(numbered))

    def _write(self, data: bytes) -> None:
        try:
            self._stream.sendall(data)
        except OSError as error:
            raise DriverGone(str(error)) from None

    def poke(self) -> None:
        """Have the reader look again at what it waits for; safe in finalizers and in signals."""
        try:
            os.eventfd_write(self._wake, 1)
        except BlockingIOError:
            return  # It is full, so it wakes already.

    # --- reading --------------------------------------------------------------------------

    def wait_for(self, ready: Callable[[], Any], deadline: Deadline) -> bool:
        """Read and handle messages until `ready()`; False if the deadline came first.

        Raises:
            DriverGone: the driver has ended.
        """
        while not ready():
            if not self._take_role(ready, deadline):
                if deadline.expired:
                    return bool(ready())
                continue
            try:
                self._read(deadline)
            finally:
                self._leave_role()
            if deadline.expired:
                return bool(ready())
        return True

    def _take_role(self, ready: Callable[[], Any], deadline: Deadline) -> bool:
        with self._changed:
            if not self._reading:
                self._reading = True
                return True
            if not ready():
                self._blocks(True)
                try:
                    self._changed.wait(deadline.remaining())
                finally:
                    self._blocks(False)
            return False

    def _leave_role(self) -> None:
        with self._changed:
            self._reading = False
            self._changed.notify_all()

    def _read(self, deadline: Deadline) -> None:
        came = self._spin() if self.spin and self._misses < 3 else None
        if self._mine(came or self._block(deadline)):
            self._receive()

    def _block(self, deadline: Deadline) -> list[tuple[int, int]]:
        timeout = deadline.remaining()
        started = perf_counter()
        self._blocks(True)
        try:
            came = self._poll.poll(None if timeout is None else timeout * 1000 + 1)
        finally:
            self._blocks(False)
        # What came this soon would have been caught by spinning.
        self._misses = 0 if perf_counter() - started < 2 * SPIN else self._misses + 1
        return came

    def _mine(self, came: list[tuple[int, int]]) -> bool:
        """Tell whether the socket is readable; take note of a poke."""
        readable = False
        for fd, _ in came:
            if fd == self._wake:
                os.eventfd_read(fd)
            else:
                readable = True
        return readable

    def _spin(self) -> list[tuple[int, int]]:
        poll = self._poll.poll
        end = perf_counter() + SPIN
        while not (came := poll(0)):
            # The kernel may have put the driver on this very core: let it have it.
            sched_yield()
            if perf_counter() > end:
                return came
        self._misses = 0
        self._seat.hit()
        return came

    def _receive(self) -> None:
        try:
            data = self._stream.recv(READ_SIZE)
        except OSError as error:
            raise DriverGone(str(error)) from None
        if not data:
            raise DriverGone("end of file")
        for body in self._decoder.feed(data):
            self._handle(decode(body))

    def read_waiting(self) -> None:
        """Handle what lies in the socket, unless another thread is reading it anyway."""
        with self._changed:
            if self._reading:
                return
            self._reading = True
        try:
            while self._mine(self._poll.poll(0)):
                self._receive()
        finally:
            self._leave_role()
