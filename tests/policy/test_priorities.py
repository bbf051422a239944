"""Priorities: whose turn it is when a worker is free."""

from __future__ import annotations

from snakepit.policy.resources import UNIT
from snakepit.wire.messages import CREATE

from .rig import CPU, Rig, sent
from .test_lines import declared, usual


def served(rig: Rig, *calls: object) -> list[str]:
    """Let the calls run one after the other; return the names in the order in which they ran."""
    names = []
    running = [call for _, call in sent(rig.take())]
    known = {call.id: call for call in calls}  # type: ignore[attr-defined]
    while running:
        call = known[running.pop(0)]
        names.append(call.name)
        running += [number for _, number in sent(rig.result(call, micros=1_000_000))]
    return names


def test_more_priority_goes_first_and_equals_in_their_order() -> None:
    rig, _, _ = declared(most=None)
    given = [("runs", 0), ("a", 0), ("low", -1), ("b", 0), ("high", 5), ("top", 9), ("higher", 5)]
    calls = [usual(rig, name=name, priority=priority) for name, priority in given]
    assert served(rig, *calls) == ["runs", "top", "high", "higher", "a", "b", "low"]


def test_short_calls_of_more_priority_are_not_kept_waiting_by_those_ahead() -> None:
    rig, _, _ = declared(most=None)
    first = usual(rig)
    rig.take()
    rig.result(first, micros=10)
    low = [usual(rig) for _ in range(5)]  # The first runs, and others are sent ahead.
    ahead = sent(rig.take())
    high = usual(rig, name="high", priority=1)
    later = [usual(rig) for _ in range(5)]
    assert not sent(rig.take())
    order = []
    for call in low[: len(ahead)]:
        order += [number for _, number in sent(rig.result(call, micros=10))]
    assert order[0] == high.id
    assert all(call.state == "ready" for call in later)


def test_what_a_task_makes_has_its_priority() -> None:
    rig, _, _ = declared(size=2, limit=2, most=None)
    maker, runs = usual(rig, priority=3), usual(rig, name="runs")
    rig.take()
    before = usual(rig, priority=2)
    made = usual(rig, name="runs", caller=maker.worker, parent=maker.id)
    urgent = usual(rig, caller=maker.worker, parent=maker.id, priority=7)
    assert (made.shape.klass.priority, urgent.shape.klass.priority) == (3, 7)
    assert made.shape.number == runs.shape.number
    assert [call for _, call in sent(rig.result(runs, micros=1_000_000))] == [urgent.id]
    assert [call for _, call in sent(rig.result(urgent, micros=1_000_000))] == [made.id]
    assert [call for _, call in sent(rig.result(made, micros=1_000_000))] == [before.id]


def test_what_a_humble_task_makes_is_as_usual() -> None:
    rig, _, _ = declared(size=2, limit=2, most=None)
    maker, other = usual(rig, priority=-3), usual(rig, name="other", priority=3)
    made = usual(rig, caller=maker.worker, parent=maker.id)
    assert made.shape.klass.priority == 0
    rig.result(other)
    plain = usual(rig)
    humble = usual(rig, caller=plain.worker, parent=plain.id, priority=-1)
    assert humble.shape.klass.priority == -1


def test_an_actor_that_a_task_makes_inherits_nothing() -> None:
    rig = Rig(cpus=2)
    rig.workers(1)
    maker = rig.submit(priority=3)
    creation = rig.create(caller=maker.worker, parent=maker.id)
    assert creation.shape.template.kind == CREATE and creation.shape.klass.priority == 0


def test_other_needs_of_the_same_pool_get_their_turn() -> None:
    rig = Rig(cpus=0, camera=1)
    rig.pool.limit = rig.pool.size = 1
    rig.pool.line = declared(most=None)[2]
    rig.workers(1)
    plain = [usual(rig, name=f"plain{n}") for n in range(4)]
    photo = rig.submit(name="photo", resources=(("camera", UNIT),))
    assert served(rig, *plain, photo).index("photo") <= 2


def test_one_that_lacks_what_nobody_gives_up_soon_does_not_stop_others() -> None:
    rig = Rig(cpus=2, gpu=1)
    rig.workers(2)
    rig.submit(resources=(("gpu", UNIT),))
    high = rig.submit(resources=(*CPU, ("gpu", UNIT)), priority=5)
    low = rig.submit()
    assert (high.state, low.state) == ("ready", "sent")
