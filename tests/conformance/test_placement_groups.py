"""Placement groups: resources set aside, and what runs in them."""

from __future__ import annotations

import importlib
from typing import Any

import pytest


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
