"""Helpers on top of tasks and actors, by Ray's names.

`snakepit.util.queue`, `snakepit.util.multiprocessing`, `snakepit.util.metrics` and what else has a
module of its own are imported by those who use them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .actor_pool import ActorPool
from .debug import log_once
from .helpers import as_completed, map_unordered
from .names import list_named_actors

# The functions, which take the name of their module, as in Ray.
from .placement_group import (
    get_current_placement_group,
    get_placement_group,
    placement_group,
    placement_group_table,
    remove_placement_group,
)
from .serialization import deregister_serializer, inspect_serializability, register_serializer

if TYPE_CHECKING:
    from .progress import tqdm as tqdm

__all__ = [
    "ActorPool",
    "as_completed",
    "map_unordered",
    "list_named_actors",
    "log_once",
    "get_current_placement_group",
    "get_placement_group",
    "placement_group",
    "placement_group_table",
    "remove_placement_group",
    "inspect_serializability",
    "register_serializer",
    "deregister_serializer",
    "tqdm",
]


def __getattr__(name: str) -> Any:
    """Load what few programs use when it is first asked for."""
    if name != "tqdm":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .progress import tqdm

    return tqdm
