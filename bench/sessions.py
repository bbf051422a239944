"""What a session adds to a call, with many sessions open: `python -m bench.sessions`.

Each of many short rounds measures the same calls without a session and within them, in turn, in one
runtime with a pool of two workers; what is said is the median of the rounds' ratios.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
from collections.abc import Iterator
from time import perf_counter
from typing import Any, Final, NamedTuple

import snakepit

from .tasks import echo

AT_ONCE: Final = 2_000
ONE_BY_ONE: Final = 300
PLAIN: Final = "plain"


def micros(calls: Iterator[Any], count: int, at_once: bool) -> float:
    """Return how long each of `count` calls takes, in microseconds."""
    began = perf_counter()
    if at_once:
        snakepit.get([call.remote(1) for call in itertools.islice(calls, count)])
    else:
        one = next(calls)  # whoever changes the worker each time waits for that to wake
        for _ in range(count):
            snakepit.get(one.remote(1))
    return (perf_counter() - began) / count * 1e6


class Cost(NamedTuple):
    """What a call of one kind costs."""

    at_once: bool
    kind: str
    micros: float
    ratio: float


def costs(rounds: int, sessions: int, effort: float = 1.0) -> Iterator[Cost]:
    """Measure calls made at once and one by one, of each kind.

    Args:
        rounds: of all kinds in turn.
        sessions: how many are open.
        effort: the part of the usual number of calls.
    """
    pools = [snakepit.Pool("main", size=2, max_queue_size=None, queue_timeout=None)]
    with snakepit.init(num_cpus=2, pools=pools, max_sessions=2 * sessions):
        snakepit.pool("main").await_ready(60)
        task = snakepit.remote(echo).options(pool="main")
        kinds: dict[str, Iterator[Any]] = {PLAIN: itertools.repeat(task)}
        for affinity in ("hint", "strict_queue"):
            names = [f"{affinity}{number}" for number in range(sessions // 2)]
            for name in names:
                snakepit.Session(name, pool="main", affinity=affinity)
            calls = [task.in_session(name) for name in names]
            snakepit.get([call.remote(1) for call in calls])
            kinds[affinity] = itertools.cycle(calls)
        for at_once, count in ((True, AT_ONCE), (False, ONE_BY_ONE)):
            found: dict[str, list[float]] = {kind: [] for kind in kinds}
            for _ in range(rounds):
                for kind, every in kinds.items():
                    found[kind].append(micros(every, max(1, int(count * effort)), at_once))
            for kind, values in found.items():
                ratios = [a / b for a, b in zip(values, found[PLAIN], strict=True)]
                yield Cost(at_once, kind, statistics.median(values), statistics.median(ratios))


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m bench.sessions", description=__doc__)
    parser.add_argument("--rounds", type=int, default=51)
    parser.add_argument("--sessions", type=int, default=10_000, help="how many are open")
    options = parser.parse_args()
    for cost in costs(options.rounds, options.sessions):
        how = "at once" if cost.at_once else "one by one"
        print(f"{how}, {cost.kind}: {cost.micros:.1f} us a call, {cost.ratio:.3f} x plain")


if __name__ == "__main__":
    main()
