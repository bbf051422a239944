"""Logical resources: what is impossible, what is shared, what is set in the process."""

from __future__ import annotations

import os
from typing import Any

import pytest

from tests.conformance.marks import differs, not_inline


@differs(
    "A task that asks for more than there is is an error at once.",
    because="it could never run; Ray waits for a node that might join its cluster.",
)
@pytest.mark.parametrize("given", [{"num_cpus": 1000}, {"resources": {"missing": 1}}], ids=str)
def test_an_impossible_task(ray: Any, expect: Any, given: Any) -> None:
    @ray.remote(**given)
    def f() -> None: ...

    try:
        ref = f.remote()
        outcome = "waits" if not ray.wait([ref], timeout=0.2)[0] else "fails"
        if outcome == "waits":
            ray.cancel(ref)
        else:
            with pytest.raises(ray.exceptions.TaskUnschedulableError):
                ray.get(ref)
    except ray.exceptions.TaskUnschedulableError:
        outcome = "fails"
    assert outcome == expect(snakepit="fails", ray="waits")


@differs(
    "An actor that asks for more than there is is an error at once.",
    because="it could never start; Ray waits for a node that might join its cluster.",
)
def test_an_impossible_actor(ray: Any, expect: Any) -> None:
    @ray.remote(num_cpus=1000)
    class A:
        def ping(self) -> str:
            return "pong"

    try:
        actor = A.remote()
        ref = actor.ping.remote()
        outcome = "waits" if not ray.wait([ref], timeout=0.2)[0] else "fails"
        if outcome == "waits":
            ray.kill(actor)
        else:
            with pytest.raises(ray.exceptions.RayError):
                ray.get(ref)
    except ray.exceptions.ActorUnschedulableError:
        outcome = "fails"
    assert outcome == expect(snakepit="fails", ray="waits")


def test_a_task_asks_for_memory(ray: Any) -> None:
    @ray.remote(memory=1_000_000)
    def f() -> str:
        return "ran"

    assert ray.get(f.remote()) == "ran"


def test_memory_is_a_resource_of_the_cluster(ray: Any) -> None:
    assert ray.cluster_resources()["memory"] > 0


def test_a_task_without_gpus_sees_none(ray: Any) -> None:
    @ray.remote
    def look() -> Any:
        return ray.get_gpu_ids(), ray.get_runtime_context().get_accelerator_ids().get("GPU")

    assert ray.get(look.remote()) == ([], [])


def test_num_gpus_of_zero(ray: Any) -> None:
    @ray.remote(num_gpus=0)
    def look() -> Any:
        return os.getpid() > 0

    assert ray.get(look.remote()) is True


def test_an_actors_cpu_is_only_for_its_start(ray: Any) -> None:
    @ray.remote
    class A:
        def ping(self) -> str:
            return "pong"

    actors = [A.remote() for _ in range(6)]
    assert ray.get([actor.ping.remote() for actor in actors]) == ["pong"] * 6


@not_inline("a call is over when `.remote()` returns, and nothing runs beside it")
def test_an_actor_that_asks_for_a_cpu_holds_it(ray: Any) -> None:
    from tests.runtime.helpers import wait_until

    @ray.remote(num_cpus=3)
    class A:
        def ping(self) -> str:
            return "pong"

    assert wait_until(lambda: ray.available_resources().get("CPU") == 4.0)
    actor = A.remote()
    assert ray.get(actor.ping.remote()) == "pong"
    assert wait_until(lambda: ray.available_resources().get("CPU") == 1.0)
    del actor
    assert wait_until(lambda: ray.available_resources().get("CPU") == 4.0)
