"""Declared pools: their workers, who may wait before them, and how long."""

from __future__ import annotations

from typing import Any

import pytest

from snakepit.policy import actions as do
from snakepit.policy.lines import PARTS, Line
from snakepit.policy.pools import Pool
from snakepit.policy.resources import UNIT
from snakepit.wire.messages import GATE

from .rig import Rig, kinds, only, sent


def declared(
    size: int = 1, limit: int = 1, most: int | None = 2, timeout: float | None = 8.0
) -> tuple[Rig, Pool, Line]:
    """A rig whose pool was asked for, with its workers."""
    rig = Rig(cpus=0, size=size, limit=limit)
    pool = rig.pool
    pool.line = line = Line(most, timeout)
    rig.workers(size)
    return rig, pool, line


def usual(rig: Rig, **fields: Any) -> Any:
    """A task that leaves what it takes to its pool."""
    return rig.submit(resources=(), **fields)


def wheel(rig: Rig, turns: int) -> list[do.Action]:
    """Let the timer of the line run out so many times."""
    actions: list[do.Action] = []
    for _ in range(turns):
        rig.scheduler.tick("queue:main")
        actions += rig.take()
    return actions


def test_its_workers_are_the_limit_and_cpus_are_not() -> None:
    rig, _, _ = declared(size=2, limit=2)
    calls = [usual(rig) for _ in range(2)]
    assert [call for _, call in sent(rig.take())] == [call.id for call in calls]
    assert rig.failure(rig.submit(resources=(("CPU", UNIT),)))[0] == "unschedulable"


def test_one_call_too_many_is_refused_at_once() -> None:
    rig, _, line = declared()
    running, *waiting, last = (usual(rig) for _ in range(4))
    assert rig.failure(last) == ("pool_saturated", {"pool": "main", "limit": 2, "call": "f"})
    assert len(line) == 2 and rig.pool.tally.errors == {"pool_saturated": 1}
    rig.take()
    rig.result(running, micros=1_000_000)
    assert len(line) == 1 and rig.pool.tally.succeeded == 1
    assert usual(rig).state == "ready"
    assert waiting[0].state == "sent"


def test_a_line_of_nobody_lets_nobody_wait() -> None:
    rig, _, _ = declared(most=0)
    assert usual(rig).state == "sent"
    assert rig.failure(usual(rig))[0] == "pool_saturated"


def test_who_waits_for_too_long_never_runs() -> None:
    rig, _, _ = declared()
    running, late = usual(rig), usual(rig)
    arm = only([action for action in rig.take() if type(action) is do.Arm], do.Arm)
    assert (arm.key, arm.delay) == ("queue:main", 8.0 / PARTS)
    wheel(rig, PARTS)
    assert late.state == "ready"
    wheel(rig, 1)
    assert rig.failure(late) == ("queue_timeout", {"pool": "main", "timeout": 8.0, "call": "f"})
    assert not sent(rig.result(running))
    assert (rig.pool.tally.requests, rig.pool.tally.succeeded, rig.pool.tally.errors) == (
        2,
        1,
        {"queue_timeout": 1},
    )
    assert not rig.scheduler.placement.waiting


def test_a_line_without_calls_stands_still() -> None:
    rig, _, line = declared()
    running, waiting = usual(rig), usual(rig)
    rig.result(running)
    rig.result(waiting)
    assert not [action for action in wheel(rig, 1) if type(action) is do.Arm]
    assert not line.turning
    usual(rig)
    usual(rig)
    assert only([action for action in rig.take() if type(action) is do.Arm], do.Arm).key


def test_what_has_begun_waits_for_as_long_as_need_be() -> None:
    rig, pool, line = declared(most=0)
    call = usual(rig, max_retries=3)
    rig.die(call.worker, started=1)
    assert call.state == "ready" and len(line) == 1
    wheel(rig, 3 * PARTS)
    assert call.state == "ready"
    for number in list(pool.workers):
        rig.scheduler.hello(number)
    assert call.state == "sent" and len(line) == 0


def test_a_cancelled_call_waits_no_longer() -> None:
    rig, _, line = declared()
    usual(rig)
    waiting = usual(rig)
    rig.scheduler.cancel(waiting.id, force=False, recursive=False)
    assert len(line) == 0 and rig.pool.tally.errors == {"cancelled": 1}


def test_a_worker_that_dies_is_replaced_though_nothing_waits() -> None:
    rig, pool, _ = declared(size=2, limit=2)
    first, _ = pool.workers
    actions = rig.die(first, started=0)
    assert only(actions, do.Spawn).label == "main" and len(pool.workers) == 2


def test_one_that_dies_at_its_start_is_replaced_after_the_back_off() -> None:
    rig = Rig(cpus=0, size=1, limit=1)
    rig.pool.line = Line(None, None)
    rig.prestart(1)
    number = only(rig.take(), do.Spawn).worker
    arm = only(rig.die(number, started=0), do.Arm)
    assert not rig.pool.workers
    assert only(rig.run_out(arm), do.Spawn)


def test_workers_beyond_its_size_idle_for_a_time_of_its_own() -> None:
    rig = Rig(cpus=0, size=1, limit=2)
    rig.pool.line, rig.pool.idle_for = Line(None, None), 33.0
    rig.workers(1)
    for _ in range(2):
        usual(rig)
    rig.scheduler.hello(only(rig.take(), do.Spawn).worker)
    assert only(rig.take(), do.Arm).delay == 33.0 / 4
    assert len(rig.pool.workers) == 2


def test_a_pool_that_is_made_smaller_lets_go_who_is_done() -> None:
    rig, pool, _ = declared(size=3, limit=3, most=None)
    calls = [usual(rig) for _ in range(8)]
    rig.take()
    rig.scheduler.supervision.resize(pool, 1, 1)
    assert not rig.take() and len(pool.workers) == 3
    actions = rig.result(calls[0])
    assert only(actions, do.Retire).worker == calls[0].worker and not sent(actions)
    assert only(rig.result(calls[1]), do.Retire).worker == calls[1].worker
    assert not pool.over or len(pool.workers) == 1
    assert sent(rig.result(calls[2]))
    rig.scheduler.supervision.resize(pool, 2, 2)
    assert only(rig.take(), do.Spawn).label == "main"


def test_a_variant_shares_the_line() -> None:
    rig, _, _ = declared(most=1)
    other = (("PATH", "here"),)
    assert usual(rig, env=other).state == "ready"  # for the worker that starts
    assert usual(rig, env=other).state == "ready"
    assert rig.failure(usual(rig, env=other))[1]["pool"] == "main"
    assert rig.pool.tally.requests == 3


def test_who_waits_for_a_worker_that_starts_does_not_count() -> None:
    rig = Rig(cpus=0, size=1, limit=3)
    rig.pool.line = Line(0, None)
    calls = [usual(rig) for _ in range(3)]
    assert rig.failure(usual(rig))[0] == "pool_saturated"
    for action in rig.take():
        if type(action) is do.Spawn:
            rig.scheduler.hello(action.worker)
    assert {call.state for call in calls} == {"sent"}


def test_the_wheel_is_never_early_and_late_by_a_part_at_most() -> None:
    rig, _, line = declared(most=None)
    usual(rig)
    calls = {}
    for turn in range(40):
        calls[usual(rig).id] = turn
        for call in line.turn():
            assert PARTS <= turn + 1 - calls[call.id] <= PARTS + 1
            line.leave(call)


def starting(size: int) -> tuple[Rig, list[int]]:
    """A rig whose declared pool has so many workers on their way; and their numbers."""
    rig = Rig(cpus=0, size=size, limit=size, intensity=0)
    rig.pool.line = Line(None, None)
    rig.prestart(size)
    return rig, [action.worker for action in rig.take() if type(action) is do.Spawn]


def test_a_gate_opens_when_the_last_worker_is_there() -> None:
    rig, (first, second) = starting(2)
    gate = rig.submit(GATE)
    rig.scheduler.hello(first)
    assert gate.state == "waiting"
    rig.scheduler.hello(second)
    assert gate.state == rig.submit(GATE).state == "done"
    assert rig.pool.tally.requests == 0


def test_a_gate_opens_when_fewer_workers_will_do() -> None:
    rig, (first, _) = starting(2)
    gate = rig.submit(GATE)
    rig.scheduler.hello(first)
    rig.scheduler.supervision.resize(rig.pool, 1, 2)
    assert gate.state == "done"


def test_a_gate_of_a_pool_that_fails_says_why() -> None:
    rig, (only_one,) = starting(1)
    gate, given_up = rig.submit(GATE), rig.submit(GATE)
    rig.scheduler.cancel(given_up.id, force=False, recursive=False)
    rig.die(only_one, started=0, stderr="no licence")
    kind, fields = rig.failure(gate)
    assert (kind, fields["stderr"]) == ("pool_failed", "no licence")
    assert rig.failure(given_up)[0] == "cancelled"
    assert rig.failure(rig.submit(GATE))[0] == "pool_failed"


def test_calls_for_no_pool_are_nobodys_requests() -> None:
    rig, pool, _ = declared()
    assert rig.failure(usual(rig, pool="narrow"))[0] == "unknown_pool"
    assert (pool.tally.requests, pool.tally.errors) == (0, {})


def test_what_was_sent_ahead_waits_in_line_when_its_worker_overruns() -> None:
    rig, _, line = declared(most=10)
    rig.result(usual(rig), micros=1000)
    running, ahead, later = (usual(rig) for _ in range(3))
    assert (ahead.state, len(line)) == ("sent", 0)
    rig.take()
    rig.scheduler.tick("overrun")
    assert kinds(rig.take()) == ["Arm"]
    asked = []
    for _ in range(9):  # an answer may take as long as C code keeps the GIL
        rig.scheduler.tick("overrun")
        asked.append(do.AskBack(1) in rig.take())
    assert asked == [True, True, False, True, False, False, False, True, False]
    rig.scheduler.given_back(1, [ahead.id, later.id])
    assert len(line) == 2 and not sent(rig.take())
    wheel(rig, PARTS + 1)
    assert {rig.failure(call)[0] for call in (ahead, later)} == {"queue_timeout"}
    assert not sent(rig.result(running))


@pytest.mark.parametrize("still", (False, True))
def test_what_is_given_back_has_waited_since_it_stood_in_line_first(still: bool) -> None:
    rig, _, line = declared(most=10)
    rig.result(usual(rig), micros=1000)
    running, next_one, late = (usual(rig) for _ in range(3))
    for _ in range(2):
        rig.scheduler.tick("overrun")
    rig.scheduler.given_back(1, [next_one.id, late.id])
    wheel(rig, 10)
    assert len(line) == 2
    assert len(sent(rig.result(running, micros=1000))) == 2  # the last of them ahead of time
    if still:
        wheel(rig, PARTS + 1)  # the wheel stands still, for nobody waits
    for _ in range(2):
        rig.scheduler.tick("overrun")
    rig.scheduler.given_back(1, [late.id])
    wheel(rig, 0 if still else PARTS - 10)
    assert late.state == "ready"
    wheel(rig, 1)
    assert rig.failure(late)[0] == "queue_timeout"
