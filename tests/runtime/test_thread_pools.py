"""Pools whose workers run several calls at once, in threads of one process."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import ctypes
import os
import sys
import sysconfig
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import snakepit
from snakepit import errors
from snakepit.machine import has_gil
from snakepit.policy import timeouts
from snakepit.util import threads
from tests.runtime.helpers import PATIENCE, Gate, Tally, entries, let_time_run_out, wait_until

THREADS = 4


@contextlib.contextmanager
def expected_warning() -> Iterator[None]:
    """What is said of threads where they take turns, and nothing where they do not."""
    if has_gil():
        with pytest.warns(RuntimeWarning, match="concurrent and not parallel") as caught:
            yield
        assert len(caught) == 1 and sys.executable in str(caught[0].message)
        assert caught[0].filename == __file__
    else:
        yield


@pytest.fixture(scope="module")
def runtime() -> Iterator[Any]:
    """A runtime with a pool of one process and four threads, and one of two processes with two."""
    pools = [
        snakepit.Pool(
            "threads", profile="thread", threads_per_worker=THREADS, max_queue_size=None,
            queue_timeout=None, initializer=count_start,
        ),
        snakepit.Pool("pair", profile="thread", size=2, threads_per_worker=2),
    ]  # fmt: skip
    with expected_warning():
        context = snakepit.init(num_cpus=2, pools=pools)
    with context:
        for name in ("threads", "pair"):
            snakepit.pool(name).await_ready(PATIENCE)
        yield context


pytestmark = pytest.mark.usefixtures("runtime")


def count_start() -> None:
    state = vars(sys)
    state["_started"] = state.get("_started", 0) + 1


def in_process(name: str, make: Any) -> Any:
    """Return what all calls of one process share under a name."""
    return vars(sys).setdefault(name, make())


@snakepit.remote(pool="threads")
def meet(name: str, parties: int) -> tuple[int, str, int]:
    in_process(name, lambda: threading.Barrier(parties)).wait(PATIENCE)
    return os.getpid(), threading.current_thread().name, vars(sys)["_started"]


@snakepit.remote(pool="threads")
def counts(name: str, parties: int) -> tuple[str, int, int]:
    """Meet the others; return which thread this is, its own count and that of all."""
    in_process(name, lambda: threading.Barrier(parties)).wait(PATIENCE)
    own = threads.local("counts")
    own.calls = getattr(own, "calls", 0) + 1
    with threads.lock("counts"):
        calls = threads.shared("counts", list)
        calls.append(name)
        return threading.current_thread().name, own.calls, len(calls)


@snakepit.remote(pool="threads")
def hold(gate: Gate, tally: Tally) -> int:
    tally.add()
    gate.wait()
    return os.getpid()


@snakepit.remote(pool="threads")
def echo(value: Any) -> Any:
    return value


@snakepit.remote(pool="threads")
def fib(n: int) -> int:
    if n < 2:
        return n
    return sum(snakepit.get([fib.remote(n - 1), fib.remote(n - 2)]))


def get(ref: Any) -> Any:
    return snakepit.get(ref, timeout=PATIENCE)


# --- side by side -------------------------------------------------------------------------------


def test_as_many_run_at_once_as_there_are_threads() -> None:
    found = get([meet.remote("all", THREADS) for _ in range(THREADS)])
    assert len({pid for pid, _, _ in found}) == 1
    assert len({thread for _, thread, _ in found}) == THREADS
    assert {started for _, _, started in found} == {1}, "the initializer ran once"


def test_locals_are_each_threads_own_and_what_is_shared_is_the_process_s() -> None:
    first = get([counts.remote("counts one", THREADS) for _ in range(THREADS)])
    second = get([counts.remote("counts two", THREADS) for _ in range(THREADS)])
    before = {thread for thread, _, _ in first}
    assert len(before) == THREADS
    assert {own for _, own, _ in first} == {1}
    assert all(own == (2 if thread in before else 1) for thread, own, _ in second)
    assert sorted(count for *_, count in first + second) == list(range(1, 2 * THREADS + 1))


def test_no_more_run_at_once(gate: Gate, tally: Tally) -> None:
    calls = [hold.remote(gate, tally) for _ in range(THREADS + 2)]
    assert wait_until(lambda: tally.count == THREADS)
    stats = snakepit.pool("threads").stats()
    assert (stats["running"], stats["queued"]) == (THREADS, 2)
    assert stats["threads_per_worker"] == THREADS
    assert stats["workers"]["busy"] == 1
    gate.open()
    assert len(set(get(calls))) == 1


def test_calls_spread_over_processes(gate: Gate, tally: Tally) -> None:
    calls = [hold.options(pool="pair").remote(gate, tally) for _ in range(4)]
    assert wait_until(lambda: tally.count == 4)
    gate.open()
    pids = get(calls)
    assert sorted(map(pids.count, set(pids))) == [2, 2]


def test_many_calls_and_their_values() -> None:
    assert get([echo.remote(n) for n in range(2000)]) == list(range(2000))


def test_calls_that_were_brief_may_wait_for_one_another() -> None:
    for n in range(50):
        get(meet.remote(f"alone {n}", 1))  # By then one thread reads, and runs what it reads.
    for n in range(3):
        get([meet.remote(f"together {n}", THREADS) for _ in range(THREADS)])
        get([meet.remote(f"again {n} {m}", 1) for m in range(50)])


def test_exceptions_are_those_of_their_call() -> None:
    @snakepit.remote(pool="threads")
    def fail(n: int) -> int:
        raise ValueError(n)

    calls = [fail.remote(n) for n in range(20)]
    for n, call in enumerate(calls):
        with pytest.raises(errors.TaskError, match=f"ValueError: {n}"):
            get(call)


def test_each_call_knows_which_it_is() -> None:
    @snakepit.remote(pool="threads")
    def mine() -> str:
        in_process("mine", lambda: threading.Barrier(3)).wait(PATIENCE)
        return snakepit.get_runtime_context().get_task_id() or ""

    assert len(set(get([mine.remote() for _ in range(3)]))) == 3


def test_thread_locals_stay_with_their_thread() -> None:
    @snakepit.remote(pool="threads")
    def count(name: str) -> tuple[str, int]:
        in_process(name, lambda: threading.Barrier(THREADS)).wait(PATIENCE)
        local = in_process("local", threading.local)
        local.count = getattr(local, "count", 0) + 1
        return threading.current_thread().name, local.count

    first = dict(get([count.remote("one") for _ in range(THREADS)]))
    second = dict(get([count.remote("two") for _ in range(THREADS)]))
    assert set(first.values()) == {1} and set(second.values()) == {2}
    assert first.keys() == second.keys()


def test_generators_yield_side_by_side() -> None:
    @snakepit.remote(pool="threads")
    def steps(name: str, n: int) -> Iterator[int]:
        barrier = in_process(name, lambda: threading.Barrier(2))
        for step in range(n):
            barrier.wait(PATIENCE)
            yield step

    one, two = steps.remote("steps", 3), steps.remote("steps", 3)
    assert [get(ref) for ref in one] == [0, 1, 2]
    assert [get(ref) for ref in two] == [0, 1, 2]


# --- calls that wait ----------------------------------------------------------------------------


def test_more_calls_wait_for_others_than_there_are_threads() -> None:
    assert get(fib.remote(8)) == 21


def test_a_call_that_waits_leaves_its_worker_to_others(gate: Gate, tally: Tally) -> None:
    @snakepit.remote(pool="threads")
    def parent(gate: Gate, tally: Tally) -> int:
        return int(snakepit.get(hold.options(pool="pair").remote(gate, tally)))

    waiting = parent.remote(gate, tally)
    assert wait_until(lambda: tally.count == 1)
    assert get([echo.remote(n) for n in range(50)]) == list(range(50))
    gate.open()
    assert get(waiting)


# --- what is shared -----------------------------------------------------------------------------


class Noted:
    """Something large that tells how often it is unpickled in a process."""

    def __init__(self) -> None:
        self.data = [*range(50_000)]

    def __setstate__(self, state: Any) -> None:
        vars(self).update(state)
        vars(sys)["_unpickled"] = vars(sys).get("_unpickled", 0) + 1


def test_large_objects_are_shared_by_calls_that_run_at_the_same_time() -> None:
    @snakepit.remote(pool="threads")
    def use(by_argument: Any, nested: list[Any]) -> tuple[int, int]:
        fetched = snakepit.get(nested[0])
        in_process("use", lambda: threading.Barrier(THREADS)).wait(PATIENCE)
        assert fetched is by_argument and len(fetched.data) == 50_000
        return id(fetched), vars(sys)["_unpickled"]

    ref = snakepit.put(Noted())
    found = get([use.remote(ref, [ref]) for _ in range(THREADS)])
    assert len(set(found)) == 1 and found[0][1] == 1


def test_nothing_is_kept_for_calls_that_may_come() -> None:
    ref = snakepit.put(b"x" * 1_000_000)
    assert get(echo.remote(ref)) == b"x" * 1_000_000


# --- cancels ------------------------------------------------------------------------------------


def test_a_cancel_is_told_and_does_not_strike(gate: Gate, tally: Tally) -> None:
    @snakepit.remote(pool="threads")
    def polite(tally: Tally) -> str:
        tally.add()
        wait_until(lambda: snakepit.get_runtime_context().is_canceled())
        return "well"

    beside = hold.remote(gate, tally)
    call = polite.remote(tally)
    assert wait_until(lambda: tally.count == 2)
    snakepit.cancel(call)
    with pytest.raises(errors.TaskCancelledError):
        get(call)
    gate.open()
    assert get(beside), "another call was not touched"


def test_a_cancel_ends_a_wait(gate: Gate, tally: Tally) -> None:
    @snakepit.remote(pool="threads")
    def parent(gate: Gate, tally: Tally) -> Any:
        return snakepit.get(hold.options(pool="pair").remote(gate, tally))

    call = parent.remote(gate, tally)
    assert wait_until(lambda: tally.count == 1)
    snakepit.cancel(call, recursive=False)
    with pytest.raises(errors.TaskCancelledError):
        get(call)
    gate.open()


def test_a_cancelled_call_that_has_not_begun_never_does(gate: Gate, tally: Tally) -> None:
    calls = [hold.remote(gate, tally) for _ in range(THREADS + 1)]
    assert wait_until(lambda: tally.count == THREADS)
    snakepit.cancel(calls[-1])
    with pytest.raises(errors.TaskCancelledError):
        get(calls[-1])
    gate.open()
    get(calls[:-1])
    assert tally.count == THREADS


def test_force_ends_the_process_and_others_are_tried_again(gate: Gate, tally: Tally) -> None:
    other = hold.options(pool="pair").remote(gate, tally)
    beside = hold.options(pool="pair").remote(gate, tally)
    forced = [hold.options(pool="pair").remote(gate, tally) for _ in range(2)]
    assert wait_until(lambda: tally.count == 4)
    snakepit.cancel(forced[0], force=True)
    with pytest.raises(errors.WorkerCrashedError, match="hold, hold") as caught:
        get(forced[0])
    assert "was ended while it ran" in str(caught.value)
    assert "hold had been cancelled, which with force=True ends" in str(caught.value)
    assert "os._exit" not in str(caught.value)
    gate.open()
    assert get([other, beside, forced[1]])


# --- deaths -------------------------------------------------------------------------------------


def test_a_death_takes_all_that_ran_and_says_so() -> None:
    @snakepit.remote(pool="threads", max_retries=0)
    def stay(dies: bool) -> None:
        in_process("death", lambda: threading.Barrier(THREADS)).wait(PATIENCE)
        if dies:
            os._exit(7)
        threading.Event().wait()

    for call in [stay.remote(n == 2) for n in range(THREADS)]:
        with pytest.raises(errors.WorkerCrashedError, match="stay, stay, stay, stay"):
            get(call)
    snakepit.pool("threads").await_ready(PATIENCE)


def test_calls_that_had_not_begun_cost_nothing(gate: Gate, tally: Tally, tmp_path: Path) -> None:
    @snakepit.remote(pool="threads", max_retries=0)
    def quick(n: int) -> None:
        (tmp_path / f"begun {n}").touch()

    @snakepit.remote(pool="threads", max_retries=0)
    def die(gate: Gate) -> None:
        gate.wait()
        os._exit(3)

    get([quick.remote(-n) for n in range(1, 21)])  # From now on they are sent ahead of time.
    holding = [hold.options(max_retries=0).remote(gate, tally) for _ in range(THREADS - 1)]
    assert wait_until(lambda: tally.count == THREADS - 1)
    dying = die.remote(gate)
    queued = [quick.remote(n) for n in range(30)]
    gate.open()
    with pytest.raises(errors.WorkerCrashedError):
        get(dying)
    for call in holding:
        with contextlib.suppress(errors.WorkerCrashedError):
            get(call)
    charged = []
    for n, call in enumerate(queued):
        try:
            get(call)
        except errors.WorkerCrashedError:
            # It ran beside the one that died; or before, and its answer was on its way.
            charged.append((tmp_path / f"begun {n}").exists())
    # A thread has begun a call some steps before the function.
    assert charged.count(False) <= THREADS


# --- parallel, and refused ------------------------------------------------------------------------


@pytest.mark.skipif(not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="it has a GIL")
def test_without_a_gil_there_is_none_in_workers_either() -> None:
    @snakepit.remote(pool="threads")
    def gil() -> bool:
        return bool(sys._is_gil_enabled())  # type: ignore[attr-defined]

    assert get(gil.remote()) is False


def test_what_is_not_thread_safe_is_refused() -> None:
    def unsafe() -> None:
        """Does nothing."""

    unsafe.thread_safe = False  # type: ignore[attr-defined]
    task = snakepit.remote(unsafe)
    for pool in ("threads", "pair"):
        with pytest.raises(errors.NotSupportedError, match=f"unsafe.* pool '{pool}'"):
            task.options(pool=pool).remote()
    assert get(task.remote()) is None

    @snakepit.remote(pool="threads")
    def inside() -> str:
        try:
            task.options(pool="pair").remote()
        except errors.NotSupportedError as error:
            return str(error)
        return ""

    assert "thread_safe = False" in get(inside.remote())


@snakepit.remote(pool="threads")
def pid() -> int:
    return os.getpid()


@snakepit.remote(pool="threads", timeout=2 * PATIENCE, max_retries=0)
def freeze(tally: Tally) -> None:
    sleep = ctypes.PyDLL(None).sleep
    tally.add()
    sleep(600)


def test_a_call_that_takes_too_long_is_left_alone(
    gate: Gate, tally: Tally, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timeouts, "GRACE", 0.1)
    process = snakepit.get(pid.remote(), timeout=PATIENCE)
    other = hold.remote(gate, tally)
    late = hold.options(timeout=2 * PATIENCE).remote(gate, tally)
    let_time_run_out(lambda: tally.count == 2)
    with pytest.raises(errors.TaskTimeoutError, match="may still run"):
        snakepit.get(late, timeout=PATIENCE)
    stats = snakepit.pool("threads").stats()
    assert (stats["running"], stats["waiting"]) == (1, 0)
    gate.open()
    assert snakepit.get([other, pid.remote()], timeout=PATIENCE) == [process, process]


def test_a_value_that_comes_in_the_grace_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeouts, "GRACE", 2 * PATIENCE)

    @snakepit.remote(pool="threads", timeout=0.1)
    def until_it_is_over() -> str:
        over = snakepit.get_runtime_context().is_canceled
        while not over():
            pass
        return "tidied up"

    assert snakepit.get(until_it_is_over.remote(), timeout=PATIENCE) == "tidied up"


@pytest.mark.skipif(not has_gil(), reason="nobody can hold a GIL")
def test_one_that_holds_the_gil_too_long_does_not_keep_the_others(
    gate: Gate, tally: Tally, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, seconds in (("GRACE", 0.1), ("FORCE_GRACE", 0.1), ("DEAF", 0.3)):
        monkeypatch.setattr(timeouts, name, seconds)
    process = snakepit.get(pid.remote(), timeout=PATIENCE)
    other = hold.remote(gate, tally)
    assert wait_until(lambda: tally.count == 1)
    frozen = freeze.remote(tally)
    let_time_run_out(lambda: tally.count == 2)
    with pytest.raises(errors.TaskTimeoutError):
        snakepit.get(frozen, timeout=PATIENCE)
    assert wait_until(lambda: tally.count == 3)
    gate.open()
    assert snakepit.get(other, timeout=PATIENCE) != process
    assert "killed" not in snakepit.pool("threads").stats()["crashes"]


@snakepit.remote(num_cpus=2)
def both() -> int:
    """Needs all CPUs."""
    return 2


@snakepit.remote(pool="threads", num_cpus=2)
def waits_in_several_threads() -> list[int]:
    refs = [both.options(num_cpus=1).remote(), both.remote()]

    async def wait() -> list[int]:
        return await asyncio.gather(*(asyncio.to_thread(snakepit.get, ref) for ref in refs))

    return asyncio.run(wait())


def test_a_call_that_waits_in_several_threads_gives_its_cpus_until_the_last_has_what_it_needs() -> (
    None
):
    for _ in range(5):
        assert snakepit.get(waits_in_several_threads.remote(), timeout=PATIENCE) == [2, 2]
    assert wait_until(lambda: snakepit.available_resources()["CPU"] == 2.0)


@snakepit.remote(pool="threads")
def leave_a_thread(nested: list[Any], gate: Gate, tally: Tally) -> None:
    """Leave a thread behind that has the call's context, and uses a value when that has ended."""

    def work() -> None:
        ref = nested.pop()
        gate.wait()
        assert len(snakepit.get(ref)) == 1_000_000
        del ref
        tally.add()

    threading.Thread(target=contextvars.copy_context().run, args=(work,)).start()


def test_nothing_is_kept_for_a_thread_that_has_outlived_its_call(gate: Gate, tally: Tally) -> None:
    ref = snakepit.put(np.zeros(1_000_000))
    snakepit.get(leave_a_thread.remote([ref], gate, tally), timeout=PATIENCE)
    identifier = ref._id
    gate.open()
    assert wait_until(lambda: tally.count == 1)
    del ref
    # Without the GIL a thread's objects go when it runs again.
    get([meet.remote("outlived", THREADS) for _ in range(THREADS)])
    assert wait_until(lambda: identifier not in entries())


def test_a_call_has_no_limit_of_memory_of_its_own() -> None:
    limited = hold.options(memory_limit=1 << 30)
    with pytest.raises(errors.NotSupportedError, match="memory_limit of hold: pool 'threads'"):
        limited.remote(None, None)


def test_its_workers_are_recycled(gate: Gate, tally: Tally) -> None:
    pair = snakepit.pool("pair")
    before = set(pair.stats()["ready"])
    calls = [hold.options(pool="pair").remote(gate, tally) for _ in range(4)]
    assert wait_until(lambda: tally.count == 4)
    pair.recycle()
    assert wait_until(lambda: not before & set(pair.stats()["ready"]))
    gate.open()
    assert len(set(snakepit.get(calls, timeout=PATIENCE))) == 2
    assert wait_until(lambda: sum(pair.stats()["workers"].values()) == 2)


@snakepit.remote
def count_up() -> int:
    """Read, let others run, and write: what one call at a time does right."""
    session = snakepit.get_runtime_context().session
    assert session is not None
    count = session.get("count", 0) + 1
    os.sched_yield()
    session["count"] = count
    return count


def test_a_strict_session_has_one_call_at_a_time() -> None:
    with snakepit.Session("counts", pool="threads", affinity="strict_queue") as session:
        calls = [session.remote(count_up.options(pool="threads")) for _ in range(200)]
        assert snakepit.get(calls, timeout=PATIENCE) == [*range(1, 201)]
