"""Actors that live in this process among other calls: the tenants of a thread pool's worker.

Guarantees:
* A call is bound to its actor when it is read, in the order of the mailbox: one of an earlier life
  never gets the instance of a later one, whichever thread runs it when.
* An instance goes with the last call that uses it, and never in the thread that reads the mailbox,
  since what the user wrote for its end may wait.

Assumption: `admit`, `forget` and `evict` are called under the pool's lock. Nothing relies on the
GIL.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any, Final, final

from snakepit.protocol import TaskInterrupt
from snakepit.wire.messages import CREATE, Execute

_UNMADE: Final = object()


@final
class _Home:
    """One life of an actor, and its instance once that is made."""

    __slots__ = ("instance",)

    def __init__(self) -> None:
        self.instance: Any = _UNMADE

    def empty(self) -> None:
        self.instance = _UNMADE


@final
class Tenants:
    """The actors of one process, and which of their calls are here."""

    __slots__ = ("_bound", "_homes")

    def __init__(self) -> None:
        self._homes: dict[int, _Home] = {}
        self._bound: dict[int, _Home] = {}  # by call

    def admit(self, execute: Execute, kind: int) -> None:
        """A constructor or method was read."""
        if kind == CREATE:
            home = self._homes[execute.call] = _Home()
        else:
            home = self._homes.get(execute.actor) or _Home()
        self._bound[execute.call] = home

    def forget(self, calls: Iterable[int]) -> None:
        """Calls were given back or have ended."""
        for call in calls:
            self._bound.pop(call, None)

    def evict(self, actor: int) -> None:
        """An actor lives here no longer; what runs of it keeps the instance till it ends."""
        home = self._homes.pop(actor, None)
        if home is not None:
            threading.Thread(target=home.empty, name="snakepit-eviction", daemon=True).start()

    def made(self, call: int, instance: Any) -> None:
        """A constructor has returned."""
        self._bound[call].instance = instance

    def instance(self, call: int) -> Any:
        """Return the instance that a method is called on.

        Raises:
            TaskInterrupt: it has gone meanwhile; its call was answered then.
        """
        found = self._bound[call].instance
        if found is _UNMADE:
            raise TaskInterrupt("the actor of this call has gone")
        return found
