"""Frames and file descriptors over one Unix stream socket, without ever blocking.

Purpose: the channel between driver and zygote, and each worker's control socket.

Guarantees:
* Frames arrive whole and in the order in which `send` was called, whichever threads called it.
* The descriptors sent with a frame arrive as one batch, not later than that frame, and batches
  keep the order of their frames. A batch that the receiving process had no room for (its limit
  of open files) arrives empty rather than not at all, so later batches are not shifted.
* Descriptors given to `send` belong to the connection, which closes them once they are sent or
  cannot be sent any more. Received ones are closed by an exec.

Assumptions: one thread at a time calls `receive` and `take_descriptors`. The outbox is guarded by
a lock that is held over non-blocking calls only; nothing here relies on the GIL.
"""

from __future__ import annotations

import errno
import os
import socket
import threading
from array import array
from collections import deque
from collections.abc import Iterable, Sequence
from typing import final

from ..wire.frames import FrameDecoder

READ_SIZE = 256 << 10
_JOINED = 128 << 10
_MOST_BUFFERS = 64
_ROOM = socket.CMSG_SPACE(16 * 4)
_CLOEXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)
_BROKEN = frozenset({errno.EPIPE, errno.ECONNRESET, errno.EBADF, errno.ENOTCONN})
# ETOOMANYREFS: so many descriptors are under way that the kernel takes no more until the peer
# has received some; like a full buffer, it passes.
_LATER = frozenset({errno.EAGAIN, errno.EWOULDBLOCK, errno.ENOBUFS, errno.ETOOMANYREFS})


@final
class PeerGone(Exception):
    """The other end of a connection has been closed, and all that it sent has been received."""


@final
class FdConnection:
    """One end of a stream of frames that may carry descriptors.

    Args:
        sock: a connected Unix stream socket; the connection owns it and makes it non-blocking.
    """

    __slots__ = ("_batches", "_broken", "_decoder", "_lock", "_outbox", "_socket")

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._socket = sock
        self._decoder = FrameDecoder()
        self._batches: deque[tuple[int, ...]] = deque()
        self._outbox: deque[tuple[bytes | memoryview, tuple[int, ...]]] = deque()
        self._lock = threading.Lock()
        self._broken = False

    def fileno(self) -> int:
        """Return the socket's descriptor, to be watched; -1 once closed."""
        return self._socket.fileno()

    @property
    def pending(self) -> bool:
        """Whether frames wait for room: watch for writability and call `flush`."""
        return bool(self._outbox)

    def send(self, frame: bytes, fds: Sequence[int] = ()) -> bool:
        """Queue one frame with the descriptors that travel with it, and send what fits.

        After the peer has gone the frame is dropped; `receive` is what reports the end.

        Returns:
            Whether everything has left; if not, `flush` when the socket is writable.
        """
        with self._lock:
            if self._broken:
                _close_all(fds)
                return True
            self._outbox.append((frame, tuple(fds)))
            return self._flush()

    def flush(self) -> bool:
        """Send what fits; return whether everything has left."""
        with self._lock:
            return self._flush()

    def receive(self) -> list[bytes]:
        """Return the bodies of the frames that one read completes; none if there is nothing.

        Raises:
            PeerGone: the peer's end is closed and everything was received.
            ProtocolError: what came is no stream of frames.
        """
        try:
            data, ancillary, flags, _ = self._socket.recvmsg(READ_SIZE, _ROOM, _CLOEXEC)
        except (BlockingIOError, InterruptedError):
            return []
        except OSError as error:
            raise PeerGone(str(error)) from None
        fds = _descriptors(ancillary)
        if flags & socket.MSG_CTRUNC:
            _close_all(fds)
            self._batches.append(())
        elif fds:
            self._batches.append(fds)
        if not data:
            raise PeerGone("end of file")
        return self._decoder.feed(data)

    def take_descriptors(self) -> tuple[int, ...]:
        """Return the oldest batch received and not yet taken; the caller owns its members."""
        return self._batches.popleft() if self._batches else ()

    def close(self) -> None:
        """Close the socket and every descriptor that was queued or not taken."""
        with self._lock:
            self._break()
            while self._batches:
                _close_all(self._batches.popleft())
            self._socket.close()

    def abandon(self) -> None:
        """Close it in a forked child, where the thread that held the lock may not exist."""
        self._lock = threading.Lock()
        self.close()

    def _flush(self) -> bool:
        while self._outbox:
            try:
                self._send_some()
            except InterruptedError:
                continue
            except OSError as error:
                if error.errno in _LATER:
                    return False
                if error.errno in _BROKEN:
                    self._break()
                    return True
                raise
        return True

    def _send_some(self) -> None:
        head, fds = self._outbox[0]
        if fds:
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", fds))]
            sent = self._socket.sendmsg([head], rights)
            # They went with the first byte; what is left of the frame follows without them.
            self._outbox[0] = (head, ())
            _close_all(fds)
        else:
            sent = self._socket.sendmsg(self._joined())
        while sent:
            head, fds = self._outbox.popleft()
            if sent < len(head):
                self._outbox.appendleft((memoryview(head)[sent:], fds))
                return
            sent -= len(head)

    def _joined(self) -> list[bytes | memoryview]:
        buffers: list[bytes | memoryview] = []
        size = 0
        for data, fds in self._outbox:
            if fds or len(buffers) == _MOST_BUFFERS or size > _JOINED:
                break
            buffers.append(data)
            size += len(data)
        return buffers

    def _break(self) -> None:
        self._broken = True
        while self._outbox:
            _close_all(self._outbox.popleft()[1])


def _descriptors(ancillary: list[tuple[int, int, bytes]]) -> tuple[int, ...]:
    found: list[int] = []
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            whole = len(data) - len(data) % 4
            found.extend(memoryview(data)[:whole].cast("i"))
    if found and not _CLOEXEC:
        for fd in found:
            os.set_inheritable(fd, False)
    return tuple(found)


def _close_all(fds: Iterable[int]) -> None:
    for fd in fds:
        os.close(fd)
