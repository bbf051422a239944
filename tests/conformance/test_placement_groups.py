"""Placement groups: resources set aside, and what runs in them."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

from tests.conformance.marks import not_inline


@pytest.fixture
def util(ray: Any) -> Any:
    """The module."""
    return importlib.import_module(f"{ray.__name__}.util")


def strategy(ray: Any, group: Any, **more: Any) -> Any:
    """What a task is placed by."""
    found = importlib.import_module(f"{ray.__name__}.util.scheduling_strategies")
    return found.PlacementGroupSchedulingStrategy(placement_group=group, **more)


@pytest.mark.parametrize("kind", ["PACK", "SPREAD", "STRICT_PACK"])
def test_a_group_becomes_ready(ray: Any, util: Any, kind: str) -> None:
    group = util.placement_group([{"CPU": 1}, {"CPU": 1}], strategy=kind)
    ray.get(group.ready())
    assert group.wait(30)
    util.remove_placement_group(group)


def test_a_group_knows_its_bundles(util: Any) -> None:
    group = util.placement_group([{"CPU": 1}, {"widget": 1}])
    assert group.wait(30)
    assert group.bundle_specs == [{"CPU": 1}, {"widget": 1}]
    assert group.bundle_count == 2
    util.remove_placement_group(group)


def test_a_task_in_a_group(ray: Any, util: Any) -> None:
    @ray.remote(num_cpus=1)
    def inside() -> str:
        return "inside"

    group = util.placement_group([{"CPU": 1}])
    placed = inside.options(scheduling_strategy=strategy(ray, group))
    assert ray.get(placed.remote()) == "inside"
    util.remove_placement_group(group)


def test_an_actor_in_a_bundle(ray: Any, util: Any) -> None:
    @ray.remote(num_cpus=1)
    class Inside:
        def ping(self) -> str:
            return "pong"

    group = util.placement_group([{"CPU": 1}, {"CPU": 1}])
    where = strategy(ray, group, placement_group_bundle_index=1)
    inside = Inside.options(scheduling_strategy=where).remote()
    assert ray.get(inside.ping.remote()) == "pong"
    del inside
    util.remove_placement_group(group)


@pytest.mark.parametrize("bundles", [[], [{}], "CPU", [1]], ids=str)
def test_bundles_that_are_not_allowed(util: Any, bundles: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        util.placement_group(bundles)


def test_a_strategy_that_is_not_there(util: Any) -> None:
    with pytest.raises(ValueError):
        util.placement_group([{"CPU": 1}], strategy="SCATTER")


def test_a_group_is_found_by_its_name(util: Any) -> None:
    group = util.placement_group([{"CPU": 1}], name="to be found")
    assert group.wait(30)
    found = util.get_placement_group("to be found")
    assert found == group and found.bundle_specs == [{"CPU": 1}]
    util.remove_placement_group(group)
    for name in ("to be found", "never made", ""):
        with pytest.raises(ValueError):
            util.get_placement_group(name)


def test_a_name_is_one_groups(ray: Any, util: Any, backend: str) -> None:
    group = util.placement_group([{"CPU": 1}], name="taken")
    assert group.wait(30)
    taken = ray.exceptions.RaySystemError if backend == "ray" else ValueError
    with pytest.raises(taken, match="exists"):
        util.placement_group([{"CPU": 1}], name="taken").wait(1)
    util.remove_placement_group(group)


def test_the_table_of_groups(ray: Any, util: Any) -> None:
    group = util.placement_group([{"CPU": 1}, {"widget": 1}], strategy="SPREAD", name="listed")
    assert group.wait(30)
    node = ray.get_runtime_context().get_node_id()
    told = util.placement_group_table(group)
    stats = told.pop("stats", None)
    assert told == {
        "placement_group_id": group.id.hex(),
        "name": "listed",
        "bundles": {0: {"CPU": 1.0}, 1: {"widget": 1.0}},
        "bundles_to_node_id": {0: node, 1: node},
        "strategy": "SPREAD",
        "state": "CREATED",
    }
    everything = util.placement_group_table()
    assert everything[group.id.hex()] == {**told, **({"stats": stats} if stats else {})}
    util.remove_placement_group(group)
    assert util.placement_group_table(group)["state"] == "REMOVED"


@not_inline("a call is over when `.remote()` returns, and nothing runs beside it")
def test_a_group_that_waits_is_in_the_table(util: Any) -> None:
    first = util.placement_group([{"widget": 2}])
    assert first.wait(30)
    second = util.placement_group([{"widget": 2}], name="waits")
    told = util.placement_group_table(second)
    assert (told["state"], told["bundles_to_node_id"]) == ("PENDING", {0: ""})
    assert util.get_placement_group("waits") == second
    util.remove_placement_group(first)
    assert second.wait(30)
    assert util.placement_group_table(second)["state"] == "CREATED"
    util.remove_placement_group(second)


def test_who_runs_in_a_group_knows_it(ray: Any, util: Any) -> None:
    @ray.remote(num_cpus=1)
    def mine() -> Any:
        found = importlib.import_module(f"{ray.__name__}.util").get_current_placement_group()
        return found and (found.id.hex(), found.bundle_specs)

    group = util.placement_group([{"CPU": 1}])
    inside = mine.options(scheduling_strategy=strategy(ray, group)).remote()
    assert ray.get(inside) == (group.id.hex(), [{"CPU": 1.0}])
    assert ray.get(mine.remote()) is None
    assert util.get_current_placement_group() is None
    util.remove_placement_group(group)
