"""The simulator's only source of chance: a generator that one integer restarts.

Each step of an episode rolls on from its own seed, so that a step keeps its meaning when the
shrinker takes away the steps before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar, final

T = TypeVar("T")

_MASK = (1 << 64) - 1


@final
class Dice:
    """A linear congruential generator (Knuth's MMIX constants); the high bits are used."""

    __slots__ = ("state",)

    def __init__(self, state: int = 0) -> None:
        self.state = state

    def below(self, count: int) -> int:
        """Return a number from 0 to `count` - 1."""
        state = self.state = (self.state * 6364136223846793005 + 1442695040888963407) & _MASK
        return (state >> 33) % count

    def chance(self, per_mille: int) -> bool:
        """Return True in `per_mille` of 1000 cases."""
        return self.below(1000) < per_mille

    def pick(self, items: Sequence[T]) -> T:
        """Return one of `items`."""
        return items[self.below(len(items))]

    def some(self, items: Sequence[T], most: int) -> list[T]:
        """Return up to `most` of `items`, none of them twice."""
        if not items or not most:
            return []
        count = self.below(min(most, len(items)) + 1)
        if count == 0:
            return []
        start, step = self.below(len(items)), self.below(len(items)) | 1
        return list(dict.fromkeys(items[(start + i * step) % len(items)] for i in range(count)))
