"""How long calls may run, step by step."""

from __future__ import annotations

from typing import Any

from snakepit.policy import actions as do
from snakepit.policy.timeouts import DEAF, FORCE_GRACE, GRACE, LATE, SPARE
from snakepit.wire.messages import CANCELLED, ERROR, RETRYABLE

from .rig import Rig, only, sent


def limited(rig: Rig, timeout: float = 2.0, **fields: Any) -> Any:
    """A call that has begun, and may run for so long."""
    call = rig.submit(timeout=timeout, **fields)
    begin(rig, call)
    return call


def begin(rig: Rig, call: Any, at: float = 0.0) -> list[do.Action]:
    rig.scheduler.timeouts.began(call.worker, call.id, at or rig.now, rig.now)
    return [action for action in rig.take() if type(action) is do.Arm]


def ring(rig: Rig, number: int, now: float) -> list[do.Action]:
    rig.now = now
    rig.scheduler.tick(f"timeout:{number}", now)
    return rig.take()


def ready() -> Rig:
    rig = Rig()
    rig.workers(2)
    return rig


def test_its_time_is_counted_from_its_beginning_in_the_worker() -> None:
    rig = ready()
    call = rig.submit(timeout=2.0)
    rig.take()
    rig.now = 5.0
    assert begin(rig, call, at=4.5) == [do.Arm(1.5, f"timeout:{call.worker}")]
    actions = ring(rig, call.worker, 6.5)
    assert actions[0] == do.Interrupt(call.worker, call.id, False, late=True)
    assert actions[1] == do.Arm(GRACE, f"timeout:{call.worker}")
    rig.result(call, CANCELLED, values=())
    assert rig.failure(call) == (
        "task_timeout",
        {"timeout": 2.0, "company": False, "call": "f"},
    )
    assert not ring(rig, call.worker, 9.0)


def test_after_the_grace_its_worker_ends_itself_or_is_killed() -> None:
    for obeys in (True, False):
        rig = ready()
        call = limited(rig, max_retries=3)
        ring(rig, call.worker, 2.0)
        actions = ring(rig, call.worker, 2.0 + GRACE)
        assert actions[0] == do.Interrupt(call.worker, call.id, True)
        if not obeys:
            late = 2.0 + GRACE + FORCE_GRACE
            assert ring(rig, call.worker, late) == [do.Kill(call.worker)]
        rig.die(call.worker, started=1, exit_code=1)
        assert rig.failure(call)[0] == "task_timeout"


def test_what_ends_at_the_last_moment_costs_the_next_call_nothing() -> None:
    rig = ready()
    call = limited(rig)
    ring(rig, call.worker, 2.0)
    ring(rig, call.worker, 2.0 + GRACE)
    rig.result(call)
    assert rig.entries[call.id].payload == b"v"
    assert not ring(rig, call.worker, 2.0 + GRACE + FORCE_GRACE)


def test_what_it_raises_then_is_no_answer_and_a_value_is() -> None:
    for outcome in (ERROR, RETRYABLE, CANCELLED):
        rig = ready()
        call = limited(rig, max_retries=3)
        ring(rig, call.worker, 2.0)
        rig.result(call, outcome)
        assert rig.failure(call)[0] == "task_timeout"
    rig = ready()
    call = limited(rig)
    ring(rig, call.worker, 2.0)
    rig.result(call)
    assert rig.entries[call.id].payload == b"v"


def test_it_is_tried_again_only_if_its_options_name_the_error() -> None:
    rig = ready()
    call = limited(rig, max_retries=1, retry_timeout=1)
    ring(rig, call.worker, 2.0)
    assert sent(rig.result(call, CANCELLED, values=()))[0][1] == call.id
    begin(rig, call)
    ring(rig, call.worker, 4.0)
    rig.die(call.worker, started=call.sequence)
    assert rig.failure(call)[0] == "task_timeout" and call.tries == 2


def test_a_cancel_comes_first() -> None:
    rig = ready()
    call = limited(rig)
    ring(rig, call.worker, 2.0)
    rig.scheduler.cancel(call.id, force=False, recursive=False)
    rig.result(call, CANCELLED, values=())
    assert rig.failure(call)[0] == "cancelled"


def test_a_worker_has_one_timer_and_forgets_what_has_ended() -> None:
    rig = Rig()
    rig.workers(1)
    for _ in range(1000):
        call = rig.submit(timeout=3600.0)
        rig.take()
        begin(rig, call)
        rig.result(call)
    timeouts = rig.scheduler.timeouts
    (number,) = rig.pool.workers
    assert len(timeouts._running[number]) <= 2 * SPARE + 1
    assert timeouts._armed == {number: 3600.0}
    assert not ring(rig, number, 3600.0) and not timeouts._armed and not timeouts._running


def test_an_earlier_limit_has_its_own_timer() -> None:
    rig = Rig()
    rig.workers(1)
    first = limited(rig, timeout=60.0)
    number = first.worker
    rig.scheduler.blocked(number, first.id, [], True, [])
    rig.result(first)
    second = rig.submit(timeout=1.0)
    rig.take()
    assert begin(rig, second) == [do.Arm(1.0, f"timeout:{number}")]
    assert only(ring(rig, number, 1.0), do.Interrupt).call == second.id
    rig.result(second)
    assert not ring(rig, number, 60.0)


def test_among_others_it_is_given_up_and_keeps_its_arguments() -> None:
    rig = ready()
    argument = rig.ids()
    rig.scheduler.put(argument, ["stored", 1], (), 0)
    actor, number = rig.living(groups=(("", 2),))
    call = rig.method(actor, timeout=1.0, refs=[argument])
    rig.drop(argument)
    begin(rig, call)
    ring(rig, number, 1.0)
    assert not ring(rig, number, 1.0 + GRACE)
    assert (
        rig.failure(call)[1]["company"]
        and call.id in rig.scheduler.placement.workers[number].inflight
    )
    assert argument in rig.entries
    assert only(rig.result(call), do.Free).id == argument


def test_an_actor_that_has_nothing_else_left_is_ended_with_it() -> None:
    rig = ready()
    actor, number = rig.living(groups=(("", 2),))
    call = rig.method(actor, timeout=1.0)
    begin(rig, call)
    ring(rig, number, 1.0)
    assert not ring(rig, number, 1.0 + GRACE)
    assert rig.drop(actor.id) == [do.Kill(number)]


def fire(rig: Rig, arm: do.Arm) -> list[do.Action]:
    rig.now += arm.delay
    rig.scheduler.tick(arm.key, rig.now)
    return rig.take()


def given_up(**fields: Any) -> tuple[Rig, Any, Any]:
    """A call that was given up in a thread pool's worker, and another one beside it."""
    rig = Rig(size=1, limit=1, slots=2)
    rig.workers(1)
    call = limited(rig, timeout=1.0)
    other = rig.submit(**fields)
    ring(rig, call.worker, 1.0)
    return rig, call, other


def test_a_worker_that_does_not_answer_when_a_call_was_given_up_is_ended() -> None:
    rig, call, other = given_up(max_retries=1)
    probe, arm = ring(rig, call.worker, 1.0 + GRACE)
    assert isinstance(arm, do.Arm)
    assert probe == do.Probe(call.worker, 1)
    assert rig.failure(call)[0] == "task_timeout"
    arm = only(fire(rig, arm), do.Arm)
    assert fire(rig, arm) == [do.EndDeaf(call.worker, 1)]
    assert rig.now == 1.0 + GRACE + DEAF
    rig.die(call.worker, started=other.sequence)
    assert (other.deaths, other.attempts, other.state) == (0, 1, "ready")
    assert rig.pool.tally.crashes == {}


def test_a_look_that_comes_late_says_nothing_and_one_at_what_has_ended_neither() -> None:
    rig, call, _ = given_up()
    arm = only(ring(rig, call.worker, 1.0 + GRACE), do.Arm)
    arm = only(fire(rig, arm), do.Arm)
    rig.now += LATE + 0.1
    arm = only(fire(rig, arm), do.Arm)
    rig.result(call)
    assert not fire(rig, arm)


def test_what_a_call_that_was_given_up_returns_is_freed() -> None:
    rig, call, _ = given_up()
    ring(rig, call.worker, 1.0 + GRACE)
    assert only(rig.result(call, values=[["stored", 1]]), do.Free).payload == ["stored", 1]


def test_a_worker_that_has_died_leaves_no_time_behind() -> None:
    rig = ready()
    call = limited(rig, timeout=3600.0)
    number = call.worker
    rig.die(number, started=call.sequence)
    assert not rig.scheduler.timeouts._running and not rig.scheduler.timeouts._armed
    assert not ring(rig, number, 3600.0)
