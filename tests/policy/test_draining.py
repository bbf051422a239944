"""Draining, step by step."""

from __future__ import annotations

from snakepit.policy import actions as do
from snakepit.policy.draining import LOOKED_AT
from snakepit.wire.messages import EMPTY, GATE, RETRYABLE

from .rig import Rig, only, sent


def draining() -> Rig:
    """A rig with two workers whose pool takes no calls."""
    rig = Rig()
    rig.workers(2)
    rig.scheduler.drains.drain(rig.pool)
    return rig


def test_what_of_its_own_would_wait_for_itself() -> None:
    rig = Rig(cpus=4, size=2, limit=4)
    rig.workers(3)
    drains, pool = rig.scheduler.drains, rig.pool
    first = rig.submit(name="first")
    second = rig.submit(name="second", caller=first.worker, parent=first.id)
    assert drains.within(pool, second.worker, second.id) == "call second"
    assert drains.within(pool, first.worker, first.id) == "call first"
    assert not drains.within(pool, 0, 0) and not drains.within(pool, first.worker, 99)
    # One of another pool, which a call of the pool has made and that has not ended.
    _, number = rig.living()
    method = rig.method(rig.create(), caller=first.worker, parent=first.id)
    rig.take()
    assert not drains.within(pool, number, method.id)


def test_new_calls_are_refused_until_it_is_resumed() -> None:
    rig = draining()
    assert rig.failure(rig.submit()) == ("pool_draining", {"pool": "main", "call": "f"})
    assert rig.failure(rig.submit(env=(("PATH", "here"),)))[0] == "pool_draining"
    assert rig.pool.tally.errors == {"pool_draining": 2}
    rig.scheduler.drains.resume(rig.pool)
    assert rig.submit().state == "sent"


def test_what_it_has_comes_to_its_end_with_all_its_tries() -> None:
    rig = Rig(cpus=1, size=1, limit=1)
    rig.workers(1)
    running, waiting = rig.submit(max_retries=1), rig.submit()
    argument = rig.submit(deps=[running.id])
    rig.take()
    rig.scheduler.drains.drain(rig.pool)
    rig.result(running, RETRYABLE)
    for call in (waiting, running, argument):
        assert call.state == "sent"
        rig.result(call)
    assert not rig.pool.tally.pending


def test_its_own_calls_make_others_and_those_of_actors_do_not() -> None:
    rig = Rig()
    rig.workers(2)
    actor, number = rig.living()
    parent = rig.submit()
    rig.scheduler.drains.drain(rig.pool)
    assert rig.submit(caller=parent.worker).state == "sent"
    assert rig.failure(rig.submit(caller=number))[0] == "pool_draining"
    assert rig.method(actor).state == "sent"
    assert rig.create().state != "done"


def test_a_gate_ends_when_the_pool_is_empty() -> None:
    rig = Rig()
    rig.workers(2)
    call = rig.submit()
    rig.take()
    rig.scheduler.drains.drain(rig.pool)
    gate, other = (rig.submit(GATE, method=EMPTY) for _ in range(2))
    arm = only(rig.take(), do.Arm)
    assert arm == do.Arm(LOOKED_AT, "drain:main")
    assert rig.run_out(arm) == [arm]
    rig.result(call)
    assert not rig.run_out(arm)
    assert gate.state == other.state == rig.submit(GATE, method=EMPTY).state == "done"


def test_one_that_is_given_up_or_outlived_is_forgotten() -> None:
    rig = Rig()
    rig.workers(2)
    rig.submit()
    gate = rig.submit(GATE, method=EMPTY)
    arm = [action for action in rig.take() if type(action) is do.Arm][-1]
    rig.scheduler.cancel(gate.id, force=False, recursive=False)
    assert not rig.run_out(arm)
    again = rig.submit(GATE, method=EMPTY)
    rig.scheduler.drains.resume(rig.pool)
    assert rig.failure(again)[0] == "cancelled"


def test_a_pool_that_has_failed_is_empty() -> None:
    rig = Rig(intensity=0, size=1, limit=1)
    rig.prestart(1)
    rig.die(only(rig.take(), do.Spawn).worker, started=0)
    assert rig.failure(rig.submit())[0] == "pool_failed"
    rig.scheduler.drains.drain(rig.pool)
    assert rig.submit(GATE, method=EMPTY).state == "done"
    assert rig.failure(rig.submit())[0] == "pool_draining"


def test_a_closed_runtime_stays_closed() -> None:
    rig = draining()
    rig.scheduler.close("shutdown", {})
    rig.scheduler.drains.resume(rig.pool)
    assert rig.failure(rig.submit())[0] == "shutdown"
    assert not sent(rig.take())
