"""Waiting in the driver: a thread pumps until what it wants is there, or sleeps while another does.

Whoever has the pump's role looks at the objects themselves; only a thread that must sleep, a
callback or an event loop is registered with them, under the runtime's lock. Nothing relies on the
GIL.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import final

from ..deadline import NEVER, Deadline
from ..errors import GetTimeoutError, RuntimeClosedError
from ..policy.completion import Completion
from ..policy.objects import PENDING, Entry
from .core import Core
from .pump import Target
from .role import Waiter


@final
class Everything:
    """Several objects as one target: there when all are, or when one of them failed."""

    __slots__ = ("_completion", "_entries", "_next", "_seen", "failed")

    def __init__(self, entries: Sequence[Entry], completion: Completion) -> None:
        self._entries = entries
        self._completion = completion
        self._next = 0
        self._seen = -1
        self.failed = False

    @property
    def outcome(self) -> int:
        """Negative while some are pending and none has failed."""
        if self.failed:
            return 0
        failures = self._completion.failures
        if failures != self._seen:
            self._seen = failures
            if any(entry.outcome > 0 for entry in self._entries):
                self.failed = True
                return 0
        entries, place, end = self._entries, self._next, len(self._entries)
        while place < end and entries[place].outcome >= 0:
            place += 1
        self._next = place
        return 0 if place == end else PENDING


@final
class Some:
    """Some of several objects as one target: there when `count` of them have resolved."""

    __slots__ = ("_may_be_left", "_pending")

    def __init__(self, entries: Sequence[Entry], count: int) -> None:
        self._pending = [entry for entry in entries if entry.outcome < 0]
        self._may_be_left = len(entries) - count

    @property
    def outcome(self) -> int:
        """Negative while too many are pending."""
        self._pending = [entry for entry in self._pending if entry.outcome < 0]
        return 0 if len(self._pending) <= self._may_be_left else PENDING


@final
class Waiting:
    """The ways to wait for objects of one runtime."""

    __slots__ = ("_core", "_entries", "_interrupts", "_lock", "_pump", "_waiters")

    def __init__(self, core: Core) -> None:
        self._core = core
        self._entries = core.entries
        self._interrupts = core.interrupts
        self._lock = core.lock
        self._pump = core.pump
        self._waiters = core.waiters

    def entries(self, ids: Sequence[int]) -> list[Entry]:
        """Return the entries of objects.

        Raises:
            RuntimeClosedError: one is unknown.
        """
        try:
            return [self._entries[identifier] for identifier in ids]
        except KeyError as error:
            raise unknown(error.args[0]) from None

    def for_one(self, entry: Entry, timeout: float | None) -> None:
        """Wait until an object is there: `for_all` of one, and the hot path.

        Raises:
            GetTimeoutError: it is not there in time.
        """
        if timeout is None:
            interrupts = self._interrupts
            token = interrupts.enter()
            try:
                if self._pump.take_turn(entry, NEVER):
                    return
            finally:
                interrupts.leave(token)
        self.for_all(entry, (entry,), timeout)

    def for_all(self, target: Target, entries: Sequence[Entry], timeout: float | None) -> None:
        """Wait until `target`, which stands for `entries`, is there.

        Raises:
            GetTimeoutError: it is not there in time.
        """
        if not self._wait(target, timeout, lambda: self._enlist(entries, 0)):
            missing = sum(entry.outcome == PENDING for entry in entries)
            raise GetTimeoutError(
                f"{missing} of {len(entries)} results are not there after {timeout} s; "
                "wait longer, or look with wait() which ones are"
            )

    def _wait(self, target: Target, timeout: float | None, make: Callable[[], Waiter]) -> bool:
        """Wait for a target; `make` registers a waiter, should this thread have to sleep."""
        token = self._interrupts.enter()
        try:
            if timeout == 0:
                self._pump.step()
            deadline = NEVER if timeout is None else Deadline.after(timeout)
            if self._pump.take_turn(target, deadline):
                return True
            waiter = make()
            try:
                return self._pump.wait(target, deadline, waiter)
            finally:
                self._dismiss(waiter)
        finally:
            self._interrupts.leave(token)

    def for_some(self, ids: Sequence[int], count: int, timeout: float | None) -> list[int]:
        """Wait until `count` of `ids` are resolved; return the places of the first that are."""
        places = self._resolved(ids, count)
        if len(places) == count:
            # Looking is all that it took: who polls a long list again and again pays for nothing.
            self._pump.called()
            return places
        entries = self.entries(ids)
        some = Some(entries, count)
        self._wait(some, timeout, lambda: self._enlist(entries, count))
        return self._resolved(ids, count)

    def _resolved(self, ids: Sequence[int], count: int) -> list[int]:
        entries = self._entries
        places: list[int] = []
        try:
            for place, identifier in enumerate(ids):
                if entries[identifier].outcome >= 0:
                    places.append(place)
                    if len(places) == count:
                        break
        except KeyError as error:
            raise unknown(error.args[0]) from None
        return places

    def _enlist(self, entries: Sequence[Entry], count: int) -> Waiter:
        """Return a waiter for `count` of the objects (0: all, or the first that failed).

        The caller has opened a section: a waiter must not be registered and then forgotten.
        """
        waiters = self._waiters
        with self._lock:
            pending = {entry.id: entry for entry in entries if entry.outcome == PENDING}
            left = count - (len(entries) - len(pending)) if count else len(pending)
            waiter = Waiter(left, tuple(pending), not count)
            if waiter.outcome < 0:
                for entry in pending.values():
                    entry.waited = True
                    waiters.setdefault(entry.id, []).append(waiter)
        return waiter

    def _dismiss(self, waiter: Waiter) -> None:
        with self._lock:
            for identifier in waiter.ids:
                waiters = self._waiters.get(identifier)
                if waiters is not None and waiter in waiters:
                    waiters.remove(waiter)
                    if not waiters:
                        del self._waiters[identifier]

    def when_done(self, identifier: int, callback: Callable[[], None]) -> None:
        """See `Runtime.when_done`."""
        core = self._core
        token = self._interrupts.enter()
        try:
            with self._lock:
                core.check_open()
                entry = self._entries.get(identifier)
                pending = entry is not None and entry.outcome == PENDING
                if entry is not None and pending:
                    entry.waited = True
                    self._waiters.setdefault(identifier, []).append(callback)
        finally:
            self._interrupts.leave(token)
        if not pending:
            callback()


def unknown(identifier: int) -> RuntimeClosedError:
    """Return the error for the id of an object that nobody holds."""
    return RuntimeClosedError(
        f"object {identifier:x} is unknown here: its last reference was dropped, or its runtime "
        "was shut down"
    )
