"""The circuit breaker of a pool: when it opens, whom it lets through, what closes it."""

from __future__ import annotations

from typing import Any

import pytest

from snakepit.policy import actions as do
from snakepit.policy.calls import Call, IllegalTransition
from snakepit.policy.circuit import CLOSED, HALF_OPEN, OPEN, Circuit
from snakepit.policy.lines import Line
from snakepit.wire.messages import CANCELLED, ERROR, RETRYABLE

from .rig import Rig, only, sent


def rig(failures: int = 2, **fields: int) -> Rig:
    made = Rig(cpus=2, size=2, **fields)
    made.pool.circuit = Circuit(failures, 10.0, 5.0)
    made.workers(2)
    return made


def crash(rig: Rig, **fields: object) -> list[do.Action]:
    """Have a call crash its worker."""
    call = rig.submit(**fields)
    (number, _), *_ = sent(rig.take())
    actions = rig.die(number, call.sequence, signal="SIGSEGV")
    for action in actions:
        if type(action) is do.Spawn:
            rig.scheduler.hello(action.worker)
    return actions


def opened(rig: Rig) -> do.Arm:
    """Have the circuit open; return its timer."""
    rig.workers(2)
    arms: list[do.Arm] = []
    while not arms:
        rig.workers(1)
        arms = [a for a in crash(rig) if type(a) is do.Arm and a.key.startswith("circuit")]
    return arms[0]


def test_a_circuit_opens_when_the_last_crashes_lie_within_the_window() -> None:
    circuit = Circuit(3, 10.0, 5.0)
    assert [circuit.crashed(now, {}) for now in (0.0, 1.0, 10.5)] == [False, False, False]
    assert circuit.crashed(11.0, {"signal": "SIGSEGV"})
    assert circuit.state == OPEN and circuit.refusal is not None
    assert circuit.refusal[1] == {
        "signal": "SIGSEGV", "failures": 3, "window": 10.0, "reset_at": 16.0,
        "reset_after": 5.0,
    }  # fmt: skip
    assert not circuit.crashed(11.5, {})
    with pytest.raises(IllegalTransition):
        circuit.to("success")


def test_an_open_circuit_fails_calls_at_once_and_those_that_wait() -> None:
    a = rig()
    held = [a.submit() for _ in range(2)]
    queued = a.submit()
    late = a.submit(deps=[held[0].id])
    a.take()
    a.die(held[0].worker, held[0].sequence)
    assert a.failure(held[0])[0] == "worker_crashed"
    a.die(held[1].worker, held[1].sequence, signal="SIGSEGV")
    kind, fields = a.failure(queued)
    assert kind == "circuit_open" and fields["signal"] == "SIGSEGV"
    assert (fields["pool"], fields["failures"], fields["kind"]) == ("main", 2, "segfault")
    assert a.failure(a.submit())[0] == "circuit_open"
    assert a.failure(late)[0] == "worker_crashed"


def test_a_crash_that_opens_it_is_not_tried_again_and_says_so() -> None:
    a = rig(failures=1)
    call = a.submit(max_retries=3)
    a.take()
    a.die(call.worker, call.sequence)
    assert a.failure(call)[0] == "worker_crashed"


def test_what_had_not_begun_is_refused() -> None:
    a = rig(failures=1)
    calls = [a.submit() for _ in range(2)]
    a.take()
    number = calls[0].worker
    a.die(number, calls[0].sequence)
    assert calls[1].worker != number
    a.die(calls[1].worker, 0)
    assert a.failure(calls[1])[0] == "circuit_open"


@pytest.mark.parametrize("outcome", ["value", "error", "retryable"])
def test_one_call_is_tried_and_its_end_closes_the_circuit(outcome: str) -> None:
    a = rig()
    a.run_out(opened(a))
    trial = a.submit(max_retries=0)
    if not trial.worker:
        a.workers(1)
    assert a.pool.circuit is not None and a.pool.circuit.state == HALF_OPEN
    assert a.failure(a.submit())[0] == "circuit_open"
    if outcome == "value":
        a.result(trial)
    else:
        a.result(trial, ERROR if outcome == "error" else RETRYABLE)
    assert a.pool.circuit.state == CLOSED
    other = a.submit()
    assert other.state in ("sent", "ready")


def test_a_crash_of_the_trial_opens_it_again() -> None:
    a = rig()
    a.run_out(opened(a))
    a.workers(1)
    arm = only([x for x in crash(a, max_retries=3) if getattr(x, "key", "")[:4] == "circ"], do.Arm)
    assert a.failure(a.submit())[0] == "circuit_open"
    a.run_out(arm)
    a.workers(1)
    a.result(a.submit())
    assert a.pool.circuit is not None and a.pool.circuit.state == CLOSED


def test_a_trial_that_is_cancelled_or_waits_for_an_argument_makes_room_for_another() -> None:
    a = rig()
    a.workers(2)
    slow = a.submit()
    a.take()
    a.run_out(opened(a))
    waits = a.submit(deps=[slow.id])
    first = a.submit()
    a.workers(1)
    a.scheduler.cancel(first.id, force=False, recursive=False)
    a.result(first, CANCELLED, values=())
    assert a.pool.circuit is not None and a.pool.circuit.state == HALF_OPEN
    second = a.submit()
    assert second.worker
    a.result(slow)
    assert a.failure(waits)[0] == "circuit_open"
    a.result(second)
    assert a.pool.circuit.state == CLOSED


def test_what_users_raise_force_or_do_to_zygotes_is_no_crash() -> None:
    a = rig(failures=1)
    a.result(a.submit(), ERROR)
    call = a.submit()
    a.take()
    a.die(call.worker, call.sequence, zygote="was killed")
    a.workers(1)
    call = a.submit()
    a.take()
    a.scheduler.cancel(call.id, force=True, recursive=False)
    a.die(call.worker, call.sequence)
    assert a.pool.circuit is not None and a.pool.circuit.state == CLOSED


def test_variants_share_the_circuit_and_other_pools_do_not_mind() -> None:
    a = rig(failures=1)
    crash(a)
    assert a.failure(a.submit(env=(("A", "b"),)))[0] == "circuit_open"
    actor = a.create()
    only(a.take(), do.Spawn)
    assert a.entries[actor.id].actor is not None


def test_a_pool_that_fails_meanwhile_is_refused_by_its_circuit_after_that() -> None:
    a = rig(failures=1, intensity=0)
    crash(a)
    a.scheduler.supervision.fail(a.pool, {"signal": "SIGSEGV"})
    assert a.failure(a.submit())[0] == "pool_failed"
    arm = [action for action in a.take() if type(action) is do.Arm][-1]
    a.run_out(arm)
    assert a.failure(a.submit())[0] == "circuit_open"


def test_a_worker_that_was_ended_for_a_call_s_time_is_no_crash() -> None:
    a = rig(failures=1)
    call = a.submit(timeout=1.0)
    a.take()
    call.expired = True
    a.die(call.worker, call.sequence)
    assert a.pool.circuit is not None and a.pool.circuit.state == CLOSED
    assert a.pool.tally.crashes == {}


@pytest.mark.parametrize("slots", [1, 2])
@pytest.mark.parametrize("how", ["cancelled", "expired"])
def test_who_had_its_worker_ended_while_it_waits_is_to_blame_alone(slots: int, how: str) -> None:
    a = Rig(cpus=4, size=1, limit=1, slots=slots)
    a.pool.circuit = Circuit(1, 10.0, 5.0)
    a.workers(1)
    outer = a.submit(max_retries=0)
    other = a.submit(max_retries=-1)  # beside it, or once that waits above it on its stack
    a.scheduler.want(outer.worker, [other.id], True)
    a.scheduler.blocked(outer.worker, outer.id, [other.id], True, [])
    a.take()
    assert (other.worker, other.nested) == (outer.worker, slots == 1)
    setattr(outer, how, True)
    a.die(outer.worker, other.sequence)
    assert a.pool.circuit.state == CLOSED and a.pool.tally.crashes == {}
    assert (outer.deaths, outer.attempts) == (1, 0)
    assert (other.deaths, other.attempts, other.state) == (0, 1, "ready")


def housed(**fields: Any) -> tuple[Rig, Call, int]:
    """Have a pool of one worker, in which an actor lives that is always made anew."""
    a = Rig(cpus=4, size=1, limit=2, **fields)
    a.pool.line = Line(None, None)
    a.pool.circuit = Circuit(1, 10.0, 5.0)
    a.workers(1)
    actor = a.create(pooled=1, max_restarts=-1)
    (number, _), *_ = sent(a.take())
    a.result(actor, values=())
    return a, actor, number


def test_an_actor_that_has_lived_is_made_anew_when_an_open_circuit_is_tried() -> None:
    a, actor, number = housed()
    a.workers(1)
    arm = only([x for x in crash(a) if getattr(x, "key", "")[:7] == "circuit"], do.Arm)
    a.die(number, actor.sequence)
    call = a.method(actor)
    assert call.state == "waiting"
    refused = a.create(pooled=1, max_restarts=-1)
    assert a.failure(a.method(refused))[0] == "actor_died", "a new one is refused as before"
    a.run_out(arm)
    for worker in [*a.pool.workers.values()]:
        if worker.state == "starting":
            a.scheduler.hello(worker.number)
    made = a.entries[actor.id].actor
    assert made is not None and made.creation.state == "sent"
    a.take()
    a.result(made.creation, values=())
    assert call.state == "sent" and a.pool.circuit.state == HALF_OPEN


def test_an_actor_that_has_lived_waits_until_its_pool_has_healed() -> None:
    a, actor, number = housed(intensity=0)
    a.scheduler.supervision.fail(a.pool, {"exit_code": 7})
    arm = [x for x in a.take() if type(x) is do.Arm and x.key.startswith("retry")][-1]
    a.die(number, actor.sequence)
    call = a.method(actor)
    spawn = only(a.run_out(arm), do.Spawn)
    # The trial fails too: who waits is told, and the actor goes on to wait.
    actions = a.die(spawn.worker, 0, signal=None, exit_code=7)
    kind, fields = a.failure(call)
    assert (kind, fields["reason"], fields["exit_code"]) == ("actor_unavailable", "pool_failed", 7)
    arm = [x for x in actions if type(x) is do.Arm and x.key.startswith("retry")][-1]
    call = a.method(actor)
    spawn = only(a.run_out(arm), do.Spawn)
    a.scheduler.hello(spawn.worker)
    made = a.entries[actor.id].actor
    assert made is not None
    a.result(made.creation, values=())
    a.result(call)
    assert a.pool.state == "running"


def test_an_actor_that_is_killed_while_it_waits_is_not_made() -> None:
    a, actor, number = housed()
    a.workers(1)
    arm = only([x for x in crash(a) if getattr(x, "key", "")[:7] == "circuit"], do.Arm)
    a.die(number, actor.sequence)
    call = a.method(actor)
    a.scheduler.kill(actor.id, no_restart=True)
    assert a.failure(call)[0] == "actor_died"
    assert a.scheduler.actors.restarts.waiting == {}
    assert not [x for x in a.run_out(arm) if type(x) in (do.Spawn, do.Send)]
