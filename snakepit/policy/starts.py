"""Processes on their way: few are forked at one time, and none while there is no zygote."""

from __future__ import annotations

from collections import deque
from collections.abc import Container
from typing import Final, final

from .actions import Action, Spawn

MOST_STARTING: Final = 16
"""Processes being forked at once."""


@final
class Starts:
    """What is to be forked, in order."""

    def __init__(self, actions: deque[Action]) -> None:
        self._actions = actions
        self._waiting: deque[Spawn] = deque()
        self._running = 0
        self._held = False
        self.most = MOST_STARTING

    def add(self, spawn: Spawn) -> None:
        """Have a process forked when its turn comes."""
        self._waiting.append(spawn)
        self._go_on()

    def over(self) -> None:
        """One that was being forked is ready, or dead."""
        self._running -= 1
        self._go_on()

    def hold(self, held: bool) -> None:
        """Nobody forks at the moment; or somebody does again."""
        self._held = held
        self._go_on()

    def call_off(self, workers: Container[int]) -> list[int]:
        """Give up those of these workers that nobody has begun to fork; return their numbers."""
        gone = [spawn.worker for spawn in self._waiting if spawn.worker in workers]
        self._waiting = deque(spawn for spawn in self._waiting if spawn.worker not in workers)
        return gone

    def _go_on(self) -> None:
        while self._waiting and self._running < self.most and not self._held:
            self._running += 1
            self._actions.append(self._waiting.popleft())
