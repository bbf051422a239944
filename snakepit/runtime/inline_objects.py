"""The objects of an inline runtime: values as bytes, counted as in the runtime of processes.

Guarantees: a value is copied when it goes in and each time it comes out; large buffers come out
read-only. An object goes when its last handle, and the last value that contains it, has gone.

Finalizers only append to `noted`, which the next user of the table empties under its lock: one may
run in a thread that holds it. Nothing relies on the GIL.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, final

from ..deadline import Deadline
from ..errors import ObjectLostError, RuntimeClosedError
from ..faults import Failure, to_exception
from ..payload import Packed, unpack, unpack_exception
from ..payload.descriptors import duplicate
from ..wire.messages import ERROR, FAILURE, OK

PENDING = -1
LONGEST = 3600.0
"""Seconds that a thread sleeps before it looks again; the system allows no endless number."""


class Ended(NamedTuple):
    """How a call ended: one payload and the ids inside it for each return, or one for all.

    The ids are counted already: by the time that the objects are settled, what the call itself
    held on them has gone.
    """

    outcome: int
    payloads: list[Any]
    contained: list[tuple[int, ...]]


def failed(kind: str, **fields: Any) -> Ended:
    """Return the end of a call that a failure record tells of."""
    return Ended(FAILURE, [[kind, fields]], [()])


def stored(packed: Packed) -> list[bytes]:
    """Return the parts of a packed value as bytes that nobody can change."""
    return [part if type(part) is bytes else _copied(part) for part in packed.parts]


def _copied(part: Any) -> bytes:
    try:
        return bytes(part.raw())
    except (AttributeError, BufferError):
        return memoryview(part).tobytes()


@final
class Entry:
    """One object, or an actor as a thing that handles refer to."""

    __slots__ = ("actor", "callbacks", "count", "descriptor", "outcome", "payload", "refs", "what")

    def __init__(self, what: str) -> None:
        self.what = what
        self.outcome = PENDING
        self.payload: Any = None
        self.refs: tuple[int, ...] = ()
        self.count = 1
        self.callbacks: list[Callable[[], None]] = []
        self.actor: Any = None
        self.descriptor = -1

    def value(self) -> Any:
        """Return a fresh copy of the value, or raise what the call ended in."""
        if self.outcome == OK:
            return unpack(self.payload)
        if self.outcome == ERROR:
            raise unpack_exception(self.payload)
        kind, fields = self.payload
        cause = None
        if fields.get("cause") is not None:
            cause = unpack_exception(fields["cause"])
            fields = {**fields, "error": str(cause)}
        raise to_exception(Failure(kind, fields)) from cause


@final
class InlineObjects:
    """All objects of an inline runtime.

    Attributes:
        changed: guards everything, and tells of what has resolved.
        noted: ids dropped, or -ids held, in order, not counted yet.
        streams: what generator calls yielded and nobody took, by the call's id; a failed call's
            own id comes last.
    """

    def __init__(self) -> None:
        self.changed = threading.Condition(threading.RLock())
        self.noted: deque[int] = deque()
        self.entries: dict[int, Entry] = {}
        self.streams: dict[int, deque[int]] = {}
        self._next = 1

    # --- handles --------------------------------------------------------------------------

    def hold(self, identifier: int) -> None:
        """See `Runtime.hold`."""
        self.noted.append(-identifier)

    def drop(self, identifier: int) -> None:
        """See `Runtime.drop`."""
        self.noted.append(identifier)

    def count(self) -> None:
        """Count what was noted; what nobody needs any more goes."""
        gone: list[Entry] = []
        with self.changed:
            while self.noted:
                identifier = self.noted.popleft()
                self._change(abs(identifier), 1 if identifier < 0 else -1, gone)
        _end(gone)

    def _change(self, identifier: int, by: int, gone: list[Entry]) -> None:
        waiting = deque([(identifier, by)])
        while waiting:
            name, change = waiting.popleft()
            entry = self.entries.get(name)
            if entry is None:
                continue
            entry.count += change
            if entry.count <= 0 and entry.outcome != PENDING:
                gone.append(self.entries.pop(name))
                waiting.extend((inner, -1) for inner in entry.refs)
                untaken = self.streams.pop(name, ())
                waiting.extend((item, -1) for item in untaken if item != name)

    # --- objects --------------------------------------------------------------------------

    def add(self, what: str, returns: int) -> int:
        """Make the entries of a call that begins, each with one handle; return the first id."""
        with self.changed:
            first = self._next
            self._next += max(1, returns)
            for identifier in range(first, first + returns):
                self.entries[identifier] = Entry(what)
        return first

    def discard(self, first: int, returns: int) -> None:
        """Forget a call that came to no end: the driver was interrupted in it."""
        with self.changed:
            for identifier in range(first, first + returns):
                self.entries.pop(identifier, None)

    def settle(self, first: int, returns: int, ended: Ended) -> None:
        """Give a call's objects their values, or all of them the same error."""
        if ended.outcome != OK:
            self.pin(ended.contained[0], returns - 1)
        callbacks: list[Callable[[], None]] = []
        single = ended.outcome != OK
        with self.changed:
            for place in range(returns):
                entry = self.entries[first + place]
                entry.payload = ended.payloads[0 if single else place]
                entry.refs = ended.contained[0 if single else place]
                entry.outcome = ended.outcome
                callbacks += entry.callbacks
                entry.callbacks = []
            if single and first in self.streams:
                self.streams[first].append(first)
            self.changed.notify_all()
        # One may have been dropped meanwhile, by another thread.
        self.pin(range(first, first + returns), 0)
        self.count()
        for callback in callbacks:
            callback()

    def entry(self, identifier: int) -> Entry:
        """Return the entry of an object that somebody holds.

        Raises:
            RuntimeClosedError: nobody does.
        """
        self.count()
        with self.changed:
            entry = self.entries.get(identifier)
        if entry is None:
            raise RuntimeClosedError(
                f"object {identifier:x} is unknown here: its last reference was dropped, or its "
                "runtime was shut down"
            )
        return entry

    def wait(self, ids: Sequence[int], count: int, timeout: float | None) -> list[int]:
        """Wait until `count` of `ids` are resolved; return the places of those that are."""
        entries = [self.entry(identifier) for identifier in ids]
        deadline = Deadline.after(timeout)

        def places() -> list[int]:
            return [place for place, each in enumerate(entries) if each.outcome != PENDING]

        with self.changed:
            while len(places()) < count and not deadline.expired:
                # Another thread's call makes it, or nobody.
                self.changed.wait(min(deadline.remaining() or LONGEST, LONGEST))
            return places()

    def when_done(self, identifier: int, callback: Callable[[], None]) -> None:
        """See `Runtime.when_done`."""
        with self.changed:
            entry = self.entries.get(identifier)
            if entry is not None and entry.outcome == PENDING:
                entry.callbacks.append(callback)
                return
        callback()

    def used(self) -> int:
        """Return how many bytes the values take."""
        with self.changed:
            values = [each.payload for each in self.entries.values() if each.outcome == OK]
        return sum(len(part) for parts in values for part in parts)

    def pin(self, ids: Iterable[int], by: int) -> None:
        """Count `by` more handles on each of `ids`, or less."""
        gone: list[Entry] = []
        with self.changed:
            for identifier in ids:
                self._change(identifier, by, gone)
        _end(gone)

    # --- descriptors ----------------------------------------------------------------------

    def lend(self, fd: int) -> int:
        """Keep a duplicate of a descriptor; return the id of a new object with one handle."""
        self.count()
        copy = duplicate(fd)
        identifier = self.add("a descriptor", 1)
        with self.changed:
            entry = self.entries[identifier]
            entry.descriptor, entry.payload, entry.outcome = copy, [], OK
        return identifier

    def borrow(self, identifier: int) -> int:
        """See `Runtime.borrow`."""
        with self.changed:
            entry = self.entries.get(identifier)
            if entry is not None and entry.descriptor >= 0:
                return duplicate(entry.descriptor)
        raise ObjectLostError("a socket or connection inside a value is gone with its runtime")

    def close(self) -> None:
        """Close all descriptors; nobody calls any more."""
        with self.changed:
            for entry in self.entries.values():
                _close(entry)


def _close(entry: Entry) -> None:
    fd, entry.descriptor = entry.descriptor, -1
    if fd >= 0:
        os.close(fd)


def _end(gone: list[Entry]) -> None:
    # The finalizers of actors may call anything, so they run without the lock.
    for entry in gone:
        _close(entry)
        if entry.actor is not None:
            entry.actor.leave("out of scope")
