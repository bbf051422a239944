"""Resources that are set aside: from when, for whom, until when."""

from __future__ import annotations

from typing import Any

from snakepit.policy import actions as do
from snakepit.policy.resources import UNIT

from .rig import CPU, Rig, only, sent

KEEPER = (("CPU", UNIT), ("+CPU_group_a", UNIT))
MEMBER = (("CPU_group_a", UNIT),)


def free(rig: Rig, name: str) -> Any:
    return rig.scheduler.resources.free[name] / UNIT


def keeper(rig: Rig) -> tuple[Any, int]:
    return rig.living(resources=KEEPER)


def test_what_is_set_aside_is_there_once_the_actor_is_made() -> None:
    rig = Rig(cpus=2)
    creation = rig.create(resources=KEEPER)
    worker = only(rig.take(), do.Spawn).worker
    call = rig.submit(resources=MEMBER)
    assert rig.take() == [] and free(rig, "CPU_group_a") == 0
    rig.scheduler.hello(worker)
    rig.take()
    rig.result(creation, values=())
    assert free(rig, "CPU") == 1 and free(rig, "CPU_group_a") == 1
    assert call.state == "ready"


def test_its_end_refuses_who_waits_and_leaves_who_runs() -> None:
    rig = Rig(cpus=3)
    rig.workers(2)
    creation, worker = keeper(rig)
    running, waiting = rig.submit(resources=MEMBER), rig.submit(resources=MEMBER)
    assert [call for _, call in sent(rig.take())] == [running.id]
    rig.scheduler.kill(creation.id, no_restart=True)
    rig.die(worker, started=1)
    assert rig.failure(waiting)[0] == "group_removed"
    assert rig.failure(rig.submit(resources=MEMBER))[0] == "group_removed"
    assert "CPU_group_a" not in rig.scheduler.resources.total
    assert free(rig, "CPU") == 3
    rig.result(running)
    assert free(rig, "CPU_group_a") == 0


def test_actors_that_wait_for_it_are_dead() -> None:
    rig = Rig(cpus=3)
    creation, worker = keeper(rig)
    inside, outside = rig.create(resources=MEMBER), rig.create(resources=MEMBER)
    assert only(rig.take(), do.Spawn).worker
    rig.scheduler.kill(creation.id, no_restart=True)
    rig.die(worker, started=1)
    table = rig.scheduler.actors
    assert table.of(outside.id).failure[1]["reason"] == "group_removed"
    assert table.of(inside.id).failure is None


def test_an_actor_that_is_never_made_sets_nothing_aside() -> None:
    rig = Rig(cpus=1)
    creation = rig.create(resources=(("CPU", 2 * UNIT), ("+CPU_group_a", 2 * UNIT)))
    assert rig.scheduler.actors.of(creation.id).failure[1]["reason"] == "unschedulable"
    assert free(rig, "CPU_group_a") == 0
    assert "CPU_group_a" not in rig.scheduler.resources.total
    assert rig.submit(resources=CPU).state != "done"
