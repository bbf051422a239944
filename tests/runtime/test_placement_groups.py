"""Placement groups on real processes: what they set aside, for whom, and until when."""

from __future__ import annotations

from typing import Any

import pytest

import snakepit
from snakepit import errors
from snakepit.util import list_named_actors
from snakepit.util.placement_group import (
    PlacementGroup,
    get_current_placement_group,
    get_placement_group,
    placement_group,
    placement_group_table,
    remove_placement_group,
)
from snakepit.util.scheduling_strategies import PlacementGroupSchedulingStrategy
from tests.runtime.helpers import Gate, Tally, wait_until


@snakepit.remote
def assigned() -> dict[str, float]:
    return snakepit.get_runtime_context().get_assigned_resources()


@snakepit.remote
def group_id() -> str | None:
    return snakepit.get_runtime_context().get_placement_group_id()


@snakepit.remote
def hold(gate: Gate, tally: Tally) -> str:
    tally.add()
    gate.wait()
    return "held"


@snakepit.remote
class Member:
    def group_id(self) -> str | None:
        return snakepit.get_runtime_context().get_placement_group_id()

    def assigned(self) -> dict[str, float]:
        return snakepit.get_runtime_context().get_assigned_resources()


def in_group(group: PlacementGroup, index: int = -1) -> Any:
    return PlacementGroupSchedulingStrategy(
        placement_group=group, placement_group_bundle_index=index
    )


def free_cpus() -> float:
    return snakepit.available_resources()["CPU"]


def test_a_group_sets_resources_aside_until_it_is_removed(runtime: Any) -> None:
    group = placement_group([{"CPU": 1}, {"CPU": 0.5}], strategy="SPREAD", name="pair")
    assert snakepit.get(group.ready()) == group
    assert group.wait(30) is True
    assert free_cpus() == 0.5
    assert group.bundle_specs == [{"CPU": 1.0}, {"CPU": 0.5}] and group.bundle_count == 2
    assert not [name for name in snakepit.cluster_resources() if "group" in name]
    remove_placement_group(group)
    assert wait_until(lambda: free_cpus() == 2.0)
    with pytest.raises(errors.ActorDiedError):
        group.wait(30)


def test_it_ends_when_nobody_has_it(runtime: Any) -> None:
    group = placement_group([{"CPU": 2}])
    assert group.wait(30)
    del group
    assert wait_until(lambda: free_cpus() == 2.0)


@pytest.mark.parametrize("index", [-1, 1])
def test_tasks_and_actors_run_on_what_it_set_aside(runtime: Any, index: int) -> None:
    group = placement_group([{"CPU": 1}, {"CPU": 1}])
    call = assigned.options(scheduling_strategy=in_group(group, index))
    # Made before the group is ready: it waits for that.
    assert snakepit.get(call.remote()) == {"CPU": 1.0}
    assert free_cpus() == 0.0
    plain = Member.options(scheduling_strategy=in_group(group, index)).remote()
    whole = Member.options(num_cpus=1, scheduling_strategy=in_group(group, index)).remote()
    assert snakepit.get(plain.assigned.remote()) == {}
    # What takes nothing is in it all the same.
    nothing = group_id.options(num_cpus=0, scheduling_strategy=in_group(group, index))
    within = [plain.group_id.remote(), whole.group_id.remote(), nothing.remote()]
    assert snakepit.get(within) == [group.id.hex()] * 3
    assert snakepit.get(whole.assigned.remote()) == {"CPU": 1.0}


def test_a_bundle_is_not_used_twice_at_a_time(runtime: Any, gate: Gate, tally: Tally) -> None:
    group = placement_group([{"CPU": 1}, {"CPU": 1}])
    first = hold.options(scheduling_strategy=in_group(group, 0))
    refs = [first.remote(gate, tally) for _ in range(2)]
    assert wait_until(lambda: tally.count == 1)
    other = assigned.options(scheduling_strategy=in_group(group, 1))
    assert snakepit.get(other.remote()) == {"CPU": 1.0}
    assert tally.count == 1
    gate.open()
    assert snakepit.get(refs) == ["held", "held"]


def test_who_waits_for_a_removed_group_is_told(runtime: Any, gate: Gate, tally: Tally) -> None:
    group = placement_group([{"CPU": 1}])
    call = hold.options(scheduling_strategy=in_group(group))
    running = call.remote(gate, tally)
    assert wait_until(lambda: tally.count == 1)
    waiting = call.remote(gate, tally)
    actor = Member.options(num_cpus=1, scheduling_strategy=in_group(group)).remote()
    remove_placement_group(group)
    with pytest.raises(errors.TaskUnschedulableError, match="a placement group that was removed"):
        snakepit.get(waiting)
    with pytest.raises(errors.ActorDiedError, match="a placement group that was removed"):
        snakepit.get(actor.assigned.remote())
    with pytest.raises(errors.TaskUnschedulableError, match="a placement group that was removed"):
        snakepit.get(call.remote(gate, tally))
    gate.open()
    assert snakepit.get(running) == "held"


def test_a_group_that_can_never_be_had_says_so(runtime: Any) -> None:
    group = placement_group([{"CPU": 2}, {"CPU": 1, "camera": 1}], name="wide")
    text = "placement group wide asks for 3 CPU, 1 camera, but this runtime has 2 CPU"
    with pytest.raises(errors.ActorUnschedulableError, match=text):
        snakepit.get(group.ready())
    with pytest.raises(errors.ActorUnschedulableError, match=text):
        group.wait(30)


def test_a_group_waits_for_what_is_in_use(runtime: Any, gate: Gate, tally: Tally) -> None:
    busy = hold.remote(gate, tally)
    assert wait_until(lambda: tally.count == 1)
    group = placement_group([{"CPU": 2}])
    assert group.wait(0) is False
    gate.open()
    assert group.wait(30) is True
    assert snakepit.get(busy) == "held"


def test_a_group_can_be_sent(runtime: Any) -> None:
    group = placement_group([{"CPU": 1}])

    @snakepit.remote(num_cpus=0)
    def use(group: PlacementGroup) -> Any:
        strategy = PlacementGroupSchedulingStrategy(group)
        return snakepit.get(assigned.options(scheduling_strategy=strategy).remote())

    assert snakepit.get(use.remote(group)) == {"CPU": 1.0}
    assert hash(group) == hash(snakepit.get(group.ready())) and group != 1
    assert group.id.hex() in repr(group)
    inside = group_id.options(scheduling_strategy=in_group(group, 0))
    assert snakepit.get([inside.remote(), group_id.remote()]) == [group.id.hex(), None]


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"bundles": []}, errors.OptionError, "the number of bundles must be"),
        ({"bundles": {"CPU": 1}}, TypeError, "bundles must be a list of dictionaries"),
        ({"bundles": [1]}, TypeError, r"bundles\[0\] must be a dictionary"),
        ({"bundles": [{}]}, errors.OptionError, r"bundles\[0\] must be .* at least one"),
        ({"bundles": [{"CPU": 0}]}, errors.OptionError, "at least one quantity above 0"),
        ({"bundles": [{"CPU": -1}]}, errors.OptionError, r"bundles\[0\]\['CPU'\] must be"),
        ({"bundles": [{"CPU": "1"}]}, TypeError, r"bundles\[0\]\['CPU'\] must be"),
        ({"bundles": [{"GPU": 1}]}, errors.NotSupportedError, "GPUs cannot be set aside"),
        ({"strategy": "SPREADED"}, errors.OptionError, "strategy must be one of PACK, SPREAD"),
        ({"name": 3}, TypeError, "name must be a string"),
        ({"lifetime": "detached"}, errors.NotSupportedError, "lifetime='detached'"),
    ],
)
def test_wrong_groups_are_refused(arguments: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        placement_group(**{"bundles": [{"CPU": 1}], **arguments})


def test_wrong_strategies_are_refused(runtime: Any) -> None:
    group = placement_group([{"CPU": 1}, {"CPU": 1, "memory": 1000}])
    with pytest.raises(TypeError, match="placement_group must be a PlacementGroup"):
        PlacementGroupSchedulingStrategy("group")  # type: ignore[arg-type]
    with pytest.raises(errors.OptionError, match="bundle_index must be an integer from -1 to 1"):
        in_group(group, 2)
    with pytest.raises(errors.NotSupportedError, match="capture_child_tasks"):
        PlacementGroupSchedulingStrategy(group, 0, True)
    with pytest.raises(errors.OptionError, match="nothing in the placement group has room"):
        assigned.options(num_cpus=2, scheduling_strategy=in_group(group))
    with pytest.raises(errors.OptionError, match="of which index 0 was asked for"):
        assigned.options(memory=500, scheduling_strategy=in_group(group, 0))
    with pytest.raises(TypeError, match="placement_group must be a PlacementGroup"):
        remove_placement_group(3)  # type: ignore[arg-type]
    assert group.wait(30)


@snakepit.remote(num_cpus=0)
def look_up(name: str) -> Any:
    found = get_placement_group(name)
    return found.id.hex(), found.bundle_specs, placement_group_table(found)["state"]


def test_a_group_is_looked_up_from_anywhere(runtime: Any) -> None:
    group = placement_group([{"CPU": 1}], name="pair")
    assert group.wait(30)
    expected = (group.id.hex(), [{"CPU": 1.0}], "CREATED")
    assert snakepit.get(look_up.remote("pair")) == expected
    assert list(placement_group_table()) == [group.id.hex()]
    assert list_named_actors(all_namespaces=True) == []
    with pytest.raises(errors.OptionError, match="a placement group named 'pair' exists"):
        placement_group([{"CPU": 1}], name="pair")
    found = get_placement_group("pair")
    assert found.wait(30) and found == group
    # What was looked up keeps nothing alive.
    del group
    assert wait_until(lambda: placement_group_table() == {})
    assert placement_group_table(found)["state"] == "REMOVED"
    with pytest.raises(ValueError, match="no placement group is named 'pair'"):
        get_placement_group("pair")


def test_a_group_whose_task_runs_on_without_it(runtime: Any, gate: Gate, tally: Tally) -> None:
    @snakepit.remote
    def ask(gate: Gate, tally: Tally) -> Any:
        before = get_current_placement_group()
        tally.add()
        gate.wait()
        return before is not None, get_current_placement_group()

    group = placement_group([{"CPU": 1}])
    running = ask.options(scheduling_strategy=in_group(group)).remote(gate, tally)
    assert wait_until(lambda: tally.count == 1)
    remove_placement_group(group)
    gate.open()
    assert snakepit.get(running) == (True, None)


def test_wrong_lookups_are_refused(runtime: Any) -> None:
    with pytest.raises(TypeError, match="placement_group_name must be a string"):
        get_placement_group(None)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="placement_group must be a PlacementGroup"):
        placement_group_table("pair")  # type: ignore[call-overload]
