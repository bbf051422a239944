"""The thread profile of pools against the process profile: `python -m bench.threads`.

On the interpreter that runs it; the first line says whether that has a GIL. Each figure is the
median of many short rounds, each of which measures all, in turn there and back: a machine's speed
changes from second to second. Two threads or two processes: for a speed-up there must be two cores
that nobody else uses.
"""

from __future__ import annotations

import argparse
import array
import statistics
import sys
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any, Final

import snakepit
from snakepit.machine import has_gil
from snakepit.util import threads

from .tasks import echo

AT_ONCE: Final = 5_000
ONE_BY_ONE: Final = 500
STEPS: Final = 1_000_000
LOADS: Final = 24
SLOTS: Final = 8
NAMES: Final = ("thread", "process")


def load(steps: int) -> int:
    """Compute in pure Python."""
    total = 0
    for step in range(steps):
        total += step * step
    return total


def seconds(work: Callable[[], object]) -> float:
    """Return how long something takes."""
    began = perf_counter()
    work()
    return perf_counter() - began


def pools(slots: int, initializer: Callable[[], object] | None) -> list[snakepit.Pool]:
    """Return a pool of each profile that runs so many calls at once."""
    common: dict[str, Any] = {
        "max_queue_size": None,
        "queue_timeout": None,
        "initializer": initializer,
    }
    thread = snakepit.Pool("thread", profile="thread", size=1, threads_per_worker=slots, **common)
    return [thread, snakepit.Pool("process", size=slots, **common)]


def speeds(rounds: int, effort: float = 1.0) -> dict[str, list[float]]:
    """Return calls per second, and how much faster two run than one, for each profile.

    Args:
        rounds: of all of it.
        effort: the part of the usual number of calls.
    """
    found: dict[str, list[float]] = {}

    def note(what: str, value: float) -> None:
        found.setdefault(what, []).append(value)

    with snakepit.init(num_cpus=2, pools=pools(2, None)), ThreadPoolExecutor(2) as executor:
        for name in NAMES:
            snakepit.pool(name).await_ready(60)
        tasks = {name: snakepit.remote(echo).options(pool=name) for name in NAMES}
        steps = [STEPS] * max(2, int(LOADS * effort))
        loads: dict[str, Callable[[], object]] = {
            "ThreadPoolExecutor": lambda: list(executor.map(load, steps)),
        }
        for name in NAMES:
            loads[name] = partial(all_loads, snakepit.remote(load).options(pool=name), steps)
        for work in loads.values():
            work()  # the definitions go out with the first
        for number in range(rounds):
            for name in turned(NAMES, number):
                at_once, one_by_one = rates(tasks[name], effort)
                note(f"calls/s at once, {name}", at_once)
                note(f"calls/s one by one, {name}", one_by_one)
            for name in turned(tuple(loads), number):
                alone = seconds(lambda: [load(each) for each in steps])
                note(f"speed-up, {name}", alone / seconds(loads[name]))
    return found


def turned(names: tuple[str, ...], number: int) -> tuple[str, ...]:
    """Return the names, every other time from the last to the first."""
    return names[:: -1 if number % 2 else 1]


def rates(task: Any, effort: float) -> tuple[float, float]:
    """Return how many calls that do nothing end in a second: made at once, and one by one."""
    snakepit.get([task.remote(n) for n in range(200)])
    many, few = max(1, int(AT_ONCE * effort)), max(1, int(ONE_BY_ONE * effort))
    at_once = seconds(lambda: snakepit.get([task.remote(n) for n in range(many)]))
    one_by_one = seconds(lambda: [snakepit.get(task.remote(n)) for n in range(few)])
    return many / at_once, few / one_by_one


def all_loads(task: Any, steps: list[int]) -> None:
    """Have a pool run all loads."""
    snakepit.get([task.remote(each) for each in steps])


def memory(megabytes: int) -> dict[str, float]:
    """Return the memory of all workers of a pool of each profile, a model loaded in each process.

    Returns:
        MB that are the processes' own, by profile.
    """

    def model() -> None:
        threads.shared("model", lambda: array.array("b", b"x") * (megabytes << 20))

    with snakepit.init(num_cpus=2, pools=pools(SLOTS, model)):
        found: dict[str, float] = {}
        for name in NAMES:
            snakepit.pool(name).await_ready(300)
            ready = snakepit.pool(name).stats()["ready"]
            found[name] = float(sum(own_kilobytes(number) for number in pids(ready))) / 1024
    return found


def pids(numbers: list[int]) -> list[int]:
    """Return the processes of workers, by their numbers."""
    from snakepit.protocol import current

    core = current()._core  # type: ignore[union-attr]
    return [core.connections[number].pid for number in numbers]


def own_kilobytes(pid: int) -> int:
    """Return what a process shares with no other."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))


def compare(found: dict[str, list[float]], what: str) -> float:
    """Return the median of the rounds' ratios of the thread profile to the process profile."""
    pairs = zip(found[f"{what}, thread"], found[f"{what}, process"], strict=True)
    return statistics.median(thread / process for thread, process in pairs)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m bench.threads", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--megabytes", type=int, default=100, help="the size of the model")
    options = parser.parse_args()
    warnings.simplefilter("ignore", RuntimeWarning)  # of the GIL
    version = ".".join(map(str, sys.version_info[:3]))
    print(f"Python {version}, {'with' if has_gil() else 'without'} a GIL; {options.rounds} rounds")
    found = speeds(options.rounds)
    for what, values in found.items():
        print(f"{what}: {statistics.median(values):,.2f}")
    for what in ("calls/s at once", "calls/s one by one"):
        print(f"{what}, thread / process: {compare(found, what):.2f}")
    sizes = memory(options.megabytes)
    print(
        f"memory of {SLOTS} threads: {sizes['thread']:,.0f} MB, of {SLOTS} processes: "
        f"{sizes['process']:,.0f} MB, ratio {sizes['thread'] / sizes['process']:.3f}"
    )


if __name__ == "__main__":
    main()
