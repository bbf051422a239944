"""cancel: before, while and after a call runs."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from tests.conformance.marks import crashes_ray, not_in_threads, not_inline
from tests.runtime.helpers import wait_until


@pytest.fixture
def queued(ray: Any, gate: Any, tally: Any) -> Any:
    """A call that waits for a CPU, and a function that takes its value."""

    @ray.remote(num_cpus=4)
    def hold() -> None:
        tally.add()
        gate.wait()

    @ray.remote(num_cpus=0)
    def after(x: Any) -> None: ...

    first = hold.remote()
    assert wait_until(lambda: tally.count == 1)
    yield hold.remote(), after
    gate.open()
    ray.get(first)


@pytest.fixture
def sleeps(ray: Any, gate: Any, tally: Any) -> Any:
    """An actor whose coroutine sleeps, and opens the gate when it is cancelled."""

    @ray.remote(num_cpus=0)
    class Sleeps:
        async def sleep(self) -> None:
            tally.add()
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                gate.open()
                raise

        async def alive(self) -> str:
            return "alive"

    return Sleeps.remote()


def test_a_task_that_waits_for_resources_never_starts(ray: Any, gate: Any, tally: Any) -> None:
    @ray.remote(num_cpus=4)
    def hold() -> str:
        tally.add()
        gate.wait()
        return "held"

    first = hold.remote()
    assert wait_until(lambda: tally.count == 1)
    second = hold.remote()
    ray.cancel(second)
    with pytest.raises(ray.exceptions.TaskCancelledError):
        ray.get(second)
    gate.open()
    assert ray.get(first) == "held"
    assert tally.count == 1


@crashes_ray("the driver of Ray 2.60 aborts in TaskManager::OnTaskDependenciesInlined")
def test_a_task_that_waits_for_arguments_never_starts(ray: Any, gate: Any, tally: Any) -> None:
    @ray.remote
    def slow() -> None:
        gate.wait()

    @ray.remote
    def after(x: Any) -> None:
        tally.add()

    first = slow.remote()
    ref = after.remote(first)
    ray.cancel(ref)
    with pytest.raises(ray.exceptions.TaskCancelledError):
        ray.get(ref)
    gate.open()
    ray.get(first)
    assert tally.count == 0


@not_in_threads("no signal reaches a thread: it has to ask whether it is cancelled")
@not_inline("a call is over when `.remote()` returns, and nothing runs beside it")
def test_a_task_that_runs_is_interrupted(ray: Any, tally: Any) -> None:
    @ray.remote
    def sleeps() -> None:
        tally.add()
        for _ in range(6000):
            time.sleep(0.01)

    ref = sleeps.remote()
    assert wait_until(lambda: tally.count == 1)
    ray.cancel(ref)
    with pytest.raises(ray.exceptions.TaskCancelledError):
        ray.get(ref)


@not_in_threads("no signal reaches a thread: it has to ask whether it is cancelled")
def test_a_task_that_runs_gets_a_keyboard_interrupt(ray: Any, gate: Any, tally: Any) -> None:
    @ray.remote
    def sleeps() -> None:
        tally.add()
        try:
            for _ in range(6000):
                time.sleep(0.01)
        except KeyboardInterrupt:
            gate.open()
            raise

    ref = sleeps.remote()
    assert wait_until(lambda: tally.count == 1)
    ray.cancel(ref)
    with pytest.raises(ray.exceptions.TaskCancelledError):
        ray.get(ref)
    assert wait_until(lambda: gate.is_open)


@not_inline("a call is over when `.remote()` returns, and nothing runs beside it")
def test_force_ends_the_process(ray: Any, tally: Any) -> None:
    @ray.remote
    def sleeps() -> None:
        tally.add()
        time.sleep(60)

    ref = sleeps.remote()
    assert wait_until(lambda: tally.count == 1)
    ray.cancel(ref, force=True)
    with pytest.raises((ray.exceptions.WorkerCrashedError, ray.exceptions.TaskCancelledError)):
        ray.get(ref)
    assert tally.count == 1


@not_in_threads("no signal reaches a thread: it has to ask whether it is cancelled")
@not_inline("a call is over when `.remote()` returns, and nothing runs beside it")
def test_a_cancelled_task_is_not_tried_again(ray: Any, tally: Any) -> None:
    @ray.remote(max_retries=-1, retry_exceptions=True)
    def sleeps() -> None:
        tally.add()
        for _ in range(6000):
            time.sleep(0.01)

    ref = sleeps.remote()
    assert wait_until(lambda: tally.count == 1)
    ray.cancel(ref)
    with pytest.raises(ray.exceptions.TaskCancelledError):
        ray.get(ref)
    assert tally.count == 1


def test_a_finished_task_keeps_its_value(ray: Any) -> None:
    @ray.remote
    def quick() -> int:
        return 1

    ref = quick.remote()
    assert ray.get(ref) == 1
    ray.cancel(ref)
    ray.cancel(ref, force=True)
    assert ray.get(ref) == 1


def test_cancel_twice(ray: Any, queued: Any) -> None:
    ref, _ = queued
    ray.cancel(ref)
    ray.cancel(ref)
    with pytest.raises(ray.exceptions.TaskCancelledError):
        ray.get(ref)


def test_what_uses_a_cancelled_value_fails_too(ray: Any, gate: Any, queued: Any) -> None:
    ref, after = queued
    last = after.remote(ref)
    ray.cancel(ref)
    gate.open()
    with pytest.raises(ray.exceptions.RayError):
        ray.get(last)


def test_a_cancelled_call_is_ready_for_wait(ray: Any, queued: Any) -> None:
    ref, _ = queued
    ray.cancel(ref)
    assert ray.wait([ref]) == ([ref], [])


def test_a_queued_call_of_an_actor_is_dropped(ray: Any, gate: Any, tally: Any) -> None:
    @ray.remote
    class Slow:
        def hold(self) -> None:
            gate.wait()

        def count(self) -> None:
            tally.add()

    slow = Slow.remote()
    first, second = slow.hold.remote(), slow.count.remote()
    ray.cancel(second)
    gate.open()
    with pytest.raises(ray.exceptions.TaskCancelledError):
        ray.get(second)
    ray.get(first)
    assert tally.count == 0


def test_a_coroutine_gets_a_cancelled_error(ray: Any, gate: Any, tally: Any, sleeps: Any) -> None:
    ref = sleeps.sleep.remote()
    assert wait_until(lambda: tally.count == 1)
    ray.cancel(ref)
    with pytest.raises(ray.exceptions.RayError):
        ray.get(ref)
    assert wait_until(lambda: gate.is_open)
    assert ray.get(sleeps.alive.remote()) == "alive"


def test_force_on_a_call_of_an_actor_is_a_value_error(ray: Any, gate: Any) -> None:
    @ray.remote
    class Slow:
        def hold(self) -> None:
            gate.wait()

    slow = Slow.remote()
    ref = slow.hold.remote()
    with pytest.raises(ValueError):
        ray.cancel(ref, force=True)
    gate.open()
    ray.get(ref)


@pytest.mark.parametrize("value", [1, None, "x"])
def test_cancel_takes_references_only(ray: Any, value: Any) -> None:
    with pytest.raises(TypeError):
        ray.cancel(value)


def test_cancel_takes_no_list(ray: Any) -> None:
    with pytest.raises(TypeError):
        ray.cancel([ray.put(1)])


def test_cancel_of_what_was_put_does_nothing(ray: Any) -> None:
    ref = ray.put(1)
    ray.cancel(ref)
    assert ray.get(ref) == 1


@not_in_threads("no signal reaches a thread: it has to ask whether it is cancelled")
def test_recursive_cancels_what_the_call_called(ray: Any, tally: Any, gate: Any) -> None:
    @ray.remote
    def child() -> None:
        tally.add()
        try:
            for _ in range(6000):
                time.sleep(0.01)
        except KeyboardInterrupt:
            gate.open()
            raise

    @ray.remote
    def parent() -> None:
        ray.get(child.remote())

    ref = parent.remote()
    assert wait_until(lambda: tally.count == 1)
    ray.cancel(ref, recursive=True)
    with pytest.raises(ray.exceptions.TaskCancelledError):
        ray.get(ref)
    assert wait_until(lambda: gate.is_open)


@not_in_threads("no signal reaches a thread: it has to ask whether it is cancelled")
def test_recursive_reaches_the_calls_of_calls(ray: Any, tally: Any, gate: Any) -> None:
    @ray.remote(num_cpus=0)
    def grandchild() -> None:
        tally.add()
        try:
            for _ in range(6000):
                time.sleep(0.01)
        except KeyboardInterrupt:
            gate.open()
            raise

    @ray.remote(num_cpus=0)
    def child() -> None:
        ray.get(grandchild.remote())

    @ray.remote(num_cpus=0)
    def parent() -> None:
        ray.get(child.remote())

    ref = parent.remote()
    assert wait_until(lambda: tally.count == 1)
    ray.cancel(ref)
    with pytest.raises(ray.exceptions.TaskCancelledError):
        ray.get(ref)
    assert wait_until(lambda: gate.is_open)


def test_what_was_called_goes_on_if_recursive_is_false(ray: Any, tally: Any, gate: Any) -> None:
    @ray.remote(num_cpus=0)
    def child() -> None:
        tally.add()
        gate.wait()
        tally.add()

    @ray.remote(num_cpus=0)
    def parent() -> None:
        ray.get(child.remote())

    ref = parent.remote()
    assert wait_until(lambda: tally.count == 1)
    ray.cancel(ref, recursive=False)
    with pytest.raises(ray.exceptions.TaskCancelledError):
        ray.get(ref)
    gate.open()
    assert wait_until(lambda: tally.count == 2)


@not_in_threads("no signal reaches a thread: it has to ask whether it is cancelled")
def test_recursive_from_a_coroutine_of_an_actor(ray: Any, tally: Any, gate: Any) -> None:
    @ray.remote(num_cpus=0)
    def child() -> None:
        tally.add()
        try:
            for _ in range(6000):
                time.sleep(0.01)
        except KeyboardInterrupt:
            gate.open()
            raise

    @ray.remote
    class Calls:
        async def call(self) -> None:
            await child.remote()

        async def alive(self) -> str:
            return "alive"

    calls = Calls.remote()
    ref = calls.call.remote()
    assert wait_until(lambda: tally.count == 1)
    ray.cancel(ref)
    with pytest.raises(ray.exceptions.RayError):
        ray.get(ref)
    assert wait_until(lambda: gate.is_open)
    assert ray.get(calls.alive.remote()) == "alive"


@not_inline("a call is over when `.remote()` returns, and nothing runs beside it")
def test_recursive_reaches_a_call_of_an_actor(ray: Any, tally: Any, gate: Any, sleeps: Any) -> None:
    @ray.remote(num_cpus=0)
    def parent(sleeps: Any) -> None:
        ray.get(sleeps.sleep.remote())

    ref = parent.remote(sleeps)
    assert wait_until(lambda: tally.count == 1)
    ray.cancel(ref, recursive=True)
    with pytest.raises(ray.exceptions.TaskCancelledError):
        ray.get(ref)
    assert wait_until(lambda: gate.is_open)
    assert ray.get(sleeps.alive.remote()) == "alive"
