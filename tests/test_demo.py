"""The main job on real input: the examples' code, the script, and `snakepit demo`."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snakepit.cli import demo
from snakepit.examples import index_python as job
from snakepit.examples import python_sources as sources

ROOT = Path(__file__).parents[1]
COMMAND = [sys.executable, "-P", "-W", "error", "-c", "from snakepit.cli import main; main()"]
DEADLINE_S = 100
WRITTEN = {
    "pkg/__init__.py": b"",
    "pkg/one.py": b"import os, sys\nfrom json import dumps\n\n\ndef f(x):\n    def g():\n"
    b"        return x + 1\n    return g\n\n\nclass C:\n    async def h(self): ...\n",
    "pkg/latin.py": b"# coding: latin-1\nfrom . import one\nNAME = '\xe4'\nBAD = '\\w'\n",
    "pkg/broken.py": b"print 'two'\n",
    "pkg/zero.py": b"a = 1\0\n",
    "pkg/__pycache__/cached.py": b"x = 1\n",
    "site-packages/other.py": b"x = 1\n",
    "pkg/notes.txt": b"no Python\n",
}


def silent(step: str, done: int, total: int) -> None:
    pass


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some files whose figures are known."""
    top = tmp_path_factory.mktemp("tree")
    for name, text in WRITTEN.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_bytes(text)
    return top


@pytest.fixture(scope="module")
def batches(tree: Path) -> list[list[sources.Source]]:
    """The tree, and enough real code that the matrix is worth sharing."""
    files, _ = sources.find_sources([tree, Path(asyncio.__file__).parent])
    # One file each: many steps, so that there is something to kill.
    return [[file] for file in files]


@pytest.fixture(scope="module")
def serial(batches: list[list[sources.Source]]) -> job.Outcome:
    return job.run_serial(batches, silent)


def test_sources_are_found_sorted_and_named(tree: Path) -> None:
    files, found = sources.find_sources([tree])
    assert [file.module for file in files] == [
        "pkg",
        "pkg.broken",
        "pkg.latin",
        "pkg.one",
        "pkg.zero",
    ]
    assert found == 5
    assert [file.size for file in files] == [
        len(WRITTEN[name])
        for name in sorted(WRITTEN)
        if name.startswith("pkg/") and "." in name
        if name.endswith(".py") and "__pycache__" not in name
    ]
    some, found = sources.find_sources([tree, tree], 2)
    assert ([file.module for file in some], found) == (["pkg", "pkg.latin"], 5)
    # A folder of packages counts where it is named itself.
    assert sources.find_sources([tree / "site-packages"])[1] == 1


def test_batches_have_about_the_same_size_and_keep_the_order() -> None:
    files = [sources.Source(str(n), str(n), 100_000) for n in range(7)]
    batches = sources.into_batches(files)
    assert [len(batch) for batch in batches] == [3, 3, 1]
    assert [file for batch in batches for file in batch] == files
    assert sources.into_batches([]) == []


def test_files_are_parsed_into_rows(tree: Path) -> None:
    files, functions = sources.parse(sources.find_sources([tree])[0])
    rows = {row["module"]: row for row in files.to_pylist()}
    one = rows["pkg.one"]
    assert (one["functions"], one["classes"], one["lines"]) == (3, 1, 12)
    assert one["imports"] == ["json", "os", "sys"]
    assert rows["pkg.latin"]["imports"] == []
    errors = {module for module, row in rows.items() if row["error"]}
    assert errors == {"pkg.broken", "pkg.zero"}
    made_of = {
        row["name"]: dict(zip([kind.__name__ for kind in sources.KINDS], row["made_of"]))
        for row in functions.to_pylist()
    }
    assert set(made_of) == {"f", "g", "h"}
    # What g is made of is not counted for f again; its definition is a statement of f.
    assert (made_of["f"]["BinOp"], made_of["g"]["BinOp"]) == (0, 1)
    assert made_of["f"]["FunctionDef"] == 1


def test_twins_are_the_rows_that_differ_least() -> None:
    matrix = np.array([[9, 0], [0, 5], [7, 1], [0, 6]], np.int32)
    assert sources.find_twins(matrix, [0, 3]) == [(0, 2, 3), (3, 1, 1)]
    assert sources.rows_to_compare(matrix) == [[0, 2, 3, 1]]
    assert sources.find_twins(matrix[:1], [0]) == []


def test_the_index_forgets_no_batch_and_takes_one_twice(tree: Path) -> None:
    files, _ = sources.find_sources([tree])
    index = job.Index()
    assert index.whole(2)[0] == [0, 1]
    for number in (1, 0, 1):
        index.add(number, *sources.parse(files[3 * number : 3 * number + 3]))
    missing, tables = index.whole(2)
    assert missing == []
    assert tables["files"]["module"].to_pylist() == [file.module for file in files]


@pytest.mark.parametrize("chaos", [False, True])
def test_both_ways_agree(
    batches: list[list[sources.Source]], serial: job.Outcome, chaos: bool
) -> None:
    steps: list[tuple[str, int, int]] = []
    outcome = job.run_parallel(batches, lambda *step: steps.append(step), num_cpus=2, chaos=chaos)
    assert job.faults(outcome, serial) == []
    assert outcome.report.unparsed == 2
    assert ("parse", len(batches), len(batches)) in steps
    assert steps[-1][1] == steps[-1][2]
    assert outcome.cpus == 2
    assert (outcome.kills > 0) is chaos
    sharing = outcome.sharing
    assert sharing is not None
    assert not sharing.small and sharing.read_only and sharing.same_memory is True
    assert sharing.tasks > sharing.processes >= 1


def test_nothing_to_index_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "empty.py").write_text("")
    files, _ = sources.find_sources([tmp_path])
    batches = sources.into_batches(files)
    outcome = job.run_parallel(batches, silent, num_cpus=1)
    assert job.faults(outcome, job.run_serial(batches, silent)) == []
    assert outcome.report.functions == 0


def planted(serial: job.Outcome, **changes: Any) -> job.Outcome:
    sharing = job.Sharing((1, 1), 10**6, 0.0, 1, 1, True, True, 0.0, 0.0)
    sharing = sharing._replace(**changes.pop("sharing", {}))
    return serial._replace(sharing=sharing, **changes)


def test_what_is_wrong_is_named(serial: job.Outcome) -> None:
    assert job.faults(planted(serial), serial) == []
    report = serial.report._replace(lines=0)
    assert job.faults(planted(serial, report=report), serial) == ["report"]
    assert job.faults(planted(serial, twins=serial.twins[1:]), serial) == ["twins"]
    tables = serial.tables | {"files": serial.tables["files"].slice(1)}
    assert job.faults(planted(serial, tables=tables), serial) == ["files"]
    for lie in ({"read_only": False}, {"same_memory": False}):
        assert job.faults(planted(serial, sharing=lie), serial) == ["sharing"]
    assert job.faults(planted(serial, sharing={"same_memory": None}), serial) == []


def test_a_difference_ends_with_status_1(
    tree: Path,
    serial: job.Outcome,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    wrong = planted(serial, report=serial.report._replace(lines=0))
    monkeypatch.setattr(job, "run_parallel", lambda *args, **options: wrong)
    monkeypatch.setattr(job, "run_serial", lambda *args: serial)
    options: dict[str, Any] = {"num_cpus": None, "chaos": False}
    assert demo.run([tree], None, as_json=False, **options) == 1
    assert "WRONG: report." in capsys.readouterr().out
    assert demo.run([tree], None, as_json=True, **options) == 1
    assert json.loads(capsys.readouterr().out)["wrong"] == ["report"]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, timeout=DEADLINE_S
    )


def test_demo_prints_tables_without_escape_codes_into_a_pipe() -> None:
    done = run("demo", "--limit", "60", "--num-cpus", "2")
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    for title in (
        "60 files",
        "Largest modules",
        "Most imported names",
        "Functions per file",
        "speed-up",
        "2 CPUs",
        "the same memory, read-only",
        "Both ways agree",
    ):
        assert title in " ".join(done.stdout.split())
    assert "(--limit 0 takes all)" in done.stderr


def test_demo_survives_chaos_on_real_input() -> None:
    done = run("demo", "--chaos", "--json", "--limit", "250", "--num-cpus", "2")
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["equal"] and figures["kills"] >= 1
    assert figures["report"]["files"] == 250
    assert "Traceback" not in done.stderr


def test_the_example_is_a_script(tree: Path) -> None:
    script = ROOT / "examples" / "index_python.py"
    done = subprocess.run(
        [sys.executable, "-W", "error", script, "--num-cpus", "1", tree],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
    )
    assert done.returncode == 0, done.stderr
    assert "equal to one process" in done.stdout
