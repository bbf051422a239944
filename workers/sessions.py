"""What a worker keeps for sessions whose calls it has had, and what it asks about them."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, final

from snakepit.sessions import plain
from snakepit.wire.messages import SessionKey

if TYPE_CHECKING:
    from .client import WorkerRuntime


@final
class Sessions:
    """A dictionary for each, from when a call first asks for it until the session is over."""

    __slots__ = ("_lock", "_runtime", "_states")

    def __init__(self, runtime: WorkerRuntime) -> None:
        self._runtime = runtime
        self._lock = threading.Lock()
        self._states: dict[int, dict[str, Any]] = {}

    def state(self, number: int) -> dict[str, Any]:
        """See `Runtime.session_state`."""
        with self._lock:
            return self._states.setdefault(number, {})

    def leave(self, number: int) -> None:
        """The session is over."""
        with self._lock:
            gone = self._states.pop(number, None)
        del gone  # Without the lock: its values may have finalizers.

    def ask(self, operation: str, session: SessionKey | int, *arguments: Any) -> Any:
        """See `Runtime.ask_session`."""
        return plain(self._runtime.ask("session", operation, session, *arguments))
