"""GPUs, memory and custom resources on real processes; no GPU is needed to share some out."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

import snakepit
from snakepit import errors
from tests.runtime.helpers import Gate, Tally, wait_until

GB = 1_000_000_000


@pytest.fixture(scope="module")
def runtime() -> Iterator[Any]:
    """A runtime with GPUs, memory and cameras."""
    hidden = os.environ.pop("CUDA_VISIBLE_DEVICES", None)
    try:
        yield snakepit.init(num_cpus=4, num_gpus=2, memory=4 * GB, resources={"camera": 1})
    finally:
        snakepit.shutdown()
        if hidden is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = hidden


def seen() -> tuple[str | None, Any, int]:
    return os.environ.get("CUDA_VISIBLE_DEVICES"), snakepit.get_gpu_ids(), os.getpid()


look = snakepit.remote(seen)


@snakepit.remote(num_gpus=0.5)
class Half:
    def look(self) -> tuple[str | None, Any, int]:
        return seen()

    def accelerators(self) -> Any:
        context = snakepit.get_runtime_context()
        return context.get_accelerator_ids(), context.get_assigned_resources()


def test_totals(runtime: Any) -> None:
    total = snakepit.cluster_resources()
    assert (total["GPU"], total["memory"], total["camera"]) == (2.0, 4.0 * GB, 1.0)
    assert snakepit.get_gpu_ids() == []


def test_a_task_without_gpus_sees_none(runtime: Any) -> None:
    visible, ids, _ = snakepit.get(look.remote())
    assert (visible, ids) == ("", [])


def test_a_task_has_the_gpus_that_it_asked_for_and_a_process_to_itself(runtime: Any) -> None:
    found = snakepit.get([look.options(num_gpus=1).remote() for _ in range(4)])
    assert all(visible == ",".join(map(str, ids)) for visible, ids, _ in found)
    assert all(ids in ([0], [1]) for _, ids, _ in found)
    assert len({pid for _, _, pid in found}) == 4
    visible, ids, _ = snakepit.get(look.options(num_gpus=2).remote())
    assert (visible, ids) == ("0,1", [0, 1])


def test_tasks_at_the_same_time_have_different_gpus(runtime: Any, gate: Gate, tally: Tally) -> None:
    @snakepit.remote(num_gpus=1)
    def hold(gate: Gate, tally: Tally) -> Any:
        tally.add()
        gate.wait()
        return snakepit.get_gpu_ids()

    refs = [hold.remote(gate, tally) for _ in range(3)]
    assert wait_until(lambda: tally.count == 2)
    assert snakepit.available_resources()["GPU"] == 0.0
    assert tally.count == 2
    gate.open()
    found = snakepit.get(refs)
    assert sorted(map(tuple, found[:2])) == [(0,), (1,)]
    assert found[2] in ([0], [1])


def test_actors_share_one(runtime: Any) -> None:
    halves = [Half.remote() for _ in range(4)]
    found = snakepit.get([half.look.remote() for half in halves])
    assert sorted(ids[0] for _, ids, _ in found) == [0, 0, 1, 1]
    assert all(visible == str(ids[0]) for visible, ids, _ in found)
    accelerators, assigned = snakepit.get(halves[0].accelerators.remote())
    assert accelerators in ({"GPU": ["0"]}, {"GPU": ["1"]})
    assert assigned == {"CPU": 1.0, "GPU": 0.5}
    assert snakepit.available_resources()["GPU"] == 0.0
    del halves
    assert wait_until(lambda: snakepit.available_resources()["GPU"] == 2.0)


def test_memory_and_custom_resources_are_shared_out(runtime: Any, gate: Gate, tally: Tally) -> None:
    @snakepit.remote
    def hold(gate: Gate, tally: Tally) -> None:
        tally.add()
        gate.wait()

    heavy = hold.options(memory=3 * GB, num_cpus=0)
    refs = [heavy.remote(gate, tally), heavy.remote(gate, tally)]
    assert wait_until(lambda: tally.count == 1)
    assert snakepit.available_resources()["memory"] == 1.0 * GB
    gate.open()
    snakepit.get(refs)
    assert snakepit.get(look.options(resources={"camera": 1}).remote())[1] == []


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        ({"num_gpus": 3}, "3 GPU, but this runtime has 4 CPU, 2 GPU, 1 camera, 4 GB of memory"),
        ({"memory": 5 * GB}, "asks for 1 CPU, 5 GB of memory, but"),
        ({"resources": {"microphone": 1}}, "1 microphone, but"),
        ({"num_cpus": 5}, "5 CPU, but"),
    ],
)
def test_what_can_never_fit_fails_at_once_and_says_what_there_is(
    runtime: Any, wanted: dict[str, Any], text: str
) -> None:
    with pytest.raises(errors.TaskUnschedulableError, match=text):
        snakepit.get(look.options(**wanted).remote())
    with pytest.raises(errors.ActorUnschedulableError, match="but this runtime has 4 CPU, 2 GPU"):
        snakepit.get(Half.options(**wanted).remote().look.remote())


def test_a_part_of_several_is_refused(runtime: Any) -> None:
    with pytest.raises(errors.OptionError, match="num_gpus must be a part of one GPU"):
        look.options(num_gpus=1.5)
    with pytest.raises(errors.OptionError, match="num_gpus must be a part of one GPU"):
        snakepit.remote(num_gpus=2.5)(seen)
