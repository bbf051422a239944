"""Streams: the values that generator calls yield, one object each, on their way to one consumer.

A stream has the id of its call, and its call's own object, which resolves when the generator has
ended, holds it: it goes with the last handle on that. What nobody has taken is kept by the stream.
A consumer that finds nothing leaves a *ticket*, an object that resolves to the id of the next item,
or to 0 at the end, so that all ways to wait for objects are ways to wait for items.

Guarantees:
* Each item is given once, in order, to whoever asked first. After the last comes, if the call
  failed, the call's own object, which is the error; then the end.
* A call that is tried again yields its first items again; those that were received are let go.
* What a limited producer may yield ahead is counted by what was taken or let go, on each try.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final, final

from ..ids import DRIVER
from ..wire.messages import OK, Payload
from .actions import Action, Taken
from .calls import DONE, SENT, Call
from .completion import Completion
from .objects import Entry, ObjectTable, Stream

END: Final = 0
"""Stands for the end of a stream where an item's id might be."""

UNLIMITED: Final = 1 << 62
"""Taken by nobody: there is no consumer any more to wait for."""


@final
class Streams:
    """The rules of all streams; the table is `ObjectTable.streams`."""

    def __init__(
        self, objects: ObjectTable, completion: Completion, actions: deque[Action]
    ) -> None:
        self._objects = objects
        self._completion = completion
        self._actions = actions
        completion.stream_ended = self.ended
        objects.abandoned = self.abandoned

    def open(self, call: Call) -> None:
        """A call that yields its values has been made."""
        self._objects.streams[call.id] = Stream(call.shape.template.backpressure > 0)

    # --- what the producer does -----------------------------------------------------------

    def item(
        self, call: Call, index: int, identifier: int, payload: Payload, refs: Iterable[int]
    ) -> None:
        """The call has yielded its item number `index`, an object with `refs` inside."""
        objects = self._objects
        entry = objects.add(identifier, None, None)
        objects.settle(entry, OK, payload, refs)
        stream = objects.streams.get(call.id)
        if stream is None or call.state is DONE or stream.deserted or index != stream.received:
            objects.collect(entry)
            if stream is not None and stream.limited:
                self._credit(call, stream)
            return
        stream.received += 1
        entry.pins += 1
        if stream.tickets:
            self._redeem(stream, identifier, call)
        else:
            stream.items.append(identifier)

    def ended(self, call: Call) -> None:
        """The call has its result: the value of nothing, or the error that is its last item."""
        stream = self._objects.streams.get(call.id)
        if stream is None:
            return
        stream.ended = True
        entry = self._objects.entries[call.id]
        if entry.outcome != OK:
            if stream.tickets:
                self._settle(stream.tickets.popleft(), call.id)
            else:
                stream.items.append(call.id)
        while stream.tickets:
            self._settle(stream.tickets.popleft(), END)

    # --- what the consumer does -----------------------------------------------------------

    def take(self, identifier: int) -> int | None:
        """Return the next item with a handle of the driver, END, or None while there is neither."""
        objects = self._objects
        stream = objects.streams[identifier]
        if not stream.items:
            return END if stream.ended else None
        item = stream.items.popleft()
        entry = objects.entries[item]
        entry.local += 1
        if item != identifier:
            entry.pins -= 1
        self._count(identifier, stream)
        return item

    def expect(self, identifier: int, ticket: int, holder: int) -> None:
        """Make a ticket for the next item, on which process `holder` has one handle."""
        objects = self._objects
        made = objects.entries.get(identifier)
        call = made.call if made is not None else None
        entry = objects.add(ticket, call, holder)
        stream = objects.streams.get(identifier)
        if stream is not None and stream.items:
            item = stream.items.popleft()
            self._fill(entry, item)
            if item != identifier:
                objects.unpin((item,))
            self._count(identifier, stream)
        elif stream is None or stream.ended:
            self._fill(entry, END)
        else:
            stream.tickets.append(ticket)

    def redeem(self, ticket: int) -> int:
        """Return what a ticket has resolved to, with a handle of the driver."""
        objects = self._objects
        refs = objects.entries[ticket].refs
        objects.hold(DRIVER, refs)
        return refs[0] if refs else END

    def _redeem(self, stream: Stream, item: int, call: Call) -> None:
        self._settle(stream.tickets.popleft(), item)
        self._objects.unpin((item,))
        stream.taken += 1
        if stream.limited:
            self._credit(call, stream)

    def _settle(self, ticket: int, item: int) -> None:
        entry = self._objects.entries.get(ticket)
        if entry is not None:
            self._fill(entry, item)
            self._completion.announce(entry)

    def _fill(self, entry: Entry, item: int) -> None:
        self._objects.settle(entry, OK, item.to_bytes(8, "little"), (item,) if item else ())

    # --- how far the producer may go ------------------------------------------------------

    def _count(self, identifier: int, stream: Stream) -> None:
        stream.taken += 1
        if stream.limited:
            call = self._objects.entries[identifier].call
            if call is not None:
                self._credit(call, stream)

    def _credit(self, call: Call, stream: Stream) -> None:
        if call.state is SENT:
            taken = UNLIMITED if stream.deserted else stream.taken
            self._actions.append(Taken(call.worker, call.id, taken))

    # --- the end --------------------------------------------------------------------------

    def abandoned(self, identifier: int) -> None:
        """Nobody can take an item any more, while the call goes on, or has ended."""
        stream = self._objects.streams.get(identifier)
        if stream is None:
            return
        stream.deserted = True
        items, stream.items = stream.items, deque()
        self._objects.unpin(item for item in items if item != identifier)
        entry = self._objects.entries.get(identifier)
        call = entry.call if entry is not None else None
        if call is None:
            del self._objects.streams[identifier]
        elif stream.limited:
            self._credit(call, stream)
