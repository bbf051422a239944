"""Which placement groups there are, and which one the calling code runs in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, TypedDict, overload

from ..checks import check_name, wrong_type
from ..ids import node_id
from ..protocol import Runtime, current
from .context import running
from .groups import PlacementGroup
from .handles import weak_handle

PENDING: Final = "PENDING"
CREATED: Final = "CREATED"
REMOVED: Final = "REMOVED"


class GroupState(TypedDict):
    """A placement group as the table shows it, under Ray's keys.

    The state is PENDING until the resources are set aside, then CREATED, and at last REMOVED. The
    node of a bundle is "" but for groups that are CREATED.
    """

    placement_group_id: str
    name: str
    bundles: dict[int, dict[str, float]]
    bundles_to_node_id: dict[int, str]
    strategy: str
    state: str


@overload
def placement_group_table(placement_group: None = None) -> dict[str, GroupState]: ...


@overload
def placement_group_table(placement_group: PlacementGroup) -> GroupState: ...


def placement_group_table(
    placement_group: PlacementGroup | None = None,
) -> dict[str, GroupState] | GroupState:
    """Return what is known of a group; without one, of all that live, by their ids.

    Args:
        placement_group: the group.

    Raises:
        TypeError: `placement_group` is none.
    """
    runtime = current() or running()
    if placement_group is None:
        return {
            group.id.hex(): _state(runtime, group, CREATED if created else PENDING)
            for group, created in _living(runtime)
        }
    if not isinstance(placement_group, PlacementGroup):
        raise wrong_type("placement_group", placement_group, "a PlacementGroup")
    for group, created in _living(runtime):
        if group == placement_group:
            return _state(runtime, group, CREATED if created else PENDING)
    return _state(runtime, placement_group, REMOVED)


def get_placement_group(placement_group_name: str) -> PlacementGroup:
    """Return the living group of that name; to know it by its name does not keep it alive.

    Args:
        placement_group_name: as given to `placement_group`.

    Raises:
        TypeError: the name is no string.
        ValueError: the name is empty, or no group has it.
    """
    name = check_name("placement_group_name", placement_group_name)
    for group, _ in _living(current() or running()):
        if group.name == name:
            return group
    raise ValueError(f"no placement group is named {name!r}; it was never made, or has ended")


def get_current_placement_group() -> PlacementGroup | None:
    """Return the group that the task or actor which calls this runs in; None if in none.

    To know it does not keep it alive. Of a group that was removed meanwhile nothing is known: None.
    """
    runtime = current() or running()
    identifier = runtime.describe().get("placement_group")
    if identifier is None:
        return None
    return next((group for group, _ in _living(runtime) if group.id.hex() == identifier), None)


def _living(runtime: Runtime) -> Iterator[tuple[PlacementGroup, bool]]:
    """Yield the groups that were not removed, and whether their resources are set aside."""
    for keeper, description, created in runtime.placement_groups():
        *methods, (identifier, name, strategy, told) = description
        bundles = tuple(tuple((resource, units) for resource, units in each) for each in told)
        handle = weak_handle(runtime, keeper, methods)
        yield (
            PlacementGroup(bytes.fromhex(identifier), name, strategy, bundles, handle),
            created,
        )


def _state(runtime: Runtime, group: PlacementGroup, state: str) -> GroupState:
    node = node_id(runtime.run) if state == CREATED else ""
    return GroupState(
        placement_group_id=group.id.hex(),
        name=group.name,
        bundles=dict(enumerate(group.bundle_specs)),
        bundles_to_node_id=dict.fromkeys(range(group.bundle_count), node),
        strategy=group.strategy,
        state=state,
    )
