"""However driver or zygote end, nothing of the run is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from zygote_harness import Zygote, is_alive, pids_of, wait_until

from snakepit.ids import start_time
from snakepit.runtime.zygote import ZygoteGone
from snakepit.transport.orphans import clean_dead_runs, end_marked

DRIVER = Path(__file__).with_name("zygote_driver.py")


class Driver(NamedTuple):
    """A driver in a process of its own, with workers that started things."""

    process: subprocess.Popen[str]
    run: str
    fork: int
    zygote: int
    workers: list[int]

    def descendants(self) -> list[int]:
        """Everything below the zygote, marked or not, and the zygote."""
        parents: dict[int, list[int]] = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    stat = (entry / "stat").read_text().rpartition(")")[2].split()
                except OSError:
                    continue
                parents.setdefault(int(stat[1]), []).append(int(entry.name))
        found = [self.zygote]
        for pid in found:
            found += parents.get(pid, [])
        return found


@contextmanager
def driver(workers: int, *, fork: bool = False) -> Iterator[Driver]:
    command = [sys.executable, str(DRIVER), str(workers), "fork" if fork else "-"]
    env = {**os.environ, "PYTHONPATH": str(DRIVER.parent)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as process:
        assert process.stdout is not None
        run, child, zygote, *pids = process.stdout.readline().split()
        found = Driver(process, run, int(child), int(zygote), [int(pid) for pid in pids])
        try:
            yield found
        finally:
            process.kill()
            if found.fork:
                os.kill(found.fork, signal.SIGKILL)
    assert wait_until(lambda: not pids_of(run))


@pytest.mark.parametrize(("workers", "fork"), [(1, False), (3, True), (50, False)])
def test_a_killed_driver_leaves_nothing(workers: int, fork: bool) -> None:
    with driver(workers, fork=fork) as killed:
        below = killed.descendants()
        assert len(below) >= 1 + workers * 4
        marked = pids_of(killed.run)
        assert set(killed.workers) < set(marked)
        before = time.perf_counter()
        killed.process.kill()

        def left() -> list[int]:
            return [pid for pid in (*below, *pids_of(killed.run)) if is_alive(pid)]

        assert wait_until(lambda: not left()), left()
        print(f"{len(below)} processes gone in {(time.perf_counter() - before) * 1e3:.0f} ms")
        assert not fork or is_alive(killed.fork)


def test_a_driver_that_ends_by_sigterm_leaves_nothing() -> None:
    with driver(2) as ended:
        ended.process.terminate()
        assert wait_until(lambda: not is_alive(ended.zygote) and not pids_of(ended.run))


def test_a_zygote_that_is_told_to_end_takes_all_along() -> None:
    with driver(2) as told:
        below = told.descendants()
        os.kill(told.zygote, signal.SIGTERM)
        assert wait_until(lambda: not any(map(is_alive, below)))


def test_a_zygote_is_deaf_to_the_terminal() -> None:
    with driver(1) as running:
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
            os.kill(running.zygote, number)
        assert os.getsid(running.zygote) == running.zygote
        assert is_alive(running.zygote)
        os.kill(running.zygote, signal.SIGTERM)
        assert wait_until(lambda: not is_alive(running.zygote))


def test_workers_die_with_their_zygote(zygote: Zygote) -> None:
    workers = [zygote.spawn() for _ in range(3)]
    pids = [worker.pid for worker in workers]
    for worker in workers:
        worker.run("import subprocess as s; s.Popen(['sleep', '1000'], start_new_session=True)")
    plain = workers[0].run("reply = s.Popen(['sleep', '1000'], env={}).pid")
    os.kill(zygote.client.pid, signal.SIGKILL)
    assert wait_until(lambda: not any(map(is_alive, pids)))
    with pytest.raises(ZygoteGone):
        while True:
            zygote.client.receive()
    assert is_alive(plain)
    zygote.client.kill()
    assert zygote.client.exit_code == -signal.SIGKILL
    assert not pids_of(zygote.run) and not is_alive(plain)
    zygote.client.kill()


def test_what_is_sent_to_a_dead_zygote_is_closed(zygote: Zygote) -> None:
    zygote.spawn().run("reply = 1")
    zygote.client.kill()
    for _ in range(3):
        zygote.spawn()
    with pytest.raises(ZygoteGone):
        while True:
            zygote.client.receive()


def test_an_unresponsive_zygote_is_killed_at_the_deadline(zygote: Zygote) -> None:
    from snakepit.deadline import Deadline

    pid = zygote.spawn().pid
    os.kill(zygote.client.pid, signal.SIGSTOP)
    zygote.client.stop(Deadline.after(0.1))
    assert zygote.client.exit_code == -signal.SIGKILL
    assert not is_alive(pid) and not pids_of(zygote.run)


def test_a_closed_channel_is_a_stop(zygote: Zygote) -> None:
    pid = zygote.spawn().pid
    zygote.client._channel.close()
    assert wait_until(lambda: not is_alive(pid) and not is_alive(zygote.client.pid))
    zygote.client.kill()
    assert zygote.client.exit_code == 0


def test_a_fork_of_the_driver_that_closes_its_client_ends_nothing(zygote: Zygote) -> None:
    worker = zygote.spawn()
    worker.run("reply = 1")
    child = os.fork()
    if not child:
        zygote.client.close()
        os._exit(0)
    os.waitpid(child, 0)
    assert worker.run("reply = 2") == 2


# --- orphans -----------------------------------------------------------------------------------


def sleeper(mark: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(["sleep", "1000"], env={**os.environ, "SNAKEPIT_RUN": mark})


def test_only_the_marked_are_ended() -> None:
    pid = os.getpid()
    mine = f"{pid}-{start_time(pid)}-aaaa"
    with sleeper(f"{mine}:1") as one, sleeper(f"{mine}:2") as two, sleeper(f"{mine}b:1") as other:
        try:
            assert wait_until(lambda: len(pids_of(mine)) == 2)
            assert end_marked(mine) == 2
            assert one.wait() == two.wait() == -signal.SIGKILL
            assert end_marked(mine) == 0
            assert clean_dead_runs() == 0
            assert other.poll() is None
        finally:
            for process in (one, two, other):
                process.kill()


def test_runs_of_dead_drivers_are_cleaned() -> None:
    recycled = f"{os.getpid()}-{start_time(os.getpid()) - 1}-aaaa"
    with sleeper("4194999-1-bbbb:1") as dead, sleeper(f"{recycled}:7") as old:
        # A runtime that another test starts meanwhile does the same.
        for process, run in ((dead, "4194999-1-bbbb"), (old, recycled)):
            assert wait_until(lambda process=process, run=run: process.poll() or pids_of(run))
        clean_dead_runs()
        assert dead.wait(20) == old.wait(20) == -signal.SIGKILL


def test_the_next_zygote_cleans_up_after_a_dead_run() -> None:
    with sleeper("4194999-1-cccc:1") as dead:
        zygote = Zygote()
        try:
            zygote.spawn().run("reply = 1")
            assert dead.wait(20) == -signal.SIGKILL
        finally:
            zygote.close()
            dead.kill()


WITHOUT_DESCRIPTORS = """
import os, resource, sys
from snakepit.ids import new_run, run_is_alive
from snakepit.workers.nursery import _clean_dead_runs

run = new_run()
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
_clean_dead_runs()  # what it imports cannot be opened
alive = run_is_alive(run), run_is_alive("4194999-1-dddd")
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
print(*alive, run_is_alive("4194999-1-dddd"))
"""


def test_who_has_no_descriptor_left_neither_cleans_nor_takes_a_run_for_dead() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_DESCRIPTORS], capture_output=True, text=True, timeout=60
    )
    assert done.stdout.split() == ["True", "True", "False"], done.stderr
