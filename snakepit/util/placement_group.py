"""Placement groups, by Ray's names."""

from __future__ import annotations

from ..api.group_table import (
    get_current_placement_group,
    get_placement_group,
    placement_group_table,
)
from ..api.groups import PlacementGroup, placement_group, remove_placement_group

__all__ = [
    "PlacementGroup",
    "get_current_placement_group",
    "get_placement_group",
    "placement_group",
    "placement_group_table",
    "remove_placement_group",
]
