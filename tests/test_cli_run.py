"""`snakepit run`: a file run as `python` would, and its exit status."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

MAIN = "from snakepit.cli import main; main()"
DEADLINE_S = 100


def run(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", MAIN, "run", *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=DEADLINE_S,
    )


def written(folder: Path, text: str, name: str = "job.py") -> str:
    (folder / name).write_text(text)
    return name


def test_a_script_sees_what_python_shows_it(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    written(tmp_path / "sub", "VALUE = 42", "beside.py")
    script = written(
        tmp_path,
        "import sys, beside, __main__\n"
        "print(__name__, __file__, sys.argv, beside.VALUE, __main__.__name__ == __name__)\n"
        "print(sys.modules['__main__'].__dict__ is globals())\n",
        "sub/job.py",
    )
    done = run(script, "--timeout", "-x", "--", "y", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    arguments = [script, "--timeout", "-x", "--", "y"]
    assert done.stdout == f"__main__ {tmp_path / script} {arguments} 42 True\nTrue\n"


def test_its_tasks_run(tmp_path: Path) -> None:
    script = written(
        tmp_path,
        "import snakepit\n"
        "@snakepit.remote\n"
        "def double(x):\n    return 2 * x\n"
        "print(snakepit.get(double.remote(4)))\n"
        "class Late:\n    def __del__(self):\n        print('late', len([1]))\n"
        "late = Late()\n",
    )
    done = run(script, folder=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "8\nlate 1\n", "")


@pytest.mark.parametrize(
    ("text", "status", "said"),
    [
        ("import sys; sys.exit(3)", 3, ""),
        ("raise SystemExit", 0, ""),
        ("raise SystemExit('bye')", 1, "bye\n"),
        ("raise KeyboardInterrupt", 130, ""),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", 143, ""),
        ("import snakepit; snakepit.run_as_script(lambda: exit(6))", 6, ""),
        ("import snakepit; snakepit.run_as_script(lambda: 1 / 0)", 1, "ZeroDivisionError"),
        ("if 1", 1, "SyntaxError"),
    ],
)
def test_the_status_is_the_scripts(tmp_path: Path, text: str, status: int, said: str) -> None:
    done = run(written(tmp_path, text), folder=tmp_path)
    assert (done.returncode, done.stdout) == (status, "")
    assert said in done.stderr if said else done.stderr == ""


def test_a_traceback_shows_the_script_and_nothing_of_this(tmp_path: Path) -> None:
    done = run(written(tmp_path, "def f():\n    1 / 0\nf()\n"), folder=tmp_path)
    plain = subprocess.run([sys.executable, "job.py"], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == plain.returncode == 1
    assert done.stderr == plain.stderr


def test_it_is_ended_after_its_time(tmp_path: Path) -> None:
    script = written(tmp_path, "import threading\nthreading.Event().wait()\n")
    done = run("--timeout", "0.2", "--shutdown-timeout", "60", script, folder=tmp_path)
    assert done.returncode == 1
    assert "ScriptTimeoutError: the script has not ended within timeout=0.2 s" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.py"], "none.py"),
        (["."], "directory"),
        ([], "SCRIPT"),
        (["--timeout", "-1", "x.py"], "--timeout"),
        (["--shutdown-timeout", "soon", "x.py"], "--shutdown-timeout"),
    ],
)
def test_wrong_arguments_are_refused(tmp_path: Path, arguments: list[str], message: str) -> None:
    done = run(*arguments, folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr and "Traceback" not in done.stderr
