"""Pools of workers, and the classes of calls that share their queues."""

from __future__ import annotations

from collections import deque
from typing import final

from .calls import Call
from .resources import Needs
from .workers import Worker


@final
class Klass:
    """Calls that differ only in what they do: one queue for all of them.

    `open` holds the workers that may have room for more of its calls, least recently used first.
    """

    __slots__ = ("creates", "needs", "open", "pool", "possible", "queue")

    def __init__(self, pool: Pool, needs: Needs, creates: bool, possible: bool) -> None:
        self.pool = pool
        self.needs = needs
        self.creates = creates
        self.possible = possible
        self.queue: deque[Call] = deque()
        self.open: deque[Worker] = deque()


@final
class Pool:
    """Workers of one kind. `size` of them are kept when idle; there are never over `limit`.

    `failures` counts workers in a row that ended before they were ready; while `resting` no more
    are started. `shrinking` says that a timer will end the idle ones that are too many.
    """

    __slots__ = (
        "failures",
        "idle",
        "limit",
        "name",
        "resting",
        "shrinking",
        "size",
        "slots",
        "starting",
        "workers",
    )

    def __init__(self, name: str, size: int, limit: int, slots: int) -> None:
        self.name = name
        self.size = size
        self.limit = limit
        self.slots = slots
        self.workers: dict[int, Worker] = {}
        self.idle: dict[int, Worker] = {}
        self.starting = 0
        self.failures = 0
        self.resting = False
        self.shrinking = False

    @property
    def full(self) -> bool:
        """Whether it may not start another worker now."""
        return self.resting or len(self.workers) >= self.limit

    @property
    def excess(self) -> int:
        """How many more workers it has than it keeps when they are idle."""
        return len(self.workers) - self.starting - self.size
