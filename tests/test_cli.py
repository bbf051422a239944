"""The command line itself: version, help, refusals, and output that goes nowhere."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

MAIN = "from snakepit.cli import main; main()"
DEADLINE_S = 100


def run(*arguments: str, code: str = MAIN, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-W", "error", "-c", code, *arguments],
        text=True,
        timeout=DEADLINE_S,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options},
    )


def test_the_version_is_that_of_the_package() -> None:
    done = run("--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"snakepit {importlib.metadata.version('snakepit')}\n"


def test_the_script_that_is_installed_calls_main() -> None:
    (entry,) = importlib.metadata.entry_points(group="console_scripts", name="snakepit")
    import snakepit.cli

    assert entry.load() is snakepit.cli.main


def test_help_loads_neither_a_runtime_nor_arrays() -> None:
    code = f"import atexit, sys; atexit.register(lambda: print(*sys.modules)); {MAIN}"
    done = run("demo", "--help", code=code)
    assert done.returncode == 0
    assert "--chaos" in done.stdout and "--limit" in done.stdout
    assert not {"numpy", "pyarrow", "snakepit.runtime"} & set(done.stdout.split())


@pytest.mark.parametrize("missing", ["click", "rich"])
def test_without_the_extra_it_says_what_to_install(missing: str) -> None:
    arguments = ["--version"] if missing == "click" else ["demo", "--limit", "1"]
    done = run(*arguments, code=f"import sys; sys.modules[{missing!r}] = None; {MAIN}")
    assert (done.returncode, done.stdout) == (1, "")
    assert f"needs {missing}" in done.stderr and "pip install 'snakepit[cli]'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["demo", "--limit", "-1"], "--limit"),
        (["demo", "--num-cpus", "0"], "--num-cpus"),
        (["demo", "--paths", "no/such/folder"], "no/such/folder"),
        (["demmo"], "demmo"),
    ],
)
def test_wrong_arguments_are_refused(arguments: list[str], message: str) -> None:
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr and "Usage:" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_without_python_is_refused(tmp_path: Path) -> None:
    done = run("demo", "--paths", str(tmp_path))
    assert (done.returncode, done.stdout) == (1, "")
    assert "no Python source file" in done.stderr


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "one.py").write_text("def f():\n    return 1\n")
    return tmp_path


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_a_closed_pipe_gets_no_traceback(folder: Path, form: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = run("demo", "--num-cpus", "1", "--paths", str(folder), *form, stdout=writer)
    finally:
        os.close(writer)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr and "BrokenPipe" not in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_told(folder: Path) -> None:
    with open("/dev/full", "w") as full:
        done = run("demo", "--num-cpus", "1", "--paths", str(folder), stdout=full)
    assert done.returncode == 1
    assert "cannot write the result" in done.stderr
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr
