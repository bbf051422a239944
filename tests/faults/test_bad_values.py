"""Values that cannot travel, settings that cannot be: each has its error, and no other effect."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from faults_harness import PATIENCE_S, driver, empties, wait_until, works_on

import snakepit
from snakepit import errors

pytestmark = pytest.mark.usefixtures("runtime")


class NeedsArguments(Exception):
    def __init__(self, code: int, *, where: str) -> None:
        super().__init__(f"code {code} at {where}")
        self.code = code
        self.where = where


class Model:
    def __init__(self) -> None:
        self.lock = threading.Lock()


@snakepit.remote
def echo(value: Any) -> Any:
    return value


@snakepit.remote(max_retries=0)
def make_lock() -> Any:
    return {"model": Model()}


@snakepit.remote
def raise_with_arguments() -> None:
    raise NeedsArguments(7, where="here")


@snakepit.remote
def raise_unpicklable() -> None:
    error = ValueError("cannot travel whole")
    error.lock = threading.Lock()  # type: ignore[attr-defined]
    raise error


class Unreadable:
    def __reduce__(self) -> Any:
        return _refuse, ()


def _refuse() -> None:
    raise OSError("refuses to be read")


@snakepit.remote
class Selfish:
    def __init__(self) -> None:
        self.me: Any = None

    def keep(self, me: Any) -> Any:
        self.me = me
        return me

    def itself(self) -> Any:
        return self

    def give(self) -> Any:
        return [self.me]

    def lock(self) -> Any:
        return threading.Lock()

    def forget(self) -> None:
        self.me = None


def test_arguments_and_closures_name_the_culprit() -> None:
    with pytest.raises(errors.SerializationError, match=r"model\.lock|model.*lock"):
        echo.remote({"model": Model()})
    lock = threading.Lock()

    def closure() -> Any:
        return lock

    with pytest.raises(errors.SerializationError, match="lock"):
        snakepit.remote(closure).remote()
    with pytest.raises(errors.SerializationError):
        snakepit.put(lock)
    works_on()
    empties()


def test_an_unpicklable_result_fails_the_call_alone() -> None:
    with pytest.raises(errors.SerializationError, match="lock") as caught:
        snakepit.get(make_lock.remote(), timeout=PATIENCE_S)
    assert isinstance(caught.value, TypeError)
    actor = Selfish.remote()
    with pytest.raises(errors.SerializationError):
        snakepit.get(actor.lock.remote(), timeout=PATIENCE_S)
    assert snakepit.get(actor.give.remote(), timeout=PATIENCE_S) == [None]
    works_on()


def test_a_value_that_cannot_be_read_back_fails_where_it_is_read() -> None:
    with pytest.raises(errors.SnakepitError, match="refuses to be read"):
        snakepit.get(echo.remote(Unreadable()), timeout=PATIENCE_S)
    stored = snakepit.put(Unreadable())
    with pytest.raises((errors.SnakepitError, OSError), match="refuses to be read"):
        snakepit.get(stored)
    works_on()


def test_a_list_of_results_fails_as_each_of_them_does() -> None:
    good = echo.remote(1)
    for bad, why in (
        (echo.remote(Unreadable()), "refuses to be read"),
        (make_lock.remote(), "lock"),
    ):
        with pytest.raises(errors.SerializationError, match=why):
            snakepit.get([good, bad], timeout=PATIENCE_S)
        # Also when it is there already, and none of them failed while anybody waited.
        with pytest.raises(errors.SerializationError, match=why):
            snakepit.get([bad, good], timeout=PATIENCE_S)
    with pytest.raises(errors.SerializationError, match="refuses to be read"):
        snakepit.get([snakepit.put(Unreadable()), good])
    assert snakepit.get([good, good]) == [1, 1]
    works_on()


def test_exceptions_of_every_kind_arrive() -> None:
    with pytest.raises(NeedsArguments) as caught:
        snakepit.get(raise_with_arguments.remote(), timeout=PATIENCE_S)
    error: Any = caught.value
    assert isinstance(error, errors.TaskError)
    assert (error.code, error.where) == (7, "here")
    with pytest.raises(errors.TaskError, match="cannot travel whole") as other:
        snakepit.get(raise_unpicklable.remote(), timeout=PATIENCE_S)
    assert "ValueError" in str(other.value)
    works_on()


def test_a_result_that_refers_to_the_actor_itself() -> None:
    actor = Selfish.remote()
    same = snakepit.get(actor.keep.remote(actor), timeout=PATIENCE_S)
    assert same == actor or same._actor_id == actor._actor_id
    (again,) = snakepit.get(same.give.remote(), timeout=PATIENCE_S)
    # Of itself by value comes a copy, whose handle is another handle on the same actor.
    copy = snakepit.get(again.itself.remote(), timeout=PATIENCE_S)
    assert snakepit.get(copy.me.give.remote(), timeout=PATIENCE_S)
    snakepit.get(actor.forget.remote(), timeout=PATIENCE_S)
    del actor, same, again, copy
    # The cycle is broken and no handle is left: the actor goes.
    empties()
    works_on()


def test_an_actor_that_holds_itself_ends_by_kill() -> None:
    actor = Selfish.remote()
    kept = snakepit.get(actor.keep.remote(actor), timeout=PATIENCE_S)
    snakepit.kill(kept)
    with pytest.raises(errors.ActorDiedError):
        snakepit.get(actor.give.remote(), timeout=PATIENCE_S)
    del actor, kept
    empties()
    works_on()


def test_references_of_an_earlier_runtime_are_refused() -> None:
    value = snakepit.put([1, 2])
    result = echo.remote(3)
    assert snakepit.get(result, timeout=PATIENCE_S) == 3
    actor = Selfish.remote()
    snakepit.shutdown()
    snakepit.init(num_cpus=2)
    for stale in (value, result):
        with pytest.raises(errors.StaleReferenceError):
            snakepit.get(stale)
        with pytest.raises(errors.StaleReferenceError):
            echo.remote(stale)
        with pytest.raises(errors.SnakepitError, match="earlier runtime"):
            echo.remote([stale])
        with pytest.raises(errors.StaleReferenceError):
            snakepit.wait([stale])
    with pytest.raises(errors.StaleReferenceError):
        actor.give.remote()
    del value, result, actor
    works_on()
    empties()


def test_a_full_store_is_an_error_and_loses_nothing() -> None:
    snakepit.shutdown()
    snakepit.init(num_cpus=2, object_store_memory=32 << 20)
    used = driver()._core.memory.ledger.used
    before = used()
    first = snakepit.put(b"1" * (20 << 20))
    with pytest.raises(errors.ObjectStoreFullError) as caught:
        snakepit.put(b"2" * (20 << 20))
    assert caught.value.limit == 32 << 20

    @snakepit.remote
    def large(size: int) -> bytes:
        return bytes(size)

    with pytest.raises(errors.ObjectStoreFullError):
        snakepit.get(large.remote(20 << 20), timeout=PATIENCE_S)
    assert snakepit.get(first)[:1] == b"1"
    del first
    # What was dropped makes room, for this process and for others.
    assert len(snakepit.get(large.remote(20 << 20), timeout=PATIENCE_S)) == 20 << 20
    second = snakepit.put(b"3" * (20 << 20))
    assert snakepit.get(second)[:1] == b"3"
    del second
    works_on()
    empties()
    driver()._core.update(driver()._core.memory.trim)
    assert wait_until(lambda: used() <= before), (used(), before)


@pytest.mark.parametrize("value", [-1, 10**9, 1e9, "2", 1.5, True, None.__class__])
def test_wrong_numbers_of_cpus(value: Any) -> None:
    snakepit.shutdown()
    with pytest.raises((errors.OptionError, TypeError), match="num_cpus"):
        snakepit.init(num_cpus=value)
    assert not snakepit.is_initialized()


def test_no_cpus_at_all() -> None:
    snakepit.shutdown()
    snakepit.init(num_cpus=0)
    with pytest.raises(errors.TaskUnschedulableError, match="1 CPU"):
        snakepit.get(echo.remote(1), timeout=PATIENCE_S)
    assert snakepit.get(echo.options(num_cpus=0).remote(1), timeout=PATIENCE_S) == 1
    actor = Selfish.options(num_cpus=0).remote()
    assert snakepit.get(actor.give.remote(), timeout=PATIENCE_S) == [None]
    greedy = Selfish.options(num_cpus=5).remote()
    with pytest.raises(errors.ActorUnschedulableError, match="5 CPU"):
        snakepit.get(greedy.give.remote(), timeout=PATIENCE_S)
