"""`snakepit.Executor` is a concurrent.futures executor, whose errors stay with one call."""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import itertools
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

import snakepit
from snakepit.backends.executor import BrokenWorkerError, InitializerError
from snakepit.backends.flow import Waiting
from tests.runtime.helpers import Gate, Tally

pytestmark = pytest.mark.shares_runtime


@pytest.fixture
def executor() -> Iterator[snakepit.Executor]:
    with snakepit.Executor() as made:
        yield made


def square(number: int) -> int:
    return number * number


def wait_for(gate: Gate) -> str:
    gate.wait()
    return "open"


def begin(tally: Tally, gate: Gate) -> None:
    tally.add()
    gate.wait()


def test_it_is_one_and_returns_futures(executor: snakepit.Executor) -> None:
    assert isinstance(executor, concurrent.futures.Executor)
    future = executor.submit(square, 3)
    assert isinstance(future, concurrent.futures.Future)
    assert (future.result(), future.exception(), future.done()) == (9, None, True)
    assert executor.submit(lambda *a, **k: (a, k), 1, x=2).result() == ((1,), {"x": 2})
    assert executor.submit(os.getpid).result() != os.getpid()


@pytest.mark.parametrize("kind", ["partial", "bound method", "closure", "builtin"])
def test_whatever_can_be_called_is_called_as_it_is_at_the_call(
    executor: snakepit.Executor, kind: str
) -> None:
    held = [1]
    calls: dict[str, Any] = {
        "partial": functools.partial(sum, held),
        "bound method": held.copy,
        "closure": lambda: sum(held),
        "builtin": functools.partial(len, held),
    }
    assert executor.submit(calls[kind]).result() in (1, [1])
    held[0] = 1 if kind == "builtin" else 5
    calls["bound method"] = held.copy
    assert executor.submit(calls[kind]).result() in (1 if kind == "builtin" else 5, [5])


def test_references_among_the_arguments_are_resolved(executor: snakepit.Executor) -> None:
    table = snakepit.put(np.arange(100_000))
    assert executor.submit(np.sum, table).result() == 4999950000
    assert list(executor.map(square, [snakepit.put(2), 3])) == [4, 9]


def test_errors_have_the_type_of_the_users(executor: snakepit.Executor) -> None:
    error = executor.submit(int, "seven").exception()
    assert isinstance(error, ValueError)
    assert isinstance(error, snakepit.errors.TaskError)
    with pytest.raises(ValueError, match="seven"):
        executor.submit(int, "seven").result()
    unsendable = executor.submit(square, threading.Lock())  # type: ignore[arg-type]
    assert isinstance(unsendable.exception(), snakepit.errors.SerializationError)
    assert isinstance(executor.submit(square).exception(), TypeError)  # type: ignore[call-arg]


def test_a_dead_worker_is_the_error_of_its_call_alone(executor: snakepit.Executor) -> None:
    dead, alive = executor.submit(os._exit, 3), executor.submit(square, 2)
    error = dead.exception()
    assert isinstance(error, BrokenWorkerError)
    assert isinstance(error, concurrent.futures.BrokenExecutor)
    assert isinstance(error, snakepit.errors.WorkerCrashedError)
    assert error.exit_code == 3
    assert alive.result() == 4
    assert executor.submit(square, 3).result() == 9


def test_a_dead_workers_call_is_tried_again_when_asked(tally: Tally) -> None:
    def die_once() -> int:
        if tally.add() == 1:
            os._exit(1)
        return tally.count

    with snakepit.Executor(max_retries=1) as executor:
        assert executor.submit(die_once).result() == 2
    with snakepit.Executor() as executor:
        executor.submit(os._exit, 1).exception()


def test_queued_calls_can_be_cancelled_and_running_ones_say_so(gate: Gate, tally: Tally) -> None:
    with snakepit.Executor(max_workers=1) as executor:
        first = executor.submit(wait_for, gate)
        queued = [executor.submit(tally.add) for _ in range(3)]
        assert first.running()
        assert not first.cancel()
        assert queued[0].cancel()
        assert queued[0].cancelled()
        gate.open()
        assert first.result() == "open"
        assert [future.result() for future in queued[1:]] == [1, 2]
        with pytest.raises(concurrent.futures.CancelledError):
            queued[0].result()


def test_no_more_run_at_one_time_than_max_workers(gate: Gate, tally: Tally) -> None:
    with snakepit.Executor(max_workers=1) as executor:
        futures = [executor.submit(begin, tally, gate) for _ in range(2)]
        assert executor.submit(square, 2).running() is False
        assert snakepit.get(snakepit.remote(square).remote(2)) == 4  # the other CPU is free
        assert tally.count <= 1
        gate.open()
        concurrent.futures.wait(futures)


def test_calls_are_sent_ahead_or_not(gate: Gate) -> None:
    for ahead in (True, False):
        with snakepit.Executor(max_workers=2, ahead=ahead) as executor:
            futures = [executor.submit(wait_for, gate) for _ in range(4)]
            assert [future.running() for future in futures] == [True, True, ahead, False]
            gate.open()
        os.remove(gate.path)


def test_more_workers_than_cpus_share_them(gate: Gate, tally: Tally) -> None:
    def all_begin() -> bool:
        tally.add()
        gate.wait()
        return True

    with snakepit.Executor(max_workers=5) as executor:
        assert executor.max_workers == 5
        futures = [executor.submit(all_begin) for _ in range(5)]
        while tally.count < 5:
            concurrent.futures.wait(futures, timeout=0.01)
        gate.open()
        assert all(future.result() for future in futures)


def test_map_keeps_the_order_and_stops_with_the_shortest(executor: snakepit.Executor) -> None:
    assert list(executor.map(square, range(20))) == [n * n for n in range(20)]
    assert list(executor.map(pow, [2, 3, 4], itertools.repeat(2))) == [4, 9, 16]
    assert list(executor.map(square, [])) == []
    for size in (1, 3, 100):
        assert list(executor.map(square, range(10), chunksize=size)) == [n * n for n in range(10)]


@pytest.mark.parametrize("chunksize", [1, 2])
def test_map_with_a_buffer_reads_no_further_than_it_must(
    executor: snakepit.Executor, chunksize: int
) -> None:
    read: list[int] = []

    def numbers() -> Iterator[int]:
        for number in itertools.count():
            read.append(number)
            yield number

    results = executor.map(square, numbers(), buffersize=3, chunksize=chunksize)
    assert len(read) == 3 * chunksize
    assert [next(results) for _ in range(4 * chunksize)] == [n * n for n in range(4 * chunksize)]
    assert len(read) == 7 * chunksize


def test_map_cancels_what_nobody_takes(gate: Gate, tally: Tally) -> None:
    def work(number: int) -> int:
        if not number:
            raise ZeroDivisionError
        gate.wait()
        return tally.add()

    with snakepit.Executor(max_workers=1) as executor:
        results = executor.map(work, [0, 1, 2, 3])
        with pytest.raises(ZeroDivisionError):
            next(results)  # item 1 is on its way then, 2 and 3 are queued
        gate.open()
    assert tally.count == 1


def test_map_in_time_or_not(executor: snakepit.Executor, gate: Gate) -> None:
    with pytest.raises(TimeoutError):
        next(executor.map(wait_for, [gate], timeout=0.01))
    gate.open()
    assert list(executor.map(wait_for, [gate], timeout=60)) == ["open"]


@pytest.mark.parametrize("bad", [{"chunksize": 0}, {"buffersize": 0}, {"buffersize": -1}])
def test_map_refuses_sizes_below_one(executor: snakepit.Executor, bad: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))):
        executor.map(square, [1], **bad)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=next(iter(bad))):
        executor.map(square, [1], **dict.fromkeys(bad, "2"))  # type: ignore[arg-type]


def test_as_completed_wait_and_callbacks(executor: snakepit.Executor) -> None:
    futures = [executor.submit(square, n) for n in range(5)]
    assert {f.result() for f in concurrent.futures.as_completed(futures)} == {0, 1, 4, 9, 16}
    done, rest = concurrent.futures.wait(futures)
    assert (done, rest) == (set(futures), set())
    called = threading.Event()
    executor.submit(square, 2).add_done_callback(lambda future: called.set())
    assert called.wait(30)


def test_a_callback_may_submit(executor: snakepit.Executor) -> None:
    again: concurrent.futures.Future[int] = concurrent.futures.Future()

    def next_one(future: concurrent.futures.Future[int]) -> None:
        executor.submit(square, future.result()).add_done_callback(
            lambda second: again.set_result(second.result())
        )

    executor.submit(square, 3).add_done_callback(next_one)
    assert again.result(30) == 81


def test_asyncio(executor: snakepit.Executor) -> None:
    async def main() -> tuple[int, int]:
        loop = asyncio.get_running_loop()
        by_loop = loop.run_in_executor(executor, square, 3)
        wrapped = asyncio.wrap_future(executor.submit(square, 4))
        return await by_loop, await wrapped

    assert asyncio.run(main()) == (9, 16)


def test_after_shutdown(gate: Gate) -> None:
    executor = snakepit.Executor(max_workers=1)
    running, queued = executor.submit(wait_for, gate), executor.submit(square, 2)
    executor.shutdown(wait=False, cancel_futures=True)
    assert queued.cancelled()
    with pytest.raises(RuntimeError, match="shut down"):
        executor.submit(square, 1)
    gate.open()
    executor.shutdown()
    assert running.done()
    assert running.result() == "open"


def test_shutdown_waits_for_what_was_submitted(tally: Tally) -> None:
    with snakepit.Executor() as executor:
        for _ in range(50):
            executor.submit(tally.add)
    assert tally.count == 50


def test_after_shutdown_every_future_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also that of a call which has ended, while another thread is about to say so."""
    set_result = Waiting.set_result

    def slowly(future: Waiting[int], result: int) -> None:
        time.sleep(0.2)  # The thread that shuts down finds no call under way meanwhile.
        set_result(future, result)

    monkeypatch.setattr(Waiting, "set_result", slowly)
    with snakepit.Executor(2) as executor:
        futures = [executor.submit(square, n) for n in range(4)]
    assert [future.done() for future in futures] == [True] * 4


def test_a_callback_may_shut_down(gate: Gate) -> None:
    executor = snakepit.Executor(2)
    future = executor.submit(gate.wait)
    ended = threading.Event()
    future.add_done_callback(lambda _: (executor.shutdown(wait=True), ended.set()))
    gate.open()
    assert ended.wait(30)


def test_cancel_all_interrupts_what_runs(gate: Gate, tally: Tally) -> None:
    with snakepit.Executor(max_workers=2) as executor:
        futures = [executor.submit(begin, tally, gate) for _ in range(6)]
        while not tally.count:
            concurrent.futures.wait(futures, timeout=0.01)
        executor.cancel_all()
        for future in futures:
            with pytest.raises(
                (concurrent.futures.CancelledError, snakepit.errors.TaskCancelledError)
            ):
                future.result()
        assert executor.submit(square, 5).result() == 25


def test_the_initializer_runs_once_in_each_worker(tally: Tally) -> None:
    def prepare(name: str, value: str) -> None:
        os.environ[name] = value
        tally.add()

    with snakepit.Executor(initializer=prepare, initargs=("SNAKEPIT_TEST_X", "1")) as executor:
        seen = executor.map(lambda _: (os.environ["SNAKEPIT_TEST_X"], os.getpid()), range(20))
        values, pids = zip(*seen)
    assert set(values) == {"1"}
    assert tally.count == len(set(pids))


def test_an_initializer_that_fails_is_the_error_of_the_call() -> None:
    with snakepit.Executor(initializer=int, initargs=("no number",)) as executor:
        for _ in range(2):
            error = executor.submit(square, 1).exception()
            assert isinstance(error, InitializerError)
            assert isinstance(error, concurrent.futures.BrokenExecutor)
            assert "no number" in str(error)


def test_executors_in_tasks_of_executors_do_not_wait_for_ever(
    executor: snakepit.Executor,
) -> None:
    def nested(depth: int) -> int:
        with snakepit.Executor(max_workers=2) as inner:
            if not depth:
                return sum(inner.map(square, range(4)))
            return sum(inner.map(nested, [depth - 1] * 3))

    assert list(executor.map(nested, [1] * 4)) == [42] * 4


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"max_workers": 0}, ValueError),
        ({"max_workers": "2"}, TypeError),
        ({"initializer": 3}, TypeError),
        ({"ahead": 1}, TypeError),
        ({"max_retries": "2"}, TypeError),
        ({"max_retries": -2}, ValueError),
    ],
)
def test_options_that_are_not_allowed(options: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error, match=next(iter(options))):
        snakepit.Executor(**options)


def test_calls_of_a_script_that_ends_without_shutdown_run(tally: Tally) -> None:
    code = f"""
import snakepit
def note(n):
    with open({tally.path!r}, "ab", buffering=0) as file:
        file.write(b"x")
executor = snakepit.Executor(max_workers=1)
for n in range(20):
    executor.submit(note, n)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (run.returncode, run.stderr, tally.count) == (0, "", 20)


def test_a_future_that_nobody_waits_for_survives_the_end_of_the_runtime() -> None:
    code = """
import snakepit, time
executor = snakepit.Executor(max_workers=1)
future = executor.submit(time.sleep, 600)
snakepit.shutdown()
print(type(future.exception(30)).__name__)
executor.shutdown()
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (run.stderr, run.stdout) == ("", "RuntimeClosedError\n")


def test_as_dasks_local_scheduler() -> None:
    """In a process of its own: with it comes what changes how errors are pickled."""
    if find_spec("dask") is None:
        pytest.skip("Dask is no dependency of the tests")
    code = """
import os
import dask
import snakepit
pids = dask.delayed(lambda n: (n * n, os.getpid()))
with snakepit.Executor(2) as executor, dask.config.set(pool=executor, scheduler="threads"):
    found = dask.compute(*[pids(n) for n in range(10)])
snakepit.shutdown()
assert [value for value, _ in found] == [n * n for n in range(10)]
assert os.getpid() not in {pid for _, pid in found}
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (run.returncode, run.stdout) == (0, ""), run.stderr
