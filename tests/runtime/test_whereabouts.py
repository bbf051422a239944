"""Where code runs, and what there is: the runtime context, resources, nodes."""

from __future__ import annotations

from typing import Any

import pytest

import snakepit
import snakepit.actor
import snakepit.remote_function
from snakepit import errors
from tests.runtime.helpers import Gate, wait_until

HEXADECIMAL = set("0123456789abcdef")


@snakepit.remote(num_cpus=1, name="sum up")
def here() -> dict[str, Any]:
    context = snakepit.get_runtime_context()
    return {
        "job": context.get_job_id(),
        "session": context.get_session_name(),
        "node": context.get_node_id(),
        "worker": context.get_worker_id(),
        "task": context.get_task_id(),
        "name": context.get_task_name(),
        "actor": context.get_actor_id(),
        "actor name": context.get_actor_name(),
        "assigned": context.get_assigned_resources(),
        "accelerators": context.get_accelerator_ids(),
        "group": context.get_placement_group_id(),
    }


@snakepit.remote
class Place:
    def __init__(self) -> None:
        self.made = snakepit.get_runtime_context().was_current_actor_reconstructed

    def context(self) -> dict[str, Any]:
        context = snakepit.get_runtime_context()
        return {
            "name": context.get_task_name(),
            "actor": context.get_actor_id(),
            "actor name": context.get_actor_name(),
            "assigned": context.get_assigned_resources(),
            "again": (self.made, context.was_current_actor_reconstructed),
        }

    def me(self) -> Any:
        return snakepit.get_runtime_context().current_actor

    def keep_me(self) -> None:
        self.own = snakepit.get_runtime_context().current_actor

    def ask_me(self) -> Any:
        return self.own.context.remote()


def test_the_driver(runtime: Any) -> None:
    context = snakepit.get_runtime_context()
    assert context.get_job_id() == context.get_session_name() == runtime["run"]
    assert set(context.get_node_id()) <= HEXADECIMAL
    assert set(context.get_worker_id()) <= HEXADECIMAL
    assert context.get_task_id() is None and context.get_task_name() is None
    assert context.get_actor_id() is None and context.get_actor_name() is None
    assert context.get_assigned_resources() == {}
    assert context.get_accelerator_ids() == {"GPU": []}
    for fact in ("current_actor", "was_current_actor_reconstructed"):
        with pytest.raises(RuntimeError, match=f"{fact} is for the methods of an actor"):
            getattr(context, fact)


def test_a_task(runtime: Any) -> None:
    driver = snakepit.get_runtime_context()
    ref = here.remote()
    found = snakepit.get(ref)
    assert found["job"] == found["session"] == driver.get_job_id()
    assert found["node"] == driver.get_node_id()
    assert found["worker"] != driver.get_worker_id()
    assert found["task"] == ref.hex()
    assert found["name"] == "sum up"
    assert found["actor"] is None and found["actor name"] is None
    assert found["assigned"] == {"CPU": 1.0}
    assert found["accelerators"] == {"GPU": []} and found["group"] is None
    assert snakepit.get(here.options(name="other", num_cpus=0.5).remote())["name"] == "other"


def test_an_actor(runtime: Any) -> None:
    actor = Place.options(name="placed", num_cpus=0.5).remote()
    found = snakepit.get(actor.context.remote())
    assert found["name"] == "Place.context"
    assert found["actor"] is not None and found["actor"] in repr(actor)
    assert found["actor name"] == "placed"
    assert found["assigned"] == {"CPU": 0.5}
    assert found["again"] == (False, False)


def test_an_actor_without_a_name_or_resources(runtime: Any) -> None:
    found = snakepit.get(Place.remote().context.remote())
    assert found["actor name"] is None and found["assigned"] == {}


def test_a_restarted_actor_knows_it(runtime: Any) -> None:
    actor = Place.options(max_restarts=1, max_task_retries=-1).remote()
    assert snakepit.get(actor.context.remote())["again"] == (False, False)
    snakepit.kill(actor, no_restart=False)
    assert snakepit.get(actor.context.remote())["again"] == (True, True)


def test_the_actor_itself(runtime: Any) -> None:
    actor = Place.remote()
    again = snakepit.get(actor.me.remote())
    assert again == actor
    del actor
    assert snakepit.get(again.context.remote())["actor name"] is None


def test_an_actor_that_keeps_itself_ends_with_its_last_other_handle(runtime: Any) -> None:
    actor = Place.options(name="own").remote()
    snakepit.get(actor.keep_me.remote())
    assert snakepit.get(snakepit.get(actor.ask_me.remote()))["actor name"] == "own"
    del actor

    def gone() -> bool:
        try:
            snakepit.get_actor("own")
        except ValueError:
            return True
        return False

    assert wait_until(gone)


def test_what_there_is(runtime: Any, gate: Gate) -> None:
    total, free = snakepit.cluster_resources(), snakepit.available_resources()
    assert total["CPU"] == free["CPU"] == 2.0
    assert total["object_store_memory"] >= free["object_store_memory"] > 0
    assert total["node:127.0.0.1"] == 1.0

    @snakepit.remote
    def wait(gate: Gate) -> dict[str, float]:
        gate.wait()
        return snakepit.available_resources()

    refs = [wait.remote(gate) for _ in range(3)]
    assert wait_until(lambda: snakepit.available_resources()["CPU"] == 0.0)
    gate.open()
    assert all(0.0 <= each["CPU"] < 2.0 for each in snakepit.get(refs))


def test_the_node(runtime: Any) -> None:
    (node,) = snakepit.nodes()
    assert node["NodeID"] == snakepit.get_runtime_context().get_node_id()
    assert node["Alive"] is True
    assert node["Resources"] == snakepit.cluster_resources()


def test_without_gpus_there_are_no_ids(runtime: Any) -> None:
    assert snakepit.get_gpu_ids() == []
    assert snakepit.get(snakepit.remote(snakepit.get_gpu_ids).remote()) == []


def test_no_times_are_recorded() -> None:
    with pytest.raises(errors.NotSupportedError, match=r"timeline\('trace.json'\)"):
        snakepit.timeline("trace.json")
    with pytest.raises(NotImplementedError, match=r"timeline\(\): this version records no times"):
        snakepit.timeline()


def test_rays_modules() -> None:
    assert snakepit.actor.ActorHandle is snakepit.ActorHandle
    assert snakepit.actor.ActorClass is snakepit.ActorClass
    assert snakepit.actor.exit_actor is snakepit.exit_actor
    assert issubclass(snakepit.actor.ActorClassInheritanceException, TypeError)
    assert snakepit.remote_function.RemoteFunction is snakepit.RemoteFunction
    assert isinstance(here, snakepit.RemoteFunction)
    with pytest.raises(AttributeError, match="no attribute 'teleport'"):
        getattr(snakepit, "teleport")  # noqa: B009
    assert {"nodes", "actor", "get"} <= set(dir(snakepit))
