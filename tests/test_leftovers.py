"""What is left behind is found, wherever it hangs, and costs little to look for where it is not."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from snakepit import leftovers
from snakepit.leftovers import Census, wait_until
from snakepit.neighbours import moment

NEST = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()"])
child.wait()
"""

# Makes a name in shared memory when it is told to, uses it, and removes it in the end.
HOLDER = """
import _multiprocessing, os, sys
if "orphan" in sys.argv and os.fork():
    os._exit(0)
print("here", flush=True)
name = sys.stdin.readline().strip()
if "mapped" in sys.argv:
    used = _multiprocessing.SemLock(1, 1, 1, "/" + name.removeprefix("sem."), False)
else:
    used = open("/dev/shm/" + name, "x")
print("used", flush=True)
sys.stdin.read()
os.unlink("/dev/shm/" + name)
"""


@contextmanager
def holder(*how: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", HOLDER, *how]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "here\n"
        yield process
        assert process.communicate() == ("", None)  # also an orphan is over with this


def holds(process: subprocess.Popen[str]) -> str:
    """Let it make its name."""
    assert process.stdin is not None
    assert process.stdout is not None
    name = f"sem.snakepit-test-{os.getpid()}"
    print(name, file=process.stdin, flush=True)
    assert process.stdout.readline() == "used\n"
    return f"shared memory: /dev/shm/{name}"


@pytest.fixture(params=["listed", "not listed"])
def _kernel(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A kernel that lists children, and one that does not."""
    if request.param == "not listed":
        monkeypatch.setattr(leftovers, "_THREADS", tmp_path / "none")


@pytest.mark.usefixtures("_kernel")
def test_a_child_is_found_until_it_has_ended() -> None:
    census = Census()
    with subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE) as child:
        assert any(f"pid {child.pid}" in line for line in census.surplus())
    assert census.left() == ""


@pytest.mark.usefixtures("_kernel")
def test_a_childs_child_is_found() -> None:
    census = Census()
    with subprocess.Popen(
        [sys.executable, "-c", NEST], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline()
        [line] = [line for line in census.surplus() if line.startswith("processes")]
        assert line.count("pid ") == 2
        parent.communicate()
    assert census.left() == ""


@pytest.mark.usefixtures("_kernel")
def test_a_child_that_ended_is_found_until_it_is_waited_for() -> None:
    census = Census()
    with subprocess.Popen(["/bin/true"]) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert census.surplus() == [f"processes: pid {child.pid} (zombie)"]
    assert census.left() == ""


def test_a_child_of_any_thread_is_found() -> None:
    census = Census()
    started, over = threading.Event(), threading.Event()

    def start() -> None:
        with subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE):
            started.set()
            over.wait()

    thread = threading.Thread(target=start)
    thread.start()
    assert started.wait(60)
    lines = census.surplus()
    over.set()
    thread.join()
    assert any("cat" in line for line in lines)
    assert census.left() == ""


def test_who_has_no_child_is_not_looked_for_in_the_whole_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not Path(f"/proc/self/task/{os.getpid()}/children").exists():
        pytest.skip("this kernel does not list children")
    monkeypatch.setitem(sys.modules, "psutil", None)  # an import of it fails
    assert leftovers._processes() == {}


def test_a_name_that_nobody_uses_is_found_until_it_is_removed() -> None:
    path = Path(f"/dev/shm/snakepit-test-{os.getpid()}")
    census = Census()
    path.touch()
    assert census.surplus() == [f"shared memory: {path}"]
    path.unlink()
    assert census.left() == ""


@pytest.mark.parametrize("how", ["mapped", "open"])
def test_a_name_that_a_child_uses_is_found(how: str) -> None:
    with holder(how) as process:
        census = Census()
        line = holds(process)
        assert census.surplus() == [line]


@pytest.mark.parametrize("how", ["mapped", "open"])
def test_a_name_of_one_that_was_here_before_and_is_no_child_is_not_ours(how: str) -> None:
    with holder(how, "orphan") as process:
        process.wait()  # until then the orphan is none
        here = moment()
        assert wait_until(lambda: moment() > here)
        census = Census()
        holds(process)
        assert census.surplus() == []


def test_a_name_of_one_that_came_meanwhile_and_lost_its_parent_is_found() -> None:
    census = Census()
    with holder("mapped", "orphan") as process:
        process.wait()
        line = holds(process)
        assert line in census.surplus()
