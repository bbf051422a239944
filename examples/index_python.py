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
import ast
import os
import random
import sys
import sysconfig
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
import psutil
import pyarrow as pa

import snakepit

T = TypeVar("T")
Matrix: TypeAlias = npt.NDArray[np.int32]
Tick: TypeAlias = Callable[[str, int, int], None]
"""Told of progress: what is done, how much of it, out of how much."""

BATCH_BYTES = 256 * 1024
COMPARED = 64
PER_TASK = 8
TOP = 10
KINDS = tuple(
    sorted([*ast.stmt.__subclasses__(), *ast.expr.__subclasses__()], key=lambda kind: kind.__name__)
)
COLUMN = {kind: column for column, kind in enumerate(KINDS)}
FUNCTION_BUCKETS = (0, 5, 20, 50)
FILES = pa.schema(
    [
        ("module", pa.string()),
        ("bytes", pa.int64()),
        ("lines", pa.int64()),
        ("functions", pa.int64()),
        ("classes", pa.int64()),
        ("imports", pa.list_(pa.string())),
        ("error", pa.string()),
    ]
)
FUNCTIONS = pa.schema(
    [
        ("module", pa.string()),
        ("name", pa.string()),
        ("line", pa.int64()),
        ("made_of", pa.list_(pa.int32(), len(KINDS))),
    ]
)


class Source(NamedTuple):
    """A file to index: the name that it is imported by, where it is, its size in bytes."""

    module: str
    path: str
    size: int


class Twins(NamedTuple):
    """Two functions, by their row, and in how many nodes of their syntax trees they differ."""

    row: int
    other: int
    distance: int


class Look(NamedTuple):
    """How one task saw the shared matrix, and what it found there."""

    pid: int
    memory: str | None
    writable: bool
    get_s: float
    twins: list[Twins]


class Report(NamedTuple):
    """What the index says."""

    files: int
    unparsed: int
    bytes: int
    lines: int
    functions: int
    classes: int
    largest: list[tuple[str, int, int]]
    imported: list[tuple[str, int]]
    busiest: list[tuple[str, int]]
    functions_per_file: list[tuple[str, int]]
    alike: list[tuple[str, str, int, int]]


class Sharing(NamedTuple):
    """What the tasks that shared the matrix prove.

    Of the memory, each task names the file behind it and the position there; `same_memory` is None
    where the system does not tell. Times are the slowest task's `get`, and a copy, in seconds.
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


class Outcome(NamedTuple):
    """One way's result, and the seconds that each step took."""

    tables: dict[str, Any]
    twins: list[Twins]
    report: Report
    seconds: dict[str, float]
    sharing: Sharing | None = None
    kills: int = 0


# What to index


def default_folders() -> list[Path]:
    """Return where this interpreter's standard library and installed packages are."""
    paths = sysconfig.get_paths()
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    return [Path(folder) for folder in dict.fromkeys(paths[name] for name in names)]


def find_sources(folders: Iterable[Path], limit: int | None = None) -> tuple[list[Source], int]:
    """Find the Python source files below some folders.

    Args:
        folders: where to look; site-packages only where it is given itself.
        limit: the most files to return, taken evenly from all over; default: all.

    Returns:
        The files, sorted by path, and how many there are without the limit.
    """
    roots = [folder.resolve() for folder in folders]
    found: dict[str, Source] = {}
    for root in roots:
        for path, below, names in os.walk(root):
            below[:] = [
                name
                for name in below
                if name not in ("__pycache__", "site-packages", "dist-packages")
            ]
            for name in names:
                file = os.path.join(path, name)
                if name.endswith(".py") and os.path.isfile(file):
                    found[file] = Source(_module(root, file), file, os.path.getsize(file))
    files = [found[file] for file in sorted(found)]
    if limit is None or limit >= len(files):
        return files, len(files)
    return [files[i * len(files) // limit] for i in range(limit)], len(files)


def _module(root: Path, file: str) -> str:
    parts = Path(file).relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def into_batches(sources: Iterable[Source]) -> list[list[Source]]:
    """Cut a list of files into batches of about the same number of bytes."""
    batches: list[list[Source]] = []
    room = 0
    for source in sources:
        if room <= 0:
            batches.append([])
            room = BATCH_BYTES
        batches[-1].append(source)
        room -= source.size
    return batches


def warm_up(sources: Iterable[Source]) -> None:
    """Read each file once, so that neither way of indexing pays for a cold disk."""
    for source in sources:
        Path(source.path).read_bytes()


# Step 1: parse


def parse(sources: list[Source]) -> tuple[Any, Any]:
    """Parse files.

    Returns:
        An Arrow record batch with a row per file, and one with a row per function.
    """
    files: list[dict[str, Any]] = []
    functions: list[tuple[str, str, int]] = []
    made_of = []
    for source in sources:
        text = Path(source.path).read_bytes()
        row: dict[str, Any] = dict.fromkeys(FILES.names, 0)
        row |= {"module": source.module, "bytes": len(text), "lines": text.count(b"\n")}
        row |= {"imports": [], "error": None}
        files.append(row)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of others' code: invalid escapes and the like
                tree = ast.parse(text)
        except (SyntaxError, ValueError, RecursionError) as error:
            row["error"] = type(error).__name__
            continue
        seen = _Survey(tree)
        row |= {"functions": len(seen.functions), "classes": seen.classes}
        row["imports"] = sorted(seen.imports)
        functions += [(source.module, name, line) for name, line in seen.functions]
        made_of.append(seen.made_of)
    matrix = np.concatenate(made_of) if made_of else np.zeros((0, len(KINDS)), np.int32)
    columns = [list(column) for column in zip(*functions)] or [[], [], []]
    columns.append(pa.FixedSizeListArray.from_arrays(pa.array(matrix.ravel()), len(KINDS)))
    return (
        pa.RecordBatch.from_pylist(files, schema=FILES),
        pa.RecordBatch.from_arrays(
            [pa.array(column, kind) for column, kind in zip(columns, FUNCTIONS.types)],
            schema=FUNCTIONS,
        ),
    )


class _Survey:
    """What one syntax tree holds; a node counts for the innermost function around it."""

    def __init__(self, tree: ast.Module) -> None:
        self.functions: list[tuple[str, int]] = []
        self.imports: set[str] = set()
        self.classes = 0
        nodes: list[int] = []
        stack: list[tuple[ast.AST, int]] = [(tree, 0)]
        while stack:
            node, owner = stack.pop()
            column = COLUMN.get(type(node))
            if column is not None:
                nodes.append(owner * len(KINDS) + column)
                self._note(node)
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    owner = len(self.functions)
            stack += [(child, owner) for child in ast.iter_child_nodes(node)]
        rows = len(self.functions) + 1
        counts = np.bincount(nodes, minlength=rows * len(KINDS)).reshape(rows, len(KINDS))
        self.made_of: Matrix = counts[1:].astype(np.int32)

    def _note(self, node: ast.AST) -> None:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            self.functions.append((node.name, node.lineno))
        elif isinstance(node, ast.ClassDef):
            self.classes += 1
        elif isinstance(node, ast.Import):
            self.imports.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            self.imports.add(node.module.partition(".")[0])


# Step 2: index


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


def matrix_of(tables: dict[str, Any]) -> Matrix:
    """Return what the functions are made of: functions × kinds of syntax nodes, counts."""
    flat: Matrix = tables["functions"]["made_of"].combine_chunks().flatten().to_numpy()
    return flat.reshape(-1, len(KINDS))


def report_on(tables: dict[str, Any], twins: list[Twins]) -> Report:
    """Return the figures of the index, and the names of the functions that are alike."""
    rows = tables["files"].to_pylist()
    sums = {name: sum(row[name] for row in rows) for name in FILES.names[1:5]}
    imports = Counter(name for row in rows for name in row["imports"])
    by_lines = sorted(rows, key=lambda row: (-row["lines"], row["module"]))
    by_functions = sorted(rows, key=lambda row: (-row["functions"], row["module"]))
    return Report(
        files=len(rows),
        unparsed=sum(row["error"] is not None for row in rows),
        **sums,
        largest=[(row["module"], row["lines"], row["functions"]) for row in by_lines[:TOP]],
        imported=sorted(imports.items(), key=lambda item: (-item[1], item[0]))[:TOP],
        busiest=[(row["module"], row["functions"]) for row in by_functions[:TOP]],
        functions_per_file=_buckets([row["functions"] for row in rows]),
        alike=_names_of(tables["functions"], twins),
    )


def _buckets(counts: list[int]) -> list[tuple[str, int]]:
    found = []
    low = 0
    for high in FUNCTION_BUCKETS:
        label = str(high) if low == high else f"{low}–{high}"
        found.append((label, sum(low <= count <= high for count in counts)))
        low = high + 1
    return [*found, (f"{low} and more", sum(count >= low for count in counts))]


def _names_of(functions: Any, twins: list[Twins]) -> list[tuple[str, str, int, int]]:
    """The closest pairs: both names, the nodes of the first, and in how many they differ."""

    def name(row: int) -> str:
        return f"{functions['module'][row]}.{functions['name'][row]}"

    pairs = {tuple(sorted((found.row, found.other))): found for found in twins}
    closest = sorted(pairs.values(), key=lambda found: (found.distance, found.row))[:TOP]
    return [
        (name(at), name(other), sum(functions["made_of"][at].as_py()), distance)
        for at, other, distance in closest
    ]


# Step 3: compare


def rows_to_compare(matrix: Matrix) -> list[list[int]]:
    """Return the rows of the largest functions, some for each task."""
    largest = np.argsort(-matrix.sum(axis=1), kind="stable")[:COMPARED].tolist()
    return [largest[start : start + PER_TASK] for start in range(0, len(largest), PER_TASK)]


def find_twins(matrix: Matrix, rows: list[int]) -> list[Twins]:
    """Return for each of some functions the one that is made of nearly the same nodes."""
    found = []
    for row in rows:
        distances = np.abs(matrix - matrix[row]).sum(axis=1)
        distances[row] = np.iinfo(distances.dtype).max
        other = int(distances.argmin())
        if other != row:
            found.append(Twins(row, other, int(distances[other])))
    return found


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
    """Kills a worker of this run after every few steps, if it is on."""

    def __init__(self, on: bool) -> None:
        self.kills = 0
        self._on = on
        self._left = 2

    def __call__(self) -> None:
        """Count a step, and strike when it is time."""
        self._left -= 1
        if not self._on or self._left > 0:
            return
        # Not at every step: a call that has killed three workers would rightly be refused.
        self._left = random.randint(6, 18)
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
        return process.children()
    except psutil.NoSuchProcess:
        return []


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
    with snakepit.init(num_cpus=num_cpus):
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
    return Outcome(tables, twins, report, _seconds(laps), sharing, strike.kills)


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


def differences(one: Outcome, other: Outcome) -> list[str]:
    """Name what two outcomes do not agree in: nothing, if all is well."""
    found = [name for name in one.tables if not one.tables[name].equals(other.tables[name])]
    found += ["twins"] if one.twins != other.twins else []
    return found + (["report"] if one.report != other.report else [])


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
    wrong = differences(parallel, serial)
    print("differs from one process: " + ", ".join(wrong) if wrong else "equal to one process")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
