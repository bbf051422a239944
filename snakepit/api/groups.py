"""Placement groups: resources that are set aside together, for the tasks and actors that name them.

On one machine every strategy means the same. To the scheduler a group is an actor without a
process, which takes the sum of its bundles; what it took is there again under names of the group's
own, of which its tasks and actors take.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Final, final

from ..checks import (
    GROUPS,
    IN_GROUP,
    RESERVES,
    UNITS,
    check_bytes,
    check_int,
    check_resources,
    check_units,
    wrong_type,
    wrong_value,
)
from ..errors import ActorAlreadyExistsError, NotSupportedError, OptionError
from ..protocol import Definition, current
from .actors import ActorClass
from .calls import get, kill, wait
from .context import running
from .handles import ActorHandle
from .refs import ObjectRef
from .remote import remote

STRATEGIES: Final = ("PACK", "SPREAD", "STRICT_PACK", "STRICT_SPREAD")
MOST_BUNDLES: Final = 1000

Bundle = tuple[tuple[str, int], ...]


class _Keeper:
    """The actor behind a group. The scheduler answers for it."""

    def ready(self) -> None:
        """Return once the group has its resources."""


_KEEPER: Final = ActorClass(_Keeper, {})


@remote(num_cpus=0)
def _pass_on(group: PlacementGroup, ready: None) -> PlacementGroup:
    return group


@final
class PlacementGroup:
    """Resources set aside. It lasts until it is removed or nobody has it any more."""

    __slots__ = ("_bundles", "_keeper", "id", "name", "strategy")

    def __init__(
        self,
        identifier: bytes,
        name: str,
        strategy: str,
        bundles: tuple[Bundle, ...],
        keeper: ActorHandle[_Keeper],
    ) -> None:
        """Made by `placement_group`."""
        self.id = identifier
        self.name = name
        self.strategy = strategy
        self._bundles = bundles
        self._keeper = keeper

    def ready(self) -> ObjectRef[PlacementGroup]:
        """Return a reference that resolves to the group when its resources are set aside.

        To `ActorUnschedulableError`, if this machine does not have them.
        """
        return _pass_on.remote(self, self._gate())

    def _gate(self) -> ObjectRef[None]:
        gate: ObjectRef[None] = self._keeper.ready.remote()
        return gate

    def wait(self, timeout_seconds: float = 30) -> bool:
        """Wait until the group is ready; return whether it is.

        Raises:
            ActorUnschedulableError: it asks for more than there is.
            ActorDiedError: it was removed.
        """
        gate = self._gate()
        done, _ = wait([gate], timeout=timeout_seconds)
        if done:
            get(gate)
        return bool(done)

    @property
    def bundle_specs(self) -> list[dict[str, float]]:
        """What each bundle sets aside."""
        return [{name: units / UNITS for name, units in bundle} for bundle in self._bundles]

    @property
    def bundle_count(self) -> int:
        """How many bundles there are."""
        return len(self._bundles)

    def take(self, wanted: Bundle, index: int) -> Bundle:
        """Return what to ask the scheduler for, for something that runs in the group.

        Args:
            wanted: what it takes.
            index: the bundle to take it from; -1: any.

        Raises:
            OptionError: the group has no such bundle, or none that has as much.
        """
        check_int("placement_group_bundle_index", index, -1, len(self._bundles) - 1)
        bundles = self._bundles if index < 0 else (self._bundles[index],)
        if not any(_fits(wanted, bundle) for bundle in bundles):
            asked = {name: units / UNITS for name, units in wanted}
            raise OptionError(
                f"nothing in the placement group has room for {asked}; its bundles: "
                f"{self.bundle_specs}, of which index {index} was asked for"
            )
        group = self.id.hex()
        # What takes nothing is in the group too, which its environment tells it.
        wanted = wanted or (("CPU", 0),)
        found = [(f"{name}{IN_GROUP}{group}", units) for name, units in wanted]
        if index >= 0:
            found += [(f"{name}{IN_GROUP}{index}_{group}", units) for name, units in wanted]
        return tuple(sorted(found))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PlacementGroup) and self.id == other.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __reduce__(self) -> tuple[Any, ...]:
        fields = (self.id, self.name, self.strategy, self._bundles, self._keeper)
        return PlacementGroup, fields

    def __repr__(self) -> str:
        return f"PlacementGroup({self.id.hex()}, {self.bundle_specs})"


@final
class PlacementGroupSchedulingStrategy:
    """Run a task or actor on what a placement group has set aside.

    Args:
        placement_group: the group.
        placement_group_bundle_index: the bundle; -1: any.
        placement_group_capture_child_tasks: not supported: what a task calls names its own group.
    """

    def __init__(
        self,
        placement_group: PlacementGroup,
        placement_group_bundle_index: int = -1,
        placement_group_capture_child_tasks: bool | None = None,
    ) -> None:
        if not isinstance(placement_group, PlacementGroup):
            raise wrong_type("placement_group", placement_group, "a PlacementGroup")
        most = placement_group.bundle_count - 1
        index = placement_group_bundle_index
        check_int("placement_group_bundle_index", index, -1, most)
        if placement_group_capture_child_tasks:
            raise NotSupportedError(
                "placement_group_capture_child_tasks: tasks that are called from a group run in it "
                "if they say so themselves"
            )
        self.placement_group = placement_group
        self.placement_group_bundle_index = placement_group_bundle_index
        self.placement_group_capture_child_tasks = placement_group_capture_child_tasks

    def take(self, wanted: Bundle) -> Bundle:
        """See `PlacementGroup.take`."""
        return self.placement_group.take(wanted, self.placement_group_bundle_index)


def placement_group(
    bundles: Sequence[Mapping[str, float]],
    strategy: str = "PACK",
    name: str = "",
    lifetime: None = None,
) -> PlacementGroup:
    """Set resources aside; they are taken as soon as they are free.

    Args:
        bundles: quantities by name, of `CPU`, `memory` and custom resources.
        strategy: PACK, SPREAD, STRICT_PACK or STRICT_SPREAD; there is one machine for all of them.
        name: for `get_placement_group`; one group at a time may have it.
        lifetime: None; "detached" is not supported.

    Raises:
        TypeError: an argument has a wrong type.
        OptionError: an argument has a value that is not allowed, or the name is taken.
        NotSupportedError: a bundle has GPUs, or the group would be detached.
    """
    if not isinstance(bundles, (list, tuple)):
        raise wrong_type("bundles", bundles, "a list of dictionaries")
    check_int("the number of bundles", len(bundles), 1, MOST_BUNDLES)
    checked = tuple(_bundle(f"bundles[{place}]", each) for place, each in enumerate(bundles))
    if strategy not in STRATEGIES:
        raise wrong_value("strategy", strategy, f"one of {', '.join(STRATEGIES)}")
    if not isinstance(name, str):
        raise wrong_type("name", name, "a string")
    if lifetime is not None:
        raise NotSupportedError(f"lifetime={lifetime!r}: a placement group ends with the program")
    identifier = os.urandom(8)
    told = (identifier.hex(), name, strategy, checked)
    try:
        keeper = _keeper(told)
    except ActorAlreadyExistsError:
        raise OptionError(
            f"name: a placement group named {name!r} exists; get_placement_group() returns it, or "
            "choose another name"
        ) from None
    return PlacementGroup(identifier, name, strategy, checked, keeper)


def remove_placement_group(group: PlacementGroup) -> None:
    """Give back what a group has set aside; what waits for some of it fails, what runs goes on."""
    if not isinstance(group, PlacementGroup):
        raise wrong_type("placement_group", group, "a PlacementGroup")
    kill(group._keeper)


def _keeper(told: tuple[str, str, str, tuple[Bundle, ...]]) -> ActorHandle[_Keeper]:
    group, name, _, bundles = told
    totals: dict[str, int] = {"CPU": 0}
    aside: dict[str, int] = {}
    for index, bundle in enumerate(bundles):
        for resource, units in bundle:
            totals[resource] = totals.get(resource, 0) + units
            for key in (f"{resource}{IN_GROUP}{group}", f"{resource}{IN_GROUP}{index}_{group}"):
                aside[RESERVES + key] = aside.get(RESERVES + key, 0) + units
    own = _KEEPER._definition
    template = own.template._replace(
        name=f"placement group {name or group}",
        resources=(*sorted(totals.items()), *sorted(aside.items())),
        actor_name=name,
        namespace=GROUPS if name else "",
    )
    runtime = current() or running()
    # Whoever asks for all groups is told of this one what its methods are, and then what it is.
    description = (*_KEEPER._table.description, told)
    keeper: ActorHandle[_Keeper] = runtime.create(
        Definition(own.target, template), (), {}, description, _KEEPER._make
    )
    return keeper


def _bundle(option: str, value: object) -> Bundle:
    if not isinstance(value, Mapping):
        raise wrong_type(option, value, "a dictionary of names and quantities")
    found: dict[str, int] = {}
    custom: dict[Any, Any] = {}
    for name, quantity in value.items():
        if name == "GPU":
            raise NotSupportedError(f"{option}['GPU']: GPUs cannot be set aside yet")
        if name == "CPU":
            found[name] = check_units(f"{option}['CPU']", quantity)
        elif name == "memory":
            found[name] = check_bytes(f"{option}['memory']", quantity)
        else:
            custom[name] = quantity
    found.update(check_resources(option, custom))
    units = tuple(sorted((name, amount) for name, amount in found.items() if amount))
    if not units:
        raise wrong_value(option, value, "a dictionary with at least one quantity above 0")
    return units


def _fits(wanted: Bundle, bundle: Bundle) -> bool:
    room = dict(bundle)
    return all(room.get(name, 0) >= units for name, units in wanted)
