"""Workers that run several calls at once."""

from __future__ import annotations

from snakepit.policy import actions as do
from snakepit.policy.stats import stats

from .rig import CPU, Rig, only, sent

NOTHING = (("CPU", 0),)


def slotted(slots: int = 2, workers: int = 1, **fields: object) -> Rig:
    """Return a rig with idle workers of several slots."""
    settings = {"cpus": 8, "size": workers, "limit": workers, "slots": slots, **fields}
    rig = Rig(**settings)  # type: ignore[arg-type]
    rig.workers(workers)
    return rig


def test_a_worker_runs_as_many_calls_as_it_has_slots() -> None:
    rig = slotted()
    calls = [rig.submit() for _ in range(3)]
    assert [call for _, call in sent(rig.take())] == [calls[0].id, calls[1].id]
    assert rig.free == 6
    assert sent(rig.result(calls[1])) == [(1, calls[2].id)]
    assert rig.free == 6
    rig.result(calls[0])
    rig.result(calls[2])
    assert rig.free == 8
    assert list(rig.pool.idle) == [1]


def test_idle_workers_come_before_free_slots() -> None:
    rig = slotted(workers=2)
    for _ in range(4):
        rig.submit()
    workers = [worker for worker, _ in sent(rig.take())]
    assert sorted(workers[:2]) == [1, 2]
    assert sorted(workers) == [1, 1, 2, 2]


def test_calls_of_several_classes_share_a_worker() -> None:
    rig = slotted(slots=3)
    rig.submit(resources=CPU)
    rig.submit(resources=NOTHING, name="g")
    rig.submit(resources=(("CPU", 5000),), name="h")
    assert len(sent(rig.take())) == 3
    assert rig.free == 6.5


def test_short_calls_of_one_class_are_sent_ahead() -> None:
    rig = slotted()
    rig.result(rig.submit())
    calls = [rig.submit() for _ in range(4)]
    actions = rig.take()
    assert len(sent(actions)) == 4
    assert rig.free == 6, "only what has a slot holds a CPU"
    assert only(actions, do.Arm).key == "overrun"
    counts = stats(rig.scheduler.placement, rig.pool)
    assert (counts["running"], counts["queued"]) == (2, 2)
    rig.result(calls[0])
    assert rig.free == 6
    rig.result(calls[1])
    rig.result(calls[2])
    assert rig.free == 7


def test_nothing_is_sent_ahead_of_different_calls() -> None:
    rig = slotted()
    rig.result(rig.submit())
    rig.submit()
    rig.submit(resources=NOTHING, name="g")
    rig.submit()
    assert len(sent(rig.take())) == 2


def test_a_call_that_waits_keeps_its_slot_and_not_its_cpu() -> None:
    rig = slotted()
    parent = rig.submit()
    rig.take()
    child = rig.submit(caller=1, parent=parent.id, resources=NOTHING, name="child")
    other = rig.submit(resources=NOTHING, name="other")
    assert sent(rig.take()) == [(1, child.id)], "there are two slots"
    rig.scheduler.blocked(1, parent.id, (child.id,), True, ())
    assert sent(rig.take()) == []
    assert rig.free == 8
    assert sent(rig.result(child)) == [(1, other.id)]
    rig.scheduler.unblocked(1, parent.id)
    assert rig.free == 7


def test_a_call_that_waits_in_several_threads_gives_its_cpu_once() -> None:
    rig = slotted()
    parent = rig.submit()
    children = [rig.submit(resources=NOTHING, caller=1, parent=parent.id) for _ in range(2)]
    rig.scheduler.blocked(1, parent.id, (children[0].id,), True, ())
    rig.scheduler.blocked(1, parent.id, tuple(child.id for child in children), True, ())
    assert rig.free == 8
    rig.scheduler.blocked(1, parent.id, (children[1].id,), True, ())
    assert rig.free == 8
    rig.scheduler.unblocked(1, parent.id)
    assert rig.free == 7


def test_what_a_call_waits_for_runs_beyond_the_slots() -> None:
    rig = slotted()
    parents = [rig.submit() for _ in range(2)]
    child = rig.submit(caller=1, parent=parents[0].id)
    other = rig.submit()
    rig.take()
    rig.scheduler.want(1, (child.id,), True)
    rig.scheduler.blocked(1, parents[0].id, (child.id,), True, ())
    send = only(rig.take(), do.Send)
    assert (send.call, send.nested) == (child, True)
    assert rig.free == 6
    counts = stats(rig.scheduler.placement, rig.pool)
    assert (counts["running"], counts["queued"]) == (3, 1)
    assert sent(rig.result(child)) == []
    assert sent(rig.result(parents[1])) == [(1, other.id)]


def test_a_death_charges_what_had_begun() -> None:
    rig = slotted()
    rig.result(rig.submit())
    calls = [rig.submit(max_retries=1) for _ in range(4)]
    rig.take()
    rig.die(1, started=calls[1].sequence)
    assert [call.tries for call in calls] == [1, 1, 0, 0]
    assert {call.state for call in calls} == {"ready"}
    assert rig.free == 8


def test_calls_behind_ones_that_overrun_are_asked_back_for_a_free_slot() -> None:
    rig = slotted(workers=2)
    rig.result(rig.submit())
    calls = [rig.submit() for _ in range(5)]
    arm = only([a for a in rig.take() if type(a) is do.Arm], do.Arm)
    behind = calls[4].worker
    for call in calls[:4]:
        if call.worker != behind:
            rig.result(call)
    rig.run_out(arm)
    rearmed = do.Arm(arm.delay, arm.key)
    assert only(rig.run_out(rearmed), do.AskBack).worker == behind


def test_a_pool_starts_workers_for_as_many_calls_as_they_take() -> None:
    rig = Rig(cpus=8, size=0, limit=4, slots=4)
    for _ in range(5):
        rig.submit(resources=NOTHING)
    assert sum(type(action) is do.Spawn for action in rig.take()) == 2


def test_a_pool_that_is_made_smaller_gives_nothing_to_those_that_are_too_many() -> None:
    rig = slotted(workers=2)
    calls = [rig.submit() for _ in range(2)]
    rig.take()
    rig.scheduler.supervision.resize(rig.pool, 1, 1)
    more = rig.submit()
    assert sent(rig.take()) == []
    actions = rig.result(calls[0])
    assert only(actions, do.Retire).worker == calls[0].worker
    assert sent(actions) == [(calls[1].worker, more.id)]


def test_processes_with_gpus_have_one_slot() -> None:
    rig = Rig(cpus=8, size=0, limit=4, slots=4, GPU=2)
    calls = [rig.submit(resources=(("GPU", 10_000),)) for _ in range(2)]
    assert {call.shape.klass.pool.slots for call in calls} == {1}
    assert sum(type(action) is do.Spawn for action in rig.take()) == 2


def elastic(width: int = 3, *, eager: bool = False) -> Rig:
    """Return a rig with one worker of three slots, and room for another two."""
    rig = slotted(slots=3, size=1, limit=3)
    rig.pool.width, rig.pool.eager = width, eager
    return rig


def started(actions: list[do.Action]) -> list[int]:
    return [action.worker for action in actions if type(action) is do.Spawn]


def test_a_pool_grows_when_no_slot_is_free() -> None:
    rig = elastic()
    for _ in range(3):
        rig.submit()
    actions = rig.take()
    assert len(sent(actions)) == 3 and not started(actions)
    rig.submit()
    assert started(rig.take()) == [2]


def test_a_narrow_pool_gives_each_worker_one_call_and_none_ahead() -> None:
    rig = elastic(width=1)
    rig.result(rig.submit(), micros=10)
    calls = [rig.submit() for _ in range(3)]
    actions = rig.take()
    assert sent(actions) == [(1, calls[0].id)] and started(actions) == [2, 3]
    rig.scheduler.hello(3)
    assert sent(rig.take()) == [(3, calls[1].id)]
    assert sent(rig.result(calls[0])) == [(1, calls[2].id)]


def test_what_a_call_waits_for_runs_beside_it_in_a_narrow_worker_too() -> None:
    rig = slotted(slots=3)
    rig.pool.width = 1
    parent = rig.submit()
    child = rig.submit(caller=1, parent=parent.id)
    assert sent(rig.take()) == [(1, parent.id)]
    rig.scheduler.want(1, (child.id,), True)
    rig.scheduler.blocked(1, parent.id, (child.id,), True, ())
    send = only(rig.take(), do.Send)
    assert (send.call, send.nested) == (child, True)


def test_an_eager_pool_starts_a_worker_for_each_call_beside_another() -> None:
    rig = elastic(eager=True)
    first, second = rig.submit(), rig.submit()
    actions = rig.take()
    assert sent(actions) == [(1, first.id), (1, second.id)], "and waits for nobody"
    assert started(actions) == [2]
    rig.scheduler.hello(2)
    third = rig.submit()
    actions = rig.take()
    assert sent(actions) == [(2, third.id)] and not started(actions)
    rig.submit()
    assert started(rig.take()) == [3]
    rig.submit()
    assert not started(rig.take()), "that is its limit"
