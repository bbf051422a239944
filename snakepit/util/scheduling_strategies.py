"""What `scheduling_strategy` takes, by Ray's names."""

from __future__ import annotations

from ..api.groups import PlacementGroupSchedulingStrategy

__all__ = ["PlacementGroupSchedulingStrategy"]
