"""Objects: who holds them, who waits for them, and when they may go.

An object lives while a process has a handle or a lease on it (`local` counts the owner's own,
`holders` the other processes), while a call or another object mentions it (`pins`), or while the
call that makes it has not ended (`call`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, final

from ..ids import DRIVER
from ..wire.messages import OK, Payload
from .calls import Call

if TYPE_CHECKING:
    from .actors import Actor

PENDING = -1


@final
class Entry:
    """One object, or an actor as a thing that handles refer to."""

    __slots__ = (
        "actor",
        "call",
        "dependents",
        "holders",
        "id",
        "local",
        "outcome",
        "payload",
        "pins",
        "refs",
        "waited",
        "wanted",
    )

    def __init__(self, identifier: int, call: Call | None) -> None:
        self.id = identifier
        self.call = call
        self.outcome = PENDING
        self.payload: Payload = None
        self.refs: tuple[int, ...] = ()
        self.local = 0
        self.holders = 0
        self.pins = 0
        self.waited = False
        self.wanted: list[tuple[int, bool]] | None = None
        self.dependents: list[Call] | None = None
        self.actor: Actor | None = None


@final
class Stream:
    """What a generator call has yielded and nobody has taken (see `streams`).

    Attributes:
        items: ids of objects that the stream keeps, and last the call's own, if it failed.
        tickets: who waits for the next, in order; empty while there are items.
        received: how many items there were in all.
        taken: how many of them were taken.
        limited: whether the producer waits until enough were taken.
        ended: no more will come.
        deserted: nobody can take any.
    """

    __slots__ = ("deserted", "ended", "items", "limited", "received", "taken", "tickets")

    def __init__(self, limited: bool) -> None:
        self.items: deque[int] = deque()
        self.tickets: deque[int] = deque()
        self.received = 0
        self.taken = 0
        self.limited = limited
        self.ended = False
        self.deserted = False


@final
class ObjectTable:
    """All entries, with the counts that keep them.

    `extents` has those whose value lies in the store, by segment: when a segment's writer dies,
    they are found without a look at all others. `streams` has those of generator calls, by the
    call's id; `abandoned` hears that nobody refers to one any more.
    """

    def __init__(self, gone: Callable[[Entry], None]) -> None:
        """`gone` is told of each entry that nobody needs any more, after it has left."""
        self.entries: dict[int, Entry] = {}
        self.held: dict[int, set[int]] = {}
        self.extents: dict[int, dict[int, Entry]] = {}
        self.streams: dict[int, Stream] = {}
        self.abandoned: Callable[[int], None] = lambda identifier: None
        self._gone = gone

    def add(self, identifier: int, call: Call | None, holder: int | None) -> Entry:
        """Make the entry of a new object on which process `holder` has one handle, if it is one."""
        entry = self.entries[identifier] = Entry(identifier, call)
        if holder is None:
            pass
        elif holder == DRIVER:
            entry.local = 1
        else:
            entry.holders = 1
            self.held[holder].add(identifier)
        return entry

    def hold(self, process: int, ids: Iterable[int]) -> None:
        """Process `process` has got handles on `ids`; unknown ones went before it asked."""
        entries = self.entries
        if process == DRIVER:
            for identifier in ids:
                entry = entries.get(identifier)
                if entry is not None:
                    entry.local += 1
            return
        held = self.held[process]
        for identifier in ids:
            entry = entries.get(identifier)
            if entry is not None and identifier not in held:
                held.add(identifier)
                entry.holders += 1

    def drop(self, process: int, ids: Iterable[int]) -> None:
        """Process `process` has lost handles: the driver one each, a worker its last."""
        if process == DRIVER:
            self.count_own(deque(ids))
            return
        entries = self.entries
        held = self.held[process]
        for identifier in ids:
            if identifier in held:
                held.remove(identifier)
                entry = entries[identifier]
                entry.holders -= 1
                self.collect(entry)

    def count_own(self, noted: deque[int]) -> None:
        """Count what happened to the driver's handles, in its order: ids dropped, or -ids held.

        It empties `noted`, to which others may append meanwhile.
        """
        entries = self.entries
        while noted:
            identifier = noted.popleft()
            if identifier > 0:
                entry = entries.get(identifier)
                if entry is not None:
                    entry.local -= 1
                    if not entry.local:
                        self.collect(entry)
            else:
                entry = entries.get(-identifier)
                if entry is not None:
                    entry.local += 1

    def forget_process(self, process: int) -> None:
        """A process has ended: all its handles go."""
        for identifier in self.held.pop(process, ()):
            entry = self.entries[identifier]
            entry.holders -= 1
            self.collect(entry)

    def pin(self, ids: Iterable[int]) -> None:
        """Keep `ids` for somebody that is no process: a call, a value, a definition."""
        entries = self.entries
        for identifier in ids:
            entry = entries.get(identifier)
            if entry is not None:
                entry.pins += 1

    def unpin(self, ids: Iterable[int]) -> None:
        """End one pin of each of `ids`."""
        entries = self.entries
        for identifier in ids:
            entry = entries.get(identifier)
            if entry is not None:
                entry.pins -= 1
                self.collect(entry)

    def collect(self, entry: Entry) -> None:
        """Let the entry go if nothing needs it; what its value mentions may follow.

        A loop, not a recursion: chains of references are as long as users make them.
        """
        if entry.local or entry.holders or entry.pins:
            return
        if self.streams and entry.id in self.streams:
            self.abandoned(entry.id)
        if entry.call is not None:
            return
        if self.entries.pop(entry.id, None) is None:
            return
        self._gone(entry)
        waiting = list(entry.refs) if entry.refs else None
        while waiting:
            inner = self.entries.get(waiting.pop())
            if inner is None:
                continue
            inner.pins -= 1
            if inner.id in self.streams:
                self.collect(inner)
            elif not (inner.local or inner.holders or inner.pins or inner.call is not None):
                del self.entries[inner.id]
                self._gone(inner)
                waiting.extend(inner.refs)

    def maker(self, identifier: int) -> Call | None:
        """Return the call that makes an object, if it has not ended."""
        entry = self.entries.get(identifier)
        return entry.call if entry is not None else None

    def settle(self, entry: Entry, outcome: int, payload: Any, refs: Iterable[int]) -> None:
        """Give the entry its value, which keeps `refs` alive."""
        entry.call = None
        if refs:
            entry.refs = tuple(refs)
            self.pin(entry.refs)
        entry.payload = payload
        if type(payload) is not bytes and outcome == OK:
            segment = _segment(payload)
            if segment is not None:
                self.extents.setdefault(segment, {})[entry.id] = entry
        # Last: who reads without the lock looks at this first.
        entry.outcome = outcome

    def forget_value(self, entry: Entry) -> None:
        """The entry is gone, and with it its value."""
        segment = _segment(entry.payload)
        if segment is not None:
            extents = self.extents[segment]
            del extents[entry.id]
            if not extents:
                del self.extents[segment]


def _segment(payload: Payload) -> int | None:
    """Return the segment that a value lies in; None when it is in the payload itself."""
    return payload[1] if payload and type(payload[0]) is int else None
