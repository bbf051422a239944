"""Helpers on top of tasks and actors, by Ray's names; each loads when it is first used.

`snakepit.util.queue`, `snakepit.util.multiprocessing` and `snakepit.util.metrics` are modules of
their own.
"""

from __future__ import annotations

from .actor_pool import ActorPool
from .helpers import as_completed, map_unordered

__all__ = [
    "ActorPool",
    "as_completed",
    "map_unordered",
]
