"""Where code runs, and what the machine has."""

from __future__ import annotations

import os
from typing import Any

import pytest

from tests.conformance.marks import not_inline


def test_the_driver_has_a_job_and_no_actor(ray: Any) -> None:
    context = ray.get_runtime_context()
    assert context.get_job_id()
    assert context.get_actor_id() is None


def test_tasks_are_of_the_drivers_job(ray: Any) -> None:
    @ray.remote
    def job() -> Any:
        return ray.get_runtime_context().get_job_id()

    assert ray.get(job.remote()) == ray.get_runtime_context().get_job_id()


def test_each_task_has_an_id(ray: Any) -> None:
    @ray.remote
    def task() -> Any:
        return ray.get_runtime_context().get_task_id()

    ids = ray.get([task.remote() for _ in range(3)])
    assert len(set(ids)) == 3
    assert all(bytes.fromhex(each) for each in ids)


def test_a_task_is_of_no_actor(ray: Any) -> None:
    @ray.remote
    def actor() -> Any:
        return ray.get_runtime_context().get_actor_id()

    assert ray.get(actor.remote()) is None


def test_an_actor_has_an_id_that_stays(ray: Any) -> None:
    @ray.remote
    class Knows:
        def me(self) -> Any:
            context = ray.get_runtime_context()
            return context.get_actor_id(), context.get_task_id()

    a, b = Knows.remote(), Knows.remote()
    first, second, other = ray.get([a.me.remote(), a.me.remote(), b.me.remote()])
    assert first[0] == second[0] != other[0]
    assert first[1] != second[1]


@not_inline("the actor has no process of its own")
def test_each_process_has_an_id(ray: Any) -> None:
    @ray.remote
    class Knows:
        def worker(self) -> Any:
            return ray.get_runtime_context().get_worker_id()

    a, b = Knows.remote(), Knows.remote()
    ids = {*ray.get([a.worker.remote(), b.worker.remote(), a.worker.remote()])}
    assert len(ids) == 2
    assert ray.get_runtime_context().get_worker_id() not in ids


def test_all_is_on_one_node(ray: Any) -> None:
    @ray.remote
    def node() -> Any:
        return ray.get_runtime_context().get_node_id()

    assert ray.get(node.remote()) == ray.get_runtime_context().get_node_id()
    assert [each["NodeID"] for each in ray.nodes()] == [ray.get_runtime_context().get_node_id()]


def test_a_tasks_name_is_its_functions(ray: Any) -> None:
    @ray.remote
    def named() -> Any:
        return ray.get_runtime_context().get_task_name()

    assert ray.get(named.remote()).endswith("named")
    assert ray.get(named.options(name="mine").remote()) == "mine"


def test_a_methods_name(ray: Any) -> None:
    @ray.remote
    class Knows:
        def name(self) -> Any:
            return ray.get_runtime_context().get_task_name()

    assert ray.get(Knows.remote().name.remote()).endswith("Knows.name")


def test_a_task_knows_its_resources(ray: Any) -> None:
    @ray.remote(num_cpus=2, resources={"widget": 1})
    def resources() -> Any:
        return ray.get_runtime_context().get_assigned_resources()

    assert ray.get(resources.remote()) == {"CPU": 2.0, "widget": 1.0}


def test_what_the_cluster_has(ray: Any) -> None:
    found = ray.cluster_resources()
    assert (found["CPU"], found["widget"]) == (4.0, 2.0)


def test_what_is_free(ray: Any, gate: Any, tally: Any) -> None:
    from tests.runtime.helpers import wait_until

    @ray.remote(num_cpus=0, resources={"widget": 1})
    def hold() -> None:
        tally.add()
        gate.wait()

    assert wait_until(lambda: ray.available_resources().get("widget") == 2.0)
    ref = hold.remote()
    assert wait_until(lambda: ray.available_resources().get("widget") == 1.0)
    gate.open()
    ray.get(ref)
    assert wait_until(lambda: ray.available_resources().get("widget") == 2.0)


@not_inline("a call is over when `.remote()` returns, and nothing runs beside it")
def test_an_actor_holds_what_it_asks_for(ray: Any) -> None:
    from tests.runtime.helpers import wait_until

    @ray.remote(num_cpus=0, resources={"widget": 2})
    class Holds:
        def ping(self) -> str:
            return "pong"

    assert wait_until(lambda: ray.available_resources().get("widget") == 2.0)
    holds = Holds.remote()
    assert ray.get(holds.ping.remote()) == "pong"
    assert wait_until(lambda: not ray.available_resources().get("widget"))
    del holds
    assert wait_until(lambda: ray.available_resources().get("widget") == 2.0)


def test_no_gpus_here(ray: Any) -> None:
    assert ray.get_gpu_ids() == []


def test_the_current_actor_is_for_actors_only(ray: Any) -> None:
    with pytest.raises(RuntimeError):
        _ = ray.get_runtime_context().current_actor


def test_a_task_is_not_cancelled_unless_it_was(ray: Any) -> None:
    @ray.remote
    class Asks:
        def asked(self) -> Any:
            return ray.get_runtime_context().is_canceled()

    assert ray.get(Asks.remote().asked.remote()) is False


def test_a_process_of_a_task_is_a_child_of_nobody_elses(ray: Any) -> None:
    @ray.remote
    def pids() -> tuple[int, int]:
        return os.getpid(), os.getppid()

    pid, parent = ray.get(pids.remote())
    assert pid != parent


def test_the_context_names_the_namespace(ray: Any) -> None:
    @ray.remote
    def namespace() -> Any:
        return ray.get_runtime_context().namespace

    assert ray.get(namespace.remote()) == ray.get_runtime_context().namespace


def test_the_name_of_the_function_that_runs(ray: Any) -> None:
    @ray.remote
    def named() -> Any:
        return ray.get_runtime_context().get_task_function_name()

    module = __name__.rpartition(".")[2]
    for call in (named, named.options(name="mine")):
        assert ray.get(call.remote()).endswith(f"{module}.named")


def test_the_name_of_the_method_that_runs(ray: Any) -> None:
    @ray.remote
    class Knows:
        def __init__(self) -> None:
            self.made_by = ray.get_runtime_context().get_task_function_name()

        def names(self) -> Any:
            return ray.get_runtime_context().get_task_function_name(), self.made_by

    knows = Knows.options(name="somebody").remote()
    method, constructor = ray.get(knows.names.options(name="mine").remote())
    assert method.endswith(".Knows.names") and constructor.endswith(".Knows.__init__")


def test_no_function_runs_in_the_driver(ray: Any) -> None:
    assert ray.get_runtime_context().get_task_function_name() is None
