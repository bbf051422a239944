"""What workers write, on its way from their pipes to the driver.

Guarantees:
* A worker never waits for the driver: the zygote empties its pipes at once.
* The zygote's memory is bounded: a window of bytes travels, for which the driver gives credit as
  it prints; what exceeds it goes to a bounded file, and what exceeds that is counted, dropped,
  and replaced by one line that says how much is missing.
* Lines are whole and in order for each stream, under the label that was in force.

Assumption: one thread.

A worker announces a label in-band: `mark_of(run)`, the label, `END`. The mark holds the run's
random token, so that no text is taken for one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Final, final

from snakepit.wire.codec import Encoder
from snakepit.wire.messages import Output

from .spool import Spool

END: Final = b"\x1e"
STDOUT: Final = 1
STDERR: Final = 2
LONGEST_LABEL: Final = 256
LONGEST_LINE: Final = 64 << 10
TAIL_BYTES: Final = 16 << 10
TAIL_LINES: Final = 40
CRASH: Final = "Fatal Python error:"
CRASH_LINES: Final = 16
WINDOW: Final = 1 << 20
SPOOL_LIMIT: Final = 256 << 20
_CHUNK: Final = 64 << 10
_FRAME: Final = re.compile(r'  File ".*", line \d+ in ')

Piece = tuple[str, bytes]


def mark_of(run: str) -> bytes:
    """Return what comes before each label in the output of `run`'s workers."""
    return END + b"snakepit " + run[-16:].encode() + b" "


def announce(mark: bytes, label: str) -> bytes:
    """Return the bytes that put the text after them under `label`."""
    name = label.encode("utf-8", "replace").replace(END, b"?")[:LONGEST_LABEL]
    return mark + name + END


def last_lines(text: bytes) -> str:
    """Return the end of what a process wrote, `TAIL_LINES` lines at the most.

    Of faulthandler's dump only the beginning is kept, the innermost frames: a hundred of them
    would leave no room for what the user's code had to say before it crashed, or for those of other
    threads.
    """
    lines = text.decode("utf-8", "replace").splitlines(keepends=True)
    for number in range(len(lines) - 1, -1, -1):
        if lines[number].startswith(CRASH):
            left_out = len(lines) - number - CRASH_LINES
            if left_out > 0:
                lines[number + CRASH_LINES :] = [f"[... {left_out} lines are left out ...]\n"]
            break
    return "".join(_without_depths(lines)[-TAIL_LINES:])


def _without_depths(lines: list[str]) -> list[str]:
    """Leave out of each stack that faulthandler wrote all but the innermost frames."""
    kept: list[str] = []
    frames = 0
    for line in lines:
        frames = frames + 1 if _FRAME.match(line) else 0
        if frames <= CRASH_LINES:
            kept.append(line)
    return kept


@final
class LabelledLines:
    """Cuts one stream into whole lines, each with its label; the announcements are taken out."""

    __slots__ = ("_held", "_label", "_line", "_mark")

    def __init__(self, mark: bytes, label: str) -> None:
        self._mark = mark
        self._label = label
        self._held = b""  # the beginning of what may be an announcement
        self._line = b""

    def feed(self, data: bytes) -> list[Piece]:
        """Take the next bytes; return what they complete, as (label, lines)."""
        data = self._held + data
        self._held = b""
        pieces: list[Piece] = []
        position = 0
        while True:
            start = data.find(self._mark, position)
            if start < 0:
                break
            name = start + len(self._mark)
            end = data.find(END, name)
            if end < 0 and len(data) - name <= LONGEST_LABEL:
                self._add(data[position:start], pieces)
                self._held = data[start:]
                return pieces
            if end < 0 or end - name > LONGEST_LABEL:  # the mark's writer died within it
                self._add(data[position:name], pieces)
                position = name
                continue
            self._add(data[position:start], pieces)
            self._relabel(data[name:end].decode("utf-8", "replace"), pieces)
            position = end + 1
        keep = self._possible_mark(data, position)
        self._add(data[position : len(data) - keep], pieces)
        self._held = data[len(data) - keep :]
        return pieces

    def finish(self) -> list[Piece]:
        """Return what is left, as a line of its own: at the end, or before a line of ours."""
        pieces: list[Piece] = []
        # A cut announcement is nothing to print; any other held byte is text.
        if not self._held.startswith(self._mark):
            self._line += self._held
        self._held = b""
        self._end_line(pieces)
        return pieces

    def _add(self, text: bytes, pieces: list[Piece]) -> None:
        if not text:
            return
        cut = text.rfind(b"\n") + 1
        if cut:
            self._emit(self._line + text[:cut], pieces)
            self._line = text[cut:]
        else:
            self._line += text
        if len(self._line) > LONGEST_LINE:
            self._emit(self._line, pieces)
            self._line = b""

    def _emit(self, text: bytes, pieces: list[Piece]) -> None:
        if pieces and pieces[-1][0] == self._label:
            pieces[-1] = (self._label, pieces[-1][1] + text)
        else:
            pieces.append((self._label, text))

    def _relabel(self, label: str, pieces: list[Piece]) -> None:
        if label != self._label:
            self._end_line(pieces)
            self._label = label

    def _end_line(self, pieces: list[Piece]) -> None:
        if self._line:
            self._emit(self._line + b"\n", pieces)
            self._line = b""

    def _possible_mark(self, data: bytes, position: int) -> int:
        """Return how many of the last bytes may be the beginning of a mark."""
        begin = data.rfind(END, max(position, len(data) - len(self._mark) + 1))
        return len(data) - begin if begin >= 0 and self._mark.startswith(data[begin:]) else 0


@final
class Relay:
    """Sends lines to the driver as fast as its credit allows, and keeps the rest.

    Args:
        send: takes the frame of a message.
        window: bytes that may be under way without credit.
        spool_limit: bytes that may wait on disk.
    """

    __slots__ = ("_dropped", "_encode", "_last", "_send", "_spool", "_under_way", "_window")

    def __init__(
        self,
        send: Callable[[bytes], object],
        window: int = WINDOW,
        spool_limit: int = SPOOL_LIMIT,
    ) -> None:
        self._send = send
        self._window = window
        self._under_way = 0
        self._spool = Spool(spool_limit)
        self._encode = Encoder()
        self._dropped = 0
        self._last = Output(0, 0, STDERR, "", b"")

    def offer(self, message: Output) -> None:
        """Send a message, or keep it, or count it as dropped."""
        if self._dropped and not self._note_missing():
            self._dropped += len(message.text)
        elif not self._accept(message):
            self._dropped += len(message.text)
            self._last = message

    def credit(self, size: int) -> None:
        """The driver has printed `size` bytes: send as many of those that wait."""
        self._under_way = max(0, self._under_way - size)
        while self._under_way < self._window:
            frame = self._next()
            if frame is None:
                return
            self._send(frame)

    def next_frame(self) -> bytes | None:
        """Return the next message that waits, whatever the credit; None at the end."""
        return self._next()

    def close(self) -> None:
        """Drop what waits."""
        self._spool.close()

    def _accept(self, message: Output) -> bool:
        frame = self._encode(message)
        if not self._spool and self._under_way < self._window:
            self._under_way += len(message.text)
            self._send(frame)
            return True
        return self._spool.put(len(message.text).to_bytes(4, "little") + frame)

    def _next(self) -> bytes | None:
        if not self._spool and self._dropped:
            note = self._missing()
            self._dropped = 0
            self._under_way += len(note.text)
            return self._encode(note)
        record = self._spool.take()
        if record is None:
            return None
        self._under_way += int.from_bytes(record[:4], "little")
        return record[4:]

    def _note_missing(self) -> bool:
        if not self._accept(self._missing()):
            return False
        self._dropped = 0
        return True

    def _missing(self) -> Output:
        text = f"[snakepit: {self._dropped} bytes of workers' output are missing here]\n"
        return self._last._replace(stream=STDERR, text=text.encode())


@final
class Stream:
    """The zygote's end of a worker's stdout or stderr.

    Args:
        fd: the pipe's reading end, non-blocking; the stream owns it.
        number: the worker.
        which: STDOUT or STDERR.
        lines: cuts what comes.
        relay: takes the lines; None where the driver does not want them.
    """

    __slots__ = ("_before", "_lines", "_most", "_number", "_relay", "_tail", "_which", "fd", "pid")

    def __init__(
        self, fd: int, number: int, which: int, lines: LabelledLines, relay: Relay | None
    ) -> None:
        self.fd = fd
        self.pid = 0
        self._number = number
        self._which = which
        self._lines = lines
        self._relay = relay
        self._tail = b""
        self._most = TAIL_BYTES
        self._before: bytes | None = None  # what had come before its last words

    def read(self) -> bool:
        """Take one chunk; return whether the stream goes on (False at its end)."""
        data = self._chunk()
        if data:
            self._pass_on(self._lines.feed(data))
        return data != b""

    def drain(self) -> None:
        """Take all that is there, without waiting for a writer that may never end."""
        while True:
            data = self._chunk()
            if not data:
                break
            self._pass_on(self._lines.feed(data))
        self._pass_on(self._lines.finish())

    def close(self) -> None:
        """Close the pipe."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def note(self, text: str) -> None:
        """Add a line of the driver's, that the process hangs; its stacks are to follow it."""
        from .hang import HEADLINE, STACK_BYTES

        self.drain()
        if self._before is None:
            self._before, self._tail, self._most = self._tail, b"", STACK_BYTES
        self._pass_on(self._lines.feed(f"{HEADLINE}{text}\n".encode()))

    @property
    def tail(self) -> str:
        """The last lines that came."""
        if self._before is None:
            return last_lines(self._tail)
        from .hang import BEFORE, shortened

        before = self._before.decode("utf-8", "replace").splitlines(keepends=True)
        stacks = self._tail.decode("utf-8", "replace").splitlines(keepends=True)
        return "".join([*before[-BEFORE:], *shortened(stacks)])

    def _chunk(self) -> bytes | None:
        if self.fd < 0:
            return b""
        try:
            return os.read(self.fd, _CHUNK)
        except BlockingIOError:
            return None

    def _pass_on(self, pieces: list[Piece]) -> None:
        for label, text in pieces:
            if self._which == STDERR:
                self._tail = (self._tail + text[-self._most :])[-self._most :]
            if self._relay is not None:
                self._relay.offer(Output(self._number, self.pid, self._which, label, text))
