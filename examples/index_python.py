"""Index Python source files in parallel, with tasks, an actor and an array in shared memory.

    python index_python.py [--limit N] [--num-cpus N] [--chaos] [FOLDER ...]

Three steps, each done twice, with snakepit and in one process, to compare results and times:

1. *Parse.* Tasks parse batches of files with `ast`, and return Arrow record batches.
2. *Index.* An actor gathers them: what a task returns goes from worker to actor, not through here.
3. *Compare.* What each function is made of is a row of one large matrix. It is put into shared
   memory once, and several tasks look in it for the functions that are most alike.

With chaos, workers are killed all the while. A task is then tried again by itself. An actor is
restarted, but empty; so the driver keeps the references to the batches, and tells it once more.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias, TypeVar

import numpy.typing as npt
import psutil
import pyarrow as pa

import snakepit
from snakepit.examples.python_sources import (
    FILES,
    FUNCTIONS,
    Matrix,
    Report,
    Source,
    Twins,
    default_folders,
    find_sources,
    find_twins,
    into_batches,
    matrix_of,
    parse,
    report_on,
    rows_to_compare,
    warm_up,
)

T = TypeVar("T")
Tick: TypeAlias = Callable[[str, int, int], None]
"""Told of progress: which step, how much of it is done, out of how much."""

SMALL = 64 * 1024
"""Bytes up to which a value is sent along with the call instead of shared."""


class Look(NamedTuple):
    """How one task saw the shared matrix, and what it found there."""

    pid: int
    memory: str | None
    writable: bool
    get_s: float
    twins: list[Twins]


class Sharing(NamedTuple):
    """What the tasks that shared the matrix prove.

    Of the memory, each task names the file behind it and the position there; `same_memory` is None
    where the system does not tell. Times in seconds: the put, a task's `get` (the median), a copy.
    """

    shape: tuple[int, int]
    bytes: int
    put_s: float
    tasks: int
    processes: int
    read_only: bool
    same_memory: bool | None
    get_s: float
    copy_s: float

    @property
    def small(self) -> bool:
        """Whether the matrix may have travelled within the messages: then there is no proof."""
        return self.bytes <= SMALL

    @property
    def proven(self) -> bool:
        """Whether nothing speaks against that all tasks read the same bytes."""
        return self.read_only and (self.small or self.same_memory is not False)


class Outcome(NamedTuple):
    """One way's result, and the seconds that each step took."""

    tables: dict[str, Any]
    twins: list[Twins]
    report: Report
    seconds: dict[str, float]
    cpus: float = 1
    sharing: Sharing | None = None
    kills: int = 0


class Index:
    """All batches, whatever the order they come in, and however often one comes."""

    def __init__(self) -> None:
        self._batches: dict[int, tuple[Any, Any]] = {}

    def add(self, number: int, files: Any, functions: Any) -> None:
        """Take the two record batches of one batch of files."""
        self._batches[number] = (files, functions)

    def whole(self, count: int) -> tuple[list[int], dict[str, Any]]:
        """Return which of so many batches are not here, or no longer, and the tables of the rest.

        In one answer, since an actor may be killed, and so be empty, between two.
        """
        batches = [self._batches[number] for number in sorted(self._batches)]
        tables = {
            "files": pa.Table.from_batches([files for files, _ in batches], FILES),
            "functions": pa.Table.from_batches([functions for _, functions in batches], FUNCTIONS),
        }
        return [number for number in range(count) if number not in self._batches], tables


def look(box: list[snakepit.ObjectRef[Matrix]], rows: list[int]) -> Look:
    """Find twins in the shared matrix, and tell how it was to get it.

    The reference comes in a list, because one that is an argument itself would be a matrix by now.
    """
    started = time.perf_counter()
    matrix = snakepit.get(box[0])
    get_s = time.perf_counter() - started
    twins = find_twins(matrix, rows)
    return Look(os.getpid(), memory_of(matrix), matrix.flags.writeable, get_s, twins)


def memory_of(array: npt.NDArray[Any]) -> str | None:
    """Name the memory of an array so that processes can compare: device, inode, position there."""
    address = array.ctypes.data
    try:
        lines = Path("/proc/self/maps").read_text().splitlines()
    except FileNotFoundError:
        return None
    for line in lines:
        area, _, offset, device, inode = line.split()[:5]
        start, end = (int(bound, 16) for bound in area.split("-"))
        if start <= address < end:
            return f"{device} {inode} {address - start + int(offset, 16):x}"
    return None


# The two ways


class Chaos:
    """Kills a worker of this run about once a second, if it is on.

    Never after few steps only: a call that has killed three workers would rightly be refused.
    """

    def __init__(self, on: bool) -> None:
        self.kills = 0
        self._on = on
        self._steps = 2
        self._after = time.monotonic()

    def __call__(self) -> None:
        """Count a step, and strike when it is time."""
        self._steps -= 1
        if not self._on or self._steps > 0 or time.monotonic() < self._after:
            return
        self._steps = 6
        self._after = time.monotonic() + random.uniform(0.5, 1.5)
        # The zygote, which forks the workers, is the child of this process.
        workers = [worker for zygote in _children(psutil.Process()) for worker in _children(zygote)]
        if workers:
            try:
                random.choice(workers).kill()
            except psutil.NoSuchProcess:
                return
            self.kills += 1


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        children: list[psutil.Process] = process.children()
    except psutil.NoSuchProcess:
        return []
    return children


def _finish(refs: list[snakepit.ObjectRef[T]], tell: Callable[[int], None]) -> list[T]:
    """Wait for all, tell each time how many are left, and return the values."""
    pending = refs
    while pending:
        _, pending = snakepit.wait(pending, num_returns=1)
        tell(len(pending))
    return snakepit.get(refs)


def run_parallel(
    batches: list[list[Source]], tick: Tick, *, num_cpus: int | None = None, chaos: bool = False
) -> Outcome:
    """Do the job with snakepit; the times include the start of the runtime and of its workers."""
    strike = Chaos(chaos)

    def step(name: str, left: int, total: int) -> None:
        tick(name, total - left, total)
        strike()

    laps = [time.perf_counter()]
    with snakepit.init(num_cpus=num_cpus) as runtime:
        cpus = runtime["resources"].get("CPU", 0)
        tables = _gather(batches, lambda left: step("parse", left, len(batches)))
        matrix = matrix_of(tables)
        laps.append(time.perf_counter())
        shared = snakepit.put(matrix)
        put_s = time.perf_counter() - laps[-1]
        parts = rows_to_compare(matrix)
        look_remote = snakepit.remote(max_retries=-1)(look)
        looks = _finish(
            [look_remote.remote([shared], rows) for rows in parts],
            lambda left: step("compare", left, len(parts)),
        )
        twins = [pair for found in looks for pair in found.twins]
        report = report_on(tables, twins)
        laps.append(time.perf_counter())
        sharing = _sharing(snakepit.get(shared), looks, put_s)
    return Outcome(tables, twins, report, _seconds(laps), cpus, sharing, strike.kills)


def _gather(batches: list[list[Source]], tell: Callable[[int], None]) -> dict[str, Any]:
    parse_remote = snakepit.remote(num_returns=2, max_retries=-1)(parse)
    index = snakepit.remote(max_restarts=-1, max_task_retries=-1)(Index).remote()
    parsed = [parse_remote.remote(batch) for batch in batches]
    missing = list(range(len(batches)))
    while True:
        _finish([index.add.remote(number, *parsed[number]) for number in missing], tell)
        missing, tables = snakepit.get(index.whole.remote(len(batches)))
        if not missing:
            return dict(tables)


def _sharing(matrix: Matrix, looks: list[Look], put_s: float) -> Sharing:
    started = time.perf_counter()
    matrix.copy()
    copy_s = time.perf_counter() - started
    here = memory_of(matrix)
    rows, columns = matrix.shape
    return Sharing(
        shape=(rows, columns),
        bytes=matrix.nbytes,
        put_s=put_s,
        tasks=len(looks),
        processes=len({found.pid for found in looks}),
        read_only=not any(found.writable for found in looks),
        same_memory=None if here is None else {found.memory for found in looks} <= {here},
        get_s=sorted(found.get_s for found in looks)[len(looks) // 2] if looks else 0.0,
        copy_s=copy_s,
    )


def run_serial(batches: list[list[Source]], tick: Tick) -> Outcome:
    """Do the same in this process alone."""
    laps = [time.perf_counter()]
    index = Index()
    for number, batch in enumerate(batches):
        index.add(number, *parse(batch))
        tick("parse", number + 1, len(batches))
    _, tables = index.whole(len(batches))
    matrix = matrix_of(tables)
    laps.append(time.perf_counter())
    twins: list[Twins] = []
    parts = rows_to_compare(matrix)
    for number, rows in enumerate(parts):
        twins += find_twins(matrix, rows)
        tick("compare", number + 1, len(parts))
    report = report_on(tables, twins)
    laps.append(time.perf_counter())
    return Outcome(tables, twins, report, _seconds(laps))


def _seconds(laps: list[float]) -> dict[str, float]:
    start, middle, end = laps
    return {"parse": middle - start, "compare": end - middle, "total": end - start}


def faults(parallel: Outcome, serial: Outcome) -> list[str]:
    """Name what is wrong: what the two ways do not agree in, and a matrix that was not shared."""
    tables = parallel.tables
    found = [name for name in tables if not tables[name].equals(serial.tables[name])]
    found += ["twins"] if parallel.twins != serial.twins else []
    found += ["report"] if parallel.report != serial.report else []
    shared = parallel.sharing is not None and parallel.sharing.proven
    return found if shared else [*found, "sharing"]


def main() -> int:
    """Run as a script: print the figures; return 1 if the two ways do not agree."""
    parser = argparse.ArgumentParser(description="Index Python source files in parallel.")
    parser.add_argument("folders", nargs="*", type=Path, default=default_folders())
    parser.add_argument("--limit", type=int, help="the most files to index")
    parser.add_argument("--num-cpus", type=int, help="CPUs to use")
    parser.add_argument("--chaos", action="store_true", help="kill workers all the while")
    given = parser.parse_args()
    sources, _ = find_sources(given.folders, given.limit)
    warm_up(sources)
    batches = into_batches(sources)

    def quiet(step: str, done: int, total: int) -> None:
        pass

    parallel = run_parallel(batches, quiet, num_cpus=given.num_cpus, chaos=given.chaos)
    serial = run_serial(batches, quiet)
    for name, value in parallel.report._asdict().items():
        print(f"{name}: {value}")
    ratio = serial.seconds["total"] / parallel.seconds["total"]
    print(f"{parallel.seconds['total']:.1f} s, {ratio:.2f} × one process; {parallel.kills} kills")
    print(parallel.sharing)
    wrong = faults(parallel, serial)
    print("WRONG: " + ", ".join(wrong) if wrong else "equal to one process")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
