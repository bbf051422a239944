"""The status area: memory shared by driver, zygote and workers, a line for each worker's slot.

A worker writes there what it has begun, where it still stands after its death.
"""

from __future__ import annotations

import ctypes
import os
from typing import Final

from .platform import PAGE, Region, memory_file, reserve_pages, round_up

LINE: Final = 64
"""Bytes of each slot: one cache line, so that slots do not disturb another."""


def create_area(slots: int) -> tuple[int, memoryview]:
    """Return the descriptor of a new area, full of zeros, and the area itself.

    Raises:
        OSError: the machine has no descriptor or memory for it.
        OutOfPages: likewise.
    """
    size = round_up(slots * LINE, PAGE)
    fd = memory_file("snakepit-status", size)
    try:
        reserve_pages(fd, 0, size)
        return fd, map_area(fd, size)
    except BaseException:
        os.close(fd)
        raise


def map_area(fd: int, size: int) -> memoryview:
    """Return `size` bytes of an area, to be written to; the descriptor is not needed any more."""
    area = Region(fd, size, writable=True)
    return _view_of(area, area.address, size)


def line_of(area: memoryview, slot: int) -> memoryview:
    """Return the bytes of one slot."""
    return area[slot * LINE : (slot + 1) * LINE]


def _view_of(owner: object, address: int, size: int) -> memoryview:
    """Return `size` bytes of memory at `address`, writable, which keep `owner` alive."""

    class Pages(ctypes.c_ubyte * size):  # type: ignore[misc]
        held: object

    pages = Pages.from_address(address)
    pages.held = owner
    return memoryview(pages).cast("B")
