"""The circuit breaker of a pool: when it opens, whom it lets through, what closes it."""

from __future__ import annotations

import pytest

from snakepit.policy import actions as do
from snakepit.policy.calls import IllegalTransition
from snakepit.policy.circuit import CLOSED, HALF_OPEN, OPEN, Circuit
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
