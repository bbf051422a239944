"""Workers that strict sessions rely on: whose turn it is, who is pinned where, who may go."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from snakepit.policy import actions as do
from snakepit.policy.calls import Call
from snakepit.policy.lines import Line
from snakepit.policy.resources import UNIT
from snakepit.policy.session import FAST, HINT, QUEUE, Session
from snakepit.policy.workers import Worker

from .rig import Rig, only, sent
from .test_sessions import long, made

X = (("x", UNIT),)


def crew(workers: int, **settings: Any) -> Rig:
    """A rig with so many idle workers, and no more."""
    rig = Rig(size=workers, limit=workers, **{"cpus": 8, **settings})
    rig.workers(workers)
    return rig


def begun(rig: Rig, name: str, affinity: int = QUEUE) -> Session:
    """A session whose first call has ended."""
    session = rig.scheduler.sessions.open(name, affinity)
    long(rig, made(rig, session, resources=()))
    return session


def turn(rig: Rig) -> None:
    """Let what the scheduler has put off till the end of an event happen."""
    while any(type(action) is do.Arm and action.key == "dispatch" for action in rig.take()):
        rig.scheduler.tick("dispatch", rig.now)


def ended_before(rig: Rig, busy: list[Call], wanted: Call) -> int:
    """Let calls run in their order; return how many end before the wanted one is sent."""
    for count in range(len(busy)):
        turn(rig)
        if wanted.state == "sent":
            return count
        long(rig, next(call for call in busy if call.state == "sent"))
    raise AssertionError(f"{wanted} waits for all others")


# --- one call at a time of each -----------------------------------------------------------------


def test_a_strict_session_has_one_call_at_a_time_in_slots() -> None:
    rig = crew(1, slots=4)
    session, other = (rig.scheduler.sessions.open(name, QUEUE) for name in "ab")
    calls = [made(rig, session) for _ in range(3)]
    beside = made(rig, other)
    assert [call.state for call in calls] == ["sent", "ready", "ready"] and beside.state == "sent"
    for ended, begins in pairwise(calls):
        long(rig, ended)
        assert begins.state == "sent"


def test_in_slots_one_that_bears_no_wait_is_busy_with_its_own_call_alone() -> None:
    rig = crew(1, slots=4)
    session, other = (rig.scheduler.sessions.open(name, FAST) for name in "ab")
    first, second = made(rig, session), made(rig, session)
    assert first.state == "sent" and rig.failure(second)[0] == "worker_busy"
    assert made(rig, other).state == "sent"


def test_in_slots_what_its_own_call_waits_for_runs_beside_it() -> None:
    rig = crew(1, slots=2)
    session = rig.scheduler.sessions.open("a", QUEUE)
    outer, inner = made(rig, session), made(rig, session)
    rig.scheduler.want(outer.worker, [inner.id], True)
    rig.scheduler.blocked(outer.worker, outer.id, (inner.id,), True, [])
    assert inner.state == "sent" and inner.nested


def test_calls_of_a_parked_session_fail_with_its_worker() -> None:
    rig = crew(1, slots=2)
    session = rig.scheduler.sessions.open("a", QUEUE)
    first, second = made(rig, session, max_retries=0), made(rig, session)
    rig.die(first.worker, started=1, exit_code=1)
    assert rig.failure(second)[0] == "session_worker_unavailable"


def test_in_slots_a_session_pinned_anew_does_not_wait_for_its_old_worker() -> None:
    rig = crew(2, slots=2)
    session = rig.scheduler.sessions.open("a", QUEUE)
    old = made(rig, session)
    rig.scheduler.sessions.repin(session)
    first, second = made(rig, session), made(rig, session)
    assert (old.state, first.state, second.state) == ("sent", "sent", "ready")
    long(rig, first)
    assert second.state == "sent"


def test_in_slots_what_runs_since_before_a_session_was_pinned_anew_is_no_call_of_its_turn() -> None:
    rig = crew(1, slots=4)
    session = rig.scheduler.sessions.open("a", QUEUE)
    old = made(rig, session)
    rig.scheduler.sessions.repin(session)
    first, second = made(rig, session), made(rig, session)
    long(rig, old)
    assert (first.state, second.state) == ("sent", "ready")
    long(rig, first)
    assert second.state == "sent"


def test_a_parked_session_whose_calls_are_taken_away_waits_for_its_worker_no_longer() -> None:
    rig = crew(1, slots=2)
    session = rig.scheduler.sessions.open("a", QUEUE)
    first, second = made(rig, session), made(rig, session)
    assert rig.scheduler.placement.take_waiting(rig.pool) == [second]
    long(rig, first)
    assert not rig.scheduler.placement.pinned.held


# --- turns --------------------------------------------------------------------------------------


def test_two_that_share_a_resource_take_turns() -> None:
    rig = crew(2, x=1)
    first, second = begun(rig, "a"), begun(rig, "b")
    busy = [made(rig, first, resources=X) for _ in range(20)]
    assert ended_before(rig, busy, made(rig, second, resources=X)) <= 3


def test_one_takes_turns_with_a_queue_for_a_resource() -> None:
    rig = crew(2, x=1)
    session = begun(rig, "a")
    assert session.worker is not None
    # The other worker runs what is in the queue.
    held = made(rig, session, resources=())
    busy = [rig.submit(resources=X) for _ in range(20)]
    long(rig, held)
    assert ended_before(rig, busy, made(rig, session, resources=X)) <= 2


def test_calls_of_more_priority_go_before_those_of_a_session() -> None:
    rig = crew(1)
    session = rig.scheduler.sessions.open("a", QUEUE)
    low = [made(rig, session, priority=-10) for _ in range(5)]
    high = [rig.submit(priority=10) for _ in range(5)]
    order = ""
    for _ in range(10):
        runs = next(call for call in low + high if call.state == "sent")
        order += "l" if runs in low else "h"
        long(rig, runs)
    assert order == "lhhhhhllll"


def test_a_call_that_was_cancelled_holds_up_no_other_of_its_session() -> None:
    rig = crew(2, x=1)
    session = begun(rig, "a")
    assert session.worker is not None
    held = made(rig, session, resources=())
    rig.submit(resources=X)
    long(rig, held)
    waits, next_one = made(rig, session, resources=X), made(rig, session, resources=())
    assert (waits.state, next_one.state) == ("ready", "ready")
    rig.scheduler.cancel(waits.id, force=False, recursive=False)
    turn(rig)
    assert next_one.state == "sent"


def tenants(count: int) -> tuple[Rig, list[Call]]:
    """A worker with two slots, and so many actors that live there."""
    rig = Rig(cpus=8, size=1, limit=1, slots=2)
    rig.pool.line = Line(None, None)
    rig.workers(1)
    made_ = [rig.create(pooled=1, name=f"A{number}") for number in range(count)]
    for creation in made_:
        turn(rig)
        rig.result(creation, values=())
    return rig, made_


@pytest.mark.parametrize("wants", ["tenant", "task"])
def test_tenants_take_turns_with_others(wants: str) -> None:
    rig, (first, second, third) = tenants(3)
    busy = [rig.method(actor) for _ in range(20) for actor in (first, second)]
    turn(rig)
    wanted = rig.method(third) if wants == "tenant" else rig.submit(resources=())
    assert ended_before(rig, busy, wanted) <= 3


# --- who is pinned where, and who may go ---------------------------------------------------------


def test_sessions_are_spread_over_idle_workers() -> None:
    rig = crew(4)
    homes = [begun(rig, f"s{number}").worker for number in range(8)]
    assert len(set(homes)) == 4
    rig = crew(2)
    first = begun(rig, "a")
    last_to_idle(rig, other_than(rig, first))
    assert begun(rig, "b").worker is other_than(rig, first)


def other_than(rig: Rig, session: Session) -> Worker:
    """The one of two workers that a session is not pinned to."""
    (other,) = (worker for worker in rig.pool.workers.values() if worker is not session.worker)
    return other


def last_to_idle(rig: Rig, worker: Worker) -> None:
    """Let both of two workers run a call, and this one longer."""
    calls = sorted((rig.submit(), rig.submit()), key=lambda call: call.worker == worker.number)
    for call in calls:
        long(rig, call)


@pytest.mark.parametrize("how", ["close", "repin"])
def test_an_actor_gets_the_place_of_a_session_that_is_over(how: str) -> None:
    rig = crew(1)
    rig.pool.line = Line(None, None)
    session = begun(rig, "s")
    actor = rig.create(pooled=1)
    turn(rig)
    assert actor.state == "ready"
    getattr(rig.scheduler.sessions, how)(session)
    turn(rig)
    assert actor.state == "sent"


def test_a_smaller_pool_keeps_those_that_sessions_rely_on() -> None:
    rig = crew(2)
    session = begun(rig, "a")
    last_to_idle(rig, other_than(rig, session))
    rig.scheduler.supervision.resize(rig.pool, 1, 1)
    assert [*rig.pool.workers.values()] == [session.worker]
    assert made(rig, session).state == "sent"
    rig.scheduler.supervision.resize(rig.pool, 0, 0)
    (call,) = rig.scheduler.placement.workers[session.worker.number].inflight.values()  # type: ignore[union-attr]
    long(rig, call)
    assert not rig.pool.workers


def test_a_smaller_pool_waits_for_those_at_work_before_those_that_sessions_rely_on() -> None:
    rig = crew(2)
    session = begun(rig, "a")
    calls = [rig.submit(), rig.submit()]
    works = next(call for call in calls if call.worker == other_than(rig, session).number)
    long(rig, next(call for call in calls if call is not works))
    rig.scheduler.supervision.resize(rig.pool, 1, 1)
    long(rig, works)
    assert [*rig.pool.workers.values()] == [session.worker]


def test_in_slots_a_hint_keeps_no_worker_of_a_smaller_pool_busy_for_ever() -> None:
    rig = crew(2, slots=2)
    rig.pool.line = Line(None, None)
    session = rig.scheduler.sessions.open("a", HINT)
    first = made(rig, session)
    other = rig.submit()
    assert other.worker != first.worker
    rig.scheduler.supervision.resize(rig.pool, 1, 1)
    for _ in range(3):
        following = made(rig, session)
        long(rig, first)
        turn(rig)
        first = following
    assert len(rig.pool.workers) == 1 and other.state == first.state == "sent"


def test_in_slots_no_session_is_pinned_to_one_beside_whose_calls_a_smaller_pool_puts_none() -> None:
    rig = crew(2, slots=2)
    rig.pool.line = Line(None, None)
    calls = [rig.submit(), rig.submit()]
    rig.scheduler.supervision.resize(rig.pool, 1, 1)
    first = made(rig, rig.scheduler.sessions.open("a", QUEUE))
    assert first.state == "ready"
    long(rig, calls[0])
    turn(rig)
    assert first.worker == calls[1].worker


def test_recycling_waits_until_sessions_are_over() -> None:
    rig = crew(1)
    session = begun(rig, "a")
    home = session.worker
    rig.scheduler.placement.recycling.recycle([rig.pool], None)
    assert not sent(rig.take()) and home is session.worker
    call = made(rig, session)
    assert call.state == "sent"
    long(rig, call)
    rig.scheduler.sessions.close(session)
    assert home is not None and home.number not in rig.pool.workers


def test_one_that_is_to_go_stays_for_a_session_that_its_stack_has_the_first_call_of() -> None:
    rig = crew(1)
    rig.pool.line = Line(None, None)
    parent = rig.submit()
    rig.take()
    rig.scheduler.placement.recycling.recycle([rig.pool], None)
    rig.scheduler.hello(only(rig.take(), do.Spawn).worker)
    busy = rig.submit()
    session = rig.scheduler.sessions.open("a", QUEUE)
    child = made(rig, session, caller=parent.worker, parent=parent.id)
    rig.scheduler.want(parent.worker, [child.id], True)
    rig.scheduler.blocked(parent.worker, parent.id, (child.id,), True, [])
    assert child.worker == parent.worker != busy.worker
    rig.result(child)
    rig.scheduler.unblocked(parent.worker, parent.id)
    long(rig, parent)
    assert made(rig, session).state == "sent" and not rig.pool.tally.recycled
    rig.scheduler.sessions.close(session)
    (call,) = rig.scheduler.placement.workers[child.worker].inflight.values()
    assert only(long(rig, call), do.Retire).worker == child.worker
    assert rig.pool.tally.recycled == {"asked": 1}


def test_a_worker_is_not_looked_at_for_a_session_that_was_pinned_anew() -> None:
    rig = crew(2)
    session = begun(rig, "a")
    first = made(rig, session)
    made(rig, session)
    rig.scheduler.sessions.repin(session)
    turn(rig)
    long(rig, first)
    assert not rig.scheduler.placement.pinned.held
