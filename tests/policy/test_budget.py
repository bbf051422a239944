"""Budgets of retries: who gets one, who is told that there is none, when they come back."""

from __future__ import annotations

from snakepit.policy import actions as do
from snakepit.policy.budget import Budget
from snakepit.policy.calls import Call
from snakepit.wire.messages import METHOD, RETRYABLE

from .rig import Rig, only, sent


def rig(limit: int) -> Rig:
    made = Rig(cpus=2, size=2)
    made.pool.budget = Budget(limit, 10.0)
    made.workers(2)
    return made


def crash(rig: Rig, call: Call) -> list[do.Action]:
    """Have the worker of a call die, and others be there."""
    greet(rig, rig.take())
    actions = rig.die(call.worker, call.sequence)
    greet(rig, actions)
    return actions


def greet(rig: Rig, actions: list[do.Action]) -> None:
    """Have those that are started be there."""
    for action in actions:
        if type(action) is do.Spawn:
            rig.scheduler.hello(action.worker)


def test_a_retry_is_taken_and_comes_back_after_the_period() -> None:
    a = rig(1)
    call = a.submit(max_retries=-1)
    a.take()
    arm = only([x for x in crash(a, call) if getattr(x, "key", "") == "budget:main"], do.Arm)
    assert arm.delay == 10.0 and call.worker
    other = a.submit(max_retries=3)
    crash(a, other)
    kind, fields = a.failure(other)
    assert kind == "worker_crashed"
    assert (fields["denied"], fields["budget"], fields["window"]) == ("budget", 1, 10.0)
    a.run_out(arm)
    crash(a, call)
    assert call.state in ("ready", "sent")
    assert a.pool.tally.retries == 2


def test_exceptions_take_from_the_same_budget() -> None:
    a = rig(1)
    call = a.submit(max_retries=5, retry_exceptions=b"x")
    a.take()
    assert sent(a.result(call, RETRYABLE))
    a.result(call, RETRYABLE)
    assert a.entries[call.id].payload == b"v"
    assert a.pool.tally.errors == {"error": 1}


def test_what_has_not_begun_takes_nothing() -> None:
    a = rig(0)
    call = a.submit()
    a.take()
    a.die(call.worker, 0)
    assert call.state in ("ready", "sent")


def test_a_call_whose_own_retries_are_used_up_takes_nothing() -> None:
    a = rig(1)
    call = a.submit(max_retries=0)
    a.take()
    crash(a, call)
    assert "denied" not in a.failure(call)[1]
    assert a.pool.budget is not None and a.pool.budget.left == 1


def test_variants_share_the_budget_and_actors_have_none() -> None:
    a = rig(0)
    call = a.submit(max_retries=1, env=(("A", "b"),))
    number = only(a.take(), do.Spawn).worker
    a.scheduler.hello(number)
    a.take()
    crash(a, call)
    assert a.failure(call)[1]["denied"] == "budget"
    actor, _ = a.living(max_task_retries=1)
    method = a.submit(METHOD, actor=actor.id, max_retries=1)
    a.take()
    assert sent(a.result(method, RETRYABLE))
