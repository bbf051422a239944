"""A soak: storms with kills, recycling and sessions, one after the other, that must leave nothing.

    python -m tests.chaos.soak --minutes 60
    python -m tests.chaos.soak --minutes 60 --profile thread

After each storm of some seconds all is given back, the pool gets its workers again, and the driver
is measured. When the first tenth of the time is over, its caches and malloc's arenas are as large
as they get: from then on its private memory may grow by less than `SLOPE` an hour, by the straight
line that lies closest to all measurements. Of descriptors, segments and threads it may have a few
more or less, since a worker has an arena or none: what grows is never again as few as it was at
most in the first third.
"""

from __future__ import annotations

import argparse
import sys
import time
from statistics import linear_regression
from typing import Any, NamedTuple

import snakepit
from snakepit.protocol import current

from . import books, footprint, storm
from .strikes import Strikes

SLOPE = 1024.0
"""KiB an hour."""

WARM = 0.1
"""The part of the time that is not looked at."""

WAVES = 15
"""Of a storm: each makes 1,000 calls, and opens sessions of its own."""


class Sample(NamedTuple):
    """What the driver held after a storm."""

    hours: float
    held: footprint.Footprint


class Result(NamedTuple):
    """What a soak was like."""

    calls: int
    workers: int
    zygotes: int
    repinned: int
    samples: list[Sample]

    @property
    def slope(self) -> float:
        """By how many KiB an hour private memory grows."""
        return float(
            linear_regression(
                [sample.hours for sample in self.samples],
                [sample.held.heap for sample in self.samples],
            ).slope
        )

    def wrong(self) -> str:
        """Say what has grown."""
        third = max(1, len(self.samples) // 3)
        most = footprint.Footprint(*map(max, zip(*(s.held for s in self.samples[:third]))))
        least = footprint.Footprint(*map(min, zip(*(s.held for s in self.samples[-third:]))))
        found = footprint.growth(most._replace(heap=least.heap), least, 0)
        if self.slope >= SLOPE:
            found += f" private memory grows by {self.slope:,.0f} KiB an hour"
        return found.strip()

    def __str__(self) -> str:
        first, last = self.samples[0], self.samples[-1]
        return (
            f"{self.calls:,} calls and what they called, "
            f"killed: {self.workers:,} workers, {self.zygotes} zygotes; sessions pinned anew: "
            f"{self.repinned:,}\n"
            f"{len(self.samples)} measurements over {last.hours - first.hours:.2f} h: "
            f"{self.slope:+,.0f} KiB of private memory an hour\n"
            f"  driver {first.held}\n      -> {last.held}"
        )


def _full(runtime: Any) -> str:
    """Say what is missing until the pool has its workers, and no others."""
    connections = runtime._core.connections
    stats = snakepit.pool().stats()
    well = stats["ready"] and len(connections) == len(stats["ready"]) == stats["size"]
    return "" if well else f"{stats['workers']}"


def run(
    seconds: float,
    *,
    every: float,
    zygotes: float,
    sessions: int,
    ordered: bool,
    waves: int = WAVES,
) -> Result:
    """Let storms go over the present runtime for so long.

    Args:
        seconds: in all; at least three storms are measured.
        every: seconds between the deaths of workers.
        zygotes: seconds between the deaths of zygotes; 0: none is killed.
        sessions: how many are open at a time.
        ordered: whether each process runs one call at a time.
        waves: of a storm.

    Raises:
        AssertionError: a value was wrong, or a call was resolved twice, or something is left.
    """
    runtime: Any = current()
    resolutions = books.Resolutions(runtime._core.scheduler)
    samples: list[Sample] = []
    calls = workers = killed = repinned = 0
    past, begun = 0.0, time.monotonic()
    while past < seconds or len(samples) < 3:
        with Strikes(runtime, every, zygotes, seed=calls) as strikes:
            weather = storm.Storm(0.001, sessions, ordered)
            for _ in range(waves):
                weather.wave(calls, storm.WAVE)
                calls += storm.WAVE
        workers += strikes.workers
        killed += strikes.zygotes
        repinned += weather.repinned
        assert weather.poisoned <= 3, f"{weather.poisoned} calls were given up"
        del weather, strikes
        storm.settle(runtime)
        assert not resolutions.doubled(), resolutions.doubled()
        resolutions.count.clear()
        books.within(storm.PATIENCE, lambda: _full(runtime))
        storm.settle(runtime)
        past = time.monotonic() - begun
        if past >= WARM * seconds:
            samples.append(Sample(past / 3600, footprint.of()))
            if len(samples) % 10 == 1:
                print(f"{past:6.0f} s: {calls:,} calls, {samples[-1].held}", flush=True)
    return Result(calls, workers, killed, repinned, samples)


def main() -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.soak")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--every", type=float, default=0.1, help="seconds between workers")
    parser.add_argument("--zygotes", type=float, default=6.0, help="seconds between zygotes")
    parser.add_argument("--sessions", type=int, default=20, help="that are open at a time")
    parser.add_argument("--profile", choices=("process", "thread"), default="process")
    parser.add_argument("--recycle", type=int, default=300, help="calls that a worker serves")
    options = parser.parse_args()
    with storm.begin(options.profile, options.recycle):
        result = run(
            options.minutes * 60, every=options.every, zygotes=options.zygotes,
            sessions=options.sessions, ordered=options.profile == "process",
        )  # fmt: skip
    print(result)
    wrong = result.wrong()
    if wrong:
        print(f"wrong: {wrong}", file=sys.stderr)
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
