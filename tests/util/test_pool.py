"""multiprocessing.Pool: the standard library's surface, and what happens when processes die."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import pickle
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import snakepit
from snakepit.errors import ActorError, SerializationError
from snakepit.util.multiprocessing import Pool, PoolTerminatedError, TimeoutError
from tests.runtime.helpers import Gate, Tally, wait_until

pytestmark = pytest.mark.usefixtures("runtime")


@pytest.fixture
def pool() -> Iterator[Pool]:
    """A pool of two processes."""
    with Pool(2) as made:
        yield made


def double(number: int) -> int:
    return 2 * number


def fails(number: int) -> int:
    if number == 3:
        raise ValueError(f"not {number}")
    return number


def dies(number: int) -> int:
    if number == 3:
        os._exit(7)
    return number


def add(left: int, right: int, *, more: int = 0) -> int:
    return left + right + more


def wait(gate: Gate) -> str:
    gate.wait()
    return "opened"


def pid(_: Any = None) -> int:
    return os.getpid()


# --- one call ---------------------------------------------------------------------------------


def test_apply(pool: Pool) -> None:
    assert pool.apply(add, (1, 2)) == 3
    assert pool.apply(add, [1], {"right": 2, "more": 3}) == 6
    assert pool.apply(lambda: None) is None
    assert pool.apply(pid) != os.getpid()


def test_apply_async(pool: Pool, gate: Gate) -> None:
    result = pool.apply_async(wait, (gate,))
    assert not result.ready()
    with pytest.raises(ValueError, match=r"pending.*not ready"):
        result.successful()
    result.wait(0)
    with pytest.raises(TimeoutError, match=r"within 0\.01 s"):
        result.get(timeout=0.01)
    with pytest.raises(multiprocessing.TimeoutError):
        result.get(0)
    gate.open()
    assert result.get(timeout=60) == "opened"
    assert result.ready()
    assert result.successful()


def test_the_users_exception_is_raised_itself(pool: Pool) -> None:
    result = pool.apply_async(fails, (3,))
    with pytest.raises(ValueError, match=r"^not 3$") as raised:
        result.get()
    assert type(raised.value) is ValueError
    assert "in fails" in str(raised.value.__cause__)
    assert not result.successful()
    assert pool.apply(fails, (4,)) == 4


def test_callbacks_come_before_the_result(pool: Pool) -> None:
    seen: list[Any] = []
    pool.apply_async(add, (1, 2), callback=seen.append).wait()
    assert seen == [3]
    pool.map_async(double, range(3), callback=seen.append).wait()
    assert seen == [3, [0, 2, 4]]
    pool.apply_async(fails, (3,), callback=seen.append, error_callback=seen.append).wait()
    assert [str(each) for each in seen[2:]] == ["not 3"]
    pool.starmap_async(add, [(1,)], error_callback=seen.append).wait()
    assert type(seen[3]) is TypeError


def test_a_callback_may_use_the_pool(pool: Pool) -> None:
    seen: list[int] = []
    first = pool.apply_async(double, (1,), callback=lambda value: seen.append(pool.apply(pid)))
    assert first.get(timeout=60) == 2
    assert len(seen) == 1


def test_what_cannot_be_sent_is_named(pool: Pool) -> None:
    with pytest.raises(SerializationError, match="lock"):
        pool.apply(double, (threading.Lock(),))
    with pytest.raises(SerializationError, match="lock"):
        pool.map(double, [threading.Lock()])
    with pytest.raises(SerializationError, match="lock"):
        pool.map(lambda _: threading.Lock(), [1])
    assert pool.map(double, [1]) == [2]


# --- maps -------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunksize", [None, 1, 7, 1000])
def test_map_keeps_the_order(pool: Pool, chunksize: int | None) -> None:
    assert pool.map(double, range(300), chunksize) == list(range(0, 600, 2))
    assert pool.map(lambda item: item * 2, iter("ab"), chunksize) == ["aa", "bb"]
    assert pool.map(double, [], chunksize) == []


def test_starmap(pool: Pool) -> None:
    assert pool.starmap(add, [(1, 2), [3, 4]]) == [3, 7]
    assert pool.starmap_async(add, zip(range(9), range(9)), 2).get(60) == list(range(0, 18, 2))


def test_map_async(pool: Pool) -> None:
    results = [pool.map_async(double, range(size)) for size in range(20)]
    assert [len(result.get(60)) for result in results] == list(range(20))


def test_results_of_none_are_results(pool: Pool) -> None:
    assert pool.map(lambda _: None, range(3), 1) == [None] * 3


@pytest.mark.parametrize("size", [6, 400])  # few go one at a time, of many some go together
def test_an_error_in_map_comes_when_all_has_ended(pool: Pool, tally: Tally, size: int) -> None:
    def count(number: int) -> int:
        tally.add()
        return fails(number)

    with pytest.raises(ValueError, match=r"^not 3$"):
        pool.map(count, range(size), 1)
    assert tally.count == size


def test_more_functions_than_a_process_keeps(pool: Pool) -> None:
    results = [
        pool.map_async(lambda item, factor=factor: factor * item, range(50), 1)
        for factor in range(40)
    ]
    for factor, result in enumerate(results):
        assert result.get(60) == [factor * item for item in range(50)]


@pytest.mark.parametrize("chunksize", [1, 4])
def test_imap(pool: Pool, chunksize: int) -> None:
    assert list(pool.imap(double, range(50), chunksize)) == list(range(0, 100, 2))
    assert sorted(pool.imap_unordered(double, range(50), chunksize)) == list(range(0, 100, 2))
    assert list(pool.imap(double, [])) == []


def test_imap_of_an_iterable_without_end(pool: Pool) -> None:
    results = pool.imap(double, itertools.count())
    assert list(itertools.islice(results, 100)) == list(range(0, 200, 2))


def test_imap_unordered_yields_what_is_there(pool: Pool, gate: Gate, tmp_path: Any) -> None:
    opened = Gate(str(tmp_path / "opened"))
    opened.open()
    results = pool.imap_unordered(lambda each: (each.wait(), each)[1], [gate, opened])
    assert results.next(timeout=60) == opened
    with pytest.raises(TimeoutError):
        results.next(timeout=0)
    gate.open()
    assert next(results) == gate
    with pytest.raises(StopIteration):
        next(results)


def next_of(items: list[int]) -> int:
    return next(iter(items))


@pytest.mark.parametrize("star", [False, True])
def test_a_stop_iteration_is_an_error_and_not_the_end(pool: Pool, star: bool) -> None:
    """The standard library's returns what came before it."""
    chunks: Any = [[[1]], [[]], [[2]]] if star else [[1], [], [2]]
    apply: Any = pool.starmap if star else pool.map
    with pytest.raises(Exception, match="item 1 of its chunk") as caught:
        apply(next_of, chunks, chunksize=3)
    assert "StopIteration" in repr(caught.value) or isinstance(caught.value, StopIteration)
    assert apply(next_of, chunks[:1], chunksize=3) == [1]


def test_an_error_in_imap_comes_at_its_place(pool: Pool) -> None:
    results = pool.imap(fails, range(5))
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match=r"^not 3$"):
        next(results)
    assert list(results) == [4]


def test_an_error_of_the_iterable_comes_at_its_place(pool: Pool) -> None:
    def items() -> Iterator[int]:
        yield 1
        raise KeyError("the iterable's own")

    results = pool.imap(double, items())
    assert next(results) == 2
    with pytest.raises(KeyError, match="the iterable's own"):
        next(results)
    with pytest.raises(StopIteration):
        next(results)


# --- processes --------------------------------------------------------------------------------


def test_each_process_is_initialized() -> None:
    def begin(value: int) -> None:
        os.environ["POOL_TEST"] = str(value)

    with Pool(2, initializer=begin, initargs=(5,)) as made:
        assert made.map(lambda _: os.environ["POOL_TEST"], range(8), 1) == ["5"] * 8


def test_an_initializer_that_fails_is_an_error() -> None:
    def begin() -> None:
        raise LookupError("no such thing")

    with Pool(1, begin) as made:
        with pytest.raises(ActorError, match="no such thing"):
            made.map(double, range(3))
        with pytest.raises(ActorError, match="no such thing"):
            made.apply(double, (1,))


def test_no_process_takes_more_than_it_may() -> None:
    with Pool(2, maxtasksperchild=2) as made:
        pids = made.map(pid, range(12), 1)
    assert max(pids.count(each) for each in pids) <= 2
    assert len(set(pids)) >= 6


def test_a_process_that_dies_in_map_is_an_error_and_is_replaced(pool: Pool) -> None:
    with pytest.raises(ActorError) as raised:
        pool.map(dies, range(6), 1)
    assert raised.value.exit_code == 7
    assert pool.map(double, range(6), 1) == list(range(0, 12, 2))
    with pytest.raises(ActorError):
        pool.apply(os._exit, (7,))
    assert pool.apply(double, (1,)) == 2


def test_close_and_join_do_what_there_is(pool: Pool, tally: Tally) -> None:
    result = pool.map_async(lambda _: tally.add(), range(20), 1)
    lazy = pool.imap(lambda _: tally.add(), iter(range(20)))
    with pytest.raises(ValueError, match="close"):
        pool.join()
    pool.close()
    pool.join()
    assert result.ready()
    assert tally.count == 40
    assert len(list(lazy)) == 20
    for call in (pool.map, pool.imap, pool.map_async):
        with pytest.raises(ValueError, match="closed"):
            call(double, [1])
    with pytest.raises(ValueError, match="closed"):
        pool.apply(pid)
    with pytest.raises(ValueError, match="closed"), pool:
        pass


def test_terminate_fails_what_is_not_done(gate: Gate, tally: Tally) -> None:
    made = Pool(1)
    running = made.apply_async(lambda: (tally.add(), gate.wait()))
    queued = made.map_async(double, range(5))
    lazy = made.imap(double, itertools.count())
    assert wait_until(lambda: tally.count == 1)
    made.terminate()
    made.terminate()
    made.join()
    for result in (running, queued):
        with pytest.raises(PoolTerminatedError):
            result.get(timeout=60)
    with pytest.raises(PoolTerminatedError):
        lazy.next(timeout=60)


def test_many_threads_may_use_a_pool(pool: Pool) -> None:
    got: list[Any] = []

    def use(number: int) -> None:
        got.append(
            pool.map(lambda item: item + number, range(20), 1) == list(range(number, number + 20))
        )

    threads = [threading.Thread(target=use, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == [True] * 6


def test_a_task_may_make_a_pool() -> None:
    @snakepit.remote
    def inside() -> list[int]:
        with Pool(2) as made:
            return made.map(double, range(4))

    assert snakepit.get(inside.remote()) == [0, 2, 4, 6]


def test_as_many_processes_as_cpus() -> None:
    with Pool() as made:
        assert repr(made) == "<snakepit Pool of 2 processes, running>"


def test_a_pool_stays_where_it_is(pool: Pool) -> None:
    with pytest.raises(NotImplementedError, match="cannot be sent"):
        pickle.dumps(pool)


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"processes": 0}, ValueError, "processes must be .* not 0"),
        ({"processes": "2"}, TypeError, "processes must be .* not '2'"),
        ({"initializer": 3}, TypeError, "initializer must be .* not 3"),
        ({"initargs": 3}, TypeError, "initargs must be .* not 3"),
        ({"maxtasksperchild": 0}, ValueError, "maxtasksperchild must be .* not 0"),
        ({"context": "spawn"}, TypeError, "context must be .* not 'spawn'"),
        ({"ray_address": "1.2.3.4"}, ValueError, "ray_address must be"),
        ({"ray_remote_args": 3}, TypeError, "ray_remote_args must be"),
        ({"ray_remote_args": {"cpus": 3}}, TypeError, "no option 'cpus'"),
    ],
)
def test_bad_arguments_are_named(
    arguments: dict[str, Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        Pool(**arguments)


def test_bad_calls_are_named(pool: Pool) -> None:
    calls: list[tuple[Any, type[Exception], str]] = [
        (lambda: pool.map(3, [1]), TypeError, "func must be a function, not 3"),
        (lambda: pool.map(double, 3), TypeError, "iterable must be .* not 3"),
        (lambda: pool.imap(double, 3), TypeError, "iterable must be .* not 3"),
        (lambda: pool.map(double, [1], 0), ValueError, "chunksize must be .* not 0"),
        (lambda: pool.imap(double, [1], 0), ValueError, "chunksize must be .* not 0"),
        (lambda: pool.map(double, [1], "1"), TypeError, "chunksize must be .* not '1'"),
        (lambda: pool.apply_async(double, (1,), callback=3), TypeError, "callback must be"),
        (lambda: pool.map_async(double, [1], error_callback=3), TypeError, "error_callback must"),
        (lambda: pool.map_async(double, [1]).get("1"), TypeError, "timeout must be"),
        (lambda: pool.map_async(double, [1]).get(-1), ValueError, "timeout must be"),
    ]
    for call, error, text in calls:
        with pytest.raises(error, match=text):
            call()
