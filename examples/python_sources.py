"""What Python source files hold: plain code that knows nothing of snakepit.

Files are parsed in batches, each into two Arrow record batches: a row per file, a row per
function. What a function is made of, counted by kind of syntax node, is a row of a matrix.
"""

from __future__ import annotations

import ast
import os
import sysconfig
import warnings
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Matrix: TypeAlias = npt.NDArray[np.int32]

BATCH_BYTES = 256 * 1024
COMPARED = 64
PER_TASK = 8
TOP = 10
KINDS = tuple(
    sorted([*ast.stmt.__subclasses__(), *ast.expr.__subclasses__()], key=lambda kind: kind.__name__)
)
COLUMN: Final[dict[type[ast.AST], int]] = {kind: column for column, kind in enumerate(KINDS)}
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
