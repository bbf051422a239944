"""What a runtime keeps of its sessions: their settings and stores, and when they were last used.

Questions about them are plain data, since tasks ask them too, and so is an answer: "" and a value,
or the kind and the fields of a failure record.

Guarantees: a session that nothing uses for its `ttl` is closed, never sooner, and at the latest
after half as long again, or two minutes; the runtime calls `sweep` when `pause` has passed.

Assumptions: the runtime's lock is held around each call. No clock is read but by `now`.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any, Final, final

from ..config import MAX_SESSIONS
from ..definitions import DEFAULT_POOL
from ..errors import ProtocolError
from ..sessions import AFFINITIES, TTL
from ..wire.messages import SessionKey

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
        only: the pool that all calls which name it must be of; empty if any will do. A strict
            session that was opened for no pool is pinned in that of its first call.
        used: when it was last used.
        called: whether it has had calls since the last sweep. When those ended nobody notes, so
            that the next sweep counts as their end.
        setup: the id of the object that its other calls wait for, or 0.
        store: what its calls have stored, by their keys: the parts of pickles.
        session: what the runtime has for it, with a `number` that is no other's.
    """

    __slots__ = ("called", "id", "only", "session", "settings", "setup", "store", "used")

    def __init__(self, identifier: str, settings: dict[str, Any], session: Any) -> None:
        self.id = identifier
        self.settings = settings
        pool, affinity = settings["pool"], settings["affinity"]
        self.only = "" if pool == DEFAULT_POOL or affinity == AFFINITIES[0] else pool
        self.used = 0.0
        self.called = False
        self.setup = 0
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
        pools: tells the names of the pools that one may be for.
        limit: how many there may be.
        now: seconds, of a clock that never goes back.
    """

    def __init__(
        self,
        open: Callable[[str, int], Any],
        close: Callable[[Any], None],
        busy: Callable[[Any], bool],
        repin: Callable[[Any], None],
        pools: Callable[[], list[str]],
        limit: int = MAX_SESSIONS,
        now: Callable[[], float] = monotonic,
    ) -> None:
        self._open = open
        self._close = close
        self._busy = busy
        self._repin = repin
        self._pools = pools
        self._now = now
        self.limit = limit
        self._shortest = 0.0
        self.kept: dict[str, Kept] = {}
        self.numbered: dict[int, Kept] = {}

    # --- calls ------------------------------------------------------------------------------

    def of(self, key: SessionKey, pool: str) -> Kept | Answer:
        """Return the session of a call, opened if need be; or why there is none."""
        if isinstance(key, str):
            kept, identifier, opens = self.kept.get(key), key, True
            settings: Any = pool, AFFINITIES[0], TTL, {}
        else:
            kept, identifier = self._held(key), key[0]
            opens, settings = role_of(key) == "setup", key[3:]
        if kept is None and opens and identifier not in self.kept:
            answer = self._on_open(None, identifier, *settings)
            if answer[0]:
                return answer
            kept = self.kept[identifier]
        if kept is None:
            return "session_closed", {"session": identifier}
        if opens and kept.only not in ("", pool):
            pinned = kept.settings["pool"]
            return "session_elsewhere", {"session": identifier, "pool": pool, "pinned": pinned}
        kept.used = self._now()
        return kept

    def _held(self, key: SessionKey) -> Kept | None:
        """Return the session that a handle is for, if it is still open."""
        kept = self.kept.get(key[0])
        return kept if kept is not None and kept.session.number == key[1] else None

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

    def answer(self, operation: str, session: SessionKey | int, *arguments: Any) -> Answer:
        """Answer a question about a session: one of the methods whose names begin with `_on_`.

        A handle asks by id and number, and a call by number: that is answered after the close too.
        """
        if isinstance(session, str):
            return self._on_open(self.kept.get(session), session, *arguments)
        if isinstance(session, int):
            kept, identifier = self.numbered.get(session), ""
        else:
            kept, identifier = self._held(session), session[0]
        if kept is None:
            return "session_closed", {"session": identifier}
        kept.used = self._now()
        answer = getattr(self, f"_on_{operation}", None)
        if answer is None:
            raise ProtocolError(f"a worker asked for {operation!r} of a session")
        found: Answer = answer(kept, *arguments)
        return found

    def _on_open(
        self,
        kept: Kept | None,
        identifier: str,
        pool: str,
        affinity: str,
        ttl: float,
        about: Any,
        make: bool = True,
    ) -> Answer:
        """Tell the number of an open session; if there is none make it, or tell 0."""
        settings = _settings(pool, affinity, ttl, about)
        if kept is not None:
            kept.used = self._now()
            if kept.settings != settings:
                return "session_differs", {"session": identifier, "settings": kept.settings}
            return "", kept.session.number
        if pool and pool not in (pools := self._pools()):
            call = f"session {identifier!r}"
            return "unknown_pool", {"call": call, "pool": pool, "pools": pools}
        if len(self.kept) >= self.limit:
            return "session_quota", {"session": identifier, "limit": self.limit}
        return "", self._made(identifier, settings).session.number if make else 0

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
            busy = self._busy(kept.session)
            if busy or kept.called:
                kept.used, kept.called = now, busy
            elif ttl and now - kept.used > ttl:
                self._on_close(kept)
        spans = [kept.settings["ttl"] for kept in self.kept.values()]
        self._shortest = min((ttl for ttl in spans if ttl), default=0.0)


def role_of(key: SessionKey) -> str:
    """Return what a call with this key is to its session besides: "setup", "teardown" or ""."""
    role: str = key[2] if len(key) > 2 and not isinstance(key, str) else ""
    return role


def _settings(pool: str, affinity: str, ttl: float, about: Any) -> dict[str, Any]:
    return {"pool": pool or DEFAULT_POOL, "affinity": affinity, "ttl": ttl, "metadata": about}
