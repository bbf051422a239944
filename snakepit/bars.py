"""Progress bars at the driver, whichever process they belong to, between the lines that it prints.

On a terminal they stand below all else, under an empty line: what the driver itself prints goes
there, and the next drawing begins under it. On any other stream each bar is a line of its own, now
and then and when it ends.

Guarantees: everything is written by one thread at a time, in the order in which it was asked for.
No call blocks: who finds another one writing leaves its event to that one. So finalizers may call
everything here, in the middle of a drawing too.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Final, NamedTuple, TextIO, TypeAlias, final

REDRAW: Final = 0.05
"""Seconds between drawings at the least; a bar that comes or goes is drawn at once."""

SELDOM: Final = 10.0
"""Seconds between the lines of one bar where there is no terminal."""

WIDEST: Final = 30
MARGIN: Final = 3
"""Rows of a terminal that bars leave free."""

Owner: TypeAlias = tuple[str, int]
"""A run and the number of a worker; ("", 0) is this process."""


class Bar(NamedTuple):
    """A bar as its process last told of it; plain, since it travels in a message."""

    id: bytes
    desc: str
    done: float
    total: float | None
    unit: str
    position: int
    elapsed: float
    closed: bool


@final
class _Shown:
    __slots__ = ("bar", "label", "said")

    def __init__(self, label: str, said: float) -> None:
        self.label = label
        self.said = said
        self.bar: Bar


@final
class Display:
    """The bars of this process's stderr."""

    __slots__ = ("_bars", "_drawn", "_drawn_at", "_events", "_now", "_pid", "_writing")

    def __init__(self, now: Callable[[], float] = monotonic) -> None:
        self._now = now
        self._pid = os.getpid()
        self._events: deque[Callable[[], None]] = deque()
        self._writing = threading.Lock()
        # In the order of their owners, then of their positions.
        self._bars: dict[tuple[Owner, bytes], _Shown] = {}
        self._drawn = False
        self._drawn_at = 0.0

    def show(self, owner: Owner, label: str, bar: Bar) -> None:
        """Show a bar as it is now; one that is closed stays as a line above the others."""
        self._do(partial(self._show, (owner, bar.id), label, bar))

    def show_own(self, bar: Bar, *, late: bool = False) -> None:
        """Show a bar of this process; it makes no difference whether that is `late`."""
        self.show(("", 0), "", bar)

    def end(self, owner: Owner) -> None:
        """A process has ended, and its bars with it."""
        if self._bars or self._events:
            self._do(partial(self._end, owner))

    def around(self, write: Callable[[], None]) -> None:
        """Write something else, which must not raise, in the place where the bars were."""
        self._do(partial(self._around, write))

    def leave(self) -> None:
        """Leave the bars as they are, for nobody will draw any more."""
        if os.getpid() == self._pid:  # A fork has them too, and they are not its own.
            self._do(partial(self._end, None))

    def _do(self, event: Callable[[], None]) -> None:
        self._events.append(event)
        while self._events and self._writing.acquire(blocking=False):
            try:
                while self._events:
                    self._events.popleft()()
            finally:
                self._writing.release()

    # --- by one thread at a time ------------------------------------------------------------

    def _show(self, key: tuple[Owner, bytes], label: str, bar: Bar) -> None:
        shown = self._bars.get(key)
        if shown is None:
            if bar.closed and not bar.done:
                return
            shown = self._bars[key] = _Shown(label, self._now())
            shown.bar = bar
            self._sort()
            self._drawn_at = 0.0
        shown.bar = bar
        if bar.closed:
            del self._bars[key]
            self._leave_lines([line_of(shown.label, bar, self._width())])
        elif not _is_terminal(sys.stderr):
            if self._now() - shown.said >= SELDOM:
                shown.said = self._now()
                self._write(line_of(label, bar, self._width()) + "\n")
        elif not self._drawn_at or self._now() - self._drawn_at >= REDRAW:
            self._write(self._erased() + self._drawing())

    def _sort(self) -> None:
        owners = {owner: place for place, (owner, _) in reversed([*enumerate(self._bars)])}
        ordered = sorted(
            self._bars.items(), key=lambda item: (owners[item[0][0]], item[1].bar.position)
        )
        self._bars = dict(ordered)

    def _end(self, owner: Owner | None) -> None:
        gone = [key for key in self._bars if owner is None or key[0] == owner]
        note = "" if owner is None else " (its process has ended)"
        width = self._width() - len(note)
        lines = []
        for key in gone:
            shown = self._bars.pop(key)
            lines.append(line_of(shown.label, shown.bar, width) + note)
        if lines:
            self._leave_lines(lines)

    def _leave_lines(self, lines: list[str]) -> None:
        text = "".join(f"{line}\n" for line in lines)
        self._write(self._erased() + text + self._drawing())

    def _around(self, write: Callable[[], None]) -> None:
        if self._drawn:
            self._write(self._erased())
        write()
        if self._bars:
            self._write(self._drawing())

    def _erased(self) -> str:
        """Return what clears all below the cursor, if bars are there."""
        drawn, self._drawn = self._drawn, False
        return "\x1b[J" if drawn else ""

    def _drawing(self) -> str:
        """Return what draws the bars on a terminal and goes back above them."""
        if not self._bars or not _is_terminal(sys.stderr):
            return ""
        columns, rows = _size(sys.stderr)
        lines = [line_of(each.label, each.bar, columns - 1) for each in self._bars.values()]
        most = max(1, rows - MARGIN)
        if len(lines) > most:
            lines[most - 1 :] = [f"... and {len(lines) - most + 1} more"[: columns - 1]]
        self._drawn = True
        self._drawn_at = self._now()
        return "".join(f"\n{line}" for line in lines) + f"\x1b[{len(lines)}A\r"

    def _width(self) -> int:
        return _size(sys.stderr)[0] - 1

    @staticmethod
    def _write(text: str) -> None:
        stream = sys.stderr
        if stream is None or not text:
            return
        try:
            stream.write(text)
            stream.flush()
        except UnicodeEncodeError as error:
            stream.write(text.encode(error.encoding, "replace").decode(error.encoding))
        except (OSError, ValueError):
            return  # Nobody reads it: the work goes on.


DISPLAY: Final = Display()
atexit.register(DISPLAY.leave)


def line_of(label: str, bar: Bar, width: int) -> str:
    """Return a bar as one line, cut to `width` characters."""
    name = "".join(char if char.isprintable() else " " for char in bar.desc)
    head = f"{label}{name}: " if name else label
    rate = f"{_number(bar.done / bar.elapsed)} {bar.unit}/s" if bar.elapsed > 0 else "?"
    if not bar.total:
        return f"{head}{_number(bar.done)} {bar.unit} [{_time(bar.elapsed)}, {rate}]"[:width]
    part = min(1.0, max(0.0, bar.done / bar.total))
    left = _time(bar.elapsed * (1 - part) / part) if part else "?"
    head += f"{int(100 * part):3}%"
    tail = f" {_number(bar.done)}/{_number(bar.total)} [{_time(bar.elapsed)}<{left}, {rate}]"
    room = min(WIDEST, width - len(head) - len(tail) - 3)
    if room > 0:
        full = int(room * part)
        head += f" |{'#' * full}{' ' * (room - full)}|"
    return (head + tail)[:width]


def _number(value: float) -> str:
    return f"{value:.0f}" if value == int(value) or value >= 100 else f"{value:.3g}"


def _time(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes:02}:{rest:02}"


def _is_terminal(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # It is closed.
        return False


def _size(stream: TextIO | None) -> tuple[int, int]:
    try:
        if stream is not None and stream.isatty():
            found = os.get_terminal_size(stream.fileno())
            if found.columns > 0:  # Of some pseudo-terminals nobody set it.
                return found.columns, found.lines
    except (OSError, ValueError):
        pass
    return 80, 24
