"""Options of an actor's life: found or made, detached, a limit of calls; the methods all have."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

import snakepit
from snakepit.errors import (
    ActorDiedError,
    OptionError,
    PendingCallsLimitExceeded,
    TaskCancelledError,
)
from tests.runtime.helpers import PATIENCE, Gate, wait_until

pytestmark = pytest.mark.usefixtures("runtime")


@snakepit.remote
class Keeper:
    def __init__(self, value: Any = None) -> None:
        self.value = value

    def get(self) -> Any:
        return self.value

    def wait(self, gate: Gate) -> None:
        gate.wait()

    def count(self, n: int) -> Iterator[int]:
        yield from range(n)


# --- get_if_exists --------------------------------------------------------------------------------


def test_many_threads_find_or_make_one_actor() -> None:
    shared = Keeper.options(name="one", get_if_exists=True)
    found: list[Any] = []
    start = threading.Barrier(8)

    def find(number: int) -> None:
        start.wait()
        found.append(shared.remote(number))

    threads = [threading.Thread(target=find, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert len(set(found)) == 1
    assert len({snakepit.get(each.get.remote()) for each in found}) == 1
    found.clear()


def test_tasks_find_or_make_one_actor() -> None:
    @snakepit.remote
    def find(number: int) -> Any:
        keeper = Keeper.options(name="two", get_if_exists=True).remote(number)
        return keeper, snakepit.get(keeper.get.remote())

    pairs = snakepit.get([find.remote(number) for number in range(4)], timeout=PATIENCE)
    assert len({value for _, value in pairs}) == 1
    del pairs


def test_to_find_needs_a_name() -> None:
    with pytest.raises(OptionError, match="needs a name"):
        Keeper.options(get_if_exists=True).remote()
    with pytest.raises(TypeError, match="get_if_exists"):
        Keeper.options(get_if_exists="yes")  # type: ignore[arg-type]


# --- detached -------------------------------------------------------------------------------------


def test_a_detached_actor_lives_until_it_is_killed() -> None:
    snakepit.get(Keeper.options(name="stays", lifetime="detached").remote(7).get.remote())
    found = snakepit.get_actor("stays")
    assert snakepit.get(found.get.remote()) == 7
    snakepit.kill(found)
    with pytest.raises(ActorDiedError):
        snakepit.get(found.get.remote(), timeout=PATIENCE)
    with pytest.raises(ValueError, match="no actor named 'stays'"):
        snakepit.get_actor("stays")


def test_a_detached_actor_may_end_itself() -> None:
    found = Keeper.options(lifetime="detached").remote()
    found.__ray_terminate__.remote()
    with pytest.raises(ActorDiedError):
        snakepit.get(found.get.remote(), timeout=PATIENCE)


def test_a_detached_actor_whose_constructor_fails_is_gone() -> None:
    @snakepit.remote(lifetime="detached", name="fails")
    class Fails:
        def __init__(self) -> None:
            raise KeyError("no")

        def get(self) -> None: ...

    with pytest.raises(ActorDiedError):
        snakepit.get(Fails.remote().get.remote(), timeout=PATIENCE)


def test_a_taken_name_leaves_nothing_of_a_detached_actor() -> None:
    first = Keeper.options(name="taken", lifetime="detached").remote()

    @snakepit.remote
    def make() -> str:
        try:
            Keeper.options(name="taken", lifetime="detached").remote()
        except snakepit.errors.ActorAlreadyExistsError:
            return "taken"
        return "made"

    assert snakepit.get(make.remote(), timeout=PATIENCE) == "taken"
    snakepit.kill(first)


def test_lifetimes() -> None:
    with pytest.raises(OptionError, match='"detached" or "non_detached"'):
        Keeper.options(lifetime="long")  # type: ignore[typeddict-item]


# --- max_pending_calls ----------------------------------------------------------------------------


def test_more_calls_than_allowed_are_refused_until_some_are_answered(gate: Gate) -> None:
    keeper = Keeper.options(max_pending_calls=3).remote()
    pending = [keeper.wait.remote(gate), keeper.get.remote(), keeper.get.remote()]
    with pytest.raises(PendingCallsLimitExceeded, match="3 unanswered calls"):
        keeper.get.remote()
    gate.open()
    snakepit.get(pending, timeout=PATIENCE)
    assert snakepit.get([keeper.get.remote() for _ in range(3)], timeout=PATIENCE) == [None] * 3


def test_each_process_has_a_count_of_its_own(gate: Gate) -> None:
    keeper = Keeper.options(max_pending_calls=1).remote()
    waiting = keeper.wait.remote(gate)

    @snakepit.remote
    def calls(keeper: Any, gate: Gate) -> str:
        first = keeper.get.remote()
        try:
            keeper.get.remote()
        except PendingCallsLimitExceeded:
            gate.open()
            snakepit.get(first)
            return "refused"
        return "taken"

    assert snakepit.get(calls.remote(keeper, gate), timeout=PATIENCE) == "refused"
    snakepit.get(waiting, timeout=PATIENCE)


def test_cancelled_and_refused_calls_are_not_counted_for_ever(gate: Gate) -> None:
    keeper = Keeper.options(max_pending_calls=2).remote()
    waiting = keeper.wait.remote(gate)
    queued = keeper.get.remote()
    snakepit.cancel(queued)
    gate.open()
    snakepit.wait([waiting, queued], num_returns=2, timeout=PATIENCE)
    snakepit.kill(keeper)
    dead = [keeper.get.remote() for _ in range(1)]
    assert wait_until(lambda: not snakepit.wait(dead, timeout=1.0)[1])
    with pytest.raises(ActorDiedError):
        snakepit.get(keeper.get.remote(), timeout=PATIENCE)


@pytest.mark.parametrize("value", [0, -2, 1.5, "many"])
def test_a_wrong_limit_is_refused(value: Any) -> None:
    with pytest.raises((OptionError, TypeError), match="max_pending_calls"):
        Keeper.options(max_pending_calls=value)


# --- the methods that every actor has -------------------------------------------------------------


def test_ready_call_and_terminate() -> None:
    keeper = Keeper.remote(1)
    assert snakepit.get(keeper.__ray_ready__.remote(), timeout=PATIENCE) is True
    add = keeper.__ray_call__.remote(lambda self, k: self.value + k, 2)
    assert snakepit.get(add, timeout=PATIENCE) == 3
    before = [keeper.get.remote() for _ in range(3)]
    keeper.__ray_terminate__.remote()
    assert snakepit.get(before, timeout=PATIENCE) == [1, 1, 1]
    with pytest.raises(ActorDiedError):
        snakepit.get(keeper.get.remote(), timeout=PATIENCE)


def test_asynchronous_and_threaded_actors_have_them() -> None:
    @snakepit.remote
    class Later:
        async def get(self) -> int:
            return 1

    for actor in (Later.remote(), Keeper.options(max_concurrency=2).remote()):
        assert snakepit.get(actor.__ray_ready__.remote(), timeout=PATIENCE) is True
        for method in (actor.__ray_terminate__, actor.__ray_ready__):
            with pytest.raises(ActorDiedError):
                snakepit.get(method.remote(), timeout=PATIENCE)


# --- is_canceled ----------------------------------------------------------------------------------


def test_a_call_in_a_thread_sees_that_it_was_cancelled(gate: Gate) -> None:
    @snakepit.remote(max_concurrency=2)
    class Asks:
        def until_cancelled(self, gate: Gate) -> str:
            context = snakepit.get_runtime_context()
            assert not context.is_canceled()
            gate.open()
            wait_until(context.is_canceled)
            return "seen"

    ref = Asks.remote().until_cancelled.remote(gate)
    gate.wait()
    snakepit.cancel(ref)
    with pytest.raises(TaskCancelledError):
        snakepit.get(ref, timeout=PATIENCE)


def test_only_calls_can_be_cancelled() -> None:
    with pytest.raises(RuntimeError, match="none runs here"):
        snakepit.get_runtime_context().is_canceled()
