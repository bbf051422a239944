"""Sessions: who gets their calls, in which order, and what becomes of them without a worker."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from snakepit.policy import actions as do
from snakepit.policy.budget import Budget
from snakepit.policy.calls import Call
from snakepit.policy.lines import Line
from snakepit.policy.pools import RESTING
from snakepit.policy.resources import UNIT
from snakepit.policy.session import FAST, HINT, QUEUE, Session
from snakepit.policy.stats import stats
from snakepit.wire.messages import RETRYABLE

from .rig import KILLED, Rig, only, sent

X = (("x", UNIT),)


def opened(affinity: int, workers: int = 2) -> tuple[Rig, Session]:
    """A rig with so many workers, and a session."""
    rig = Rig(cpus=workers, size=workers, limit=workers)
    rig.workers(workers)
    return rig, rig.scheduler.sessions.open("s", affinity)


def made(rig: Rig, session: Session, **fields: Any) -> Call:
    """A call of a session that was submitted."""
    call = rig.call(**fields)
    call.session = session
    rig.scheduler.submit(call)
    return call


def long(rig: Rig, call: Call) -> list[do.Action]:
    """End a call that took so long that nothing like it is sent ahead of time."""
    return rig.result(call, micros=1_000_000)


def test_a_hint_leads_back_to_the_worker_of_the_last_call() -> None:
    rig, session = opened(HINT)
    first = made(rig, session)
    home = first.worker
    rig.submit()
    long(rig, first)
    for _ in range(3):
        again = made(rig, session)
        assert again.worker == home
        long(rig, again)


def test_a_hint_is_no_more_than_that() -> None:
    rig, session = opened(HINT)
    first, second = made(rig, session), made(rig, session)
    assert {first.worker, second.worker} == {1, 2}


def test_a_worker_is_told_of_the_end_of_a_session_that_it_has_had() -> None:
    rig, session = opened(QUEUE)
    call = made(rig, session)
    rig.take()
    rig.scheduler.sessions.close(session)
    assert rig.take() == [] and session.number in rig.scheduler.sessions.table
    ended = long(rig, call)
    assert only(ended, do.Leave) == do.Leave(call.worker, session.number)
    assert not rig.scheduler.sessions.table


def test_a_strict_session_waits_for_its_worker_in_order() -> None:
    rig, session = opened(QUEUE)
    calls = [made(rig, session) for _ in range(3)]
    home = calls[0].worker
    rig.scheduler.tick("dispatch")
    assert [call.state for call in calls] == ["sent", "ready", "ready"]
    assert rig.submit().worker != home
    rig.take()
    for done, following in pairwise(calls):
        assert sent(long(rig, done)) == [(home, following.id)]


def test_one_that_does_not_wait_is_told_at_once() -> None:
    rig, session = opened(FAST)
    first = made(rig, session)
    busy = made(rig, session)
    assert rig.failure(busy) == ("worker_busy", {"session": "s", "call": "f"})
    long(rig, first)
    assert made(rig, session).worker == first.worker


def test_a_worker_with_sessions_serves_others_by_turns() -> None:
    rig, session = opened(QUEUE, workers=1)
    calls = [made(rig, session) for _ in range(3)]
    rig.scheduler.tick("dispatch")
    others = [rig.submit(name="other") for _ in range(3)]
    rig.take()
    running, order = calls[0], []
    while running.state == "sent":
        order.append(running in calls)
        following = sent(long(rig, running))
        if not following:
            break
        running = next(c for c in (*calls, *others) if c.id == following[0][1])
    assert sorted(order) == [False] * 3 + [True] * 3
    assert order not in ([True] * 3 + [False] * 3, [False] * 3 + [True] * 3)


def test_without_its_worker_a_strict_session_is_lost_until_it_is_pinned_anew() -> None:
    rig, session = opened(QUEUE)
    running, waiting = made(rig, session, max_retries=3), made(rig, session)
    rig.scheduler.tick("dispatch")
    rig.die(running.worker, started=1)
    cause = {**KILLED, "kind": "killed", "session": "s", "call": "f"}
    lost = ("session_worker_unavailable", cause)
    assert [rig.failure(call) for call in (running, waiting, made(rig, session))] == [lost] * 3
    rig.scheduler.sessions.repin(session)
    assert made(rig, session).state == "sent" and not session.lost


def test_a_session_holds_one_place_in_the_queue() -> None:
    rig, session = opened(HINT, workers=1)
    running = rig.submit()
    many = [made(rig, session) for _ in range(3)]
    other = rig.submit()
    rig.take()
    order = []
    for _ in range(4):
        [(_, following)] = sent(long(rig, running))
        order.append(following)
        running = next(call for call in (*many, other) if call.id == following)
    assert order == [many[0].id, other.id, many[1].id, many[2].id]


def test_what_a_session_waits_for_in_itself_runs_on_its_stack() -> None:
    rig, session = opened(QUEUE, workers=1)
    outer = made(rig, session)
    inner = rig.call(caller=outer.worker, parent=outer.id)
    inner.session = session
    rig.scheduler.submit(inner)
    rig.take()
    rig.scheduler.want(outer.worker, [inner.id], values=True)
    rig.scheduler.blocked(outer.worker, outer.id, (inner.id,), True, ())
    action = only(rig.take(), do.Send)
    assert action.call is inner and action.nested


def test_what_waits_deep_in_a_stack_has_its_call_run_when_it_is_on_top_again() -> None:
    rig, session = opened(QUEUE, workers=1)
    outer = made(rig, session)
    home = outer.worker
    wanted = [made(rig, session, caller=home, parent=outer.id) for _ in range(2)]
    for call in wanted:
        rig.scheduler.want(home, [call.id], values=True)
    rig.take()
    rig.scheduler.blocked(home, outer.id, [call.id for call in wanted], every=True, back=())
    first, second = wanted
    assert only(rig.take(), do.Send).call is first
    deep = rig.submit(caller=home, parent=first.id)
    rig.scheduler.want(home, [deep.id], values=True)
    rig.scheduler.blocked(home, first.id, [deep.id], every=True, back=())
    assert only(rig.take(), do.Send).call is deep  # The second would be above who waits for it.
    rig.result(deep)
    rig.scheduler.unblocked(home, first.id)
    assert only(rig.result(first), do.Send).call is second


def test_a_pinned_worker_is_not_let_go_while_it_idles() -> None:
    rig = Rig(cpus=2, size=0, limit=2)
    session = rig.scheduler.sessions.open("s", QUEUE)
    call = made(rig, session)
    rig.scheduler.hello(only(rig.take(), do.Spawn).worker)
    rig.take()
    assert not long(rig, call)
    for _ in range(9):
        rig.scheduler.tick("shrink:main")
    assert not rig.take() and not rig.pool.shrinking
    rig.scheduler.sessions.close(session)
    arm = only([a for a in rig.take() if type(a) is do.Arm], do.Arm)
    assert only(rig.idle(arm), do.Retire).worker == call.worker


def test_calls_of_other_pools_are_not_for_a_pinned_worker() -> None:
    rig, session = opened(QUEUE)
    long(rig, made(rig, session))
    other = made(rig, session, env=(("A", "1"),))
    assert rig.failure(other)[0] == "session_elsewhere"


def test_a_closed_session_takes_nothing_and_ends_what_it_has() -> None:
    rig, session = opened(QUEUE)
    running, waiting = made(rig, session), made(rig, session)
    rig.scheduler.tick("dispatch")
    rig.scheduler.sessions.close(session)
    assert rig.failure(made(rig, session))[0] == "session_closed"
    long(rig, running)
    assert waiting.state == "sent"
    long(rig, waiting)
    assert not rig.scheduler.sessions.table


def test_an_actor_that_is_made_gives_what_it_held_to_one_who_waits_for_a_worker_of_its_own() -> (
    None
):
    rig, session = opened(QUEUE, workers=1)
    long(rig, made(rig, session))
    creation = rig.create()  # takes a CPU until it is made
    number = only(rig.take(), do.Spawn).worker
    waits = made(rig, session)
    assert not sent(rig.take())
    rig.scheduler.hello(number)
    rig.take()
    assert (1, waits.id) in sent(rig.result(creation, values=()))


def test_a_call_that_another_waits_for_leaves_its_session_s_line() -> None:
    """It may be sent, lost, and tried again, and the session has the place of another call."""
    rig, session = opened(HINT, workers=1)
    parent = rig.submit()
    first, child = made(rig, session), made(rig, session, name="g", max_retries=1)
    other = made(rig, session)
    rig.take()
    rig.scheduler.want(parent.worker, [child.id], True)
    rig.scheduler.blocked(parent.worker, parent.id, (child.id,), True, [])
    assert only(rig.take(), do.Send).call is child
    rig.result(child, RETRYABLE)
    assert child.state == "sent" and (session.place, [*session.waiting]) == (first, [child, other])
    rig.result(child)
    rig.scheduler.unblocked(parent.worker, parent.id)
    for ended in (parent, first, other):
        assert ended.state == "sent"
        long(rig, ended)
    assert session.place is None and not session.made


def test_the_error_of_a_lost_session_says_how_its_worker_died() -> None:
    rig, session = opened(QUEUE)
    call, later = made(rig, session, max_retries=3), made(rig, session)
    actions = rig.die(call.worker, call.sequence, signal="SIGABRT", stderr="free(): invalid")
    for action in actions:
        if type(action) is do.Arm and action.key == "dispatch":
            rig.run_out(action)
    for each in (call, later, made(rig, session)):
        kind, fields = rig.failure(each)
        assert kind == "session_worker_unavailable" and fields["session"] == "s"
        assert (fields["signal"], fields["kind"]) == ("SIGABRT", "abort")
        assert (fields["stderr"], fields["call"]) == ("free(): invalid", "f")


def test_a_session_whose_worker_was_let_go_says_so() -> None:
    rig, session = opened(QUEUE, workers=1)
    call, waiting = made(rig, session), made(rig, session)
    rig.scheduler.supervision.resize(rig.pool, 0, 0)
    assert only(long(rig, call), do.Retire).worker == call.worker
    rig.die(call.worker, 1, signal=None, exit_code=0)
    kind, fields = rig.failure(waiting)
    assert kind == "session_worker_unavailable" and fields["let_go"] == "size"


def test_the_end_of_a_session_starts_nobody_before_the_back_off_of_its_pool_is_over() -> None:
    rig, session = opened(QUEUE, workers=1)
    rig.pool.line = Line(None, None)
    call = made(rig, session)
    rig.scheduler.sessions.close(session)
    actions = rig.die(call.worker, started=0)
    assert rig.failure(call)[0] == "session_worker_unavailable"
    assert rig.pool.state is RESTING and not [a for a in actions if type(a) is do.Spawn]
    arm = only([a for a in actions if getattr(a, "key", "").startswith("retry:")], do.Arm)
    assert only(rig.run_out(arm), do.Spawn).worker == 2


def test_a_call_whose_session_is_lost_counts_as_no_retry() -> None:
    rig, session = opened(QUEUE)
    rig.pool.budget = Budget(0, 60.0)
    call = made(rig, session, max_retries=3)
    actions = rig.die(call.worker, call.sequence)
    for arm in actions:
        if type(arm) is do.Arm and arm.key == "dispatch":
            rig.run_out(arm)
    assert rig.failure(call)[0] == "session_worker_unavailable" and not rig.pool.tally.retries


def test_a_session_that_is_pinned_anew_finds_nothing_where_none_of_its_calls_runs() -> None:
    for affinity in (HINT, QUEUE):
        rig, session = opened(affinity, workers=1)
        call = made(rig, session)
        rig.take()
        rig.scheduler.sessions.repin(session)
        assert not [action for action in rig.take() if type(action) is do.Leave]
        long(rig, call)
        call = made(rig, session)
        long(rig, call)
        rig.scheduler.sessions.repin(session)
        assert only(rig.take(), do.Leave) == do.Leave(call.worker, session.number)
        rig.scheduler.sessions.close(session)
        assert not rig.take()


def test_a_call_of_a_strict_session_that_is_tried_again_keeps_its_place() -> None:
    for affinity, slots in ((QUEUE, 1), (QUEUE, 2), (FAST, 1)):
        rig = Rig(size=1, limit=1, slots=slots)
        rig.workers(1)
        session = rig.scheduler.sessions.open("s", affinity)
        first = made(rig, session, max_retries=1)
        second = made(rig, session)
        rig.result(first, RETRYABLE)
        assert first.state == "sent"
        if affinity == QUEUE:
            assert second.state == "ready"
            long(rig, first)
            assert second.state == "sent"


def counted(rig: Rig) -> tuple[int, int, int]:
    """How many calls the pool runs, has queued, and has that wait for an argument."""
    found = stats(rig.scheduler.placement, rig.pool)
    return found["running"], found["queued"], found["waiting"]


def test_calls_that_wait_in_a_session_are_counted_as_queued() -> None:
    for affinity in (HINT, QUEUE):
        rig, session = opened(affinity, workers=1)
        for _ in range(4):
            made(rig, session)
        assert counted(rig) == (1, 3, 0)


def test_a_call_that_another_waits_for_is_counted_once() -> None:
    rig = Rig(size=3, limit=3, x=1)
    rig.workers(3)
    rig.submit(resources=X)
    wanted, parent = rig.submit(resources=X), rig.submit(resources=())
    rig.scheduler.want(parent.worker, [wanted.id], True)
    rig.scheduler.blocked(parent.worker, parent.id, (wanted.id,), True, [])
    assert wanted.state == "ready" and counted(rig) == (2, 1, 0)
