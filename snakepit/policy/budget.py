"""A pool's budget of retries: when much fails at once, to try it all again doubles the load."""

from __future__ import annotations

from collections import deque
from typing import final

from .actions import Action, Arm


@final
class Budget:
    """How many retries of a pool's calls there may be, in whatever `period` seconds.

    Time is not known here: who takes one has a timer set, which gives it back.

    Attributes:
        left: how many there may be now.
    """

    __slots__ = ("left", "limit", "period")

    def __init__(self, limit: int, period: float) -> None:
        self.limit = self.left = limit
        self.period = period

    def take(self, actions: deque[Action], pool: str) -> bool:
        """Take one for a call of the pool, if there is one; tell whether there was."""
        if not self.left:
            return False
        self.left -= 1
        actions.append(Arm(self.period, f"budget:{pool}"))
        return True

    def give_back(self) -> None:
        """One that was taken was long enough ago."""
        self.left += 1
