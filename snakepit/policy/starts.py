"""Processes on their way: few are forked at one time, and none while there is no zygote.

A process that is there and runs what its pool has it do first, for however long, is no longer being
forked: a pool whose workers hang at that would have nobody else's started.

Each interpreter has a zygote of its own, which its workers are forked from. The driver's own, the
one at home, is there from the beginning; another's is started when its first worker is wanted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container
from typing import Final, final

from ..checks import INTERPRETER
from .actions import Action, Arm, Spawn, StartZygote

START: Final = "start"
"""What the key begins with of the timer that looks whether a worker is ready; its number follows.
"""

MOST_STARTING: Final = 16
"""Processes being forked at once."""


@final
class Starts:
    """What is to be forked, in order.

    An interpreter is in `_ready` while its zygote takes what is to be forked, and in `_parked` with
    what waits for it while it is on its way. One that is in neither has none.
    """

    def __init__(self, actions: deque[Action], home: str) -> None:
        self.home = home
        self._actions = actions
        self._waiting: deque[Spawn] = deque()
        self._ready = {home}
        self._parked: dict[str, list[Spawn]] = {}
        self._running = 0
        self.most = MOST_STARTING

    def interpreter(self, env: tuple[tuple[str, str], ...]) -> str:
        """Return whose zygote makes the processes of an environment."""
        return dict(env).get(INTERPRETER, self.home) if env else self.home

    def add(self, spawn: Spawn) -> None:
        """Have a process forked when its turn comes."""
        if spawn.interpreter in self._ready:
            self._waiting.append(spawn)
            self._go_on()
        else:
            self.want(spawn.interpreter)
            self._parked[spawn.interpreter].append(spawn)

    def over(self) -> None:
        """One that was being forked is there, or dead."""
        self._running -= 1
        self._go_on()

    def want(self, interpreter: str) -> None:
        """Have its zygote started, unless it is there or on its way."""
        if interpreter not in self._ready and interpreter not in self._parked:
            self._parked[interpreter] = []
            self._actions.append(StartZygote(interpreter))

    def hold(self, interpreter: str) -> None:
        """Nobody forks for this interpreter at the moment."""
        self._ready.discard(interpreter)
        parked = self._parked.setdefault(interpreter, [])
        parked += [spawn for spawn in self._waiting if spawn.interpreter == interpreter]
        self._waiting = deque(s for s in self._waiting if s.interpreter != interpreter)

    def release(self, interpreter: str) -> None:
        """Somebody does again."""
        self._ready.add(interpreter)
        self._waiting.extend(self._parked.pop(interpreter, ()))
        self._go_on()

    def give_up(self, interpreter: str) -> list[int]:
        """Nobody will, unless another is wanted later; return the workers that waited for it."""
        return [spawn.worker for spawn in self._parked.pop(interpreter, ())]

    def call_off(self, workers: Container[int]) -> list[int]:
        """Give up those of these workers that nobody has begun to fork; return their numbers."""
        gone = [spawn.worker for spawn in self.queued() if spawn.worker in workers]
        self._waiting = deque(spawn for spawn in self._waiting if spawn.worker not in workers)
        for parked in self._parked.values():
            parked[:] = [spawn for spawn in parked if spawn.worker not in workers]
        return gone

    def queued(self) -> list[Spawn]:
        """Return what nobody has begun to fork."""
        return [*self._waiting, *(spawn for parked in self._parked.values() for spawn in parked)]

    def has_parked(self, interpreter: str) -> bool:
        """Tell whether a worker waits for this interpreter's zygote."""
        return bool(self._parked.get(interpreter))

    def _go_on(self) -> None:
        while self._waiting and self._running < self.most:
            self._running += 1
            spawn = self._waiting.popleft()
            self._actions.append(spawn)
            if spawn.patience:
                self._actions.append(Arm(spawn.patience, f"{START}:{spawn.worker}"))
