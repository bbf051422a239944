"""GPUs: which are given to whom, and when they are free again."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from snakepit.policy import actions as do
from snakepit.policy.devices import Devices
from snakepit.policy.resources import UNIT, Resources
from snakepit.wire.messages import OK

from .rig import Rig, kinds, only, sent

ONE = (("GPU", UNIT),)
HALF = (("GPU", UNIT // 2),)
ENV = (("MODE", "fast"),)


class Process:
    """Stands for a worker."""

    gpus: tuple[int, ...] = ()
    share = 0


def spawned(actions: Any) -> list[tuple[int, tuple[int, ...]]]:
    return [(a.worker, a.gpus) for a in actions if type(a) is do.Spawn]


def free(rig: Rig) -> float:
    return rig.scheduler.resources.free["GPU"] / UNIT


@given(st.lists(st.sampled_from([UNIT // 4, UNIT // 2, UNIT, 2 * UNIT]), max_size=12), st.data())
def test_nothing_is_given_twice_and_all_comes_back(wanted: list[int], data: st.DataObject) -> None:
    resources = Resources({"GPU": 3 * UNIT})
    devices = Devices(resources)
    holders: list[Any] = []
    for amount in wanted:
        if devices.choose(amount) is None:
            continue
        process: Any = Process()
        devices.equip(process, amount)
        assert len(process.gpus) == max(1, amount // UNIT)
        holders.append(process)
        assert all(0 <= left <= UNIT for left in devices.free)
        assert sum(devices.free) == resources.free["GPU"]
        if data.draw(st.booleans()):
            devices.strip(holders.pop(0))
    for process in holders:
        devices.strip(process)
        devices.strip(process)
    assert devices.free == [UNIT] * 3 and resources.free == resources.total


def test_parts_go_together_so_that_whole_ones_are_left() -> None:
    devices = Devices(Resources({"GPU": 2 * UNIT}))
    first: Any = Process()
    devices.equip(first, UNIT // 2)
    assert devices.choose(UNIT // 2) == first.gpus == (0,)
    assert devices.choose(UNIT) == (1,) and devices.choose(2 * UNIT) is None


def test_a_task_with_a_gpu_has_a_process_to_itself() -> None:
    rig = Rig(GPU=1)
    first, second = rig.submit(resources=ONE), rig.submit(resources=ONE)
    actions = rig.take()
    ((worker, gpus),) = spawned(actions)
    assert gpus == (0,) and free(rig) == 0
    rig.scheduler.hello(worker)
    assert sent(rig.take()) == [(worker, first.id)]
    # Its process must end before another is told to use the GPU.
    assert kinds(rig.result(first)) == ["Retire"]
    assert free(rig) == 0
    ((other, gpus),) = spawned(rig.die(worker, started=1))
    assert other != worker and gpus == (0,)
    rig.scheduler.hello(other)
    assert sent(rig.take()) == [(other, second.id)]
    rig.result(second)
    rig.die(other, started=1)
    assert free(rig) == 1


def test_a_call_that_waits_keeps_its_gpu_and_gives_back_its_cpu() -> None:
    rig = Rig(cpus=1, GPU=1)
    outer = rig.submit(resources=(("CPU", UNIT), *ONE))
    ((worker, _),) = spawned(rig.take())
    rig.scheduler.hello(worker)
    rig.take()
    inner = rig.submit(caller=worker, parent=outer.id)
    rig.take()
    rig.scheduler.blocked(worker, outer.id, [inner.id], True, [])
    assert free(rig) == 0
    assert only(rig.take(), do.Spawn).gpus == ()


def test_an_actor_has_its_gpu_until_its_process_has_ended() -> None:
    rig = Rig(GPU=1)
    creation = rig.create(resources=HALF)
    other = rig.create(resources=HALF, max_restarts=1)
    third = rig.create(resources=HALF)
    (first, gpus), (second, shared) = spawned(rig.take())
    assert gpus == shared == (0,) and free(rig) == 0
    rig.scheduler.hello(first)
    rig.result(creation, values=())
    rig.scheduler.hello(second)
    rig.result(other, values=())
    # A restarted one queues behind those that wait.
    ((number, gpus),) = spawned(rig.die(second, started=1))
    assert gpus == (0,) and rig.scheduler.placement.workers[number].actor.id == third.id
    assert not spawned(rig.drop(creation.id))
    ((number, gpus),) = spawned(rig.die(first, started=1))
    assert gpus == (0,) and rig.scheduler.placement.workers[number].actor.id == other.id


def test_a_death_at_the_start_gives_it_back() -> None:
    rig = Rig(GPU=1)
    call = rig.submit(resources=ONE)
    ((worker, _),) = spawned(rig.take())
    actions = rig.die(worker, started=0)
    assert free(rig) == 1
    ((worker, gpus),) = spawned(rig.run_out(only(actions, do.Arm)))
    assert gpus == (0,)
    rig.scheduler.hello(worker)
    assert sent(rig.take()) == [(worker, call.id)]


def test_one_that_idles_since_its_call_was_cancelled_does_not_keep_it_for_ever() -> None:
    rig = Rig(GPU=1)
    call = rig.submit(resources=ONE)
    ((worker, _),) = spawned(rig.take())
    rig.scheduler.cancel(call.id, force=False, recursive=False)
    rig.take()
    rig.scheduler.hello(worker)
    actions = rig.idle(only(rig.take(), do.Arm))
    assert only(actions, do.Retire).worker == worker
    rig.die(worker, started=0)
    assert free(rig) == 1


def test_more_than_there_is_is_refused_at_once() -> None:
    rig = Rig(GPU=1)
    kind, fields = rig.failure(rig.submit(resources=(("GPU", 2 * UNIT),)))
    assert kind == "unschedulable" and fields["total"]["GPU"] == 1.0


def test_processes_of_one_environment_serve_no_other() -> None:
    rig = Rig()
    rig.workers(1)
    plain, special = rig.submit(), rig.submit(env=ENV)
    actions = rig.take()
    assert [call for _, call in sent(actions)] == [plain.id]
    spawn = only(actions, do.Spawn)
    assert spawn.env == ENV and spawn.gpus == ()
    rig.scheduler.hello(spawn.worker)
    actions = rig.take()
    assert sent(actions) == [(spawn.worker, special.id)]
    rig.result(special)
    again = rig.submit(env=ENV)
    assert sent(rig.take()) == [(spawn.worker, again.id)]
    rig.result(again, OK)
    assert only(rig.idle(only(actions, do.Arm)), do.Retire).worker == spawn.worker
