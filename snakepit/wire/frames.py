"""Frames: a four-byte little-endian length, then that many bytes.

Pure: bytes in, bytes out. The decoder accepts any split of the stream and keeps what is not yet
whole; a length beyond the bound is a broken or hostile peer and raises.
"""

from __future__ import annotations

from typing import NoReturn, final

from ..errors import ProtocolError

MAX_FRAME = 256 << 20
"""Bytes. What is large travels in the store; a frame holds envelopes and lists of references."""


def frame(body: bytes) -> bytes:
    """Return `body` with its length before it.

    Raises:
        ProtocolError: the body is longer than `MAX_FRAME`.
    """
    size = len(body)
    if size > MAX_FRAME:
        refuse_size(size)
    return size.to_bytes(4, "little") + body


def refuse_size(size: int) -> NoReturn:
    """Raise the error for a message of `size` bytes, which is too long for a frame."""
    raise ProtocolError(
        f"a message of {size} bytes exceeds the {MAX_FRAME} that a frame may hold; "
        "put large values in the store with snakepit.put() and pass the reference"
    )


@final
class FrameDecoder:
    """Cuts a byte stream into the bodies of frames."""

    __slots__ = ("_buffer", "_limit", "_wanted")

    def __init__(self, limit: int = MAX_FRAME) -> None:
        self._buffer = bytearray()
        self._wanted = 0
        self._limit = limit

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next bytes of the stream; return the bodies that they complete, in order.

        Raises:
            ProtocolError: a frame announces more bytes than the limit.
        """
        buffer = self._buffer
        if buffer:
            buffer += data
            if len(buffer) < self._wanted:
                # A large frame comes in many pieces; it is put together once.
                return []
            data = bytes(buffer)
            buffer.clear()
        bodies: list[bytes] = []
        start, end, stop = 0, len(data), 0
        while end - start >= 4:
            size = int.from_bytes(data[start : start + 4], "little")
            if size > self._limit:
                raise ProtocolError(f"a frame announces {size} bytes; at most {self._limit} may be")
            stop = start + 4 + size
            if stop > end:
                break
            bodies.append(data[start + 4 : stop])
            start = stop
        if start < end:
            buffer += memoryview(data)[start:]
            self._wanted = stop - start if stop > end else 4
        return bodies

    @property
    def pending(self) -> int:
        """Bytes of a frame that has begun and not ended."""
        return len(self._buffer)
