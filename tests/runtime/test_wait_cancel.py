"""wait, and cancel at every stage of a call."""

from __future__ import annotations

import ctypes
import os
import threading
import time
from typing import Any

import pytest

import snakepit
from snakepit.errors import TaskCancelledError, WorkerCrashedError
from tests.runtime.helpers import PATIENCE, Gate, Tally, core, wait_until

pytestmark = pytest.mark.usefixtures("runtime")


@snakepit.remote
def hold(gate: Gate, value: Any = None) -> Any:
    gate.wait()
    return value


@snakepit.remote
def same(value: Any) -> Any:
    return value


@snakepit.remote
def sleep(started: Gate) -> None:
    started.open()
    time.sleep(600)


@snakepit.remote
def spin(started: Gate) -> None:
    started.open()
    while True:
        pass


@snakepit.remote(num_cpus=2)
def keeps_the_gil(started: Gate | None) -> None:
    if started is not None:
        started.open()
        ctypes.PyDLL(None).sleep(600)


def is_cancelled(ref: Any) -> bool:
    with pytest.raises(TaskCancelledError):
        snakepit.get(ref, timeout=PATIENCE)
    return True


# --- wait ------------------------------------------------------------------------------------


def test_wait_keeps_the_order_of_its_input(gate: Gate) -> None:
    done = [same.remote(number) for number in range(4)]
    held = hold.remote(gate)
    snakepit.get(done)
    refs = [done[3], held, done[1], done[0], done[2]]
    assert snakepit.wait(refs) == ([done[3]], [held, done[1], done[0], done[2]])
    assert snakepit.wait(refs, num_returns=3) == (
        [done[3], done[1], done[0]], [held, done[2]],
    )  # fmt: skip
    assert snakepit.wait(refs, num_returns=5, timeout=0.02) == (
        [done[3], done[1], done[0], done[2]], [held],
    )  # fmt: skip
    gate.open()
    ready, rest = snakepit.wait(refs, num_returns=5, timeout=PATIENCE)
    assert (ready, rest) == (refs, [])


def test_wait_returns_when_the_first_is_there(gate: Gate) -> None:
    held = [hold.remote(gate)]
    ready, rest = snakepit.wait([*held, same.remote(1)], timeout=PATIENCE)
    assert snakepit.get(ready) == [1] and rest == held
    assert snakepit.wait(held, timeout=0) == ([], held)
    gate.open()


def test_failed_calls_count_as_done() -> None:
    @snakepit.remote
    def fail() -> None:
        raise ValueError

    ref = fail.remote()
    assert snakepit.wait([ref], timeout=PATIENCE) == ([ref], [])
    with pytest.raises(ValueError):
        snakepit.get(ref)


def test_wrong_uses_of_wait() -> None:
    ref = snakepit.put(1)
    assert snakepit.wait([]) == ([], [])
    for wrong, kind in [(ref, TypeError), ((ref,), TypeError), ([1], TypeError)]:
        with pytest.raises(kind):
            snakepit.wait(wrong)  # type: ignore[arg-type]
    for refs, count in [([ref, ref], 1), ([ref], 0), ([ref], 2)]:
        with pytest.raises(ValueError):
            snakepit.wait(refs, num_returns=count)
    with pytest.raises(ValueError):
        snakepit.wait([ref], timeout=-1)


def test_wait_inside_a_task(gate: Gate) -> None:
    @snakepit.remote
    def inside(nested: list[Any]) -> tuple[int, int]:
        ready, rest = snakepit.wait(nested, num_returns=1)
        more, _none = snakepit.wait(rest, timeout=0)
        gate.open()
        return len(ready) + len(more), snakepit.get(rest[0])

    held = hold.remote(gate, 5)
    assert snakepit.get(inside.remote([held, same.remote(1)]), timeout=PATIENCE) == (1, 5)


# --- cancel ----------------------------------------------------------------------------------


@pytest.mark.parametrize("function", [sleep, spin], ids=["sleeping", "looping"])
def test_cancel_what_runs(function: Any, gate: Gate) -> None:
    ref = function.remote(gate)
    gate.wait()
    snakepit.cancel(ref)
    assert is_cancelled(ref)
    assert snakepit.get(same.remote(1), timeout=PATIENCE) == 1


def test_cancel_what_waits_for_its_turn(gate: Gate, tally: Tally) -> None:
    @snakepit.remote
    def count() -> int:
        return tally.add()

    held = [hold.remote(gate) for _ in range(2)]
    queued = [count.remote() for _ in range(10)]
    for ref in queued[::2]:
        snakepit.cancel(ref)
    for ref in queued[::2]:
        assert is_cancelled(ref)
    gate.open()
    snakepit.get(held + queued[1::2], timeout=PATIENCE)
    assert tally.count == 5


def test_cancel_what_waits_for_arguments(gate: Gate, tally: Tally) -> None:
    @snakepit.remote
    def count(value: Any) -> int:
        return tally.add()

    held = hold.remote(gate)
    waiting = count.remote(held)
    after = same.remote(waiting)
    snakepit.cancel(waiting)
    assert is_cancelled(waiting) and is_cancelled(after)
    gate.open()
    snakepit.get(held)
    assert tally.count == 0


@pytest.mark.parametrize("several", [False, True])
def test_a_cancel_by_another_thread_ends_a_wait(gate: Gate, several: bool) -> None:
    """The waiting thread pumps, and blocks in epoll, where nothing arrives."""
    blockers = [hold.remote(gate) for _ in range(2)]
    queued = hold.remote(gate)

    def waits_in_epoll() -> bool:
        return core().pump.blocking and not core().pump._background_has_role

    def cancel() -> None:
        assert wait_until(waits_in_epoll)
        snakepit.cancel(queued)

    thread = threading.Thread(target=cancel)
    thread.start()
    try:
        with pytest.raises(TaskCancelledError):
            snakepit.get([*blockers, queued] if several else queued, timeout=PATIENCE)
    finally:
        thread.join()
        gate.open()
    snakepit.get(blockers)


@snakepit.remote
def get_within(seconds: float) -> int:
    ref = same.remote(1)
    assert snakepit.wait([ref], timeout=seconds) == ([ref], [])
    return snakepit.get(same.remote(2), timeout=seconds)


@pytest.mark.parametrize("seconds", [30 * 86_400, 1e10, 1e300, 2**70])
def test_a_timeout_of_years(gate: Gate, seconds: float) -> None:
    """Longer than the system can wait."""
    late = hold.remote(gate)
    thread = threading.Timer(0.05, gate.open)
    thread.start()
    snakepit.get(late, timeout=seconds)
    thread.join()
    assert snakepit.get(get_within.remote(seconds), timeout=PATIENCE) == 2


def test_cancel_what_has_ended_or_never_was_a_call() -> None:
    ref = same.remote(1)
    snakepit.get(ref)
    snakepit.cancel(ref)
    snakepit.cancel(ref, force=True)
    assert snakepit.get(ref) == 1
    stored = snakepit.put(2)
    snakepit.cancel(stored)
    assert snakepit.get(stored) == 2
    with pytest.raises(TypeError):
        snakepit.cancel(2)  # type: ignore[arg-type]


def test_a_cancelled_call_may_clean_up_and_cannot_hide(gate: Gate, tally: Tally) -> None:
    @snakepit.remote
    def clean() -> None:
        try:
            gate.open()
            time.sleep(600)
        except KeyboardInterrupt:
            tally.add()
            raise
        finally:
            tally.add()

    ref = clean.remote()
    gate.wait()
    snakepit.cancel(ref)
    assert is_cancelled(ref)
    assert tally.count == 2


def test_force_ends_the_process(gate: Gate, tally: Tally) -> None:
    @snakepit.remote(max_retries=5)
    def stubborn() -> None:
        tally.add()
        gate.open()
        while True:
            try:
                time.sleep(600)
            except BaseException:
                continue

    ref = stubborn.remote()
    gate.wait()
    snakepit.cancel(ref, force=True)
    with pytest.raises((WorkerCrashedError, TaskCancelledError)):
        snakepit.get(ref, timeout=PATIENCE)
    assert snakepit.get(same.remote(1), timeout=PATIENCE) == 1
    assert tally.count == 1


def test_a_cancelled_call_is_not_retried(gate: Gate, tally: Tally) -> None:
    @snakepit.remote(max_retries=5, retry_exceptions=True)
    def again() -> None:
        tally.add()
        gate.open()
        time.sleep(600)

    ref = again.remote()
    gate.wait()
    snakepit.cancel(ref)
    assert is_cancelled(ref)
    assert tally.count == 1


def test_cancel_reaches_the_calls_of_a_call(gate: Gate) -> None:
    @snakepit.remote
    def parent() -> None:
        snakepit.get(sleep.remote(gate))

    ref = parent.remote()
    gate.wait()
    snakepit.cancel(ref)
    assert is_cancelled(ref)
    # All CPUs are free for others, which a sleeper's would not be.
    assert snakepit.get(same.options(num_cpus=2).remote(1), timeout=PATIENCE) == 1


def test_cancel_from_within_a_task(gate: Gate) -> None:
    @snakepit.remote
    def ender(nested: list[Any]) -> None:
        snakepit.cancel(nested[0])

    ref = sleep.remote(gate)
    gate.wait()
    snakepit.get(ender.remote([ref]), timeout=PATIENCE)
    assert is_cancelled(ref)


def test_cancel_many_at_random_moments() -> None:
    @snakepit.remote
    def short(number: int) -> int:
        end = time.monotonic() + 0.0005
        while time.monotonic() < end:
            pass
        return number

    outcomes = {"value": 0, "cancelled": 0}
    for start in range(0, 200, 20):
        refs = [short.remote(number) for number in range(start, start + 20)]
        for ref in refs[::3]:
            snakepit.cancel(ref)
        for number, ref in enumerate(refs, start):
            try:
                assert snakepit.get(ref, timeout=PATIENCE) == number
                outcomes["value"] += 1
            except TaskCancelledError:
                outcomes["cancelled"] += 1
                assert (number - start) % 3 == 0
    assert sum(outcomes.values()) == 200
    assert outcomes["value"] >= 130


@snakepit.remote
class Worker:
    def sleep(self, started: Gate) -> None:
        started.open()
        time.sleep(600)

    def pid(self) -> int:
        return os.getpid()


def test_cancel_a_queued_call_of_an_actor(gate: Gate) -> None:
    @snakepit.remote
    class Holder:
        def hold(self) -> None:
            gate.wait()

        def count(self) -> int:
            self.calls = getattr(self, "calls", 0) + 1
            return self.calls

    holder = Holder.remote()
    held = holder.hold.remote()
    first, second, third = (holder.count.remote() for _ in range(3))
    snakepit.cancel(second)
    gate.open()
    snakepit.get(held)
    assert snakepit.get([first, third], timeout=PATIENCE) == [1, 2]
    assert is_cancelled(second)


def test_a_busy_worker_gives_up_at_once_what_it_has_not_begun(gate: Gate) -> None:
    @snakepit.remote
    class Slow:
        def wait(self, gate: Gate) -> int:
            gate.wait()
            return 1

    slow = Slow.remote()
    first, second, third = (slow.wait.remote(gate) for _ in range(3))
    workers = core().scheduler.placement.workers
    assert wait_until(lambda: any(second._id in each.inflight for each in workers.values()))
    snakepit.cancel(second)
    assert is_cancelled(second)
    gate.open()
    assert snakepit.get([first, third], timeout=PATIENCE) == [1, 1]


def test_force_on_an_actor_call_is_refused(gate: Gate) -> None:
    worker = Worker.remote()
    ref = worker.sleep.remote(gate)
    gate.wait()
    with pytest.raises(ValueError, match="kill"):
        snakepit.cancel(ref, force=True)
    snakepit.cancel(ref)
    snakepit.wait([ref], timeout=0.1)
    snakepit.kill(worker)
    snakepit.wait([ref], timeout=PATIENCE)


class SlowToTell(Exception):
    """One that is being packed while a cancel comes."""

    def __init__(self, told: Gate, struck: Gate) -> None:
        super().__init__(told, struck)
        self.told, self.struck = told, struck

    def __str__(self) -> str:
        self.told.open()
        self.struck.wait()
        end = time.monotonic() + 0.2  # Many repetitions of the signal.
        while time.monotonic() < end:
            pass
        return "told"


def test_a_cancel_while_an_error_is_packed_ends_no_worker(gate: Gate, tmp_path: Any) -> None:
    told = Gate(str(tmp_path / "told"))

    @snakepit.remote(max_retries=0)
    def fails(told: Gate, struck: Gate) -> None:
        raise SlowToTell(told, struck)

    ref = fails.remote(told, gate)
    told.wait()
    snakepit.cancel(ref)
    gate.open()
    with pytest.raises((SlowToTell, TaskCancelledError)):
        snakepit.get(ref, timeout=PATIENCE)


def test_a_call_behind_one_that_keeps_the_gil_is_cancelled(gate: Gate) -> None:
    for _ in range(3):
        snakepit.get(keeps_the_gil.remote(None), timeout=PATIENCE)
    stuck = keeps_the_gil.remote(gate)
    behind = [keeps_the_gil.remote(None) for _ in range(3)]  # sent ahead of time: they are short
    assert wait_until(lambda: gate.is_open)
    snakepit.cancel(behind[1])
    assert is_cancelled(behind[1])
    snakepit.cancel(stuck, force=True)
    with pytest.raises(WorkerCrashedError):
        snakepit.get(stuck, timeout=PATIENCE)
    assert snakepit.get([behind[0], behind[2]], timeout=PATIENCE) == [None, None]
