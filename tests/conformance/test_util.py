"""`ray.util`: pools of actors, queues, results as they come."""

from __future__ import annotations

import asyncio
import importlib
import queue
from typing import Any

import pytest

from tests.conformance.marks import not_inline


def util(ray: Any, name: str = "util") -> Any:
    """Import a module of the backend."""
    return importlib.import_module(f"{ray.__name__}.{name}")


@pytest.fixture
def pool(ray: Any) -> Any:
    """Two actors."""

    @ray.remote
    class Doubles:
        def double(self, x: int) -> int:
            return 2 * x

        def fails(self, x: int) -> int:
            raise KeyError(x)

        def slow(self, gate: Any) -> str:
            gate.wait()
            return "late"

    return util(ray).ActorPool([Doubles.remote(), Doubles.remote()])


def double(actor: Any, value: Any) -> Any:
    """What a pool calls."""
    return actor.double.remote(value)


def test_map_gives_results_in_order(pool: Any) -> None:
    assert list(pool.map(double, range(6))) == [0, 2, 4, 6, 8, 10]


def test_map_unordered_gives_all_results(pool: Any) -> None:
    assert sorted(pool.map_unordered(double, range(6))) == [0, 2, 4, 6, 8, 10]


def test_submit_and_get_next(pool: Any) -> None:
    for i in range(3):
        pool.submit(double, i)
    assert [pool.get_next() for _ in range(3)] == [0, 2, 4]


def test_submit_and_get_next_unordered(pool: Any) -> None:
    for i in range(3):
        pool.submit(double, i)
    assert sorted(pool.get_next_unordered() for _ in range(3)) == [0, 2, 4]


def test_has_next(pool: Any) -> None:
    assert not pool.has_next()
    pool.submit(double, 1)
    assert pool.has_next()
    pool.get_next()
    assert not pool.has_next()


def test_get_next_of_nothing_is_a_stop_iteration(pool: Any) -> None:
    with pytest.raises(StopIteration):
        pool.get_next()
    with pytest.raises(StopIteration):
        pool.get_next_unordered()


def test_get_next_in_time(pool: Any, gate: Any) -> None:
    pool.submit(lambda actor, gate: actor.slow.remote(gate), gate)
    with pytest.raises(TimeoutError):
        pool.get_next(timeout=0.05)
    gate.open()
    assert pool.get_next() == "late"


def test_an_error_of_a_pools_call(pool: Any) -> None:
    pool.submit(lambda actor, value: actor.fails.remote(value), 1)
    with pytest.raises(KeyError):
        pool.get_next()
    pool.submit(double, 2)
    assert pool.get_next() == 4


def test_has_free_and_pop_idle(pool: Any) -> None:
    assert pool.has_free()
    assert pool.pop_idle() is not None
    assert pool.pop_idle() is not None
    assert pool.pop_idle() is None
    assert not pool.has_free()


def test_push_adds_an_actor(pool: Any) -> None:
    actor = pool.pop_idle()
    pool.push(actor)
    assert pool.has_free()
    with pytest.raises(ValueError):
        pool.push(actor)


def test_more_work_than_actors(pool: Any) -> None:
    for i in range(10):
        pool.submit(double, i)
    assert not pool.has_free()
    assert [pool.get_next() for _ in range(10)] == [2 * i for i in range(10)]


# --- Queue ------------------------------------------------------------------------------------


@pytest.fixture
def made(ray: Any) -> Any:
    """A queue of at most two items."""
    queue = util(ray, "util.queue").Queue(maxsize=2)
    yield queue
    queue.shutdown(force=True)


def test_items_come_first_in_first_out(made: Any) -> None:
    made.put(1)
    made.put(2)
    assert [made.get(), made.get()] == [1, 2]


def test_the_size_of_a_queue(made: Any) -> None:
    assert (made.empty(), made.full(), made.qsize(), made.size(), len(made)) == (
        True,
        False,
        0,
        0,
        0,
    )
    made.put(1)
    made.put(2)
    assert (made.empty(), made.full(), made.qsize(), made.size(), len(made)) == (
        False,
        True,
        2,
        2,
        2,
    )


def test_a_full_queue(ray: Any, made: Any) -> None:
    full = util(ray, "util.queue").Full
    made.put_nowait(1)
    made.put_nowait(2)
    with pytest.raises(full):
        made.put_nowait(3)
    with pytest.raises(full):
        made.put(3, timeout=0.05)
    assert issubclass(full, queue.Full)


def test_an_empty_queue(ray: Any, made: Any) -> None:
    empty = util(ray, "util.queue").Empty
    with pytest.raises(empty):
        made.get_nowait()
    with pytest.raises(empty):
        made.get(timeout=0.05)
    with pytest.raises(empty):
        made.get(block=False)
    assert issubclass(empty, queue.Empty)


def test_a_negative_timeout_of_a_queue(made: Any) -> None:
    with pytest.raises(ValueError):
        made.get(timeout=-1)
    with pytest.raises(ValueError):
        made.put(1, timeout=-1)


def test_batches(ray: Any, made: Any) -> None:
    made.put_nowait_batch([1, 2])
    with pytest.raises(util(ray, "util.queue").Full):
        made.put_nowait_batch([3])
    assert made.get_nowait_batch(2) == [1, 2]
    with pytest.raises(util(ray, "util.queue").Empty):
        made.get_nowait_batch(1)


@not_inline("a call is over when `.remote()` returns, and nothing runs beside it")
def test_a_queue_between_tasks(ray: Any, made: Any) -> None:
    @ray.remote
    def produce(queue: Any, n: int) -> None:
        for i in range(n):
            queue.put(i)

    @ray.remote
    def consume(queue: Any, n: int) -> list[int]:
        return [queue.get() for _ in range(n)]

    producing, consuming = produce.remote(made, 6), consume.remote(made, 6)
    assert ray.get(consuming) == [0, 1, 2, 3, 4, 5]
    ray.get(producing)


def test_a_queue_in_coroutines(made: Any) -> None:
    async def main() -> list[int]:
        await made.put_async(1)
        await made.put_async(2)
        return [await made.get_async(), await made.get_async()]

    assert asyncio.run(main()) == [1, 2]


# --- as_completed, map_unordered --------------------------------------------------------------


def test_as_completed_gives_results(ray: Any) -> None:
    @ray.remote
    def double(x: int) -> int:
        return 2 * x

    refs = [double.remote(i) for i in range(15)]
    assert sorted(util(ray).as_completed(refs, chunk_size=4)) == [2 * i for i in range(15)]


def test_as_completed_raises_what_failed(ray: Any) -> None:
    @ray.remote
    def fails() -> None:
        raise KeyError("one")

    with pytest.raises(KeyError):
        list(util(ray).as_completed([fails.remote()]))


def test_map_unordered_of_a_function(ray: Any) -> None:
    @ray.remote
    def double(x: int) -> int:
        return 2 * x

    results = util(ray).map_unordered(double, range(10), backpressure_size=3)
    assert sorted(results) == [2 * i for i in range(10)]


def test_map_unordered_of_nothing(ray: Any) -> None:
    @ray.remote
    def double(x: int) -> int:
        return 2 * x

    assert list(util(ray).map_unordered(double, [])) == []


def test_what_is_logged_once(ray: Any) -> None:
    log_once = importlib.import_module(f"{ray.__name__}.util").log_once
    assert [log_once(key) for key in ("once a", "once a", "once b")] == [True, False, True]


@not_inline("there is one process")
def test_each_process_logs_once(ray: Any) -> None:
    log_once = importlib.import_module(f"{ray.__name__}.util").log_once

    @ray.remote
    class Logs:
        def log(self) -> bool:
            found: bool = importlib.import_module(f"{ray.__name__}.util").log_once("in each")
            return found

    actors = [Logs.remote(), Logs.remote()]
    assert log_once("in each") is True
    assert ray.get([each.log.remote() for each in actors * 2]) == [True, True, False, False]
