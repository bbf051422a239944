"""A bounded queue of records on disk, in a file without a name."""

from __future__ import annotations

import os
from typing import final

_HEADER = 4


@final
class Spool:
    """First in, first out; the file is a ring, made when the first record comes.

    Args:
        limit: bytes that the file may hold.
    """

    __slots__ = ("_fd", "_head", "_limit", "_tail")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._fd = -1
        # Positions count up for ever; their place in the file is the remainder by the limit.
        self._head = 0
        self._tail = 0

    def __bool__(self) -> bool:
        return self._tail > self._head

    def put(self, record: bytes) -> bool:
        """Append a record; return False, changing nothing, where it does not fit."""
        data = len(record).to_bytes(_HEADER, "little") + record
        if self._tail - self._head + len(data) > self._limit:
            return False
        try:
            if self._fd < 0:
                self._fd = _nameless_file()
            self._write(data)
        except OSError:  # the disk is full: no other answer than when the ring is
            return False
        self._tail += len(data)
        return True

    def take(self) -> bytes | None:
        """Remove and return the oldest record, or None when there is none."""
        if self._tail <= self._head:
            return None
        size = int.from_bytes(self._read(self._head, _HEADER), "little")
        record = self._read(self._head + _HEADER, size)
        self._head += _HEADER + size
        if self._head == self._tail:
            self._head = self._tail = 0
            os.ftruncate(self._fd, 0)
        return record

    def close(self) -> None:
        """Give the file back; what is in it is lost."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1
        self._head = self._tail = 0

    def _write(self, data: bytes) -> None:
        position, view = self._tail, memoryview(data)
        while view:
            place = position % self._limit
            written = os.pwrite(self._fd, view[: self._limit - place], place)
            position += written
            view = view[written:]

    def _read(self, position: int, size: int) -> bytes:
        parts: list[bytes] = []
        while size:
            place = position % self._limit
            part = os.pread(self._fd, min(size, self._limit - place), place)
            if not part:
                raise OSError("the spool of workers' output was cut short from outside")
            parts.append(part)
            position += len(part)
            size -= len(part)
        return b"".join(parts)


def _nameless_file() -> int:
    # A bare descriptor: a file object would close its number in each forked worker.
    import tempfile

    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
