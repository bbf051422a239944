"""Retries and restarts, in one place each (design.md §8)."""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, final

if TYPE_CHECKING:
    from .calls import Call

POISON_DEATHS: Final = 3
"""A call that killed this many workers is not tried again, whatever retries remain."""

LEAST_DELAY: Final = 0.05
"""Seconds from a first death in vain to the next start; each one more doubles them."""


def went_with_zygote(cause: Mapping[str, Any]) -> bool:
    """Tell whether a worker ended because its zygote did: nothing in it is to blame."""
    return "zygote" in cause


def blamed(cause: Mapping[str, Any], begun: Iterable[Call], blocked: Container[int]) -> list[Call]:
    """Return those of the calls that a dead worker had begun that may have killed it.

    Not one that waits in get() or wait(): what ran meanwhile is another call, above it on the
    stack, or nothing. Whoever waits long would be poisoned by chance on a machine that kills now
    and then. It did begin, so that it pays with a retry as the others do.

    One that was cancelled, or took too long, is to blame alone, even if it waits: the worker is
    ended for that, and takes along what runs beside it or above it.

    Args:
        cause: how the worker ended.
        begun: the calls that it had begun and not answered.
        blocked: ids of the calls that wait.
    """
    if went_with_zygote(cause):
        return []
    calls = [*begun]
    ended = [call for call in calls if call.cancelled or call.expired]
    return ended or [call for call in calls if call.id not in blocked]


def after_death(deaths: int, tries: int, max_retries: int) -> str:
    """Decide about a call that had begun when its worker died.

    Args:
        deaths: workers that it may have killed so far.
        tries: how often it was tried in vain, those times included.
        max_retries: as its options say; -1 means for ever.

    Returns:
        "retry", "poisoned" or "crashed".
    """
    if 0 <= max_retries < tries:
        return "crashed"
    return "poisoned" if deaths >= POISON_DEATHS else "retry"


def after_exception(tries: int, max_retries: int) -> bool:
    """Tell whether a call that raised a retryable exception runs again after `tries` in vain."""
    return max_retries < 0 or tries <= max_retries


def may_restart(restarts: int, max_restarts: int) -> bool:
    """Tell whether an actor that was restarted `restarts` times is started once more.

    A process that ended before the constructor began is no life of the actor: another is started
    in any case, as far as its `RestartWindow` goes.
    """
    return max_restarts < 0 or restarts < max_restarts


@final
class RestartWindow:
    """Deaths in vain, with no progress in between: how long to wait, and when to give up.

    OTP's rule: more than `intensity` restarts within `period` seconds are too many. The times come
    with the events, in order. What happens together, before the next start, is added once.

    Attributes:
        failures: how many there were since the last progress, old ones too.
    """

    __slots__ = ("_times", "failures", "intensity", "period")

    def __init__(self, intensity: int, period: float) -> None:
        self.intensity = intensity
        self.period = period
        self.failures = 0
        self._times: deque[float] = deque(maxlen=intensity + 1)

    def fresh(self) -> RestartWindow:
        """Return one with the same limits that has counted nothing."""
        return RestartWindow(self.intensity, self.period)

    def add(self, now: float, spent: float = 0.0) -> None:
        """Count one more.

        Of the time since the one before, `spent` seconds do not count: by so much that one moves up
        with all before it, to `now` at most. Else what takes long to fail could never fail too
        often.
        """
        self.failures += 1
        if spent and self._times:
            shift = min(spent, now - self._times[-1])
            self._times = deque((time + shift for time in self._times), self._times.maxlen)
        self._times.append(now)
        while now - self._times[0] > self.period:
            self._times.popleft()

    def clear(self) -> None:
        """There was progress: those before it do not count."""
        self.failures = 0
        self._times.clear()

    @property
    def exceeded(self) -> bool:
        """Whether there were too many when the last one was added."""
        return len(self._times) > self.intensity

    @property
    def delay(self) -> float:
        """Seconds from the last one to the next start."""
        return min(self.longest, LEAST_DELAY * 2.0 ** min(self.failures - 1, 40))

    @property
    def longest(self) -> float:
        """Seconds that it waits at most: short enough for one too many to fit into the period."""
        return max(LEAST_DELAY, self.period / (2 * (self.intensity + 1)))

    def fields(self) -> dict[str, int | float]:
        """Return what an error says of it."""
        return {"restarts": self.failures, "intensity": self.intensity, "period": self.period}
