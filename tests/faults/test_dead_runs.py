"""A driver and its zygote, killed together: the next start removes what they left, and no more."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from faults_harness import driving, is_alive, wait_until

import snakepit
from snakepit.registry import records

BODY = """
import subprocess, sys
import snakepit

@snakepit.remote
def daemon():
    return subprocess.Popen(['sleep', '1000'], start_new_session=True).pid

run = snakepit.init(num_cpus=1)['run']
print(run, snakepit.get(daemon.remote()), flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def empty_register(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What else runs here, or was killed by other tests, is not this one's."""
    for name in ("XDG_RUNTIME_DIR", "TMPDIR"):
        monkeypatch.setenv(name, str(tmp_path))


class Run:
    """A driver with a daemon that one of its tasks has started."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        self.process = process
        self.run, daemon = process.stdout.readline().split()
        self.daemon = int(daemon)
        [record] = [record for record in records() if record.run == self.run]
        [zygote] = record.zygotes
        self.zygote = zygote.pid

    def kill(self) -> None:
        """Kill driver and zygote, which gets no chance to end what it knows of."""
        self.orphan()
        os.kill(self.zygote, signal.SIGKILL)
        assert wait_until(lambda: not is_alive(self.zygote))

    def orphan(self) -> None:
        """Stop the zygote, kill the driver."""
        os.kill(self.zygote, signal.SIGSTOP)
        stat = Path(f"/proc/{self.zygote}/stat")
        assert wait_until(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T")
        self.process.kill()
        self.process.wait()


@contextmanager
def runs(folder: Path, count: int) -> Iterator[list[Run]]:
    with ExitStack() as stack:
        drivers = []
        for number in range(count):  # a folder for each: a script must not change while it is read
            own = folder / str(number)
            own.mkdir()
            drivers.append(stack.enter_context(driving(BODY, own, stdin=subprocess.PIPE)))
        yield [Run(driver) for driver in drivers]


def registered() -> set[str]:
    return {record.run for record in records()}


def all_end(*pids: int) -> bool:
    # What another run's sweep has killed before this one came may take a moment to go.
    return wait_until(lambda: not any(map(is_alive, pids)))


def test_orphans_of_two_dead_runs_are_removed_and_nothing_else(tmp_path: Path) -> None:
    with (
        subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as unrelated,
        runs(tmp_path, 3) as (one, two, alive),
    ):
        for dead in (one, two):
            dead.kill()
        assert registered() == {one.run, two.run, alive.run}
        with snakepit.init(num_cpus=1) as facts:
            assert wait_until(lambda: registered() == {alive.run, facts["run"]})
            assert all_end(one.daemon, two.daemon)
        assert is_alive(alive.daemon) and is_alive(alive.zygote)
        assert unrelated.poll() is None
        unrelated.communicate(b"\n")
        alive.process.communicate()
        assert alive.process.returncode == 0
        assert registered() == set()


def test_a_zygote_removes_the_file_of_its_dead_driver(tmp_path: Path) -> None:
    with runs(tmp_path, 1) as (killed,):
        killed.process.kill()
        assert wait_until(lambda: killed.run not in registered() and not is_alive(killed.daemon))


def test_a_zygote_that_hangs_is_ended_by_the_next_start(tmp_path: Path) -> None:
    with runs(tmp_path, 1) as (dead,):
        dead.orphan()
        with snakepit.init(num_cpus=0):
            assert wait_until(lambda: dead.run not in registered())
        assert all_end(dead.zygote, dead.daemon)
