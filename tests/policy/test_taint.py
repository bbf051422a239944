"""Tainted slots: who starts where a worker broke, and when."""

from __future__ import annotations

import pytest

from snakepit.policy import actions as do
from snakepit.policy.lines import Line
from snakepit.policy.stats import stats
from snakepit.policy.taint import LONGEST, Taint

from .rig import Rig, only, sent

SECONDS = 10.0


def rig(size: int = 2, limit: int = 2) -> Rig:
    made = Rig(cpus=0, size=size, limit=limit)
    made.pool.line = Line(None, None)
    made.pool.taint = Taint(SECONDS)
    made.workers(size)
    return made


def crash(rig: Rig, signal: str = "SIGSEGV", first: bool = True) -> list[do.Action]:
    """Have a worker break in a call, its first one or not."""
    if not first:
        rig.result(rig.submit(resources=()))
    call = rig.submit(resources=())
    rig.take()
    return rig.die(call.worker, call.sequence, signal=signal)


def spawned(actions: list[do.Action]) -> list[int]:
    return [action.worker for action in actions if type(action) is do.Spawn]


def taint(actions: list[do.Action]) -> do.Arm:
    return only([a for a in actions if getattr(a, "key", "").startswith("taint")], do.Arm)


@pytest.mark.parametrize("signal", ["SIGSEGV", "SIGABRT"])
def test_nobody_takes_the_place_of_one_that_broke_before_its_time(signal: str) -> None:
    a = rig()
    actions = crash(a, signal)
    arm = taint(actions)
    assert arm.delay == SECONDS and not spawned(actions)
    assert stats(a.scheduler.placement, a.pool)["tainted"] == 1
    assert sent([*_submit(a)])  # the other works on
    assert len(spawned(a.run_out(arm))) == 1
    assert a.pool.held == 0 and a.pool.staffed == 2


def _submit(a: Rig) -> list[do.Action]:
    a.submit(resources=())
    return a.take()


def test_who_was_killed_or_left_is_replaced_at_once() -> None:
    a = rig()
    assert spawned(crash(a, "SIGKILL"))
    a.scheduler.hello(3)
    assert not a.pool.held
    assert taint(a.die(3, 0, signal="SIGSEGV"))  # it idled
    assert a.pool.held == 1


def test_lack_of_memory_taints_if_the_kernel_says_so() -> None:
    a = rig()
    call = a.submit(resources=())
    a.take()
    worker = a.scheduler.placement.workers[call.worker]
    assert taint(a.die(call.worker, call.sequence, oom=True))
    assert worker.tainted


def test_a_slot_whose_next_worker_breaks_too_is_held_longer() -> None:
    a = rig(1, 1)
    delays = []
    for _ in range(7):
        arm = taint(crash(a))
        delays.append(arm.delay / SECONDS)
        (number,) = spawned(a.run_out(arm))
        a.scheduler.hello(number)
        a.take()
    assert delays == [1, 2, 4, 8, LONGEST, LONGEST, LONGEST]
    assert taint(crash(a, first=False)).delay == SECONDS


def test_when_all_places_are_tainted_calls_wait_as_long_as_they_may() -> None:
    a = rig()
    a.pool.line = Line(None, 8.0)
    arms = [taint(crash(a)) for _ in range(2)]
    waits = a.submit(resources=())
    assert waits.state == "ready" and not spawned(a.take())
    (number,) = spawned(a.run_out(arms[0]))
    a.scheduler.hello(number)
    assert sent(a.take()) == [(number, waits.id)]


def test_an_elastic_pool_starts_others_elsewhere() -> None:
    a = rig(1, 3)
    arm = taint(crash(a))
    calls = [a.submit(resources=()) for _ in range(3)]
    assert len(spawned(a.take())) == 2
    assert [call.state for call in calls] == ["ready"] * 3
    assert len(spawned(a.run_out(arm))) == 1


def test_what_dies_in_vain_is_the_affair_of_restart_intensity() -> None:
    a = rig(1, 1)
    (number,) = spawned(crash(a, "SIGKILL"))
    actions = a.die(number, 0, signal="SIGSEGV")
    assert only(actions, do.Arm).key.startswith("retry") and not a.pool.held


def test_a_pool_that_is_made_smaller_loses_such_slots_first() -> None:
    a = rig(3, 3)
    arms = [taint(crash(a)) for _ in range(2)]
    a.scheduler.supervision.resize(a.pool, 2, 2)
    assert a.pool.held == 1 and a.pool.staffed == 1
    assert not spawned(a.run_out(arms[0]))
    assert len(spawned(a.run_out(arms[1]))) == 1


def test_a_variant_has_slots_of_its_own() -> None:
    a = rig(1, 1)
    call = a.submit(resources=(), env=(("A", "b"),))
    (number,) = spawned(a.take())
    a.scheduler.hello(number)
    a.take()
    arm = taint(a.die(number, call.sequence, signal="SIGSEGV"))
    assert a.pool.held == 0 and stats(a.scheduler.placement, a.pool)["tainted"] == 1
    again = a.submit(resources=(), env=(("A", "b"),))
    assert not spawned(a.take()) and again.state == "ready"
    assert len(spawned(a.run_out(arm))) == 1
