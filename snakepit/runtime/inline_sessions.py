"""Sessions of an inline runtime, where there is one worker, the driver, and it is never lost."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar, final

from ..sessions import plain
from .desk import Desk, Kept

T = TypeVar("T")


@final
class InlineSession:
    """What one session keeps here, and how many of its calls run."""

    __slots__ = ("number", "running", "state")

    def __init__(self, number: int) -> None:
        self.number = number
        self.running = 0
        self.state: dict[str, Any] = {}


@final
class InlineSessions:
    """All sessions; those out of use are closed when one is asked for."""

    __slots__ = ("_desk", "_lock", "_next", "_states")

    def __init__(self, limit: int) -> None:
        self._lock = threading.RLock()
        self._next = 1
        self._states: dict[int, InlineSession] = {}
        self._desk = Desk(
            lambda identifier, affinity: self._open(),
            self._close,
            lambda session: session.running > 0,
            self._repin,
            limit,
        )

    def _open(self) -> InlineSession:
        session = self._states[self._next] = InlineSession(self._next)
        self._next += 1
        return session

    def _close(self, session: InlineSession) -> None:
        # A call of its own may run still.
        if not session.running and self._states.pop(session.number, None) is not None:
            self._desk.over(session.number)

    @staticmethod
    def _repin(session: InlineSession) -> None:
        session.state = {}

    def run(self, identifier: str, pool: str, work: Callable[[Kept | None], T]) -> T:
        """Run a call of a session, which is None if as many are open as may be."""
        with self._lock:
            self._desk.sweep()
            kept = self._desk.of(identifier, pool)
            if kept is None:
                return work(None)
            session: InlineSession = kept.session
            session.running += 1
        try:
            return work(kept)
        finally:
            with self._lock:
                session.running -= 1
                if self._desk.kept.get(identifier) is not kept:
                    self._close(session)

    def ask(self, operation: str, session: str | int, *arguments: Any) -> Any:
        """See `Runtime.ask_session`."""
        with self._lock:
            self._desk.sweep()
            answer = self._desk.answer(operation, session, *arguments)
        return plain(answer)

    def state(self, number: int) -> dict[str, Any]:
        """See `Runtime.session_state`."""
        with self._lock:
            return self._states[number].state
