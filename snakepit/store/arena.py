"""The memory that one process writes objects into.

An arena is one memory file as large (virtually) as the whole store, backed with pages only where
extents were reserved, mapped once by its owner for writing and once by each reader for reading.

Guarantees:
- Shortage is an `ObjectStoreFullError`, never SIGBUS, and leaves the arena as it was.
- An extent's bytes change only between `release` and the next `write`, never earlier.
- Freed extents stay backed and warm until `trim`, or until a write of this arena needs the room.
- The ledger is charged before memory is taken and refunded after it was given back, so that it is
  never too low, whenever the process dies.

Concurrency: any thread may call anything. One lock guards the allocator and is never held across
a system call, a copy or the ledger's lock; another lets one thread trim at a time, so that a
write which waited for it finds what was given back. `close` may come while another thread still
copies: the mapping and the descriptor live until that copy ends. None of it relies on the GIL. A
forked child must not use its parent's arena, and is told so.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from typing import NamedTuple, final

from snakepit.errors import ObjectStoreFullError
from snakepit.store.copying import Copy, Part, copy_all, flatten
from snakepit.store.extents import Claim, Extents, place
from snakepit.store.ledger import Ledger
from snakepit.store.platform import (
    HUGE_PAGE,
    OutOfPages,
    Region,
    memory_file,
    punch_hole,
    reserve_pages,
    round_up,
)


class Stored(NamedTuple):
    """Where an object's parts lie within its segment: enough for `Mappings.view`."""

    offset: int
    sizes: tuple[int, ...]


@final
class _Segment:
    """A descriptor and its writable mapping, given up when closed and out of use.

    Counted and not left to the last reference: a traceback that someone keeps would hold both.
    """

    __slots__ = ("_closed", "_lock", "_users", "fd", "region")

    def __init__(self, number: int, size: int) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._closed = False
        self.fd = memory_file(f"snakepit-{number}", size)
        try:
            self.region = Region(self.fd, size, writable=True)
        except BaseException:
            os.close(self.fd)
            raise

    def __enter__(self) -> None:
        with self._lock:
            if self._closed:
                raise RuntimeError("this part of the store is closed")
            self._users += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._users -= 1
            last = self._closed and not self._users
        if last:
            self.shut()

    def close(self) -> None:
        """Lets nobody in any more, and shuts when the last one has left."""
        with self._lock:
            last = not self._closed and not self._users
            self._closed = True
        if last:
            self.shut()

    def shut(self) -> None:
        """Gives both up, for who knows that nobody is inside."""
        fd, self.fd = self.fd, -1
        self.region.unmap()
        if fd >= 0:
            os.close(fd)


@final
class Arena:
    """The one segment that a process writes to.

    Args:
        number: The segment's number on the wire: that of the process.
        size: Its virtual size in bytes, the store's limit; rounded up to 2 MiB.
        ledger: The store's budget.
        slot: This process's counter in it.
        copy: Moves an object's bytes to their places; tests give one that breaks off.

    Raises:
        OSError: No descriptor or address space is left.
    """

    __slots__ = (
        "_charged",
        "_closed",
        "_copy",
        "_extents",
        "_ledger",
        "_lock",
        "_pid",
        "_segment",
        "_slot",
        "_trimming",
        "number",
        "size",
    )

    def __init__(
        self, number: int, size: int, ledger: Ledger, slot: int, copy: Copy = copy_all
    ) -> None:
        self.number = number
        self.size = round_up(size, HUGE_PAGE)
        self._copy = copy
        self._ledger = ledger
        self._slot = slot
        self._charged = 0
        self._closed = False
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._trimming = threading.Lock()
        self._extents = Extents(self.size)
        self._segment = _Segment(number, self.size)

    @property
    def fd(self) -> int:
        """The owner's read-write descriptor; readers get `reopen_read_only` of it. -1 if closed."""
        return self._segment.fd

    @property
    def backed(self) -> int:
        """Bytes that this arena has charged to the ledger."""
        return self._charged

    @property
    def warm(self) -> int:
        """Bytes that are free and still backed: what `trim` would give back, but for edges."""
        with self._lock:
            return self._extents.warm

    @property
    def live(self) -> int:
        """How many extents are held."""
        with self._lock:
            return self._extents.live

    def write(self, parts: Sequence[Part]) -> Stored:
        """Copies an object's parts into one new extent.

        Args:
            parts: Buffers of any layout; a non-contiguous one is stored in C order.

        Returns:
            Where they are; the extent is the caller's until `release`.

        Raises:
            ObjectStoreFullError: The store's limit, this arena or the system's memory is exhausted.
            RuntimeError: The arena is closed, or belongs to the parent of this process.
        """
        flat = [flatten(part) for part in parts]
        sizes = tuple(map(len, flat))
        offsets, length = place(sizes)
        with self._own():
            start = self._claim(length)
            try:
                base = self._segment.region.address + start
                self._copy([base + offset for offset in offsets], flat)
            except BaseException:
                self.release(start)
                raise
        return Stored(start, sizes)

    def release(self, offset: int) -> int:
        """Frees an extent that nobody reads any more; it stays backed for the next write.

        Args:
            offset: `Stored.offset`.

        Returns:
            Its length in bytes, alignment included; 0 if the arena is closed.

        Raises:
            ValueError: No live extent begins there.
        """
        with self._lock:
            return 0 if self._closed else self._extents.release(offset)

    def trim(self) -> int:
        """Gives the memory of free pages back to the system and to the budget.

        Returns:
            Bytes given back.
        """
        with self._own(), self._trimming:
            with self._lock:
                ranges = self._extents.trim()
            return sum(self._give_back(*each) for each in ranges)

    def close(self) -> None:
        """Gives everything up; for when nobody needs what is still live. Twice is harmless.

        In a forked child it only drops the child's own descriptor and mapping.
        """
        if self._pid != os.getpid():
            # A lock may be held for ever by a thread that the child does not have.
            self._segment.shut()
            return
        with self._lock:
            if self._closed:
                return
            self._closed = True
            refund, self._charged = self._charged, 0
        self.trim()  # readers may keep their mapping for a while
        self._ledger.refund(self._slot, refund)
        self._segment.close()

    def _own(self) -> _Segment:
        if self._pid != os.getpid():
            raise RuntimeError("a forked child cannot write to its parent's part of the store")
        return self._segment

    def _give_back(self, offset: int, length: int) -> int:
        punched = punch_hole(self._segment.fd, offset, length)
        with self._lock:
            self._extents.chill(offset, length, kept=not punched)
            # After `close` nothing is charged any more.
            refund = length if punched and not self._closed else 0
            self._charged -= refund
        self._ledger.refund(self._slot, refund)
        return refund

    def _claim(self, length: int) -> int:
        try:
            return self._try_claim(length)
        except ObjectStoreFullError:
            # Whatever it gives: another thread's trim may have made the room meanwhile.
            self.trim()
        return self._try_claim(length)

    def _try_claim(self, length: int) -> int:
        with self._lock:
            claim = self._extents.reserve(length)
            roomiest = 0 if claim else self._extents.roomiest
        if claim is None:
            raise ObjectStoreFullError(needed=length, available=roomiest, limit=self._ledger.limit)
        if claim.cold_length:
            self._warm_up(claim)
        return claim.offset

    def _warm_up(self, claim: Claim) -> None:
        try:
            self._back(claim)
        except BaseException:
            with self._lock:
                self._extents.abandon(claim)
            raise
        with self._lock:
            self._extents.settle(claim)
            late = self._closed
            if not late:
                self._charged += claim.cold_length
        if late:
            self._ledger.refund(self._slot, claim.cold_length)
            raise RuntimeError("this part of the store was closed meanwhile")

    def _back(self, claim: Claim) -> None:
        segment = self._segment
        offset, length = claim.cold_offset, claim.cold_length
        self._ledger.charge(self._slot, length)
        try:
            reserve_pages(segment.fd, offset, length)
            segment.region.populate(offset, length)
        except BaseException as error:
            punch_hole(segment.fd, offset, length)
            self._ledger.refund(self._slot, length)
            if isinstance(error, OutOfPages):
                full = ObjectStoreFullError(needed=length, available=0, limit=self._ledger.limit)
                full.add_note(f"It is the system that has no memory: {error.__cause__ or error}")
                raise full from error
            raise
