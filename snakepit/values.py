"""Values between Python and the wire: in the message when small, in the store when large.

Each process has one `Values`: it writes large ones to its own arena, made on first use, and reads
all others in place. A stored value is leased as the object whose value it is: the lease counts as
a handle of this process on that object, so an extent is reused only after the last view of it in
any process has gone, by the same counting that keeps objects.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, final

from .deadline import Deadline
from .errors import ObjectLostError, ObjectStoreFullError, StaleReferenceError
from .handles import Handles
from .payload import unpack, unpack_exception
from .protocol import Reference, Runtime, watch_forks
from .wire.messages import FAILURE, OK, Payload, Where

if TYPE_CHECKING:
    from .payload import Packed
    from .store import Arena, Copy, Ledger, Mappings

INLINE = 64 << 10
"""Bytes up to which a value travels inside its message."""


RELIEF = 1.0
"""Seconds that a write waits for other processes to give free memory back."""


def is_stored(payload: Payload) -> bool:
    """Tell whether a payload lies in the store; see `snakepit.wire.messages`."""
    return type(payload) is not bytes and bool(payload) and type(payload[0]) is int


def take_references(
    args: tuple[Any, ...], kwargs: dict[str, Any], runtime: Runtime
) -> tuple[tuple[Any, ...], dict[str, Any], tuple[tuple[Where, int], ...]]:
    """Take top-level references out of a call's arguments, to be filled in when it runs.

    Raises:
        StaleReferenceError: one belongs to another runtime.
    """
    deps: list[tuple[Where, int]] = []
    left = list(args)
    for position, value in enumerate(args):
        if isinstance(value, Reference):
            deps.append((position, _own(value, runtime)))
            left[position] = None
    named = {}
    for name, value in kwargs.items():
        if isinstance(value, Reference):
            deps.append((name, _own(value, runtime)))
        else:
            named[name] = value
    return tuple(left), named, tuple(deps)


def _own(reference: Reference, runtime: Runtime) -> int:
    if reference._runtime is not runtime:
        raise StaleReferenceError(
            f"{reference!r} belongs to another runtime than the present one; references end with "
            "the runtime that made them: call again, or put again"
        )
    return reference._id


@final
class Values:
    """The part of the store that one process writes, and its view of the rest.

    Args:
        number: this process's number, which its segment bears.
        slot: its counter in the ledger.
        size: the store's limit in bytes.
        handles: where leases are counted.
        publish: sends (descriptor, size) of the arena to whoever passes it on; once.
        fetch: brings the segment of that number into `mappings`, or raises ObjectLostError.
        relieve: asks all other processes to give back free memory; False if there are none.
        copy: moves what is written into the arena, if another does than the store's own.
    """

    def __init__(
        self,
        number: int,
        ledger: Ledger,
        slot: int,
        size: int,
        handles: Handles,
        *,
        publish: Callable[[int, int], None],
        fetch: Callable[[int], None],
        relieve: Callable[[int], bool],
        copy: Copy | None = None,
    ) -> None:
        from .store import Mappings

        self.number = number
        self.mappings: Mappings = Mappings()
        self._ledger = ledger
        self._slot = slot
        self._size = size
        self._handles = handles
        self._publish = publish
        self._fetch = fetch
        self._relieve = relieve
        self._copy = copy
        self._arena: Arena | None = None
        self._lock = threading.Lock()
        watch_forks(self)

    # --- out ------------------------------------------------------------------------------

    def encode(self, packed: Packed, identifier: Callable[[], int]) -> Payload:
        """Return the payload of a packed value.

        Args:
            packed: the value's parts.
            identifier: gives the id that a stored value is leased as; called only for those.

        Raises:
            ObjectStoreFullError: the store has no room for it, and none could be made.
        """
        parts = packed.parts
        if len(parts) == 1:
            stream = parts[0]
            if type(stream) is bytes and len(stream) <= INLINE:
                return stream
        elif sum(map(_size_of, parts)) <= INLINE:
            return [bytes(_raw(part)) for part in parts]
        stored = self._write(parts)
        return [identifier(), self.number, stored.offset, list(stored.sizes)]

    def _write(self, parts: list[Any]) -> Any:
        try:
            arena = self._own_arena()
        except OSError as error:
            full = ObjectStoreFullError(sum(map(_size_of, parts)), 0, self._ledger.limit)
            full.add_note(f"It is the system that gives no memory file or descriptor: {error}")
            raise full from error
        try:
            return arena.write(parts)
        except ObjectStoreFullError as error:
            if not self._relieve(error.needed) or not self._room_comes(error.needed):
                raise
        return arena.write(parts)

    def _room_comes(self, needed: int) -> bool:
        # Others give memory back in their own time; the ledger, which nobody can wait on, is
        # where it shows.
        ledger = self._ledger
        deadline = Deadline.after(RELIEF)
        pause = threading.Event()
        while ledger.limit - ledger.used() < needed:
            if deadline.expired:
                return False
            pause.wait(0.002)
        return True

    def _own_arena(self) -> Arena:
        with self._lock:
            if self._arena is None:
                self._arena = self._make_arena()
            return self._arena

    def _make_arena(self) -> Arena:
        from .store import Arena, reopen_read_only

        own = (self.number, self._size, self._ledger, self._slot)
        arena = Arena(*own) if self._copy is None else Arena(*own, self._copy)
        try:
            self.mappings.add(self.number, reopen_read_only(arena.fd), arena.size)
            try:
                self._publish(arena.fd, arena.size)
            except BaseException:
                self.mappings.discard(self.number)
                raise
        except BaseException:
            # No descriptor is left for one of them: the next write begins anew.
            arena.close()
            raise
        return arena

    def release(self, offsets: Iterable[int]) -> None:
        """Take back extents of this process's own arena."""
        arena = self._arena
        if arena is not None:
            for offset in offsets:
                arena.release(offset)

    def trim(self) -> int:
        """Give the memory of free extents back; return the bytes."""
        arena = self._arena
        return arena.trim() if arena is not None else 0

    @property
    def warm(self) -> int:
        """Bytes that are free and still backed."""
        arena = self._arena
        return arena.warm if arena is not None else 0

    # --- in -------------------------------------------------------------------------------

    def decode(self, payload: Payload) -> Any:
        """Return the value of a payload.

        Raises:
            SerializationError: it cannot be unpickled here.
            ObjectLostError: its segment is gone.
        """
        return unpack(self.parts(payload))

    def open(self, outcome: int, payload: Payload) -> Any:
        """Return the value of a resolved object, or raise what it resolved to.

        Raises:
            TaskError: the user's exception.
            SnakepitError: a failure of the system, made anew each time.
        """
        if outcome == OK:
            return self.decode(payload)
        if outcome != FAILURE:
            raise unpack_exception(self.parts(payload))
        kind, fields = payload
        cause = None
        if fields.get("cause") is not None:
            cause = unpack_exception(self.parts(fields["cause"]))
            fields = {**fields, "error": str(cause)}
        from .faults import Failure, to_exception  # here, for most programs see none

        raise to_exception(Failure(kind, fields)) from cause

    def parts(self, payload: Payload) -> list[Any]:
        """Return the buffers of a payload; views of the store keep its object alive."""
        if type(payload) is bytes:
            return [payload]
        if not is_stored(payload):
            return list(payload)
        identifier, segment, offset, sizes = payload
        if segment not in self.mappings:
            self._fetch(segment)
        handles = self._handles
        hold, drop = partial(handles.queue.append, -identifier), partial(handles.drop, identifier)
        try:
            return self.mappings.view(segment, offset, sizes, hold, drop, identifier)
        except KeyError:
            raise ObjectLostError(f"segment {segment} of the store is gone") from None

    def forked_in_parent(self) -> None:
        """Pin what is leased: the child has the same views, and reports nothing of them."""
        for identifier in self.mappings.leased():
            self._handles.hold(identifier)

    def forked_in_child(self) -> None:
        """Nothing: what is mapped stays readable."""

    def close(self) -> None:
        """Give up the arena and all mappings; views that live keep theirs."""
        arena = self._arena
        if arena is not None:
            arena.close()
        self.mappings.close()


def _size_of(part: Any) -> int:
    return len(part) if type(part) is bytes else memoryview(part).nbytes


def _raw(part: Any) -> Any:
    raw = getattr(part, "raw", None)
    if raw is None:
        return part
    try:
        return raw()
    except BufferError:
        return memoryview(part).tobytes()
