"""A process's own handles on objects and actors, counted without locks.

Finalizers run anywhere: in a thread that holds the runtime's lock, in the middle of a garbage
collection. So they only append to a deque, and poke the sleeper, if there is one, that takes the
entries out. Holds go through the same deque, which keeps them in order with the drops: whoever
holds an id has it because something else, not dropped yet, keeps the object alive.

Nothing relies on the GIL: the deque's own operations are atomic, and one thread drains at a time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import final


@final
class Handles:
    """What happened to the handles of this process since they were last drained.

    Args:
        poke: wakes the thread that would otherwise sleep over a drop; no locks, never raises.
    """

    __slots__ = ("_poke", "queue", "sleeping")

    def __init__(self, poke: Callable[[], None]) -> None:
        self.queue: deque[int] = deque()
        self.sleeping = False
        self._poke = poke

    def hold(self, identifier: int) -> None:
        """Note one more handle."""
        self.queue.append(-identifier)

    def drop(self, identifier: int) -> None:
        """Note one less; safe in finalizers."""
        self.queue.append(identifier)
        if self.sleeping:
            # Once is enough: whoever wakes drains the queue before it sleeps again.
            self.sleeping = False
            self._poke()

    def drain(self) -> list[int]:
        """Take everything noted: ids dropped, and held ones negated, in order."""
        taken: list[int] = []
        queue = self.queue
        while queue:
            taken.append(queue.popleft())
        return taken


@final
class HandleCounts:
    """Counts a worker's handles and tells which ids came to be held, and which ceased to be."""

    __slots__ = ("_counts", "_known")

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}
        self._known: set[int] = set()

    def own(self, identifier: int) -> None:
        """Count a handle on an object that this process makes: its owner counts it by itself."""
        self._counts[identifier] = self._counts.get(identifier, 0) + 1
        self._known.add(identifier)

    def changes(self, noted: list[int]) -> tuple[list[int], list[int]]:
        """Apply what was noted; return the ids with a first handle, and those with none left."""
        counts, known = self._counts, self._known
        touched: set[int] = set()
        for item in noted:
            identifier = abs(item)
            counts[identifier] = counts.get(identifier, 0) + (1 if item < 0 else -1)
            touched.add(identifier)
        added, dropped = [], []
        for identifier in touched:
            if counts[identifier] > 0:
                if identifier not in known:
                    known.add(identifier)
                    added.append(identifier)
            else:
                del counts[identifier]
                if identifier in known:
                    known.remove(identifier)
                    dropped.append(identifier)
        return added, dropped
