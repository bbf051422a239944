"""The sessions that wait for one worker, by what their next calls need.

Those of one class, whose calls need the same, are in the order in which they came to wait; classes
take turns, those of more priority first. So a look at who can go on is one at each class, however
many sessions there are. Those are *parked* that wait for a call of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import final

from .pools import Klass
from .session import Session


@final
class Lineup:
    """All sessions that wait for one worker."""

    __slots__ = ("_groups", "_parked")

    def __init__(self) -> None:
        self._groups: dict[Klass, dict[Session, None]] = {}
        self._parked: dict[Session, None] = {}

    def __bool__(self) -> bool:
        """Whether any waits for the worker itself."""
        return bool(self._groups)

    def __iter__(self) -> Iterator[Session]:
        """All, those that are parked too; they may be taken away meanwhile."""
        groups = [*self._groups.values(), self._parked]
        yield from [session for group in groups for session in group]

    @property
    def is_empty(self) -> bool:
        """Whether there is none, of those that are parked neither."""
        return not self._groups and not self._parked

    def put(self, session: Session, klass: Klass) -> None:
        """Let a session wait, behind all others whose next calls are of that class."""
        self.remove(session)
        self._groups.setdefault(klass, {})[session] = None
        session.lined = klass

    def park(self, session: Session) -> None:
        """Let a session wait for a call of its own."""
        self.remove(session)
        self._parked[session] = None

    def remove(self, session: Session) -> None:
        """A session does not wait any more; nothing happens if it did not."""
        self._parked.pop(session, None)
        klass = session.lined
        if klass is not None:
            session.lined = None
            group = self._groups.pop(klass)
            del group[session]
            if group:
                self._groups[klass] = group  # behind the other classes: they take turns

    def first(self, ranked: bool) -> list[Session]:
        """Return the first session of each class, in the order of the classes' turns.

        Args:
            ranked: whether classes differ in priority.
        """
        firsts = [next(iter(group)) for group in self._groups.values()]
        if ranked and len(firsts) > 1:
            firsts.sort(key=lambda session: -session.lined.priority)  # type: ignore[union-attr]
        return firsts

    @property
    def priority(self) -> int:
        """That of the classes which has most."""
        return max(klass.priority for klass in self._groups)
