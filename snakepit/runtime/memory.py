"""The driver's part in the store: every segment's descriptor, and the memory of the dead.

Purpose: the driver holds each arena's descriptor, passes it to the workers that need it, ahead of
the first message that names it, and keeps what a dead worker wrote for those who still read it.

All methods are called with the runtime's lock held, but for those that say otherwise. Nothing
relies on the GIL.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final, final

from ..errors import ObjectLostError
from ..ids import DRIVER
from ..policy import actions as do
from ..store import AdoptedArena, Ledger, reopen_read_only
from ..store.extents import place
from ..values import Values, is_stored
from ..wire import messages as wire
from .connection import Connection
from .descriptors import Descriptors, is_descriptor

if TYPE_CHECKING:
    from .core import Core

TRIM_AFTER: Final = 10.0
"""Seconds that freed memory stays warm."""


@final
class Memory:
    """Segments, adopted arenas and the budget of one runtime.

    Attributes:
        descriptors: those of sockets and connections inside values.
        segments: descriptor and size of each arena, by the number of the process that made it.
        adopted: arenas of dead workers in which somebody still reads.
    """

    def __init__(self, core: Core, slots: int, limit: int) -> None:
        self._core = core
        self.ledger = Ledger.create(slots, limit)
        self.values = Values(
            DRIVER,
            self.ledger,
            0,
            limit,
            core.handles,
            publish=self._publish,
            fetch=self._map,
            relieve=self._relieve,
        )
        self.segments: dict[int, tuple[int, int]] = {}
        self.descriptors = Descriptors(core)
        self.adopted: dict[int, AdoptedArena] = {}
        self._trim_armed = False
        self._wrote = False

    # --- segments -------------------------------------------------------------------------

    def share(self, connection: Connection, payload: wire.Payload) -> None:
        """See to it that the worker can map what a payload names."""
        if not is_stored(payload):
            return
        number = payload[1]
        if number in connection.segments:
            return
        fd, size = self._segment(number)
        readable = reopen_read_only(fd)  # first: there may be no descriptor left
        connection.segments.add(number)
        self._core.control(connection, wire.Segment(number, size), (readable,))

    def _map(self, number: int) -> None:
        """Map a segment into this process; the lock may be held or not."""
        fd, size = self._segment(number)
        try:
            self.values.mappings.add(number, reopen_read_only(fd), size)
        except ValueError:
            if number not in self.values.mappings:
                raise
            # Another thread was faster.

    def require(self, payload: wire.Payload) -> None:
        """See to it that the memory in which a worker stored a payload is here.

        From then on no death can lose it: who takes a value takes its memory too.

        Raises:
            ObjectLostError: it is not; this process had no descriptor left to receive it.
        """
        if is_stored(payload) and payload[1] not in self.segments:
            try:
                self._segment(payload[1])
            except ObjectLostError:
                raise ObjectLostError(
                    f"the descriptor of its segment {payload[1]} did not arrive; "
                    "this process may have too many open files (ulimit -n)"
                ) from None

    def _segment(self, number: int) -> tuple[int, int]:
        if number not in self.segments:
            # It was sent before the message that names it, on the other socket.
            connection = self._core.connections.get(number)
            if connection is not None:
                connection.read_control(self.take)
        try:
            return self.segments[number]
        except KeyError:
            raise ObjectLostError(f"segment {number} of the store is gone") from None

    def take(self, message: Any, fds: tuple[int, ...]) -> None:
        """Take one control message of a worker; the lock may be held or not."""
        if type(message) is wire.Descriptor:
            self.descriptors.take(message.number, fds)
        elif type(message) is wire.Segment and fds:
            self.segments[message.number] = (fds[0], message.size)

    def _publish(self, fd: int, size: int) -> None:
        self.segments[DRIVER] = (os.dup(fd), size)

    # --- freed ----------------------------------------------------------------------------

    def free(self, action: do.Free) -> None:
        """Have an extent used again, by whoever's it is; or close a descriptor."""
        if not is_stored(action.payload):
            if is_descriptor(action.payload):
                self.descriptors.free(action.id)
            return
        _, segment, offset, _ = action.payload
        core = self._core
        if segment == DRIVER:
            self.values.release((offset,))
        elif segment in core.connections:
            core.post(core.connections[segment], wire.Release([offset]))
        elif segment in self.adopted:
            arena = self.adopted[segment]
            arena.release(offset)
            if arena.closed:
                self._forget(segment)
        if not self._trim_armed:
            self._trim_armed = True
            self._wrote = False
            core.pump.arm(TRIM_AFTER, self._trim)

    def inherit(self, number: int, slot: int) -> None:
        """Keep what a dead worker stored for those who need it; its slot is free afterwards.

        Nothing that is to be freed may wait among the scheduler's actions: it would be freed in the
        adopted arena, which does not have it.
        """
        self.descriptors.sweep(number)
        segment = self.segments.get(number)
        if segment is None:
            self.ledger.reset(slot)
            return
        live = {
            entry.payload[2]: place(entry.payload[3])[1]
            for entry in self._core.scheduler.objects.extents.get(number, {}).values()
        }
        fd, size = segment
        arena = AdoptedArena(number, fd, size, self.ledger, source=slot, slot=0, live=live)
        if arena.closed:
            self._forget(number)
        else:
            self.adopted[number] = arena

    def _forget(self, number: int) -> None:
        self.adopted.pop(number, None)
        self.segments.pop(number, None)
        self.values.mappings.discard(number)
        for connection in self._core.connections.values():
            if number in connection.segments:
                connection.segments.remove(number)
                self._core.post(connection, wire.Forget([number]))

    # --- shortage -------------------------------------------------------------------------

    def wrote(self) -> None:
        """Something was written to the store: what is free may be of use soon. Needs no lock."""
        self._wrote = True

    def trim(self, asking: int = DRIVER) -> None:
        """Give free memory back, here and in every worker that has an arena, but for `asking`."""
        self.values.trim()
        # A copy: the pump adds segments without the lock.
        for number in list(self.segments):
            connection = self._core.connections.get(number)
            if connection is not None and number != asking:
                # In the mailbox, behind what was released just now; and on the control socket,
                # for a worker whose call keeps it from reading its mailbox.
                self._core.post(connection, wire.Trim())
                self._core.control(connection, wire.Trim())

    def _relieve(self, needed: int) -> bool:
        # Called without the lock, by a write that found no room.
        core = self._core
        # What was dropped is freed first, then trimmed.
        core.update(lambda: None)
        core.update(self.trim)
        free = self.ledger.limit - self.ledger.used()
        return free >= needed or any(number in core.connections for number in list(self.segments))

    def _trim(self) -> None:
        def trim() -> None:
            self._trim_armed = self._wrote
            if self._wrote:
                self._wrote = False
                self._core.pump.arm(TRIM_AFTER, self._trim)
            else:
                self.trim()

        self._core.update(trim)

    # --- the end --------------------------------------------------------------------------

    def close(self) -> None:
        """Give up everything; nobody reads or writes any more, but views live on."""
        self.values.close()
        for number, arena in self.adopted.items():
            del self.segments[number]  # its descriptor is the arena's
            arena.close()
        self.adopted.clear()
        self.abandon()

    def abandon(self) -> None:
        """Close the descriptors; what is mapped stays readable."""
        for fd, _ in self.segments.values():
            os.close(fd)
        self.segments.clear()
        self.descriptors.abandon()
        self.ledger.close()
