"""Placement groups, by Ray's names."""

from __future__ import annotations

from ..api.groups import PlacementGroup, placement_group, remove_placement_group

__all__ = ["PlacementGroup", "placement_group", "remove_placement_group"]
