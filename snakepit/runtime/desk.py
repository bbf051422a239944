"""What a runtime keeps of its sessions: their settings and stores, and when they were last used.

Questions about them are plain data, since tasks ask them too, and so is an answer: "" and a value,
or the kind and the fields of a failure record.

Guarantees: a session that nothing uses for its `ttl` is closed within a quarter of that, or of a
minute, once it is idle; the runtime calls `sweep` when `pause` has passed.

Assumptions: the runtime's lock is held around each call. No clock is read but by `now`.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any, Final, final

from ..config import MAX_SESSIONS
from ..errors import ProtocolError
from ..sessions import AFFINITIES, TTL

LEAST_PAUSE: Final = 0.05
MOST_PAUSE: Final = 60.0
"""Seconds between two sweeps."""

Answer = tuple[str, Any]


@final
class Kept:
    """One session that is open.

    Attributes:
        id: what people call it.
        settings: pool, affinity, ttl and metadata, as they were given.
        used: when it was last used.
        store: what its calls have stored, by their keys: the parts of pickles.
        session: what the runtime has for it, with a `number` that is no other's.
    """

    __slots__ = ("id", "session", "settings", "store", "used")

    def __init__(self, identifier: str, settings: dict[str, Any], session: Any) -> None:
        self.id = identifier
        self.settings = settings
        self.used = 0.0
        self.store: dict[str, list[bytes]] = {}
        self.session = session


@final
class Desk:
    """Opens sessions, and answers questions about them.

    Attributes:
        kept: those that are open, by their ids.
        numbered: those, and such as have calls that have not ended, by their numbers.

    Args:
        open: makes what the runtime has for a session, of its id and the number of its affinity.
        close: ends that, perhaps later; then the runtime calls `over`.
        busy: tells whether any of its calls has not ended.
        repin: has its next call choose its worker.
        limit: how many there may be.
        now: seconds, of a clock that never goes back.
    """

    def __init__(
        self,
        open: Callable[[str, int], Any],
        close: Callable[[Any], None],
        busy: Callable[[Any], bool],
        repin: Callable[[Any], None],
        limit: int = MAX_SESSIONS,
        now: Callable[[], float] = monotonic,
    ) -> None:
        self._open = open
        self._close = close
        self._busy = busy
        self._repin = repin
        self._now = now
        self.limit = limit
        self._shortest = 0.0
        self.kept: dict[str, Kept] = {}
        self.numbered: dict[int, Kept] = {}

    # --- calls ------------------------------------------------------------------------------

    def of(self, identifier: str, pool: str) -> Kept | None:
        """Return the session of a call, opened if need be; None if there are as many as may be."""
        kept = self.kept.get(identifier)
        if kept is None:
            if len(self.kept) >= self.limit:
                return None
            kept = self._made(identifier, _settings(pool, AFFINITIES[0], TTL, {}))
        kept.used = self._now()
        return kept

    def _made(self, identifier: str, settings: dict[str, Any]) -> Kept:
        affinity = AFFINITIES.index(settings["affinity"])
        kept = self.kept[identifier] = Kept(identifier, settings, self._open(identifier, affinity))
        kept.used = self._now()
        ttl = settings["ttl"]
        self._shortest = min(self._shortest or ttl, ttl or self._shortest)
        self.numbered[kept.session.number] = kept
        return kept

    def over(self, number: int) -> None:
        """The last call of a session that was closed has ended."""
        del self.numbered[number]

    # --- questions --------------------------------------------------------------------------

    def answer(self, operation: str, session: str | int, *arguments: Any) -> Answer:
        """Answer a question about a session: one of the methods whose names begin with `_on_`.

        Those who ask know its id; but a call its number, for its id may be another's by now.
        """
        if isinstance(session, int):
            kept, identifier = self.numbered.get(session), ""
        else:
            kept, identifier = self.kept.get(session), session
        if operation == "open":
            return self._on_open(kept, identifier, *arguments)
        if kept is None:
            return "session_closed", {"session": identifier}
        kept.used = self._now()
        answer = getattr(self, f"_on_{operation}", None)
        if answer is None:
            raise ProtocolError(f"a worker asked for {operation!r} of a session")
        found: Answer = answer(kept, *arguments)
        return found

    def _on_open(
        self, kept: Kept | None, identifier: str, pool: str, affinity: str, ttl: float, about: Any
    ) -> Answer:
        settings = _settings(pool, affinity, ttl, about)
        if kept is not None:
            kept.used = self._now()
            if kept.settings != settings:
                return "session_differs", {"session": identifier, "settings": kept.settings}
            return "", False
        if len(self.kept) >= self.limit:
            return "session_quota", {"session": identifier, "limit": self.limit}
        self._made(identifier, settings)
        return "", True

    def _on_close(self, kept: Kept) -> Answer:
        del self.kept[kept.id]
        self._close(kept.session)
        return "", None

    def _on_repin(self, kept: Kept) -> Answer:
        self._repin(kept.session)
        return "", None

    def _on_describe(self, kept: Kept) -> Answer:
        return "", {"id": kept.id, **kept.settings, "busy": self._busy(kept.session)}

    def _on_get(self, kept: Kept, key: str) -> Answer:
        return "", kept.store.get(key)

    def _on_set(self, kept: Kept, key: str, parts: list[bytes]) -> Answer:
        kept.store[key] = parts
        return "", None

    def _on_pop(self, kept: Kept, key: str) -> Answer:
        return "", kept.store.pop(key, None)

    def _on_keys(self, kept: Kept) -> Answer:
        return "", list(kept.store)

    # --- time -------------------------------------------------------------------------------

    @property
    def pause(self) -> float:
        """Seconds until the next sweep; 0 if no session ends by itself."""
        shortest = self._shortest
        return min(MOST_PAUSE, max(LEAST_PAUSE, shortest / 4)) if shortest else 0.0

    def sweep(self) -> None:
        """Close the sessions that nothing has used for as long as they may be unused."""
        now = self._now()
        for kept in [*self.kept.values()]:
            ttl = kept.settings["ttl"]
            if self._busy(kept.session):
                kept.used = now
            elif ttl and now - kept.used > ttl:
                self._on_close(kept)
        spans = [kept.settings["ttl"] for kept in self.kept.values()]
        self._shortest = min((ttl for ttl in spans if ttl), default=0.0)


def _settings(pool: str, affinity: str, ttl: float, about: Any) -> dict[str, Any]:
    return {"pool": pool, "affinity": affinity, "ttl": ttl, "metadata": about}
