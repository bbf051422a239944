"""A stream in memory that behaves like a socket pair, and misbehaves on demand.

Purpose: everything that reads or writes a mailbox, the pump included, runs on it unchanged, and a
test decides byte by byte what arrives when.

Guarantees:
* It keeps the contract of `snakepit.transport.streams.Stream`, level-triggered readiness of the
  descriptor included (tests/transport/test_contract.py, which runs on real sockets too).
* What a fault does depends on the bytes sent and received alone, never on time.

Assumptions: one lock guards both ends; any thread may use either. Nothing relies on the GIL.
"""

from __future__ import annotations

import errno
import os
import socket
import threading
from typing import Final, final

CAPACITY: Final = 64 << 10
"""Bytes under way in one direction until the sender has to wait."""

_FILLER: Final = bytes(1 << 10)


def memory_pair(
    capacity: int = CAPACITY, chunk: int | None = None
) -> tuple[MemoryStream, MemoryStream]:
    """Return the two ends of a new stream, both blocking as those of a socket pair are.

    Args:
        capacity: bytes that either direction holds until its sender must wait.
        chunk: bytes that one read returns at the most, whatever it asks for; None: no limit.
    """
    there, back = _Pipe(capacity, chunk), _Pipe(capacity, chunk)
    changed = threading.Condition()
    one, two = MemoryStream(there, back, changed), MemoryStream(back, there, changed)
    one._peer, two._peer = two, one
    return one, two


@final
class _Pipe:
    """One direction. `passing` and `left` count what the reader has not taken yet.

    Attributes:
        passing: bytes that may still arrive before the rest is held; None: all.
        left: bytes that arrive before the stream ends; None: it ends when the writer closes.
        reset: the reader is told of the end as of a broken connection, once.
        finished, refused: the writer, or the reader, has closed its end.
    """

    __slots__ = ("capacity", "chunk", "data", "finished", "left", "passing", "refused", "reset")

    def __init__(self, capacity: int, chunk: int | None) -> None:
        self.data = bytearray()
        self.capacity = capacity
        self.chunk = chunk
        self.passing: int | None = None
        self.left: int | None = None
        self.reset = False
        self.finished = False
        self.refused = False

    @property
    def visible(self) -> int:
        """Bytes that a read may return now."""
        size = len(self.data)
        for bound in (self.passing, self.left):
            if bound is not None:
                size = min(size, bound)
        return size

    @property
    def ended(self) -> bool:
        """Whether a read finds the end."""
        held = self.passing == 0
        return self.left == 0 or (self.finished and not self.data and not held)

    @property
    def broken(self) -> bool:
        """Whether a write fails."""
        return self.refused or self.left == 0

    def take(self, size: int) -> bytes:
        """Remove what one read returns."""
        size = min(size, self.visible)
        if self.chunk is not None:
            size = min(size, self.chunk)
        taken = bytes(self.data[:size])
        del self.data[:size]
        if self.passing is not None:
            self.passing -= size
        if self.left is not None:
            self.left -= size
        return taken


@final
class _Bell:
    """A descriptor that is readable and writable as told.

    A socket with a smallest buffer: a byte that waits makes it readable, a buffer filled up makes
    it not writable. An eventfd cannot be neither of the two.
    """

    __slots__ = ("_far", "_near", "_readable", "_writable")

    def __init__(self) -> None:
        self._near, self._far = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self._near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        self._near.setblocking(False)
        self._far.setblocking(False)
        self._readable = False
        self._writable = True

    def fileno(self) -> int:
        return self._near.fileno()

    def show(self, readable: bool, writable: bool, hung_up: bool) -> None:
        """Make the descriptor look like this; hung up it stays."""
        if self._far.fileno() < 0:
            return
        if readable != self._readable:
            self._readable = readable
            if readable:
                self._far.send(b"!")
            else:
                self._near.recv(1)
        if writable != self._writable:
            self._writable = writable
            if writable:
                _drain(self._far)
            else:
                _fill(self._near)
        if hung_up:
            self._far.close()

    def close(self) -> None:
        self._near.close()
        self._far.close()


def _fill(sock: socket.socket) -> None:
    while True:
        try:
            sock.send(_FILLER)
        except BlockingIOError:
            return


def _drain(sock: socket.socket) -> None:
    while True:
        try:
            sock.recv(len(_FILLER))
        except BlockingIOError:
            return


@final
class MemoryStream:
    """One end of a `memory_pair`. Its faults concern what *this* end sends."""

    __slots__ = ("_bell", "_blocking", "_changed", "_closed", "_incoming", "_outgoing", "_peer")

    _peer: MemoryStream

    def __init__(self, outgoing: _Pipe, incoming: _Pipe, changed: threading.Condition) -> None:
        self._outgoing = outgoing
        self._incoming = incoming
        self._changed = changed
        self._bell = _Bell()
        self._blocking = True
        self._closed = False

    # --- the contract -----------------------------------------------------------------------

    def send(self, data: bytes | memoryview, /) -> int:
        """See `Stream.send`."""
        pipe = self._outgoing
        with self._changed:
            while True:
                self._check_open()
                if pipe.broken:
                    raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
                room = pipe.capacity - len(pipe.data)
                if room > 0 or not data:
                    sent = data[:room]
                    pipe.data += sent
                    self._update()
                    return len(sent)
                self._wait()

    def sendall(self, data: bytes | memoryview, /) -> None:
        """See `Stream.sendall`."""
        rest = memoryview(data)
        while rest:
            rest = rest[self.send(rest) :]

    def recv(self, size: int, /) -> bytes:
        """See `Stream.recv`."""
        pipe = self._incoming
        with self._changed:
            while True:
                self._check_open()
                if pipe.visible:
                    data = pipe.take(size)
                    self._update()
                    return data
                if pipe.ended:
                    if pipe.reset:
                        pipe.reset = False
                        raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
                    return b""
                self._wait()

    def fileno(self) -> int:
        """See `Stream.fileno`."""
        return self._bell.fileno()

    def setblocking(self, flag: bool, /) -> None:
        """See `Stream.setblocking`."""
        self._blocking = flag

    def close(self) -> None:
        """See `Stream.close`; what was received and never read breaks the connection."""
        with self._changed:
            if self._closed:
                return
            self._closed = True
            self._outgoing.finished = True
            self._outgoing.reset = self._outgoing.reset or bool(self._incoming.data)
            self._incoming.refused = True
            self._incoming.data.clear()
            self._bell.close()
            self._update()

    # --- faults -----------------------------------------------------------------------------

    @property
    def unread(self) -> int:
        """Bytes that this end has sent and the other has not read."""
        with self._changed:
            return len(self._outgoing.data)

    def split(self, chunk: int | None) -> None:
        """Let one read at the other end return at most `chunk` bytes; None: all there are."""
        with self._changed:
            self._outgoing.chunk = chunk

    def hold(self, after: int = 0) -> None:
        """Keep back what the other end has not read, but for the first `after` bytes of it.

        An end of the stream is kept back too.
        """
        with self._changed:
            self._outgoing.passing = after
            self._update()

    def release(self) -> None:
        """Let everything through that is kept back, and what comes."""
        with self._changed:
            self._outgoing.passing = None
            self._update()

    def cut(self, after: int = 0, *, reset: bool = True) -> None:
        """End the stream for the other end after `after` more bytes, in the midst of what comes.

        Args:
            after: counts from what the other end has not read yet; nothing beyond ever arrives.
            reset: tell it as a broken connection, once; otherwise as an ordinary end.
        """
        with self._changed:
            self._outgoing.left = after
            self._outgoing.reset = reset
            self._update()

    # --- inside -----------------------------------------------------------------------------

    def _check_open(self) -> None:
        if self._closed:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))

    def _wait(self) -> None:
        if not self._blocking:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        self._changed.wait()

    def _update(self) -> None:
        """Show both ends' readiness and wake who waits; the lock is held."""
        for end in (self, self._peer):
            if not end._closed:
                end._show()
        self._changed.notify_all()

    def _show(self) -> None:
        came, goes = self._incoming, self._outgoing
        if came.left == 0:
            # A connection that was cut is so both ways: whoever saw its end cannot write.
            goes.refused = True
        writable = goes.broken or len(goes.data) < goes.capacity
        # What is hung up is readable by that: a read finds the end.
        self._bell.show(came.visible > 0, writable, came.ended)
