"""What waits to be written to one worker's mailbox: ordered by the runtime's lock, never blocking.

Frames are appended under the runtime's lock, which fixes their order. Whoever then gets the
writer's flag drains them, joined into few sends, and looks again after letting go of it, so that
a frame appended meanwhile is not left. What the socket does not take waits for EPOLLOUT: two full
pipes cannot deadlock. The flag is a lock; nothing relies on the GIL.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import final

from ..transport.streams import Stream

_JOINED = 64
"""Frames that one send takes at the most."""


@final
class Outbox:
    """The frames on their way to one worker.

    Args:
        stream: the mailbox, non-blocking.
        stalled: called with True when it takes no more, with False when it has room again.

    Attributes:
        append: adds a frame; its caller holds the runtime's lock.
    """

    __slots__ = ("_frames", "_rest", "_send", "_stalled", "_writer", "append", "broken", "waiting")

    def __init__(self, stream: Stream, stalled: Callable[[bool], None]) -> None:
        self._send = stream.send
        self._stalled = stalled
        self._frames: deque[bytes] = deque()
        self._rest = b""
        self._writer = threading.Lock()
        self.append = self._frames.append
        self.waiting = False
        self.broken = False

    def flush(self) -> None:
        """Write what the socket takes, unless another thread is at it."""
        while (self._frames or self._rest) and not self.waiting:
            if not self._writer.acquire(blocking=False):
                return
            try:
                self._drain()
            finally:
                self._writer.release()

    def writable(self) -> None:
        """The socket has room again."""
        # Before anybody may write: a writer that then fills the socket has the last word on it.
        self._stalled(False)
        self.waiting = False
        self.flush()

    def _drain(self) -> None:
        frames = self._frames
        while frames or self._rest:
            data = self._rest or frames.popleft()
            self._rest = b""
            if frames and len(data) < _JOINED << 10:
                several = [data]
                for _ in range(min(len(frames), _JOINED)):
                    several.append(frames.popleft())
                data = b"".join(several)
            try:
                sent = self._send(data)
            except BlockingIOError:
                sent = 0
            except OSError:
                # The worker has gone. Its death is reported by the zygote, and answers for
                # whatever it did not get.
                self.broken = True
                frames.clear()
                return
            if sent < len(data):
                self._rest = data[sent:]
                self.waiting = True
                self._stalled(True)
                return
