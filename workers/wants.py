"""What a worker has asked the driver for: values of objects, or only the news that they are there.

Guarantees:
* The driver is asked once for the news of an object, and once for its value for as long as
  somebody waits for that: a loop of `wait` over a long list asks for what is new in it. Threads
  that ask at the same moment may each do so: that an object was asked for is noted when the
  question is in the mailbox, so that what another thread asks next is answered after it.
* A value that has come is kept until everybody who waited for it has left; what is known of an
  object is forgotten with the process's last handle on it.
* Each arrival costs the same however many objects are waited for.

Assumptions: a lock guards the table; threads that wait look at their own `Wait`, which only falls.
Nothing relies on the GIL.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from typing import Any, Final, Protocol, final

from snakepit.wire.messages import OK

_PENDING: Final = -1
_NOTHING: Final = b""


class Bell(Protocol):
    """Wakes whoever waits without looking, from whichever thread."""

    def ring(self) -> None:
        """Wake it."""
        ...


@final
class Wait:
    """One wait: for `left` more objects. With `eager`, an error among them ends it.

    `bell`, if there is one, is rung when it is over.
    """

    __slots__ = ("bell", "eager", "left")

    def __init__(self, left: int, eager: bool) -> None:
        self.left = left
        self.eager = eager
        self.bell: Bell | None = None

    def over(self) -> bool:
        """Tell whether enough has come."""
        return self.left <= 0

    def arrived(self, outcome: int) -> None:
        """One more is there."""
        self.left = 0 if self.eager and outcome != OK else self.left - 1
        if self.left <= 0 and self.bell is not None:
            self.bell.ring()


@final
class _Want:
    """What is known of one object, and who waits for it: for its value, or for the news of it."""

    __slots__ = ("asked_news", "asked_value", "news", "outcome", "payload", "takers", "values")

    def __init__(self) -> None:
        self.outcome = _PENDING
        self.payload: Any = _NOTHING
        self.asked_news = False
        self.asked_value = False
        self.takers = 0
        self.news: list[Wait] = []
        self.values: list[Wait] = []


@final
class Wants:
    """The table of one worker."""

    __slots__ = ("_lock", "_table")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._table: dict[int, _Want] = {}

    def _want(self, identifier: int) -> _Want:
        want = self._table.get(identifier)
        if want is None:
            want = self._table[identifier] = _Want()
        return want

    # --- values ---------------------------------------------------------------------------

    def values(self, ids: Iterable[int]) -> tuple[Wait, list[int]]:
        """Begin to wait for the values of different objects, or for the first error among them.

        Returns:
            The wait, which `take` ends, and the ids whose values the driver must be asked for;
            `asked` follows.
        """
        ask: list[int] = []
        wait = Wait(0, eager=True)
        failed = False
        with self._lock:
            for identifier in ids:
                want = self._want(identifier)
                want.takers += 1
                if want.payload is not _NOTHING:
                    failed = failed or want.outcome != OK
                    continue
                wait.left += 1
                want.values.append(wait)
                if not want.asked_value:
                    ask.append(identifier)
            if failed:
                wait.left = 0
        return wait, ask

    def take(self, wait: Wait, ids: Iterable[int]) -> dict[int, tuple[int, Any]]:
        """End a wait for values; return outcome and payload of what has come."""
        taken: dict[int, tuple[int, Any]] = {}
        with self._lock:
            for identifier in ids:
                want = self._table[identifier]
                want.takers -= 1
                if want.payload is not _NOTHING:
                    taken[identifier] = want.outcome, want.payload
                    if not want.takers:
                        want.payload = _NOTHING
                elif wait in want.values:
                    want.values.remove(wait)
        return taken

    # --- news -----------------------------------------------------------------------------

    def news(self, ids: Sequence[int], count: int) -> tuple[Wait, list[int]]:
        """Begin to wait until `count` of different objects are there.

        Returns:
            The wait, which `known` ends, and the ids of which the driver must be asked for news;
            `asked` follows.
        """
        ask: list[int] = []
        with self._lock:
            pending = [identifier for identifier in ids if not self._is_there(identifier)]
            wait = Wait(count - (len(ids) - len(pending)), eager=False)
            if wait.over():
                return wait, ask
            for identifier in pending:
                want = self._want(identifier)
                want.news.append(wait)
                if not want.asked_news:
                    ask.append(identifier)
        return wait, ask

    def known(self, wait: Wait, ids: Iterable[int], count: int) -> list[int]:
        """End a wait for news; return the places in `ids` of the first `count` that are there."""
        places: list[int] = []
        with self._lock:
            for place, identifier in enumerate(ids):
                want = self._table.get(identifier)
                if want is None:
                    continue
                if want.outcome == _PENDING:
                    if wait in want.news:
                        want.news.remove(wait)
                elif len(places) < count:
                    places.append(place)
        return places

    def _is_there(self, identifier: int) -> bool:
        want = self._table.get(identifier)
        return want is not None and want.outcome != _PENDING

    # --- what comes and goes --------------------------------------------------------------

    def asked(self, ids: Iterable[int], values: bool) -> None:
        """The driver has been asked for these, by a thread whose wait for them has not ended."""
        with self._lock:
            for identifier in ids:
                want = self._table.get(identifier)
                if want is None:
                    continue
                if not values:
                    want.asked_news = True
                elif want.payload is _NOTHING:  # It has not come yet.
                    want.asked_value = True

    def arrived(self, identifier: int, outcome: int, payload: Any) -> None:
        """An object is there; with an empty payload it is only the news."""
        with self._lock:
            want = self._table.get(identifier)
            if want is None:
                return  # The last handle has gone meanwhile.
            want.outcome = outcome
            due, want.news = want.news, []
            if payload != _NOTHING:
                want.asked_value = False
                if want.takers:
                    want.payload = payload
                due += want.values
                want.values = []
            for wait in due:
                wait.arrived(outcome)

    def forget(self, ids: Iterable[int]) -> None:
        """This process has no handle on these any more."""
        with self._lock:
            for identifier in ids:
                want = self._table.get(identifier)
                if want is not None and not want.takers and not want.news:
                    del self._table[identifier]
