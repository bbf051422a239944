"""A worker's sys.stdout and sys.stderr: lines under the label of what runs.

Guarantee: text written through these streams reaches the zygote under the label in force when it
was flushed, and `enter` flushes before the label changes. What C code or a subprocess writes
straight to descriptor 1 or 2 goes under the label of the last line before it.

Assumption: `enter` is called by the thread that runs the calls. Writers on other threads are
serialised by the buffer's own lock, and write under the label that they find.
"""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING, final

from .output import announce

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


@final
class WorkerOutput:
    """The label of what runs now, and the two streams that use it.

    Args:
        mark: the run's mark (`output.mark_of`).
        label: the first label, which the zygote knows already.
    """

    __slots__ = ("_streams", "dirty", "label", "mark")

    def __init__(self, mark: bytes, label: str) -> None:
        self.mark = mark
        self.label = label
        self.dirty = False
        self._streams: list[io.TextIOWrapper] = []

    def install(self) -> None:
        """Make sys.stdout and sys.stderr write to descriptors 1 and 2, line by line."""
        sys.stdout = sys.__stdout__ = self._open(1, "<stdout>")  # type: ignore[misc]
        sys.stderr = sys.__stderr__ = self._open(2, "<stderr>")  # type: ignore[misc]

    def enter(self, label: str) -> None:
        """From here on, what is written belongs to `label`."""
        if self.dirty:
            self.flush()
        self.label = label

    def flush(self) -> None:
        """Write what is buffered."""
        self.dirty = False
        for stream in self._streams:
            if not stream.closed:
                stream.flush()

    def _open(self, fd: int, name: str) -> io.TextIOWrapper:
        raw = _LabelledPipe(fd, name, self)
        # write_through: text waits in the buffer alone, which knows how to mark itself dirty.
        stream = io.TextIOWrapper(
            _Buffer(raw, self),
            encoding="utf-8",
            errors="backslashreplace",
            line_buffering=True,
            write_through=True,
        )
        stream.mode = "w"  # type: ignore[misc]
        self._streams.append(stream)
        return stream


@final
class _Buffer(io.BufferedWriter):
    def __init__(self, raw: io.RawIOBase, output: WorkerOutput) -> None:
        super().__init__(raw)
        self._output = output

    def write(self, data: ReadableBuffer, /) -> int:
        self._output.dirty = True
        return super().write(data)


@final
class _LabelledPipe(io.RawIOBase):
    def __init__(self, fd: int, name: str, output: WorkerOutput) -> None:
        self._fd = fd
        self.name = name
        self.mode = "wb"
        self._output = output
        self._announced = output.label

    def fileno(self) -> int:
        return self._fd

    def isatty(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def write(self, data: ReadableBuffer, /) -> int:
        view = memoryview(data).cast("B")
        size = len(view)
        label = self._output.label
        if label != self._announced:
            # One write with its text: short ones cannot be torn apart by other writers.
            view = memoryview(announce(self._output.mark, label) + view)
        while view:
            written = os.write(self._fd, view)
            self._announced = label
            view = view[written:]
        return size
