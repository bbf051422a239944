"""What becomes of an arena when the process that wrote it dies: no sealed object is lost.

The driver knows which extents are still wanted and nothing else of the dead allocator, which is
enough: all other pages go back to the system and the budget at once, and each extent's pages when
it is released.

Concurrency: any thread may call anything; one lock guards all, and is held while pages are given
back, for nobody writes here who could wait. None of it relies on the GIL.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from typing import final

from snakepit.store.extents import Extents
from snakepit.store.ledger import Ledger
from snakepit.store.platform import punch_hole


@final
class AdoptedArena:
    """A dead process's arena, kept by the driver until its last live extent is released.

    Nothing is written to it; each page that holds no live byte goes back at once.

    Args:
        number: The segment's number, as its readers know it.
        fd: A read-write descriptor of it, owned by this object from now on.
        size: `Arena.size`.
        ledger: The store's budget.
        source: The dead process's slot, free for another process afterwards.
        slot: The slot that bears the charge from now on.
        live: Offset of each extent still needed to its length in bytes.

    Raises:
        ValueError: `live` is not what an arena can have held; the descriptor is closed.
    """

    __slots__ = ("_extents", "_fd", "_ledger", "_lock", "_slot", "number", "size")

    def __init__(
        self,
        number: int,
        fd: int,
        size: int,
        ledger: Ledger,
        *,
        source: int,
        slot: int,
        live: Mapping[int, int],
    ) -> None:
        self.number = number
        self.size = size
        self._fd = fd
        self._ledger = ledger
        self._slot = slot
        self._lock = threading.Lock()
        try:
            self._extents = Extents.restored(size, live)
            if self._extents.backed > ledger.held(source):
                raise ValueError(f"slot {source} holds less than its extents take")
            for offset, length in self._extents.cold_ranges():
                punch_hole(fd, offset, length)
            charged = ledger.move(source, slot)
            # What it had charged and not backed, or backed and not sealed, is gone as of now.
            ledger.refund(slot, charged - self._extents.backed)
            if not live:
                self._shut()
        except BaseException:
            self._shut()
            raise

    @property
    def fd(self) -> int:
        """A read-write descriptor; readers get `reopen_read_only` of it. -1 when closed."""
        return self._fd

    @property
    def closed(self) -> bool:
        """Whether the last extent was released, and descriptor and memory with it."""
        return self._fd < 0

    @property
    def live(self) -> int:
        """How many extents are still held."""
        with self._lock:
            return self._extents.live

    @property
    def backed(self) -> int:
        """Bytes that this arena still has charged to the ledger."""
        with self._lock:
            return self._extents.backed

    def release(self, offset: int) -> int:
        """Frees an extent that nobody reads any more, and its memory; the last one closes.

        Args:
            offset: Where it begins.

        Returns:
            Its length in bytes, alignment included; 0 if `close` came first.

        Raises:
            ValueError: No live extent begins there.
        """
        with self._lock:
            if self._fd < 0 and self._extents.live:
                return 0
            length = self._extents.release(offset)
            given = self._give_back()
            if not self._extents.live:
                given += self._extents.backed
                self._shut()
        self._ledger.refund(self._slot, given)
        return length

    def close(self) -> None:
        """Gives everything up, for when nobody needs what is still live. Twice is harmless."""
        with self._lock:
            if self._fd < 0:
                return
            given = self._extents.backed
            self._shut()
        self._ledger.refund(self._slot, given)

    def _give_back(self) -> int:
        given = 0
        for offset, length in self._extents.trim():
            punched = punch_hole(self._fd, offset, length)
            self._extents.chill(offset, length, kept=not punched)
            given += length if punched else 0
        return given

    def _shut(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
