"""Resources that are set aside: from when, for whom, until when."""

from __future__ import annotations

from typing import Any

from snakepit.policy import actions as do
from snakepit.policy.resources import UNIT
from snakepit.policy.session import QUEUE
from snakepit.wire.messages import NONE, OK

from .rig import CPU, Rig, only, sent

KEEPER = (("CPU", UNIT), ("+CPU_group_a", UNIT))
MEMBER = (("CPU_group_a", UNIT),)


def free(rig: Rig, name: str) -> Any:
    return rig.scheduler.resources.free[name] / UNIT


def numbered(number: int) -> Any:
    """What the keeper of one CPU asks for, under a name of its own."""
    return (("CPU", UNIT), (f"+CPU_group_{number}", UNIT))


def test_what_is_set_aside_is_there_as_soon_as_it_can_be_taken() -> None:
    rig = Rig(cpus=1)
    rig.workers(1)
    busy = rig.submit()
    creation = rig.create(resources=KEEPER)
    gate = rig.method(creation)
    member = rig.submit(resources=MEMBER)
    rig.take()
    assert free(rig, "CPU_group_a") == 0
    assert (gate.state, member.state) == ("waiting", "ready")
    actions = rig.result(busy)
    assert free(rig, "CPU") == 0 and gate.state == "done"
    assert (rig.entries[gate.id].outcome, rig.entries[gate.id].payload) == (OK, NONE)
    assert [call for _, call in sent(actions)] == [member.id]
    assert rig.method(creation).state == "done"
    assert not [action for action in actions if type(action) is do.Spawn]


def test_who_waits_for_it_has_his_turn_by_priority() -> None:
    rig = Rig(cpus=1)
    rig.workers(1)
    busy = rig.submit()
    rig.create(resources=KEEPER)
    rig.submit(resources=MEMBER, priority=-1)
    member = rig.submit(resources=MEMBER)
    rig.take()
    assert [call for _, call in sent(rig.result(busy))] == [member.id]


def test_a_call_that_waits_for_its_session_s_worker_gets_what_is_set_aside() -> None:
    rig = Rig(cpus=1)
    rig.workers(1)
    session = rig.scheduler.sessions.open("s", QUEUE)
    first = rig.call(resources=())
    first.session = session
    rig.scheduler.submit(first)
    rig.take()
    rig.result(first)
    holder, number = rig.living(resources=CPU)
    rig.create(resources=KEEPER)
    member = rig.call(resources=MEMBER)
    member.session = session
    rig.scheduler.submit(member)
    assert not sent(rig.take())
    rig.drop(holder.id)
    assert [call for _, call in sent(rig.die(number, started=2, exit_code=0))] == [member.id]


def test_its_end_refuses_who_waits_and_leaves_who_runs() -> None:
    rig = Rig(cpus=3)
    rig.workers(2)
    creation = rig.create(resources=KEEPER)
    running, waiting = rig.submit(resources=MEMBER), rig.submit(resources=MEMBER)
    assert [call for _, call in sent(rig.take())] == [running.id]
    rig.scheduler.kill(creation.id, no_restart=True)
    assert rig.failure(waiting)[0] == "group_removed"
    assert rig.failure(rig.submit(resources=MEMBER))[0] == "group_removed"
    assert rig.failure(rig.method(creation))[1]["reason"] == "killed"
    assert "CPU_group_a" not in rig.scheduler.resources.total
    assert free(rig, "CPU") == 3
    rig.result(running)
    assert free(rig, "CPU_group_a") == 0


def test_who_waits_in_a_group_that_ends_may_go_on() -> None:
    rig = Rig(cpus=3)
    rig.workers(1)
    creation = rig.create(resources=KEEPER)
    other = rig.submit(resources=(("CPU", 3 * UNIT),))
    running = rig.submit(resources=MEMBER)
    rig.scheduler.blocked(running.worker, running.id, (other.id,), True, ())
    rig.scheduler.kill(creation.id, no_restart=True)
    rig.scheduler.unblocked(running.worker, running.id)
    rig.result(running)
    assert free(rig, "CPU_group_a") == 0


def test_actors_that_wait_for_it_are_dead() -> None:
    rig = Rig(cpus=3)
    creation = rig.create(resources=KEEPER)
    inside, outside = rig.create(resources=MEMBER), rig.create(resources=MEMBER)
    assert only(rig.take(), do.Spawn).worker
    rig.scheduler.kill(creation.id, no_restart=True)
    table = rig.scheduler.actors
    assert table.of(outside.id).failure[1]["reason"] == "group_removed"
    assert table.of(inside.id).failure is None


def test_one_that_asks_for_too_much_sets_nothing_aside() -> None:
    rig = Rig(cpus=1)
    creation = rig.create(resources=(("CPU", 2 * UNIT), ("+CPU_group_a", 2 * UNIT)))
    assert rig.scheduler.actors.of(creation.id).failure[1]["reason"] == "unschedulable"
    assert free(rig, "CPU_group_a") == 0
    assert "CPU_group_a" not in rig.scheduler.resources.total
    assert rig.failure(rig.submit(resources=MEMBER))[0] == "group_removed"
    assert rig.submit(resources=CPU).state != "done"


def test_what_comes_too_late_for_it_is_told() -> None:
    """An actor whose argument was missing, one that died, a task that is tried again."""
    rig = Rig(cpus=3)
    rig.workers(2)
    creation = rig.create(resources=KEEPER)
    half = (("CPU_group_a", UNIT // 2),)
    argument = rig.submit()
    late = rig.create(resources=half, deps=[argument.id])
    task = rig.submit(resources=half, max_retries=3)
    _, worker = rig.living(resources=half, max_restarts=3)
    actor = rig.scheduler.placement.workers[worker].actor
    rig.scheduler.kill(creation.id, no_restart=True)
    rig.result(argument)
    rig.die(task.worker, started=9)
    rig.die(worker, started=9)
    dead = rig.scheduler.actors.of(late.id)
    assert actor is not None and actor.failure[1]["reason"] == "group_removed"
    assert dead.failure[1]["reason"] == "group_removed"
    assert rig.failure(task)[0] == "group_removed"


def test_one_that_nobody_has_any_more_gives_its_resources_to_the_next() -> None:
    rig = Rig(cpus=1)
    first, second = rig.create(resources=numbered(1)), rig.create(resources=numbered(2))
    rig.run_out(only(rig.drop(first.id), do.Arm))
    assert free(rig, "CPU") == 0 and free(rig, "CPU_group_2") == 1
    rig.drop(second.id)
    assert free(rig, "CPU") == 1 and not rig.scheduler.actors.groups.keepers


def test_one_that_nobody_has_any_more_waits_no_longer() -> None:
    rig = Rig(cpus=1)
    rig.create(resources=numbered(1))
    second = rig.create(resources=numbered(2))
    rig.drop(second.id)
    assert second.id not in rig.entries
    assert [name for name in rig.scheduler.resources.total if name.startswith("CPU_")] == [
        "CPU_group_1"
    ]


def test_thousands_that_end_when_they_are_there_do_not_recurse() -> None:
    rig = Rig(cpus=1)
    first = rig.create(resources=numbered(0))
    gates = []
    for number in range(1, 3000):
        creation = rig.create(resources=numbered(number))
        gates.append(rig.method(creation))
        rig.drop(creation.id)  # What waits for it keeps it, and nothing else does.
    rig.scheduler.kill(first.id, no_restart=True)
    while arms := [action for action in rig.take() if type(action) is do.Arm]:
        rig.run_out(only(arms, do.Arm))
    assert all(gate.state == "done" for gate in gates)
    assert free(rig, "CPU") == 1 and not rig.scheduler.actors.groups.keepers


def test_nothing_is_kept_of_a_group_that_was_removed() -> None:
    rig = Rig(cpus=1)
    rig.workers(1)
    rig.result(rig.submit())

    def one(number: int) -> None:
        creation = rig.create(resources=numbered(number))
        rig.method(creation)
        rig.scheduler.kill(creation.id, no_restart=True)
        rig.take()

    one(1)
    scheduler = rig.scheduler
    tables = (
        scheduler.resources.free, scheduler.resources.total, scheduler.placement.classes.klasses,
        scheduler._shapes._shapes, scheduler.actors.groups.keepers,
    )  # fmt: skip
    before = [len(table) for table in tables]
    for number in range(2, 20):
        one(number)
    assert [len(table) for table in tables] == before
