"""Placement groups in inline mode, where nothing runs beside what they set aside."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import snakepit
from snakepit.util.placement_group import (
    get_current_placement_group,
    get_placement_group,
    placement_group,
    placement_group_table,
    remove_placement_group,
)
from snakepit.util.scheduling_strategies import PlacementGroupSchedulingStrategy


@pytest.fixture(autouse=True)
def runtime() -> Iterator[Any]:
    """An inline runtime."""
    with snakepit.init(mode="inline", num_cpus=2) as context:
        yield context


@snakepit.remote
class Member:
    def __init__(self) -> None:
        self.made_by = snakepit.get_runtime_context().get_task_function_name()

    def look(self) -> Any:
        here = snakepit.get_runtime_context()
        group = get_current_placement_group()
        return here.get_task_function_name(), self.made_by, group and group.name


@snakepit.remote
def look() -> Any:
    here = snakepit.get_runtime_context()
    group = get_current_placement_group()
    return here.get_assigned_resources(), here.get_placement_group_id(), group and group.name


def test_groups_are_found_and_known_to_who_runs_in_them() -> None:
    group = placement_group([{"CPU": 1}], name="inline")
    assert group.wait(0) and get_placement_group("inline") == group
    assert [each["state"] for each in placement_group_table().values()] == ["CREATED"]
    inside: Any = PlacementGroupSchedulingStrategy(group)
    expected = ({"CPU": 1.0}, group.id.hex(), "inline")
    assert snakepit.get(look.options(scheduling_strategy=inside).remote()) == expected
    assert snakepit.get(look.remote()) == ({"CPU": 1.0}, None, None)
    member = Member.options(num_cpus=1, scheduling_strategy=inside).remote()
    names = [f"{__name__}.Member.{name}" for name in ("look", "__init__")]
    assert snakepit.get(member.look.remote()) == (*names, "inline")
    remove_placement_group(group)
    assert placement_group_table() == {} and get_current_placement_group() is None
