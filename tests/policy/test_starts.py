"""Workers that start: how many at one time, and what becomes of those that take too long."""

from __future__ import annotations

from snakepit.policy import actions as do
from snakepit.policy.lines import Line
from snakepit.policy.staff import GRACE
from snakepit.policy.starts import MOST_STARTING

from .rig import Rig, kinds, only

PATIENCE = 30.0


def rig(size: int, *, batch: int = 99, patience: float = 0.0, intensity: int = 2) -> Rig:
    made = Rig(cpus=0, size=size, limit=size, intensity=intensity, period=1.0)
    made.pool.line = Line(None, None)
    made.pool.batch, made.pool.patience = batch, patience
    made.prestart(size)
    return made


def spawned(actions: list[do.Action]) -> list[int]:
    return [action.worker for action in actions if type(action) is do.Spawn]


def test_the_next_of_a_batch_starts_when_one_is_ready_or_dead() -> None:
    a = rig(4, batch=2)
    assert spawned(a.take()) == [1, 2]
    a.scheduler.hello(2)
    assert spawned(a.take()) == [3]
    retry = only(a.die(1, 0), do.Arm)
    a.scheduler.hello(3)
    assert not spawned(a.take())
    assert spawned(a.run_out(retry)) == [4]  # one at a time, until one has served


def test_calls_start_no_more_of_an_elastic_pool_either() -> None:
    a = rig(0, batch=2)
    a.pool.limit = 5
    for _ in range(5):
        a.submit(resources=())
    assert spawned(a.take()) == [1, 2]
    a.scheduler.hello(1)
    assert spawned(a.take()) == [3]


def test_who_is_late_says_where_it_is_and_is_ended_a_grace_later() -> None:
    a = rig(1, patience=PATIENCE, intensity=0)
    spawn, arm = a.take()
    assert isinstance(spawn, do.Spawn) and spawn.patience == PATIENCE
    assert arm == do.Arm(PATIENCE, "start:1")
    waits = a.submit(resources=())
    dump, again = a.run_out(arm)
    assert (dump, again) == (do.Dump(1), do.Arm(GRACE, "start:1"))
    assert a.run_out(again) == [do.Kill(1)]
    a.die(1, 0)
    kind, fields = a.failure(waits)
    assert kind == "pool_failed" and fields["start_timeout"] == PATIENCE


def test_who_is_ready_in_time_or_in_the_grace_is_left_alone() -> None:
    a = rig(2, patience=PATIENCE)
    _, first, _, second = a.take()
    a.scheduler.hello(1)
    assert a.run_out(first) == []
    _, again = a.run_out(second)
    a.scheduler.hello(2)
    assert "Kill" not in kinds(a.run_out(again))
    a.die(2, 0)
    assert a.pool.state == "running"  # it idled, and was in time


def test_however_long_each_may_take_too_many_are_too_many() -> None:
    a = rig(1, patience=PATIENCE, intensity=2)
    waits = a.submit(resources=())
    actions = a.take()
    for _ in range(3):
        assert waits.state == "ready"
        spawn, arm = actions
        _, again = a.run_out(arm)
        a.run_out(again)
        retry = only(a.die(spawn.worker, 0), do.Arm)
        actions = a.run_out(retry)
    assert waits.state == "done"


def test_initializers_do_not_hold_up_what_others_have_forked() -> None:
    a = rig(MOST_STARTING + 1)
    assert len(spawned(a.take())) == MOST_STARTING
    staff = a.scheduler.placement.staff
    staff.forked(staff.workers[1])
    assert spawned(a.take()) == [MOST_STARTING + 1]
    a.scheduler.hello(1)  # it counts once
    a.create(name="Actor")
    assert not spawned(a.take())
