"""Sessions of an inline runtime, where there is one worker, the driver, and it is never lost."""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic
from typing import Any, TypeVar, final

from ..errors import NotSupportedError, RuntimeClosedError
from ..sessions import plain
from ..wire.messages import OK, SessionKey
from .desk import Desk, Kept, role_of
from .inline_objects import Ended, failed

T = TypeVar("T")


@final
class InlineSession:
    """What one session keeps here, how many of its calls run, and how its setup failed."""

    __slots__ = ("broken", "number", "running", "state")

    def __init__(self, number: int) -> None:
        self.number = number
        self.running = 0
        self.state: dict[str, Any] = {}
        self.broken: Ended | None = None


@final
class InlineSessions:
    """All sessions; those out of use are closed when one is asked for."""

    __slots__ = ("_desk", "_lock", "_next", "_states", "closed")

    def __init__(self, limit: int, pools: list[str]) -> None:
        self._lock = threading.RLock()
        self._next = 1
        self._states: dict[int, InlineSession] = {}
        self.closed = False
        self._desk = Desk(
            lambda identifier, affinity: self._open(),
            self._close,
            lambda session: session.running > 0,
            self._repin,
            lambda: pools,
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

    def run(
        self,
        key: SessionKey,
        pool: str,
        work: Callable[[], Ended],
        start: Callable[[Callable[[], Ended], Kept | None], T],
    ) -> T:
        """Have `start` run a call of a session, or what ends it if that is not open."""
        role = role_of(key)
        with self._lock:
            self._desk.sweep()
            kept = self._desk.of(key, pool)
            if not isinstance(kept, Kept):
                kind, fields = kept
                return start(lambda: failed(kind, **fields), None)
            session: InlineSession = kept.session
            if role == "teardown":
                _check_idle(kept)
            session.running += 1
            if role == "teardown":
                self._desk.answer("close", key)
        try:
            return start(lambda: _ended(session, work, role), kept)
        finally:
            with self._lock:
                session.running -= 1
                kept.used, kept.called = monotonic(), False
                if self._desk.kept.get(kept.id) is not kept:
                    self._close(session)

    def ask(self, operation: str, session: SessionKey | int, *arguments: Any) -> Any:
        """See `Runtime.ask_session`."""
        if self.closed:
            raise RuntimeClosedError("this runtime was shut down; snakepit.init() starts another")
        with self._lock:
            self._desk.sweep()
            answer = self._desk.answer(operation, session, *arguments)
        return plain(answer)

    def state(self, number: int) -> dict[str, Any]:
        """See `Runtime.session_state`."""
        with self._lock:
            return self._states[number].state


def _check_idle(kept: Kept) -> None:
    if kept.session.running:
        raise NotSupportedError(
            f"session {kept.id!r} has a teardown, and is closed while a call of it runs: in inline "
            "mode that cannot wait for the call's end. Close it after the call"
        )


def _ended(session: InlineSession, work: Callable[[], Ended], role: str) -> Ended:
    """Run a call, unless the setup of its session has failed."""
    if session.broken is not None:
        return session.broken
    ended = work()
    if role == "setup" and ended.outcome != OK:
        session.broken = Ended(ended.outcome, ended.payloads[:1], [()])
    return ended
