"""Very many at once: workers, actors, threads, and far more processes than cores."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from faults_harness import (
    PATIENCE_S,
    driver,
    empties,
    is_alive,
    scaled,
    settles,
    wait_until,
    works_on,
)

import snakepit
from snakepit import errors
from tests.chaos.leaks import end_workers

CROWD = scaled(40, 500)
"""Workers at once; 500 in `make soak-faults`."""

SECONDS = scaled(1.0, 60.0)
"""How long loops go on; a minute in `make soak-faults`."""


def meet(folder: str) -> int:
    """Come, and wait until all have; return the pid."""
    Path(folder, str(os.getpid())).touch()
    gate = Path(folder, "gate")
    while not gate.exists():
        time.sleep(0.2)
    return os.getpid()


@pytest.mark.timeout(300)
def test_five_hundred_workers_on_two_cores(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with snakepit.init(num_cpus=CROWD, max_workers=CROWD):
        task = snakepit.remote(max_retries=0)(meet)
        refs = [task.remote(str(tmp_path)) for _ in range(CROWD)]
        assert wait_until(lambda: len(os.listdir(tmp_path)) == CROWD, timeout=100)
        # All of them are there and busy at this moment.
        Path(tmp_path, "gate").touch()
        pids = snakepit.get(refs, timeout=PATIENCE_S)
        assert len(set(pids)) == CROWD
        del refs
        settles()
        # And it is as quick as ever with all of them there.
        works_on(1000)
        empties()
    assert wait_until(lambda: not any(map(is_alive, pids)))
    assert len(os.listdir("/proc/self/fd")) <= before


@snakepit.remote
class Guest:
    def __init__(self) -> None:
        self.data = bytes(100_000)

    def pid(self) -> int:
        return os.getpid()

    def give(self) -> bytes:
        return self.data


@pytest.mark.timeout(200)
def test_actors_made_and_dropped_in_a_loop(runtime: Any) -> None:
    core = driver()._core
    pids: list[int] = []

    def come_and_go(count: int) -> None:
        guests = [Guest.options(num_cpus=0).remote() for _ in range(count)]
        pids.extend(snakepit.get([guest.pid.remote() for guest in guests], timeout=PATIENCE_S))
        # Half of them leave a value behind that is read when they may be gone.
        left = [guest.give.remote() for guest in guests[::2]]
        del guests
        assert all(len(value) == 100_000 for value in snakepit.get(left, timeout=PATIENCE_S))

    def settled() -> tuple[int, int, int]:
        empties()
        # Also those that the pool keeps, now more and now fewer.
        end_workers(driver())
        assert wait_until(lambda: not core.memory.adopted), core.memory.adopted
        # The last actors may still be ending.
        assert wait_until(lambda: not core.connections), core.connections
        return (
            len(os.listdir("/proc/self/fd")),
            len(os.listdir(f"/proc/{driver()._processes.zygotes.home.zygote.pid}/fd")),
            threading.active_count(),
        )

    come_and_go(4)
    before = settled()
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        come_and_go(4)
    after = settled()
    assert all(now <= was for was, now in zip(before, after)), (before, after)
    assert len(set(pids)) == len(pids)
    assert not any(map(is_alive, pids))
    works_on()


def test_fifty_threads_of_which_some_die(runtime: Any) -> None:
    @snakepit.remote
    def square(x: int) -> int:
        return x * x

    @snakepit.remote
    def late(x: int) -> int:
        time.sleep(0.01)
        return x

    wrong: list[str] = []
    started = threading.Barrier(50)

    def call(number: int) -> None:
        started.wait(PATIENCE_S)
        for round in range(10):
            refs = [square.remote(number * 1000 + x) for x in range(10)]
            slow = late.remote(number)
            if number % 5 == 0 and round == 3:
                raise RuntimeError("a thread that dies with calls under way")
            if number % 5 == 1 and round == 5:
                sys.exit()
            if number % 5 == 2:
                with suppress(errors.GetTimeoutError):
                    snakepit.get(slow, timeout=0.001)
            if snakepit.get(refs, timeout=PATIENCE_S) != [
                (number * 1000 + x) ** 2 for x in range(10)
            ]:
                wrong.append(f"thread {number}, round {round}")

    died: list[Any] = []
    hook, threading.excepthook = threading.excepthook, died.append
    try:
        threads = [threading.Thread(target=call, args=(number,)) for number in range(50)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(4 * PATIENCE_S)
    finally:
        threading.excepthook = hook
    assert not any(thread.is_alive() for thread in threads)
    assert not wrong
    # Ten by an exception, and ten by sys.exit(), which the hook hears of as well.
    assert (
        sorted(each.exc_type.__name__ for each in died)
        == ["RuntimeError"] * 10 + ["SystemExit"] * 10
    )
    died.clear()
    works_on()
    empties()


def test_threads_killed_while_they_wait(runtime: Any) -> None:
    @snakepit.remote
    def wait_for(mark: str) -> int:
        while not os.path.exists(mark):
            time.sleep(0.01)
        return 1

    @snakepit.remote
    def one() -> int:
        return 1

    class Struck(Exception):
        pass

    mark = f"/proc/{os.getpid()}/nothing"
    refs = [wait_for.remote(mark)]
    ended: list[type[BaseException]] = []

    def call() -> None:
        try:
            snakepit.get(refs[0])
        except BaseException as error:
            ended.append(type(error))

    # One of them pumps, the others wait for their turn: each kind is struck.
    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    strike = ctypes.pythonapi.PyThreadState_SetAsyncExc
    for thread in threads[:6]:
        assert thread.ident is not None
        strike(ctypes.c_ulong(thread.ident), ctypes.py_object(Struck))
    # It comes when the thread runs Python again: calls that resolve wake it.
    for _ in range(1000):
        if not any(thread.is_alive() for thread in threads[:6]):
            break
        assert snakepit.get(one.remote(), timeout=PATIENCE_S) == 1
    snakepit.cancel(refs[0], force=True)
    for thread in threads:
        thread.join(PATIENCE_S)
    assert not any(thread.is_alive() for thread in threads)
    assert ended.count(Struck) == 6, ended
    refs.clear()
    works_on()
    empties()


@pytest.mark.timeout(200)
def test_eight_times_more_processes_than_cores() -> None:
    cores = len(os.sched_getaffinity(0))
    spin = f"import os\nwhile os.getppid() == {os.getpid()}: pass"
    # Others keep every core busy as well.
    others = [subprocess.Popen([sys.executable, "-c", spin]) for _ in range(cores)]
    try:
        with snakepit.init(num_cpus=8 * cores):
            core = driver()._core
            deaths: list[int] = []
            died = core.scheduler.died

            def note(number: int, *args: Any) -> Any:
                deaths.append(number)
                return died(number, *args)

            core.scheduler.died = note

            @snakepit.remote(max_retries=0)
            def burn(seconds: float) -> int:
                end = time.process_time() + seconds
                while time.process_time() < end:
                    pass
                return os.getpid()

            @snakepit.remote(max_restarts=0)
            class Burner:
                def burn(self, seconds: float) -> float:
                    return float(snakepit.get(burn.remote(seconds)) > 0)

            burners = [Burner.options(num_cpus=0).remote() for _ in range(4)]
            total = scaled(1.0, 20.0) * cores  # seconds of processor time
            refs: list[Any] = [burn.remote(total / 64) for _ in range(64)]
            refs += [burner.burn.remote(0.01) for burner in burners for _ in range(5)]
            assert len(snakepit.get(refs, timeout=150)) == 84
            assert not deaths
            del refs, burners
            works_on()
            empties()
    finally:
        for other in others:
            other.kill()
            other.wait()
