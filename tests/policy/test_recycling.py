"""Recycling, step by step: who goes when, and what becomes of its calls."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from snakepit.policy import actions as do
from snakepit.policy.lifespans import EARLIEST, LOOKS, SPREAD, Lifespan
from snakepit.policy.lines import Line
from snakepit.policy.session import QUEUE

from .rig import Rig, only, sent


def declared(size: int, *, limit: int = 0, cpus: int = 0, **span: Any) -> Rig:
    """A rig whose pool was asked for, with its workers, which may have as much as `span` says."""
    rig = Rig(cpus=cpus, size=size, limit=limit or size)
    rig.pool.line = Line(None, None)
    rig.pool.turnover.lifespan = Lifespan(**span)
    rig.workers(size)
    return rig


def usual(rig: Rig, **fields: Any) -> Any:
    """A task that leaves what it takes to its pool."""
    return rig.submit(resources=(), **fields)


def spawned(actions: list[do.Action]) -> list[int]:
    return [action.worker for action in actions if type(action) is do.Spawn]


def retired(actions: list[do.Action]) -> list[int]:
    return [action.worker for action in actions if type(action) is do.Retire]


def serve(rig: Rig) -> list[do.Action]:
    """Have a call served."""
    call = usual(rig)
    rig.take()
    return rig.result(call)


def ready(rig: Rig, number: int) -> list[do.Action]:
    rig.scheduler.hello(number)
    return rig.take()


def test_one_that_served_its_calls_goes_when_another_is_ready() -> None:
    rig = declared(1, requests=2)
    assert not spawned(serve(rig))
    (other,) = spawned(serve(rig))
    waiting = usual(rig)
    assert not sent(rig.take()) and rig.pool.workers.keys() == {1, other}
    actions = ready(rig, other)
    assert retired(actions) == [1] and sent(actions) == [(other, waiting.id)]
    assert rig.pool.tally.recycled == {"requests": 1}


def test_no_more_calls_are_sent_ahead_than_it_may_serve() -> None:
    rig = declared(1, requests=5)
    rig.pool.turnover.lifespan = Lifespan(requests=5)
    first = usual(rig)
    rig.result(first, micros=10)
    calls = [usual(rig) for _ in range(10)]
    assert len(sent(rig.take())) == 4
    actions = [action for call in calls[:4] for action in rig.result(call, micros=10)]
    (other,) = spawned(actions)
    assert not sent(actions)
    assert len(sent(ready(rig, other))) >= 4


def test_they_go_at_different_counts_in_the_last_quarter() -> None:
    span = Lifespan(requests=1000, ttl=64.0)
    counts = {span.enough(number) for number in range(SPREAD)}
    assert len(counts) == SPREAD and min(counts) == 750 and max(counts) == 1000
    looks = [span.last_look(number) for number in range(SPREAD)]
    assert {min(looks), max(looks)} == {EARLIEST, LOOKS}
    first = sorted(span.enough(number) for number in range(1, 5))
    assert min(later - earlier for earlier, later in pairwise(first)) > 30
    assert {Lifespan(requests=3).enough(number) for number in range(SPREAD)} == {3}


def test_one_works_on_until_another_is_ready() -> None:
    rig = declared(1)
    rig.scheduler.supervision.recycle(rig.pool, None)
    actions = rig.take()
    (other,) = spawned(actions)
    call = usual(rig)
    assert sent(rig.take()) == [(1, call.id)]
    assert not retired(ready(rig, other)) and rig.pool.workers.keys() == {other}
    assert sent([*rig.take(), *_next(rig)]) and retired(rig.result(call)) == [1]
    assert rig.pool.tally.recycled == {"asked": 1}


def _next(rig: Rig) -> list[do.Action]:
    usual(rig)
    return rig.take()


def test_what_it_has_not_begun_it_gives_back() -> None:
    rig = declared(1)
    rig.result(usual(rig), micros=10)
    running, ahead = usual(rig), usual(rig, max_retries=0)
    rig.take()
    rig.scheduler.supervision.recycle(rig.pool, 1)
    (other,) = spawned(rig.take())
    assert only(ready(rig, other), do.AskBack).worker == 1
    rig.scheduler.given_back(1, [ahead.id])
    assert sent(rig.take()) == [(other, ahead.id)]
    assert retired(rig.result(running)) == [1]
    assert (running.tries, ahead.tries) == (0, 0)


def test_the_place_of_one_that_goes_by_its_age_is_filled_if_calls_wait() -> None:
    rig = Rig(size=0, limit=1)
    rig.pool.turnover.lifespan = Lifespan(ttl=64.0)
    running = usual(rig)
    actions = rig.take()
    actions += ready(rig, only(actions, do.Spawn).worker)
    waiting = usual(rig)
    arm = next(a for a in actions if type(a) is do.Arm and a.key.startswith("age"))
    actions = [action for _ in range(LOOKS) for action in rig.run_out(arm)]
    soon = next(action for action in actions if getattr(action, "key", "") == "dispatch")
    (other,) = spawned(rig.run_out(soon))
    assert sent(ready(rig, other)) == [(other, waiting.id)]
    assert retired(rig.result(running)) == [1]


def test_one_after_another() -> None:
    rig = declared(4)
    rig.scheduler.supervision.recycle(rig.pool, None)
    gone = []
    started = spawned(rig.take())
    while started:
        assert len(started) == 1
        actions = ready(rig, started[0])
        gone += retired(actions)
        assert len(rig.pool.workers) - rig.pool.starting == 4
        started = spawned(actions)
    assert gone == [1, 2, 3, 4]
    assert rig.pool.tally.recycled == {"asked": 4}


def test_one_that_cannot_be_replaced_serves_on() -> None:
    rig = declared(1)
    rig.scheduler.supervision.recycle(rig.pool, None)
    for _ in range(9):
        rig.die(only(rig.take(), do.Spawn).worker, started=0)
        rig.scheduler.tick(f"retry:{rig.pool.turn}:main")
    call = usual(rig)
    assert (call.state, call.worker) == ("sent", 1)
    assert rig.pool.state == "probing" and not rig.pool.tally.recycled


def test_a_pool_of_nobody_but_those_that_served_enough_can_fail() -> None:
    rig = declared(1, requests=1)
    actions = serve(rig)
    waiting = usual(rig)
    for _ in range(3):
        actions = rig.die(only(actions, do.Spawn).worker, started=0, stderr="no licence")
        rig.scheduler.tick(f"retry:{rig.pool.turn}:main")
        actions = [*actions, *rig.take()]
    kind, fields = rig.failure(waiting)
    assert (kind, fields["stderr"]) == ("pool_failed", "no licence")


def test_ages_are_looked_at_and_never_beyond_the_limit() -> None:
    rig = declared(2, ttl=64.0)
    gone: dict[int, int] = {}
    for look in range(1, LOOKS + 1):
        rig.scheduler.tick("age:main")
        actions = rig.take()
        assert only([a for a in actions if type(a) is do.Arm], do.Arm) == (1.0, "age:main")
        for number in spawned(actions):
            gone.update(dict.fromkeys(retired(ready(rig, number)), look))
    assert gone.keys() == {1, 2} and EARLIEST <= min(gone.values()) < max(gone.values()) <= LOOKS
    assert rig.pool.tally.recycled == {"ttl": 2}


def test_memory_is_looked_at_after_calls_and_not_while_nobody_calls() -> None:
    rig = declared(1, memory=1000)
    call = usual(rig)
    rig.take()
    arm = only([a for a in rig.result(call) if type(a) is do.Arm], do.Arm)
    assert not serve(rig)
    assert rig.run_out(arm) == [do.Weigh(1)]
    recycling, (worker,) = rig.scheduler.placement.recycling, rig.pool.workers.values()
    recycling.weighed(worker, 1000)
    assert not rig.take() and not rig.run_out(arm)
    recycling.weighed(worker, 1001)
    (other,) = spawned(rig.take())
    assert retired(ready(rig, other)) == [1]
    recycling.weighed(worker, 1001)
    assert rig.pool.tally.recycled == {"memory": 1}


def test_those_beyond_the_size_go_without_a_successor() -> None:
    rig = declared(1, limit=2)
    usual(rig)
    usual(rig)
    rig.scheduler.hello(only(rig.take(), do.Spawn).worker)
    rig.take()
    rig.scheduler.supervision.recycle(rig.pool, 2)
    assert not spawned(rig.take()) and rig.pool.workers.keys() == {1}


def test_a_line_of_nobody_waits_for_who_starts() -> None:
    rig = declared(1, requests=1)
    rig.pool.line = Line(0, None)
    serve(rig)
    assert usual(rig).state == "ready"
    assert rig.failure(usual(rig))[0] == "pool_saturated"


def test_a_smaller_pool_needs_no_successor() -> None:
    rig = declared(2)
    rig.scheduler.supervision.recycle(rig.pool, 1)
    (other,) = spawned(rig.take())
    rig.scheduler.supervision.resize(rig.pool, 1, 1)
    assert retired(rig.take()) == [2]
    rig.scheduler.supervision.resize(rig.pool, 0, 0)
    assert retired(rig.take()) == [1]
    assert retired(ready(rig, other)) == [other] and not rig.pool.workers


def test_who_takes_the_place_of_one_that_a_session_keeps_is_none_too_many() -> None:
    """A pool let it go when it had idled, and started another, for as long as the session was."""
    rig = declared(1, limit=3)
    rig.scheduler.supervision.recycle(rig.pool, None)
    (other,) = spawned(rig.take())
    call = rig.call(resources=())
    call.session = rig.scheduler.sessions.open("s", QUEUE)
    rig.scheduler.submit(call)
    assert call.worker == 1
    rig.result(call)
    actions = ready(rig, other)
    assert retired(actions) == [] and rig.pool.workers.keys() == {1, other}
    assert not [action for action in actions if type(action) is do.Arm]
    assert rig.pool.excess == 0 and not rig.pool.lacks
    rig.scheduler.sessions.close(call.session)
    assert retired(rig.take()) == [1] and rig.pool.workers.keys() == {other}


def test_workers_of_actors_stay() -> None:
    rig = declared(1, cpus=1, requests=1)
    creation, number = rig.living()
    for _ in range(3):
        assert not retired(rig.result(rig.method(creation)))
    rig.scheduler.supervision.recycle(rig.pool, number)
    assert not rig.take()


def test_workers_of_an_undeclared_pool_go_at_once() -> None:
    rig = Rig()
    rig.workers(2)
    rig.scheduler.supervision.recycle(rig.pool, None)
    assert retired(rig.take()) == [1, 2] and not rig.pool.workers
