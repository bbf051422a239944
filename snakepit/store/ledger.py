"""The store's budget: how many bytes all processes together have backed with memory.

Purpose: one limit for any number of arenas, without asking the driver on each write.

Guarantees:
- The sum of what all slots hold never exceeds the limit, whoever charges at the same time.
- A process that dies at any instant, also inside the lock, blocks nobody: the kernel frees its
  lock. It leaves at worst a total that is too low or too high by its last step, until `move` or
  `reset` of its slot, which the driver does after each death and which counts afresh.

Assumptions: one slot is used by one process (by any of its threads); a child forked by a task
uses no ledger. Nothing relies on the GIL: writes happen under a lock, and reading the total is
one load of eight aligned bytes.

Layout of the shared area, in unsigned 8-byte cells: limit, total, then one cell per slot.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence
from typing import Final, final

from snakepit.errors import ObjectStoreFullError
from snakepit.store.platform import (
    PAGE,
    FileLock,
    OutOfPages,
    Region,
    memory_file,
    reserve_pages,
    round_up,
)

_LIMIT: Final = 0
_TOTAL: Final = 1
_FIRST: Final = 2


@final
class Ledger:
    """The shared counters; made by `create` or `attach`, inherited through fork.

    Args:
        fd: A read-write descriptor of the area, owned by the ledger from now on.
        slots: How many counters it has.
        shared: Whether another process holds the same open file description.
    """

    __slots__ = ("_cells", "_lock", "_region", "fd", "slots")

    def __init__(self, fd: int, slots: int, *, shared: bool) -> None:
        self.fd = fd
        self.slots = slots
        self._region = Region(fd, _area(slots), writable=True)
        self._cells = (ctypes.c_uint64 * (_FIRST + slots)).from_address(self._region.address)
        self._lock = FileLock(fd, shared=shared)

    @classmethod
    def create(cls, slots: int, limit: int) -> Ledger:
        """Makes the ledger of a new store.

        Args:
            slots: How many processes may charge at a time.
            limit: Bytes that all of them may back together.

        Returns:
            A ledger with nothing charged.

        Raises:
            ValueError: `slots` or `limit` is not positive.
            ObjectStoreFullError: There is no memory even for the counters.
        """
        if slots <= 0 or limit <= 0:
            raise ValueError(f"a ledger needs slots and a limit, not {slots} and {limit}")
        fd = memory_file("snakepit-ledger", _area(slots))
        try:
            reserve_pages(fd, 0, _area(slots))
            ledger = cls(fd, slots, shared=False)
        except OutOfPages as error:
            os.close(fd)
            raise ObjectStoreFullError(needed=_area(slots), available=0, limit=limit) from error
        except BaseException:
            os.close(fd)
            raise
        ledger._cells[_LIMIT] = limit
        return ledger

    @classmethod
    def attach(cls, fd: int, slots: int) -> Ledger:
        """Opens a ledger whose descriptor this process inherited or was sent.

        Args:
            fd: That descriptor; the ledger owns it from now on, and keeps its number.
            slots: What `create` was given.

        Returns:
            A ledger over the same counters.

        Raises:
            ValueError: The file is too small to be one with so many slots.
            OSError: It cannot be mapped.
        """
        return cls(fd, slots, shared=True)

    def charge(self, slot: int, nbytes: int) -> None:
        """Books memory before it is taken from the system.

        Args:
            slot: Whose counter.
            nbytes: Bytes to be backed.

        Raises:
            ObjectStoreFullError: They would exceed the limit; nothing was booked.
            ValueError: There is no such slot, or `nbytes` is negative.
        """
        cell = self._cell(slot, nbytes)
        cells = self._cells
        with self._lock:
            free = cells[_LIMIT] - cells[_TOTAL]
            if nbytes > free:
                raise ObjectStoreFullError(
                    needed=nbytes, available=max(free, 0), limit=cells[_LIMIT]
                )
            cells[cell] += nbytes
            cells[_TOTAL] += nbytes

    def refund(self, slot: int, nbytes: int) -> None:
        """Takes back a charge after its memory went back to the system.

        Args:
            slot: Whose counter.
            nbytes: Bytes no longer backed.

        Raises:
            ValueError: The slot holds less than that, or does not exist.
        """
        cell = self._cell(slot, nbytes)
        cells = self._cells
        with self._lock:
            if nbytes > cells[cell]:
                raise ValueError(f"slot {slot} holds {cells[cell]} bytes, not {nbytes}")
            cells[cell] -= nbytes
            # A death may have left the total too low by then; `_recount` is the repair.
            cells[_TOTAL] = max(cells[_TOTAL] - nbytes, 0)

    def move(self, source: int, target: int) -> int:
        """Hands all that a dead process held to another slot.

        Args:
            source: The dead one's slot, free for a new process afterwards.
            target: The slot that bears it now.

        Returns:
            The bytes moved.

        Raises:
            ValueError: The slots are the same, or one does not exist.
        """
        origin, heir = self._cell(source), self._cell(target)
        if origin == heir:
            raise ValueError(f"slot {source} cannot inherit from itself")
        cells = self._cells
        with self._lock:
            moved = int(cells[origin])
            cells[heir] += moved
            cells[origin] = 0
            self._recount()
        return moved

    def reset(self, slot: int) -> int:
        """Forgets what a dead process held whose memory is gone with it.

        Args:
            slot: Its slot, free for a new process afterwards.

        Returns:
            The bytes forgotten.

        Raises:
            ValueError: There is no such slot.
        """
        cell = self._cell(slot)
        with self._lock:
            gone = int(self._cells[cell])
            self._cells[cell] = 0
            self._recount()
        return gone

    def used(self) -> int:
        """Returns the bytes that all processes have backed, read without the lock."""
        return int(self._cells[_TOTAL])

    def held(self, slot: int) -> int:
        """Returns the bytes that one slot has backed.

        Args:
            slot: Whose counter.

        Raises:
            ValueError: There is no such slot.
        """
        return int(self._cells[self._cell(slot)])

    @property
    def limit(self) -> int:
        """Bytes that all processes may back together."""
        return int(self._cells[_LIMIT])

    def close(self) -> None:
        """Gives up the descriptor; only reading is possible from now on. Twice is harmless."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def _cell(self, slot: int, nbytes: int = 0) -> int:
        if not 0 <= slot < self.slots:
            raise ValueError(f"the ledger has slots 0 to {self.slots - 1}, not {slot}")
        if nbytes < 0:
            raise ValueError(f"cannot book {nbytes} bytes")
        return _FIRST + slot

    def _recount(self) -> None:
        counters: Sequence[int] = self._cells[_FIRST:]
        self._cells[_TOTAL] = sum(counters)


def _area(slots: int) -> int:
    return round_up((_FIRST + slots) * 8, PAGE)
