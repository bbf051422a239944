"""The sessions of a driver's runtime: the desk, the scheduler's part of them, and the clock."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any, final

from ..policy.session import Session
from .desk import Answer, Desk

if TYPE_CHECKING:
    from .core import Core


@final
class Sessions:
    """Finds the sessions of calls, answers questions about them, and closes those out of use."""

    __slots__ = ("_core", "_desk", "_kept", "_pause")

    def __init__(self, core: Core) -> None:
        self._core = core
        table = core.scheduler.sessions
        self._desk = Desk(
            table.open, table.close, lambda session: session.made > 0, table.repin,
            core.config.max_sessions,
        )  # fmt: skip
        table.over = self._desk.over
        self._kept = self._desk.kept
        self._pause = 0.0

    def of(self, identifier: str, pool: str) -> Session:
        """Return the session of a call, opened if need be; the lock is held."""
        kept = self._kept.get(identifier)
        if kept is not None:
            kept.used = monotonic()
            session: Session = kept.session
            return session
        return self._opened(identifier, pool)

    def _opened(self, identifier: str, pool: str) -> Session:
        kept = self._desk.of(identifier, pool)
        if kept is None:
            refused = Session(identifier, 0, 0)
            limit = self._desk.limit
            refused.refusal = "session_quota", {"session": identifier, "limit": limit}
            return refused
        if not self._pause:  # what is opened here lives so long that any sweep is soon enough
            self._arm()
        session: Session = kept.session
        return session

    def answer(self, operation: str, session: str | int, *arguments: Any) -> Answer:
        """Answer a question; the lock is held."""
        found = self._desk.answer(operation, session, *arguments)
        self._arm()
        return found

    def describe(self, session: Session) -> dict[str, Any]:
        """Return what a call of a session may know of it."""
        kept = self._desk.numbered[session.number]
        return {"id": kept.id, "number": session.number, **kept.settings}

    def _arm(self) -> None:
        """See to it that there is a sweep in time: one that is due sooner will do."""
        pause = self._desk.pause
        if pause and (not self._pause or pause < self._pause):
            self._pause = pause
            self._core.pump.arm(pause, self._sweep)

    def _sweep(self) -> None:
        self._core.update(self._swept)

    def _swept(self) -> None:
        self._pause = 0.0
        if not self._core.closed:
            self._desk.sweep()
            self._arm()
