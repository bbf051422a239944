"""The worker's mailbox: read by whichever thread waits, written frame by frame.

Purpose: the main thread reads its calls itself, spinning for a moment when the driver said that a
core is free for it; a thread that waits in `get()` reads likewise, until its answer is there.

Guarantees:
* One thread reads at a time, and messages are handled in the order they came, by the reader.
* A frame is written whole; frames of one thread keep their order, also those that `post` leaves to
  a later write.
* A signal's exception strikes only while a reader blocks, never between a read and its handling.

Assumptions: the reader's role is a lock. Who finds it taken counts itself among those that stand by
before it tries once more, and who lets it go looks at that count after: one of the two sees the
other. Nothing relies on the GIL.
"""

from __future__ import annotations

import os
import select
import threading
from collections import deque
from collections.abc import Callable
from os import sched_yield
from time import perf_counter
from typing import Any, final

from snakepit.deadline import NEVER, Deadline
from snakepit.transport.streams import Stream
from snakepit.wire.codec import Encoder, decode
from snakepit.wire.frames import FrameDecoder

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
        blocks: called with True before a thread blocks, and with False after; and with whether that
            is the one that reads, which is told again before it does so again.
    """

    __slots__ = (
        "_blocks",
        "_decoder",
        "_encode",
        "_encode_posted",
        "_handle",
        "_misses",
        "_poll",
        "_posted",
        "_posting",
        "_received",
        "_released",
        "_role",
        "_seat",
        "_standing_by",
        "_stream",
        "_wake",
        "_writing",
        "spin",
    )

    def __init__(
        self,
        stream: Stream,
        handle: Callable[[Any], None],
        blocks: Callable[[bool, bool], None],
    ) -> None:
        stream.setblocking(True)
        self._stream = stream
        self._handle = handle
        self._blocks = blocks
        self._decoder = FrameDecoder()
        self._encode = Encoder()
        self._writing = threading.Lock()
        self._encode_posted = Encoder()
        self._posting = threading.Lock()
        self._posted: deque[bytes] = deque()
        self._role = threading.Lock()
        self._released = threading.Lock()  # guards the next
        self._standing_by: list[threading.Lock] = []  # each released when the role has been
        self._received = 0  # reads and pokes so far; changed by who has the role
        self._misses = 0
        self._seat = Seat()
        self._poll = select.poll()
        self._poll.register(stream, select.POLLIN)
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._poll.register(self._wake, select.POLLIN)
        self.spin = False

    # --- writing --------------------------------------------------------------------------

    def sending(self) -> bool:
        """Tell whether a thread is writing right now; safe in signal handlers."""
        return self._writing.locked()

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
            if self._posted:
                data = self._take_posted() + data
            self._write(data)
        if self._posted:
            self.flush()

    def send_fields(self, numbered: tuple[Any, ...]) -> None:
        """Write one message given as its kind's number and its fields (see `Encoder.fields`)."""
        with self._writing:
            data = self._encode.fields(numbered)
            if self._posted:
                data = self._take_posted() + data
            self._write(data)
        if self._posted:
            self.flush()

    def post(self, *messages: tuple[Any, ...]) -> int:
        """Leave messages to the next write, in this thread or another; return how many wait.

        Whoever posts sees to it that `flush` is called.
        """
        with self._posting:
            for message in messages:
                self._posted.append(self._encode_posted(message))
        return len(self._posted)

    def flush(self) -> None:
        """Write what was posted, unless another thread is writing, which then does.

        Raises:
            DriverGone: nobody reads any more.
        """
        # Who writes looks again after letting go, so what was posted meanwhile is not left.
        while self._posted and self._writing.acquire(blocking=False):
            try:
                self._write(self._take_posted())
            finally:
                self._writing.release()

    def drain(self) -> None:
        """Write what was posted, after whoever is writing.

        Raises:
            DriverGone: nobody reads any more.
        """
        with self._writing:
            if self._posted:
                self._write(self._take_posted())

    def abandon(self) -> None:
        """Close it in a forked child, where no lock's holder exists: whoever writes is told."""
        self._writing = threading.Lock()
        self._stream.close()

    def _take_posted(self) -> bytes:
        with self._posting:
            data = b"".join(self._posted)
            self._posted.clear()
        return data

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

    @property
    def descriptors(self) -> tuple[int, int]:
        """What becomes readable when `read_waiting` has something to do."""
        return self._stream.fileno(), self._wake

    def wait_for(self, ready: Callable[[], Any], deadline: Deadline) -> bool:
        """Read and handle messages until `ready()`; False if the deadline came first.

        Raises:
            DriverGone: the driver has ended.
        """
        while True:
            received = self._received
            if ready():
                return True
            if self._role.acquire(blocking=False) or self._stand_by(ready, deadline):
                try:
                    # What it waits for may have been read just before it got the role.
                    if received == self._received:
                        self._read(deadline)
                finally:
                    self._leave_role()
            if deadline is not NEVER and deadline.expired:
                return bool(ready())

    def _stand_by(self, ready: Callable[[], Any], deadline: Deadline) -> bool:
        """Let another thread read; tell whether the caller has the role after all.

        A lock of its own, and no condition: an exception that strikes in one's `wait` may find it
        without its lock, and come out as the error of who releases that.
        """
        bell = threading.Lock()
        bell.acquire()
        with self._released:
            self._standing_by.append(bell)
        try:
            if self._role.acquire(blocking=False):
                return True
            if not ready():
                timeout = deadline.remaining()
                self._blocks(True, False)
                try:
                    bell.acquire(timeout=-1 if timeout is None else timeout)
                finally:
                    self._blocks(False, False)
            return False
        finally:
            with self._released:
                if bell in self._standing_by:
                    self._standing_by.remove(bell)

    def _leave_role(self) -> None:
        self._role.release()
        if self._standing_by:
            with self._released:
                for bell in self._standing_by:
                    bell.release()
                self._standing_by.clear()

    def _read(self, deadline: Deadline) -> None:
        came = self._spin() if self.spin and self._misses < 3 else None
        if self._mine(came or self._block(deadline)):
            self._receive()

    def _block(self, deadline: Deadline) -> list[tuple[int, int]]:
        timeout = deadline.remaining()
        started = perf_counter()
        self._blocks(True, True)
        try:
            came = self._poll.poll(None if timeout is None else timeout * 1000 + 1)
        finally:
            self._blocks(False, True)
        # What came this soon would have been caught by spinning.
        self._misses = 0 if perf_counter() - started < 2 * SPIN else self._misses + 1
        return came

    def _mine(self, came: list[tuple[int, int]]) -> bool:
        """Tell whether the socket is readable; take note of a poke."""
        readable = False
        for fd, _ in came:
            if fd == self._wake:
                os.eventfd_read(fd)
                self._received += 1  # It may have been meant for who takes the role next.
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
        try:
            for body in self._decoder.feed(data):
                self._handle(decode(body))
        finally:
            self._received += 1

    def read_waiting(self) -> None:
        """Handle what lies in the socket, unless another thread is reading it anyway."""
        if not self._role.acquire(blocking=False):
            return
        try:
            while self._mine(self._poll.poll(0)):
                self._receive()
        finally:
            self._leave_role()
