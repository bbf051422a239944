"""Helpers on top of tasks and actors, by Ray's names.

`snakepit.util.queue`, `snakepit.util.multiprocessing`, `snakepit.util.metrics` and what else has a
module of its own are imported by those who use them.
"""

from __future__ import annotations

from .actor_pool import ActorPool
from .helpers import as_completed, map_unordered
from .names import list_named_actors
from .serialization import deregister_serializer, inspect_serializability, register_serializer

__all__ = [
    "ActorPool",
    "as_completed",
    "map_unordered",
    "list_named_actors",
    "inspect_serializability",
    "register_serializer",
    "deregister_serializer",
]
