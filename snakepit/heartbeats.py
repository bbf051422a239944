"""The settings of heartbeats: how a worker that hangs is told from one that is slow."""

from __future__ import annotations

from typing import Any, Final, NamedTuple, final

from .checks import check_int, check_seconds, wrong_value

SHORTEST: Final = 0.01
LONGEST: Final = 86_400.0
MOST_MISSES: Final = 1000


class _Fields(NamedTuple):
    interval: float
    timeout: float
    misses: int


@final
class Heartbeat(_Fields):
    """When a worker process hangs and is ended; for `Pool(heartbeat=...)`, `init(heartbeat=...)`.

    A worker is asked, and a thread of its own answers. That thread does not come to its turn while
    C code holds the GIL or the process is stopped. It does while Python code runs, or C code that
    has let go of the GIL, for however long: limits for that are the `timeout` of calls.

    Only time counts in which nothing of the worker's waited for a processor, a disk or memory, and
    no debugger held it, as Linux tells it; elsewhere nobody is thought to hang.

    Args:
        interval: seconds between two questions, 0.01 to 86,400; default: 2.
        timeout: seconds without an answer, and without a call begun or ended, after which a
            question counts as missed, from `interval` to 86,400; default: 10.
        misses: how many of them in a row are too many, 1 to 1000; default: 3. Then the worker
            writes the stacks of its threads to its standard error, and is ended.

    Raises:
        TypeError: a setting has the wrong type.
        OptionError: a setting has a value that is not allowed.
    """

    __slots__ = ()

    def __new__(cls, interval: float = 2.0, timeout: float = 10.0, misses: int = 3) -> Heartbeat:
        """Check every setting."""
        between = _seconds("interval", interval, SHORTEST, "")
        return super().__new__(
            cls,
            between,
            _seconds("timeout", timeout, between, ", the interval,"),
            check_int("misses", misses, 1, MOST_MISSES),
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return Heartbeat, tuple(self)


def _seconds(option: str, value: float, least: float, which: str) -> float:
    seconds = check_seconds(option, value, LONGEST)
    if seconds < least:
        allowed = f"a number of seconds from {least:g}{which} to {LONGEST:g}"
        raise wrong_value(option, value, allowed)
    return seconds
