"""Processes that stand still for a while, and clocks that jump: nobody is thought dead."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from faults_harness import (
    PATIENCE_S,
    bearing,
    driver,
    driving,
    empties,
    is_alive,
    scaled,
    wait_until,
    works_on,
)

import snakepit

STANDS = scaled(0.5, 10.0)
"""Seconds for which a process is stopped; 10 in `make soak-faults`."""

BUSY_DRIVER = """
import os, sys, time
import snakepit

@snakepit.remote(max_retries=0)
def work(x):
    time.sleep(0.002)
    print('line', x)
    return x, os.getpid(), bytes(100_000)

@snakepit.remote(max_restarts=0)
class Counter:
    def __init__(self):
        self.calls = 0
    def count(self):
        self.calls += 1
        return self.calls

snakepit.init(num_cpus=2, heartbeat=snakepit.Heartbeat(interval=0.1, timeout=0.1, misses=2))
counter = Counter.remote()
deadline = time.monotonic() + 60
print('begun', os.getpid(), flush=True)
rounds = calls = 0
while True:
    refs = [work.remote(x) for x in range(50)]
    counts = [counter.count.remote() for _ in range(20)]
    assert [x for x, _, _ in snakepit.get(refs, timeout=60)] == list(range(50))
    assert snakepit.get(counts, timeout=60) == list(range(calls + 1, calls + 21))
    calls += 20
    rounds += 1
    print('round', rounds, flush=True)
    if os.path.exists(sys.argv[0] + '.stop'):
        break
snakepit.shutdown()
print('ended', flush=True)
"""


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def stop(pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)
    assert wait_until(lambda: state(pid) == "T")


def stand(seconds: float) -> None:
    """Let time pass for those that do not stand still."""
    time.sleep(seconds)


@pytest.mark.timeout(200)
def test_a_driver_that_is_suspended_and_resumed(tmp_path: Path) -> None:
    marker = f"stopped-{os.getpid()}"
    with driving(BUSY_DRIVER, tmp_path, marker=marker) as process:
        assert process.stdout is not None

        def until(word: str) -> None:
            while True:
                line = process.stdout.readline()  # type: ignore[union-attr]
                assert line, process.communicate()[1][-3000:]
                if line.startswith(word):
                    return

        for _ in range(2):
            until("round 3" if _ == 0 else "round")
            before = set(bearing(marker))
            stop(process.pid)
            stand(STANDS)
            # What it had is there still: nobody took the silence for its end.
            assert before <= set(bearing(marker))
            process.send_signal(signal.SIGCONT)
            until("round")
        Path(str(tmp_path / "driver.py") + ".stop").touch()
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err[-3000:]
        assert "ended" in out
        # Nothing was tried again, nothing restarted: `max_retries=0` would have told.
        assert "Traceback" not in err, err[-3000:]
    assert wait_until(lambda: not bearing(marker))


@snakepit.remote(max_retries=0)
def pid_after(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()


@snakepit.remote(max_restarts=0)
class Steady:
    def __init__(self) -> None:
        self.calls = 0

    def count(self) -> int:
        self.calls += 1
        return self.calls

    def pid(self) -> int:
        return os.getpid()


def test_workers_that_are_stopped_and_resumed(runtime: Any) -> None:
    steady = Steady.remote()
    stopped = snakepit.get(steady.pid.remote(), timeout=PATIENCE_S)
    counts = [steady.count.remote() for _ in range(10)]
    snakepit.get(counts[0], timeout=PATIENCE_S)
    stop(stopped)
    try:
        counts += [steady.count.remote() for _ in range(10)]
        end = time.monotonic() + STANDS
        while time.monotonic() < end:
            works_on()  # the others go on meanwhile
        assert state(stopped) == "T"
    finally:
        os.kill(stopped, signal.SIGCONT)
    assert snakepit.get(counts, timeout=PATIENCE_S) == list(range(1, 21))
    assert snakepit.get(steady.pid.remote(), timeout=PATIENCE_S) == stopped
    # A worker of the pool, in the middle of a call, with others behind it.
    calls = [pid_after.remote(0.2) for _ in range(6)]
    core = driver()._core
    workers = core.scheduler.placement.workers
    assert wait_until(lambda: any(w.inflight for w in workers.values()))
    (number, *_) = [n for n, w in workers.items() if w.inflight]
    pid = core.connections[number].pid
    stop(pid)
    try:
        stand(STANDS)
        assert is_alive(pid)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert pid in snakepit.get(calls, timeout=PATIENCE_S)
    del steady, calls, counts
    works_on()
    empties()


def test_a_stopped_worker_can_be_killed_and_cancelled(runtime: Any) -> None:
    steady = Steady.remote()
    pid = snakepit.get(steady.pid.remote(), timeout=PATIENCE_S)
    stop(pid)
    call = steady.count.remote()
    snakepit.kill(steady)
    with pytest.raises(snakepit.errors.ActorDiedError):
        snakepit.get(call, timeout=PATIENCE_S)
    assert wait_until(lambda: not is_alive(pid))
    ref = pid_after.remote(1000.0)
    core = driver()._core
    workers = core.scheduler.placement.workers
    assert wait_until(lambda: any(w.inflight for w in workers.values()))
    (number, *_) = [n for n, w in workers.items() if w.inflight]
    stop(core.connections[number].pid)
    snakepit.cancel(ref, force=True)
    with pytest.raises((snakepit.errors.TaskCancelledError, snakepit.errors.WorkerCrashedError)):
        snakepit.get(ref, timeout=PATIENCE_S)
    del steady, call, ref
    works_on()
    empties()


def test_a_stopped_zygote_is_not_dead(runtime: Any) -> None:
    works_on()
    zygote = driver()._processes.zygotes.home.zygote.pid
    stop(zygote)
    try:
        works_on()  # the workers need it not
        stand(STANDS)
        assert driver()._processes.zygotes.home.zygote.pid == zygote
        extra = [Steady.remote() for _ in range(2)]
        counts = [each.count.remote() for each in extra]
        assert snakepit.wait(counts, timeout=0.1)[0] == []
    finally:
        os.kill(zygote, signal.SIGCONT)
    assert snakepit.get(counts, timeout=PATIENCE_S) == [1, 1]
    assert driver()._processes.zygotes.home.zygote.pid == zygote
    del extra, counts
    works_on()
    empties()


def test_everything_stopped_ends_with_the_shutdown(monkeypatch: pytest.MonkeyPatch) -> None:
    # What stands still uses up all the time that is given to an orderly end, however much it is.
    monkeypatch.setattr("snakepit.runtime.driver.SHUTDOWN", scaled(0.5, 5.0))
    marker = f"SNAKEPIT_RUN={snakepit.init(num_cpus=2)['run']}"
    try:
        works_on()
        steady = Steady.options(num_cpus=0).remote()
        stop(snakepit.get(steady.pid.remote(), timeout=PATIENCE_S))
        stop(driver()._processes.zygotes.home.zygote.pid)
    finally:
        snakepit.shutdown()
    assert wait_until(lambda: not bearing(marker))
