"""A storm: processes are killed while calls run, and every call must resolve once, to its value.

    python -m tests.chaos.storm --calls 100000                 a worker every 100 ms
    python -m tests.chaos.storm --calls 100000 --zygotes 2     and the zygote every 2 s
    python -m tests.chaos.storm --calls 100000 --profile thread    four calls in each process
    python -m tests.chaos.storm --calls 100000 --recycle 200       none serves more than 200
    python -m tests.chaos.storm --calls 100000 --sessions 20       in each wave so many are open

A hundred calls are 57 plain tasks, 10 of them an argument of 10 others, 6 values through the
store that the driver looks at, 6 that another task does, 6 large arguments, 3 tasks that make 3
calls each, and 12 calls of 4 actors that restart, among them 4 that keep what they were given.
With sessions 20 of the plain tasks are theirs, half of them strict ones'.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple, final

import snakepit
from snakepit import errors
from snakepit.protocol import current

from . import books, work
from .seats import Seat, seats
from .strikes import Strikes

WAVE = 1000
"""Calls that are made before the first of them is waited for."""

PATIENCE = 120.0
"""Seconds for a wave; whatever takes longer hangs."""

SETTLED = 1.0
"""Seconds after the last value within which everything has to balance."""


class Expected(NamedTuple):
    """A call's reference, and what it must give."""

    ref: Any
    value: Any
    cell: int = -1
    seat: Seat | None = None
    x: int = 0


class Report(NamedTuple):
    """What a storm was like, and that all promises were kept."""

    calls: int
    resolved: int
    seconds: float
    workers: int
    zygotes: int
    poisoned: int
    settled: float
    repinned: int = 0

    def __str__(self) -> str:
        anew = f"; sessions pinned anew: {self.repinned}" if self.repinned else ""
        return (
            f"{self.calls:,} calls and what they called, {self.resolved:,} resolutions, each one "
            f"of its call, in {self.seconds:.1f} s\n"
            f"killed: {self.workers} workers, {self.zygotes} zygotes; "
            f"calls given up after three deaths: {self.poisoned}{anew}\n"
            f"all values right; resources, tables, ledger and processes exact after "
            f"{self.settled * 1000:.0f} ms"
        )


@final
class Storm:
    """Makes the calls of one storm and checks their values."""

    def __init__(self, seconds: float, sessions: int = 0, ordered: bool = True) -> None:
        """`ordered` says whether each process runs one call at a time."""
        self._seconds = seconds
        self._sessions = sessions
        self._ordered = ordered
        self._seats: list[Seat] = []
        self._cells = [work.Cell.options(num_cpus=0).remote() for _ in range(4)]
        self._lives: list[tuple[list[int], int]] = [([0], 0) for _ in self._cells]
        self.poisoned = 0
        self.repinned = 0

    def wave(self, start: int, count: int) -> None:
        """Make `count` calls at once, wait for all, and compare."""
        self._seats = seats(self._sessions, start, self._seconds)
        pending = [each for x in range(start, start + count) for each in self._calls(x)]
        deadline = time.monotonic() + PATIENCE
        for each in pending:
            value = self._value(each, deadline)
            if each.cell >= 0 and value is not None:
                value = self._in_order(each.cell, *value)
            assert value is None or value == each.value, f"{value!r} instead of {each.value!r}"
        for seat in self._seats:
            seat.check(self._ordered)
            seat.close()
            self.repinned += seat.repinned
        self._seats = []

    def _value(self, each: Expected, deadline: float) -> Any:
        try:
            if each.seat is not None:
                return each.seat.value(each.x, each.ref, deadline)
            return snakepit.get(each.ref, timeout=deadline - time.monotonic())
        except errors.PoisonedCallError as error:
            # Three strikes hit the same call by chance: that is an end too, and said clearly.
            assert error.signal == "SIGKILL", error
            self.poisoned += 1
            return None

    def _in_order(self, cell: int, value: int, life: int, nth: int) -> int:
        """Check that an actor's calls ran in the order they were made, life after life."""
        lives, last = self._lives[cell]
        if lives[-1] == life:
            assert nth > last, f"call {nth} of a life came after its call {last}"
        else:
            assert life not in lives, f"life {life} goes on after {lives[-1]} began"
            lives.append(life)
        self._lives[cell] = lives, nth
        return value

    def _calls(self, x: int) -> Iterator[Expected]:
        kind, seconds = x % 100, self._seconds
        if kind < 10:
            ref = work.mix.remote(x, seconds)
            yield Expected(ref, work.mixed(x))
            yield Expected(work.add.remote(ref, x), work.mixed(x) + x)
        elif kind < 20:
            return  # the second call of the first ten
        elif kind < 40 and self._seats:
            seat = self._seats[x % len(self._seats)]
            yield Expected(seat.call(x), work.mixed(x), seat=seat, x=x)
        elif kind < 67:
            yield Expected(work.mix.remote(x, seconds), work.mixed(x))
        elif kind < 73:
            yield Expected(work.store.remote(x), work.pattern(x))
        elif kind < 76:
            stored = work.store.remote(x)
            yield Expected(work.digest.remote(stored), zlib.crc32(work.pattern(x)))
            yield Expected(stored, work.pattern(x))
        elif kind < 79:
            return  # likewise
        elif kind < 85:
            yield Expected(work.digest.remote(work.pattern(x)), zlib.crc32(work.pattern(x)))
        elif kind < 88:
            yield Expected(work.nested.remote(x, seconds), work.nested_sum(x))
        elif kind < 96:
            yield Expected(self._cells[x % 4].mix.remote(x, seconds), work.mixed(x), x % 4)
        else:
            value = work.pattern(x)
            yield Expected(self._cells[x % 4].keep.remote(value), zlib.crc32(value))


def run(
    calls: int,
    *,
    every: float,
    zygotes: float,
    seed: int,
    seconds: float = 0.001,
    patience: float = SETTLED,
    sessions: int = 0,
    ordered: bool = True,
) -> Report:
    """Let a storm go over the present runtime.

    Args:
        calls: how many are made, those that tasks make not counted.
        every: seconds between the deaths of workers.
        zygotes: seconds between the deaths of zygotes; 0: none is killed.
        seed: of the dice that choose whom to kill.
        seconds: what a plain task takes.
        patience: seconds within which everything has to balance afterwards.
        sessions: how many are open at a time.
        ordered: whether each process runs one call at a time.

    Raises:
        AssertionError: a value was wrong, or something does not balance.
        GetTimeoutError: something hangs.
    """
    runtime: Any = current()
    resolutions = books.Resolutions(runtime._core.scheduler)
    storm = Storm(seconds, sessions, ordered)
    begun = time.monotonic()
    with Strikes(runtime, every, zygotes, seed) as strikes:
        for start in range(0, calls, WAVE):
            storm.wave(start, min(WAVE, calls - start))
    took = time.monotonic() - begun
    poisoned, repinned = storm.poisoned, storm.repinned
    storm = None  # type: ignore[assignment]  # and with it the actors
    settled = settle(runtime, patience)
    # Three strikes may hit the same call by chance; with these paces they hardly ever do.
    assert poisoned <= max(3, calls // 10_000), f"{poisoned} calls were given up"
    assert not resolutions.doubled(), resolutions.doubled()
    resolved = sum(resolutions.count.values())
    assert resolved >= calls, f"{resolved} of {calls} calls were resolved"
    return Report(
        calls, resolved, took, strikes.workers, strikes.zygotes, poisoned, settled, repinned
    )


def settle(runtime: Any, patience: float = PATIENCE) -> float:
    """Check that everything balances in time; return how long it took."""
    checks = books.wrong_resources, books.wrong_tables, books.wrong_ledger, books.wrong_processes
    took = books.within(patience, lambda: "; ".join(filter(None, (c(runtime) for c in checks))))
    runtime._core.update(runtime._core.memory.trim)
    books.within(patience, lambda: books.wrong_store(runtime) or books.wrong_ledger(runtime))
    return took


def begin(profile: str, recycle: int | None = None) -> Any:
    """Start a runtime whose usual pool is of that profile, and replaces workers by their calls."""
    pools: list[snakepit.Pool] = []
    if profile == "thread" or recycle:
        pools.append(
            snakepit.Pool(
                "default", profile=profile, size=2, max_queue_size=None, queue_timeout=None,
                threads_per_worker=4 if profile == "thread" else None,
                worker_max_requests=recycle,
            )
        )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of the GIL
        return snakepit.init(num_cpus=2, log_to_driver=False, pools=pools)


def main() -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.storm")
    parser.add_argument("--calls", type=int, default=100_000)
    parser.add_argument("--every", type=float, default=0.1, help="seconds between workers")
    parser.add_argument("--zygotes", type=float, default=0.0, help="seconds between zygotes")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=0.001, help="what a plain task takes")
    parser.add_argument("--profile", choices=("process", "thread"), default="process")
    parser.add_argument("--sessions", type=int, default=0, help="that are open at a time")
    parser.add_argument("--recycle", type=int, help="calls that a worker serves")
    options = vars(parser.parse_args())
    profile = options.pop("profile")
    with begin(profile, options.pop("recycle")):
        print(run(**options, ordered=profile == "process"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
