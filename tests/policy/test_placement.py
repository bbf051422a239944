from __future__ import annotations

import pytest

from snakepit.policy import actions as do
from snakepit.policy.placement import WINDOW
from snakepit.policy.resources import UNIT
from snakepit.policy.starts import MOST_STARTING

from .rig import CPU, Rig, kinds, only, sent

HALF = (("CPU", UNIT // 2),)


@pytest.fixture
def rig() -> Rig:
    rig = Rig(cpus=2, size=2, limit=4)
    rig.workers(2)
    return rig


def test_a_call_goes_to_an_idle_worker(rig: Rig) -> None:
    call = rig.submit()
    assert len(sent(rig.take())) == 1
    assert rig.free == 1
    rig.result(call)
    assert rig.free == 2


def test_without_workers_as_many_start_as_resources_reach(rig: Rig) -> None:
    rig = Rig(cpus=2)
    for _ in range(5):
        rig.submit()
    assert kinds(rig.take()) == ["Spawn", "Spawn"]
    assert rig.free == 2


def test_resources_bound_what_runs(rig: Rig) -> None:
    for _ in range(3):
        rig.submit()
    assert len(sent(rig.take())) == 2
    assert rig.free == 0


def test_fractions_and_zero_of_a_cpu(rig: Rig) -> None:
    halves = [rig.submit(resources=HALF) for _ in range(2)]
    assert rig.free == 1
    rig.submit(resources=(("CPU", 0),))
    assert kinds(rig.take())[2:] == ["Spawn"]
    assert rig.free == 1
    for call in halves:
        rig.result(call)
    assert rig.free == 2


def test_a_worker_goes_straight_on_with_its_class(rig: Rig) -> None:
    calls = [rig.submit() for _ in range(4)]
    rig.take()
    actions = rig.result(calls[0], micros=1_000_000)
    assert sent(actions) == [(calls[0].worker, calls[2].id)]
    assert rig.free == 0


def test_short_calls_are_sent_ahead_within_the_window(rig: Rig) -> None:
    rig.result(rig.submit(), micros=1000)
    calls = [rig.submit() for _ in range(100)]
    rig.take()
    ahead = sum(call.worker != 0 for call in calls)
    assert ahead == 2 * WINDOW / 1000
    backlogs = [worker.backlog for worker in rig.pool.workers.values()]
    assert all(backlog <= WINDOW for backlog in backlogs)


def test_brief_calls_join_busy_workers_once_each_core_has_one() -> None:
    rig = Rig(cpus=8, size=8, limit=8, cores=2)
    rig.workers(8)
    rig.result(rig.submit(), micros=10)
    calls = [rig.submit() for _ in range(100)]
    assert len({call.worker for call in calls}) == 2
    rig.result(rig.submit(name="long"), micros=100_000)
    assert rig.submit(name="long").worker not in {call.worker for call in calls}


def test_brief_calls_take_an_idle_worker_when_the_busy_ones_have_no_room() -> None:
    rig = Rig(cpus=8, size=8, limit=8, cores=1)
    rig.workers(8)
    rig.result(rig.submit(), micros=100)
    calls = [rig.submit() for _ in range(int(WINDOW / 100) + 1)]
    assert len({call.worker for call in calls[:-1]}) == 1
    assert calls[-1].worker not in (0, calls[0].worker)


def test_a_worker_that_waits_is_not_a_busy_one() -> None:
    rig = Rig(cpus=8, size=8, limit=8, cores=1)
    rig.workers(8)
    rig.result(rig.submit(), micros=10)
    parent = rig.submit(name="parent")
    child, second = (rig.submit(caller=parent.worker) for _ in range(2))
    rig.scheduler.blocked(parent.worker, parent.id, [child.id], True, [])
    rig.result(child)
    rig.result(second)
    assert rig.scheduler.placement.busy == 0


def test_nothing_is_sent_ahead_behind_calls_of_unknown_or_long_duration(rig: Rig) -> None:
    for _ in range(9):
        rig.submit(name="unknown")
    assert len(sent(rig.take())) == 2
    rig = Rig(cpus=1, size=1)
    rig.workers(1)
    rig.result(rig.submit(), micros=1_000_000)
    rig.submit()
    rig.submit()
    assert len(sent(rig.take())) == 1


def test_a_class_with_no_chance_otherwise_gets_its_turn(rig: Rig) -> None:
    """Calls that need all CPUs wait for them; those that need one do not take over for ever."""
    rig.result(rig.submit(), micros=100)
    ones = [rig.submit() for _ in range(2)]
    both = rig.submit(resources=(("CPU", 2 * UNIT),), name="both")
    later = rig.submit()
    rig.take()
    assert later.worker == 0
    for call in ones:
        rig.result(call)
    assert both.worker or later.worker


def test_a_worker_that_blocks_gives_back_what_waits(rig: Rig) -> None:
    rig.result(rig.submit(), micros=1000)
    calls = [rig.submit() for _ in range(6)]
    rig.take()
    first = calls[0]
    mine = [call for call in calls if call.worker == first.worker and call is not first]
    assert mine
    child = rig.submit(caller=first.worker)
    rig.take()
    rig.scheduler.blocked(first.worker, first.id, [child.id], True, [call.id for call in mine])
    assert rig.scheduler.placement.workers[first.worker].units == 0
    assert all(call.worker != first.worker for call in mine if call.state == "sent")
    assert rig.free == 1


def test_what_is_stuck_behind_a_long_call_is_asked_back(rig: Rig) -> None:
    rig = Rig(cpus=2, size=1, limit=2)
    rig.workers(1)
    rig.result(rig.submit(), micros=1000)
    running, stuck = rig.submit(), rig.submit()
    actions = rig.take()
    assert stuck.worker == running.worker
    assert only(actions, do.Arm).key == "overrun"
    rig.scheduler.tick("overrun")
    assert kinds(rig.take()) == ["Arm"]
    rig.scheduler.tick("overrun")
    assert do.AskBack(running.worker) in rig.take()
    rig.scheduler.given_back(running.worker, [stuck.id])
    # Not to the same worker again, but to a new one.
    new = only(rig.take(), do.Spawn).worker
    rig.scheduler.hello(new)
    assert stuck.worker == new


def test_nothing_is_asked_back_that_could_not_run_elsewhere(rig: Rig) -> None:
    rig = Rig(cpus=1, size=1, limit=4)
    rig.workers(1)
    rig.result(rig.submit(), micros=1000)
    rig.submit()
    rig.submit()
    rig.take()
    for _ in range(3):
        rig.scheduler.tick("overrun")
        assert kinds(rig.take()) == ["Arm"]


def test_the_pool_never_grows_beyond_its_limit() -> None:
    rig = Rig(cpus=100, limit=3)
    for _ in range(10):
        rig.submit()
    assert kinds(rig.take()) == ["Spawn"] * 3
    rig.prestart(5)
    assert rig.take() == []


def test_few_start_at_one_time() -> None:
    rig = Rig(cpus=100, limit=100)
    calls = [rig.submit() for _ in range(MOST_STARTING + 3)]
    actions = rig.take()
    assert kinds(actions) == ["Spawn"] * MOST_STARTING
    rig.scheduler.hello(actions[0].worker)  # type: ignore[union-attr]
    assert kinds(rig.take()) == ["Spawn", "Send"]
    # What nobody has begun to fork is called off while the pool rests.
    assert kinds(rig.die(actions[1].worker, 0)) == ["Arm"]  # type: ignore[union-attr]
    assert len(rig.pool.workers) == MOST_STARTING
    assert sum(call.worker != 0 for call in calls) == 1


def test_idle_workers_beyond_the_size_end_after_a_while() -> None:
    rig = Rig(cpus=4, size=1, limit=4)
    calls = [rig.submit() for _ in range(4)]
    for action in rig.take():
        rig.scheduler.hello(action.worker)  # type: ignore[union-attr]
    actions = rig.take()
    for call in calls:
        actions += rig.result(call)
    assert only(actions, do.Arm) == do.Arm(rig.pool.idle_for / 4, "shrink:main")
    for _ in range(3):
        rig.scheduler.tick("shrink:main")
    # One that has worked meanwhile idles anew.
    rig.take()
    rig.result(rig.submit())
    rig.scheduler.tick("shrink:main")
    assert kinds(rig.take()) == ["Arm"]
    rig.scheduler.tick("shrink:main")
    assert kinds(rig.take()) == ["Retire"] * 3
    assert len(rig.pool.workers) == 1 and not rig.pool.shrinking


def test_a_worker_that_changes_class_is_sent_ahead_again(rig: Rig) -> None:
    rig = Rig(cpus=1, size=1, limit=1)
    rig.workers(1)
    rig.result(rig.submit(), micros=10)
    rig.result(rig.submit(resources=HALF, name="half"), micros=10)
    first = [rig.submit(resources=HALF, name="half") for _ in range(3)]
    assert len(sent(rig.take())) == 3
    for call in first:
        rig.result(call)
    second = [rig.submit() for _ in range(3)]
    assert [call.worker for call in second] == [1, 1, 1]


def test_an_impossible_need_fails_at_once(rig: Rig) -> None:
    call = rig.submit(resources=(("CPU", 9 * UNIT),))
    kind, fields = rig.failure(call)
    assert kind == "unschedulable"
    assert fields["needs"] == {"CPU": 9.0}
    assert fields["total"] == {"CPU": 2.0}
    assert rig.take() == []


def test_two_pools_share_resources() -> None:
    from functools import partial

    from snakepit.policy.placement import Pool
    from snakepit.policy.restart import RestartWindow
    from snakepit.policy.scheduler import Scheduler

    rig = Rig()
    window = partial(RestartWindow, 1, 1.0)
    other = Pool("other", 1, 1, 1, window())
    rig.scheduler = Scheduler({"CPU": 1}, [rig.pool, other], 64, window)
    rig.submit()
    rig.submit(pool="other", resources=CPU)
    workers = [a.worker for a in rig.take()]  # type: ignore[union-attr]
    for worker in workers:
        rig.scheduler.hello(worker)
    assert len(sent(rig.take())) == 1
    assert rig.free == 0
