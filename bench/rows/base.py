"""What a row is, and the clockwork that rows share."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

from ..peers import Peer

Reading: TypeAlias = float | Mapping[str, float]
"""One figure; or, where one measurement gives several, the row's own under "" and its parts'."""


class Effort(NamedTuple):
    """How much of a measurement to do: all of it, or just enough to see that it works."""

    sizes: float = 1.0
    seconds: float = 1.0

    def count(self, whole: int, least: int = 1) -> int:
        """A size, cut down to this effort."""
        return max(least, round(whole * self.sizes))


FULL, QUICK = Effort(), Effort(0.01, 0.05)


class Row(NamedTuple):
    """One line of the table.

    A measurement that gives several figures has a row for each: `million` is measured, and its part
    `million.memory`, which has no measure of its own, is filled by the same run of it.
    """

    name: str
    title: str
    unit: str
    lower_is_better: bool
    measure: Callable[[Peer, Effort], Reading] | None = None
    peers: tuple[str, ...] | None = None  # None: all; who has nothing of the kind says so then
    starts: bool = False  # starts the peer itself
    alone: bool = False  # wants a process in which nothing ran before: memory, many workers
    heavy: bool = False  # takes too long for every round


def per_call(
    call: Callable[[], Any],
    *,
    seconds: float = 0.4,
    warm: float = 0.1,
    effort: Effort = FULL,
) -> float:
    """What one call takes on average, warm-up apart, in seconds.

    Args:
        call: what is called, at least once.
        seconds: for about how long.
        warm: for how long before that, at least once too; 0: not at all.
        effort: how much of either.
    """
    if warm:
        _average(call, warm * effort.seconds)
    return _average(call, seconds * effort.seconds)


def _average(call: Callable[[], Any], budget: float) -> float:
    clock = time.perf_counter
    calls, batch = 0, 1
    start = clock()
    while (spent := clock() - start) < budget or not calls:
        for _ in range(batch):
            call()
        calls += batch
        # Batches of about a fiftieth of the budget, so that reading the clock weighs nothing.
        batch = max(1, min(calls, int(calls * budget / 50 / max(clock() - start, 1e-9))))
    return spent / calls


def once(call: Callable[[], Any]) -> float:
    """What one call takes, in seconds; dropping its result apart."""
    start = time.perf_counter()
    result = call()
    spent = time.perf_counter() - start
    del result
    return spent


def median_of(call: Callable[[], Any], most: int, *, seconds: float = 3.0) -> float:
    """The median of what single calls take, in seconds.

    Args:
        call: what is called.
        most: calls at most.
        seconds: no further call begins after these, since peers differ a thousandfold.
    """
    end = time.perf_counter() + seconds
    times = [once(call)]
    while len(times) < most and time.perf_counter() < end:
        times.append(once(call))
    return statistics.median(times)
