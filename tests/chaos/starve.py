"""A machine with far more to do than it can: nobody who is only slow is thought to hang.

    python -m tests.chaos.starve --seconds 600 --times 8

So many processes spin for each core while calls run in processes, in threads and in actors, some of
them as low in priority as can be, all with heartbeats that are much less patient than the default.
At the end one worker hangs in earnest, and is to be found all the same. Exit status 1 if a worker
was ended that did not hang, or that one was not.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

import snakepit
from snakepit import errors, protocol

BEAT: Final = snakepit.Heartbeat(interval=1.0, timeout=1.0, misses=2)
POOLS: Final = ("processes", "threads", "humble")
PATIENCE: Final = 600.0
HAS_GIL: Final = getattr(sys, "_is_gil_enabled", lambda: True)()

SPIN: Final = """
import os, sys, time
end, parent = time.monotonic() + float(sys.argv[1]), os.getppid()
while time.monotonic() < end and os.getppid() == parent:
    for _ in range(1_000_000):
        pass
"""


@snakepit.remote(max_retries=0)
def work(kind: int) -> int:
    """Take some time: in Python, in C that holds the GIL, or asleep."""
    if kind == 0:
        return sum(n * n for n in range(200_000))
    if kind == 1:
        return len(sorted(range(1_000_000, 0, -1)))
    time.sleep(0.2)
    return kind


@snakepit.remote(max_restarts=0)
class Counter:
    """An actor that works."""

    def __init__(self) -> None:
        self.calls = 0

    def count(self) -> int:
        """Count one call, after some work."""
        self.calls += sum(range(100_000)) > 0
        return self.calls


@snakepit.remote(pool="processes", max_retries=0)
def hang() -> None:
    """Hold the GIL for good."""
    re.match("(a+)+b", "a" * 60)


@contextmanager
def spinning(count: int, seconds: float) -> Iterator[None]:
    """Keep the cores busy with so many processes."""
    command = [sys.executable, "-S", "-c", SPIN, str(seconds)]
    crowd = [subprocess.Popen(command) for _ in range(count)]
    try:
        yield
    finally:
        for each in crowd:
            each.kill()
        for each in crowd:
            each.wait()


def watches() -> list[Any]:
    """What the scheduler knows of all that are watched."""
    runtime: Any = protocol.current()
    groups = runtime._core.scheduler.placement.staff.heartbeats._groups.values()
    return [watch for group in groups for watch in [*group.watches.values()]]


def crashes() -> dict[str, int]:
    """How many workers of pools have died, by kind."""
    found: dict[str, int] = {}
    for name in POOLS:
        for kind, count in snakepit.pool(name).stats()["crashes"].items():
            found[kind] = found.get(kind, 0) + count
    return found


def press(seconds: float, ahead: int) -> tuple[int, float, float]:
    """Make calls for so long; return how many, the longest silence, and the most of it one's own.

    Raises:
        WorkerCrashedError: a worker was ended.
        ActorDiedError: that of an actor was.
    """
    counters = [Counter.remote() for _ in range(2)]
    pending: list[Any] = []
    calls, silence, own = 0, 0.0, 0.0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        while len(pending) < ahead:
            calls += 1
            task = work.options(pool=POOLS[calls % 3]).remote(calls // 3 % 3)
            pending.append(counters[calls % 2].count.remote() if calls % 5 == 0 else task)
        ready, pending = snakepit.wait(pending, timeout=0.5)
        snakepit.get(ready)
        now = time.monotonic()
        for watch in watches():
            if watch.ping > watch.heard and watch.since:
                silence, own = max(silence, now - watch.since), max(own, watch.own)
    snakepit.get(pending)
    return calls, silence, own


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.starve")
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--times", type=int, default=8, help="spinning processes for each core")
    options = parser.parse_args(arguments)
    report = run(options.seconds, options.times, earnest=HAS_GIL)
    print(report)
    return 0 if not report.ended and report.found == ("hang" if HAS_GIL else "") else 1


class Report(NamedTuple):
    """What a run of it has shown."""

    crowd: int
    seconds: float
    calls: int
    answers: int
    silence: float
    own: float
    ended: int
    found: str
    after: float

    def __str__(self) -> str:
        text = (
            f"{self.crowd} spinning processes for {self.seconds:.0f} s: {self.calls} calls, "
            f"{self.answers} answers; the longest silence {self.silence:.1f} s, {self.own:.2f} s "
            f"of a worker's own the most (it is ended after {BEAT.timeout * BEAT.misses:g} s); "
            f"workers ended: {self.ended}"
        )
        if self.found:
            text += f"; then one that hung was found after {self.after:.1f} s: {self.found}"
        return text


def run(seconds: float, times: int, *, ahead: int = 24, earnest: bool = False) -> Report:
    """Press for so long, with so many spinning processes for each core.

    Args:
        seconds: how long.
        times: how many.
        ahead: how many calls there are at one time.
        earnest: whether a worker is to hang at the end.
    """
    pools = [
        snakepit.Pool("processes", size=3, queue_timeout=None),
        snakepit.Pool(
            "threads", profile="thread", size=1, threads_per_worker=4, queue_timeout=None
        ),
        snakepit.Pool("humble", size=2, nice=19, queue_timeout=None),
    ]
    cores = len(os.sched_getaffinity(0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # threads that take turns
        context = snakepit.init(num_cpus=cores, pools=pools, heartbeat=BEAT)
    with context, spinning(times * cores, seconds + PATIENCE):
        begun = time.monotonic()
        calls, silence, own = press(seconds, ahead)
        took, answers = time.monotonic() - begun, sum(watch.heard for watch in watches())
        ended = sum(crashes().values())
        found, after = _hangs_in_earnest() if earnest else ("", 0.0)
    return Report(times * cores, took, calls, answers, silence, own, ended, found, after)


def _hangs_in_earnest() -> tuple[str, float]:
    begun = time.monotonic()
    try:
        snakepit.get(hang.remote(), timeout=PATIENCE)
    except errors.WorkerCrashedError as error:
        return error.kind, time.monotonic() - begun
    except errors.GetTimeoutError:
        return "nothing", PATIENCE
    return "an end", time.monotonic() - begun


if __name__ == "__main__":
    sys.exit(main())
