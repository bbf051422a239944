"""Progress bars of tasks, actors and the driver, all shown by the driver."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator
from time import monotonic
from typing import Any, Final, Generic, TypeVar, final

from ..bars import DISPLAY, Bar
from ..checks import check_int, wrong_type, wrong_value
from ..errors import ForkedRuntimeError
from ..protocol import Runtime, current

__all__ = ["tqdm"]

T = TypeVar("T")

INTERVAL: Final = 0.1
MOST: Final = (1 << 31) - 1


@final
class tqdm(Generic[T]):  # Ray's name, and that of the library.
    """A progress bar. Where it is made does not matter: it is shown at the driver's stderr.

    It ends when it has iterated to the end, by `close`, when nobody has it any more, or with its
    process. Threads may share it; it cannot be sent.

    Args:
        iterable: what `for` goes through.
        desc: what stands before the bar.
        total: how many there will be; by default the length of `iterable`, if it has one.
        unit: of what; default: it.
        position: the order among the bars of the same process.
        flush_interval_s: seconds between what is told to the driver at the least; default: 0.1.

    Raises:
        TypeError: an argument has a wrong type.
        OptionError: `total` or `flush_interval_s` is negative, or `position` is.
    """

    def __init__(
        self,
        iterable: Iterable[T] | None = None,
        desc: str | None = None,
        total: float | None = None,
        unit: str | None = None,
        position: int | None = None,
        flush_interval_s: float | None = None,
    ) -> None:
        self._closed = True  # until it is whole
        if iterable is not None and not isinstance(iterable, Iterable):
            raise wrong_type("iterable", iterable, "something to iterate")
        if total is None and iterable is not None:
            total = _length(iterable)
        self._iterable = iterable
        self._desc = _text("desc", desc or "")
        self._unit = _text("unit", unit or "it")
        self._total = None if total is None else _amount("total", total)
        self._position = check_int("position", position or 0, 0, MOST)
        every = INTERVAL if flush_interval_s is None else flush_interval_s
        self._every = _amount("flush_interval_s", every)
        self._n: float = 0
        self._id = os.urandom(8)
        self._began = monotonic()
        self._told = self._began - self._every
        self._lock = threading.Lock()
        self._closed = False
        self._tell()

    @property
    def n(self) -> float:
        """How many there are by now."""
        return self._n

    @n.setter
    def n(self, n: float) -> None:
        self._n = _number("n", n)

    @property
    def total(self) -> float | None:
        """How many there will be; None if nobody knows."""
        return self._total

    @total.setter
    def total(self, total: float | None) -> None:
        self._total = None if total is None else _amount("total", total)

    def update(self, n: float = 1) -> None:
        """There are `n` more."""
        more = _number("n", n)
        with self._lock:
            self._n += more
        self._tell()

    def set_description(self, desc: str | None) -> None:
        """Change what stands before the bar."""
        self._desc = _text("desc", desc or "")
        self._tell()

    def refresh(self) -> None:
        """Tell the driver how it stands, however shortly after the last time."""
        self._tell(always=True)

    def close(self) -> None:
        """End the bar; it stays where it was shown. What is done with it later shows nothing."""
        self._end(late=False)

    def _end(self, *, late: bool) -> None:
        if self._closed:
            return
        with self._lock:
            closed, self._closed = self._closed, True
        if not closed:
            _send(self._bar(closed=True), late=late)

    def _tell(self, *, always: bool = False) -> None:
        now = monotonic()
        with self._lock:
            if self._closed or not (always or now - self._told >= self._every):
                return
            self._told = now
        _send(self._bar(closed=False), late=False)

    def _bar(self, *, closed: bool) -> Bar:
        elapsed = monotonic() - self._began
        return Bar(
            self._id,
            self._desc,
            self._n,
            self._total,
            self._unit,
            self._position,
            elapsed,
            closed,
        )

    def __iter__(self) -> Iterator[T]:
        if self._iterable is None:
            raise ValueError("this bar goes through nothing: give it an iterable")
        for item in self._iterable:
            yield item
            self.update(1)
        self.close()

    def __enter__(self) -> tqdm[T]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        # A finalizer may run while this thread is in the middle of a message.
        self._end(late=True)


def _send(bar: Bar, *, late: bool) -> None:
    runtime: Runtime | None
    try:
        runtime = current()
    except ForkedRuntimeError:
        runtime = None
    if runtime is None:
        DISPLAY.show_own(bar)
    else:
        runtime.progress(bar, late=late)


def _length(iterable: Any) -> float | None:
    try:
        return len(iterable)
    except TypeError:
        return None


def _text(option: str, value: object) -> str:
    if not isinstance(value, str):
        raise wrong_type(option, value, "a string")
    return value


def _number(option: str, value: Any) -> float:
    # Those of numpy too, as plain ones: they travel in a message.
    if isinstance(value, int):
        return int(value)
    try:
        number = float(value) if not isinstance(value, str) else None
    except (TypeError, ValueError):
        number = None
    if number is None:
        raise wrong_type(option, value, "a number")
    if number != number or abs(number) == float("inf"):
        raise wrong_value(option, value, "a finite number")
    return number


def _amount(option: str, value: Any) -> float:
    number = _number(option, value)
    if number < 0:
        raise wrong_value(option, value, "0 or more")
    return number
