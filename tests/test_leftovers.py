"""What is left behind is found, wherever it hangs, and costs little to look for where it is not."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from snakepit import leftovers
from snakepit.leftovers import Census

NEST = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()"])
child.wait()
"""


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
