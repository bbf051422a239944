"""ActorPool: who gets which value, in which order results come, and what goes wrong."""

from __future__ import annotations

import os
import threading
from typing import Any

import pytest

import snakepit
from snakepit.errors import ActorDiedError, SerializationError
from snakepit.util import ActorPool
from tests.runtime.helpers import Gate, Tally, wait_until

pytestmark = pytest.mark.usefixtures("runtime")


@snakepit.remote
class Worker:
    """Doubles, waits, fails and dies."""

    def double(self, number: int) -> int:
        return 2 * number

    @snakepit.method(num_returns=2)
    def both(self, number: int) -> tuple[int, int]:
        return number, -number

    def after(self, gate: Gate, value: Any, tally: Tally | None = None) -> Any:
        if tally is not None:
            tally.add()
        gate.wait()
        return value

    def fails(self, number: int) -> int:
        if number == 1:
            raise ValueError(f"not {number}")
        return number

    def dies(self, number: int) -> int:
        if number == 1:
            os._exit(7)
        return number

    def echo(self, value: Any) -> Any:
        return value


def double(actor: Any, number: int) -> Any:
    return actor.double.remote(number)


def pool_of(count: int) -> ActorPool[Any]:
    return ActorPool([Worker.remote() for _ in range(count)])


def test_map_keeps_the_order() -> None:
    pool = pool_of(2)
    assert list(pool.map(double, range(500))) == [2 * number for number in range(500)]
    assert not pool.has_next()
    assert pool.has_free()


def test_map_takes_any_iterable_and_none_at_all() -> None:
    pool = pool_of(1)
    assert list(pool.map(double, iter((1, 2)))) == [2, 4]
    assert list(pool.map(double, [])) == []
    assert list(pool.map_unordered(double, [])) == []


def test_map_unordered_yields_each_result_once() -> None:
    pool = pool_of(2)
    assert sorted(pool.map_unordered(double, range(500))) == [2 * number for number in range(500)]


def test_map_unordered_yields_what_is_there_first(gate: Gate, tmp_path: Any) -> None:
    opened = Gate(str(tmp_path / "opened"))
    opened.open()
    pool = pool_of(2)
    gates = {"late": gate, "early": opened}
    results = pool.map_unordered(lambda a, name: a.after.remote(gates[name], name), list(gates))
    assert next(results) == "early"
    gate.open()
    assert list(results) == ["late"]


def test_map_begins_before_the_first_result_is_taken(gate: Gate, tally: Tally) -> None:
    pool = pool_of(1)
    results = pool.map(lambda a, value: a.after.remote(gate, value, tally), "ab")
    assert wait_until(lambda: tally.count == 1)
    gate.open()
    assert list(results) == ["a", "b"]


def test_an_actor_has_one_value_at_a_time_by_submit(gate: Gate, tally: Tally) -> None:
    pool = pool_of(1)
    for value in "abc":
        pool.submit(lambda a, value: a.after.remote(gate, value, tally), value)
    assert not pool.has_free()
    assert wait_until(lambda: tally.count == 1)
    with pytest.raises(TimeoutError):
        pool.get_next(timeout=0)
    assert tally.count == 1
    gate.open()
    assert [pool.get_next() for _ in "abc"] == ["a", "b", "c"]


def test_lists_of_references_come_as_lists() -> None:
    pool = pool_of(2)
    both = list(pool.map(lambda a, number: a.both.remote(number), range(3)))
    assert both == [[0, 0], [1, -1], [2, -2]]
    pool.submit(lambda a, number: a.both.remote(number), 5)
    assert pool.get_next_unordered(timeout=60) == [5, -5]


def test_a_failure_is_raised_at_its_place() -> None:
    pool = pool_of(2)
    for number in range(3):
        pool.submit(lambda a, number: a.fails.remote(number), number)
    assert pool.get_next() == 0
    with pytest.raises(ValueError, match="not 1"):
        pool.get_next()
    assert pool.get_next() == 2


def test_an_actor_that_died_fails_its_own_calls_only() -> None:
    pool = pool_of(2)
    results = pool.map(lambda a, number: a.dies.remote(number), range(2))
    assert next(results) == 0
    with pytest.raises(ActorDiedError):
        next(results)


@pytest.mark.parametrize("take", ["get_next", "get_next_unordered"])
def test_a_value_that_cannot_be_sent_fails_at_its_place(take: str) -> None:
    pool = pool_of(1)
    for value in (1, threading.Lock(), 3):
        pool.submit(lambda a, value: a.echo.remote(value), value)
    taken = [getattr(pool, take)()]
    with pytest.raises(SerializationError):
        getattr(pool, take)()
    taken.append(getattr(pool, take)())
    assert taken == [1, 3]
    assert pool.has_free()


def test_a_timeout_leaves_the_result_to_be_taken(gate: Gate) -> None:
    pool = pool_of(1)
    pool.submit(lambda a, value: a.after.remote(gate, value), "late")
    for take in (pool.get_next, pool.get_next_unordered):
        with pytest.raises(TimeoutError, match=r"within 0\.01 s"):
            take(timeout=0.01)
    gate.open()
    assert pool.get_next(timeout=60) == "late"


@pytest.mark.parametrize("take", ["get_next", "get_next_unordered"])
def test_a_timeout_may_leave_the_result_out(take: str, gate: Gate) -> None:
    pool = pool_of(1)
    pool.submit(lambda a, value: a.after.remote(gate, value), "late")
    with pytest.raises(TimeoutError, match="left out"):
        getattr(pool, take)(timeout=0, ignore_if_timedout=True)
    assert not pool.has_next()
    assert pool.has_free()
    pool.submit(double, 4)
    gate.open()
    assert getattr(pool, take)() == 8


def test_map_drops_what_was_submitted_before() -> None:
    pool = pool_of(2)
    for number in range(5):
        pool.submit(lambda a, number: a.fails.remote(number), number)
    assert list(pool.map(double, [1, 2])) == [2, 4]


def test_nothing_left_to_take_is_said() -> None:
    pool = pool_of(1)
    with pytest.raises(StopIteration):
        pool.get_next()
    with pytest.raises(StopIteration):
        pool.get_next_unordered()


def test_order_cannot_be_had_after_it_was_given_up() -> None:
    pool = ActorPool([Worker.remote() for _ in range(2)])
    gates = [snakepit.put(0)]
    pool.submit(double, 1)
    pool.submit(lambda a, ref: a.echo.remote(ref), gates[0])
    snakepit.wait([call.result for call in pool._busy.values()], num_returns=2)
    pool._come.append(pool._busy[1])  # as if the second alone had come
    assert pool.get_next_unordered() == 0
    with pytest.raises(ValueError, match="get_next_unordered"):
        pool.get_next()
    assert pool.get_next_unordered() == 2


def test_actors_come_and_go() -> None:
    pool: ActorPool[Any] = ActorPool([])
    assert not pool.has_free()
    assert pool.pop_idle() is None
    pool.submit(double, 1)
    with pytest.raises(ValueError, match="push"):
        pool.get_next()
    actor = Worker.remote()
    pool.push(actor)
    assert not pool.has_free()
    with pytest.raises(ValueError, match="not in the pool"):
        pool.push(actor)
    assert pool.get_next() == 2
    with pytest.raises(ValueError, match="not in the pool"):
        pool.push(actor)
    assert pool.pop_idle() == actor
    assert not pool.has_free()
    pool.push(actor)
    assert list(pool.map(double, [2])) == [4]


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda pool: ActorPool(3), TypeError, "actors must be .* not 3"),
        (lambda pool: ActorPool([3]), TypeError, "actor must be the handle .* not 3"),
        (lambda pool: pool.map(3, [1]), TypeError, "fn must be .* not 3"),
        (lambda pool: pool.map(double, 3), TypeError, "values must be .* not 3"),
        (lambda pool: pool.submit(None, 3), TypeError, "fn must be .* not None"),
        (lambda pool: pool.submit(lambda a, v: v, 3), TypeError, "fn returns must be .* not 3"),
        (
            lambda pool: pool.submit(lambda a, v: [], 3),
            TypeError,
            r"returns must be .* not \[\]",
        ),
        (lambda pool: pool.get_next(timeout=-1), ValueError, "timeout must be .* not -1"),
        (lambda pool: pool.get_next(timeout="1"), TypeError, "timeout must be .* not '1'"),
        (lambda pool: pool.get_next(ignore_if_timedout=1), TypeError, "ignore_if_timedout .* 1"),
    ],
)
def test_bad_input_is_named(call: Any, error: type[Exception], text: str) -> None:
    pool = pool_of(1)
    with pytest.raises(error, match=text):
        call(pool)
    assert pool.has_free()
