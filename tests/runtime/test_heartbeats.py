"""Workers that hang are ended, and those that are only slow, busy or held are not."""

from __future__ import annotations

import ctypes
import os
import re
import signal
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import snakepit
from snakepit import errors
from tests.runtime.helpers import PATIENCE, Gate, core, wait_until

BEAT = snakepit.Heartbeat(interval=0.25, timeout=0.25, misses=2)
LOOKS = 5
"""More looks than a worker that hangs survives."""

HAS_GIL = getattr(sys, "_is_gil_enabled", lambda: True)()
needs_gil = pytest.mark.skipif(not HAS_GIL, reason="C code holds nothing up without a GIL")


@pytest.fixture(scope="module", autouse=True)
def runtime() -> Iterator[Any]:
    """A runtime whose workers are watched, and a pool whose are not."""
    pools = [
        snakepit.Pool("plain", size=2, queue_timeout=None),
        snakepit.Pool(
            "threads", profile="thread", size=1, threads_per_worker=3, queue_timeout=None,
            initializer=int,
        ),
        snakepit.Pool("patient", size=1, heartbeat=snakepit.Heartbeat(3600, 3600)),
    ]  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # threads that take turns
        context = snakepit.init(num_cpus=1, pools=pools, heartbeat=BEAT)
    with context:
        yield context


def watch(number: int) -> Any:
    """What the scheduler knows of one worker."""
    found = core().scheduler.placement.staff.heartbeats._watch(number)
    return None if found is None else found[1]


def number_of(pid: int) -> int:
    return next(n for n, each in core().connections.items() if each.pid == pid)


def answers(number: int, count: int = LOOKS) -> bool:
    """Tell whether a worker answers a few pings more."""
    last: int = watch(number).heard
    return wait_until(lambda: watch(number).heard >= last + count)


def stand_still() -> None:
    """Stop this process, whichever thread of it the signal comes to first."""
    os.kill(os.getpid(), signal.SIGSTOP)
    time.sleep(3600.0)


@snakepit.remote(pool="plain", max_retries=0)
def hold_the_gil() -> None:
    print("my last words", file=sys.stderr)
    re.match("(a+)+b", "a" * 60)


@snakepit.remote(max_retries=0)
def sleep_with_the_gil(gate: Gate) -> None:
    gate.open()
    ctypes.PyDLL(None).sleep(1000)


@snakepit.remote(max_retries=0)
def stop() -> None:
    stand_still()


@snakepit.remote(max_retries=0)
def wait_for(gate: Gate) -> int:
    gate.wait()
    return os.getpid()


@needs_gil
def test_a_worker_that_holds_the_gil_is_ended_with_its_stack_shown() -> None:
    with pytest.raises(errors.WorkerCrashedError) as caught:
        snakepit.get(hold_the_gil.remote(), timeout=PATIENCE)
    error = caught.value
    assert error.kind == "hang" and error.running.endswith("hold_the_gil")
    assert "did not answer for" in str(error) and "C code held the GIL" in str(error)
    lines = error.stderr.splitlines()
    assert lines[0] == "my last words"
    assert re.search(r"has not answered for .* while it ran \S*hold_the_gil \(for ", lines[1])
    assert any(re.search(r"test_heartbeats.py.*in hold_the_gil", line) for line in lines)
    assert snakepit.pool("plain").stats()["crashes"]["hang"] >= 1


@needs_gil
def test_in_a_thread_pool_all_that_ran_there_pay(gate: Gate, tmp_path: Path) -> None:
    other = Gate(str(tmp_path / "never"))
    waits = wait_for.options(pool="threads").remote(other)
    hangs = sleep_with_the_gil.options(pool="threads").remote(gate)
    for ref in (hangs, waits):
        with pytest.raises(errors.WorkerCrashedError) as caught:
            snakepit.get(ref, timeout=PATIENCE)
        assert caught.value.kind == "hang"
    assert "sleep_with_the_gil (for" in caught.value.stderr
    assert "in sleep_with_the_gil" in caught.value.stderr


def test_a_worker_that_is_stopped_is_ended(gate: Gate) -> None:
    for pool in ("plain", "threads"):
        with pytest.raises(errors.WorkerCrashedError) as caught:
            snakepit.get(stop.options(pool=pool).remote(), timeout=PATIENCE)
        assert (caught.value.kind, caught.value.signal) == ("hang", "SIGKILL")
        assert "it is stopped, and cannot write where" in caught.value.stderr


def test_a_call_that_hung_is_tried_again_as_after_any_death(gate: Gate) -> None:
    @snakepit.remote(pool="plain", max_retries=1)
    def once() -> int:
        if not gate.is_open:
            gate.open()
            stand_still()
        return 1

    assert snakepit.get(once.remote(), timeout=PATIENCE) == 1


def test_an_actors_worker_is_watched_too() -> None:
    @snakepit.remote(max_restarts=1, max_task_retries=0)
    class Stopped:
        def stop(self) -> None:
            stand_still()

        def ping(self) -> int:
            return 1

    actor = Stopped.remote()
    with pytest.raises(errors.ActorUnavailableError) as caught:
        snakepit.get(actor.stop.remote(), timeout=PATIENCE)
    assert caught.value.kind == "hang"
    assert snakepit.get(actor.ping.options(max_task_retries=-1).remote(), timeout=PATIENCE) == 1


def test_an_idle_worker_that_is_stopped_is_replaced() -> None:
    pool = snakepit.pool("plain")
    pool.await_ready(PATIENCE)
    before = pool.stats()
    number = before["ready"][0]
    os.kill(core().connections[number].pid, signal.SIGSTOP)
    assert wait_until(lambda: number not in core().connections)
    pool.await_ready(PATIENCE)
    assert pool.stats()["crashes"]["hang"] == before["crashes"].get("hang", 0) + 1


@snakepit.remote(max_retries=0)
def linger(how: str, begun: Gate, end: Gate) -> int:
    """Do something for long, in a way that lets the worker answer."""
    begun.open()
    if how == "python":
        while not end.is_open:
            sum(n * n for n in range(100_000))
    elif how == "c":
        with open(f"{end.path}.fifo"):  # blocks in C, without the GIL
            pass
    else:
        while not end.is_open:
            try:
                time.sleep(0.01)
            except KeyboardInterrupt:
                continue  # deaf to a cancel
    return os.getpid()


@pytest.mark.parametrize("pool", ["plain", "threads"])
@pytest.mark.parametrize("how", ["python", "c"])
def test_who_is_busy_answers(how: str, pool: str, gate: Gate, tmp_path: Path) -> None:
    end = Gate(str(tmp_path / "end"))
    os.mkfifo(f"{end.path}.fifo")
    ref = linger.options(pool=pool).remote(how, gate, end)
    gate.wait()
    workers = [n for n, each in core().scheduler.placement.workers.items() if each.inflight]
    assert len(workers) == 1 and answers(workers[0])
    end.open()
    if how == "c":
        with open(f"{end.path}.fifo", "w"):
            pass
    assert number_of(snakepit.get(ref, timeout=PATIENCE)) == workers[0]


def test_who_is_deaf_to_a_cancel_answers(gate: Gate, tmp_path: Path) -> None:
    end = Gate(str(tmp_path / "end"))
    ref = linger.options(pool="plain").remote("deaf", gate, end)
    gate.wait()
    (number,) = [n for n, each in core().scheduler.placement.workers.items() if each.inflight]
    snakepit.cancel(ref)
    assert answers(number)
    end.open()
    assert number_of(snakepit.get(ref, timeout=PATIENCE)) == number


PTRACE_ATTACH, PTRACE_DETACH = 16, 17


def trace(request: int, pid: int) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    libc.ptrace.restype = ctypes.c_long
    return int(libc.ptrace(request, pid, None, None))


def test_who_is_stopped_by_a_debugger_is_left_alone() -> None:
    pool = snakepit.pool("plain")
    pool.await_ready(PATIENCE)
    number = pool.stats()["ready"][0]
    threads = [int(name) for name in os.listdir(f"/proc/{core().connections[number].pid}/task")]
    held = []
    try:
        for thread in threads:
            if trace(PTRACE_ATTACH, thread) < 0:
                pytest.skip("no process may be traced here")
            held.append(thread)
            os.waitpid(thread, 0x40000000)  # __WALL: until it stands still
        readings = set()

        def looked() -> bool:
            found = watch(number)
            readings.add(found.reading and found.reading.ended)
            assert found.own == 0.0 and found.hung is None
            return len(readings) > LOOKS

        assert wait_until(looked)
    finally:
        for thread in held:
            trace(PTRACE_DETACH, thread)
    assert answers(number, 1)


def test_a_pool_may_be_watched_in_its_own_way(gate: Gate) -> None:
    snakepit.pool("patient").await_ready(PATIENCE)
    group = core().scheduler.placement.staff.heartbeats._groups
    assert group["patient"].beat == (3600.0, 3600.0, 3) and group["plain"].beat == BEAT


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"interval": 0.001}, "interval must be a number of seconds from 0.01 to 86400, not 0.001"),
        ({"interval": -1}, "interval must be a number of seconds"),
        ({"timeout": 1.0}, r"timeout must be a number of seconds from 2, the interval, to 86400"),
        ({"misses": 0}, "misses must be an integer from 1 to 1000, not 0"),
    ],
)
def test_settings_are_checked_when_made(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(errors.OptionError, match=said):
        snakepit.Heartbeat(**settings)


def test_types_are_checked_when_made() -> None:
    with pytest.raises(TypeError, match="interval must be a number of seconds"):
        snakepit.Heartbeat("2")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"heartbeat must be a snakepit\.Heartbeat, or None, not"):
        snakepit.Pool("p", heartbeat=5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"heartbeat must be a snakepit\.Heartbeat, or None, not"):
        snakepit.init(heartbeat=(2, 10, 3), ignore_reinit_error=True)  # type: ignore[arg-type]
