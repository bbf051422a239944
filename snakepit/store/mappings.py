"""The segments that a process reads, and the leases that keep what it reads alive.

Purpose: zero-copy views of stored objects as plain read-only memoryviews, which numpy, Arrow and
pickle take as they are, and the news when the last of an object's views is gone.

A lease is a ctypes object placed over the mapping, one for all parts of an extent. The views
export it and so keep it; its end is the end of the last view, wherever that happens. It also
holds the mapping, so a mapping goes with the last of: its place in the table, its leases.

Guarantees:
- A view is never unmapped, nor its bytes reused (the owner waits for `on_release`), while
  anything refers to it: a slice, an array over it, a buffer exported from it.
- `on_release` is called exactly once per call of `on_lease`, on the thread that dropped the last
  view, possibly in the middle of its garbage collection. So it must take no lock and call nothing
  that could; appending to a deque is what it is for.

Concurrency: any thread may call anything; the table is guarded by a lock, which `view` does not
need. The registry of leases is a dict whose single operations are atomic, with the GIL or without.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from pickle import PickleBuffer
from typing import Any, NamedTuple, final

from snakepit.store.extents import ALIGNMENT
from snakepit.store.platform import Region


class _Segment(NamedTuple):
    region: Region
    lease: Any


@final
class Mappings:
    """Every segment that this process has mapped for reading, by number."""

    __slots__ = ("_leased", "_lock", "_segments")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._segments: dict[int, _Segment] = {}
        self._leased: dict[int, int] = {}

    def add(self, number: int, fd: int, size: int) -> None:
        """Maps a segment and closes the descriptor, also when that fails.

        Args:
            number: The segment's number.
            fd: A descriptor of it, best a read-only one.
            size: The segment's size in bytes.

        Raises:
            ValueError: The number is taken, or the file is smaller than `size`.
            OSError: The address space or its limit is exhausted.
        """
        try:
            with self._lock:
                if number in self._segments:
                    raise ValueError(f"segment {number} is mapped already")
                region = Region(fd, size, writable=False)
                self._segments[number] = _Segment(region, _lease_type(size, self._leased))
        finally:
            os.close(fd)

    def __contains__(self, number: int) -> bool:
        return number in self._segments

    def __len__(self) -> int:
        return len(self._segments)

    def view(
        self,
        number: int,
        offset: int,
        sizes: Sequence[int],
        on_lease: Callable[[], None],
        on_release: Callable[[], None],
        token: int,
    ) -> list[memoryview]:
        """Shows an object's parts without copying them.

        Args:
            number: The segment's number.
            offset: `Stored.offset`.
            sizes: `Stored.sizes`; without any part, the lease ends with this call.
            on_lease: Called once when the lease is there; not if this raises. A function of C, so
                that no signal handler runs between its effect and the lease's duty to undo it.
            on_release: Called once when all views are gone, if `on_lease` was.
            token: What `leased` shall list for this object meanwhile.

        Returns:
            A read-only view of unsigned bytes for each part.

        Raises:
            KeyError: The segment is not mapped here.
            ValueError: The parts would lie outside it.
        """
        region, lease_type = self._segments[number]
        ends = []
        end = offset
        for size in sizes:
            ends.append((end, end + size))
            end += (size + ALIGNMENT - 1) & -ALIGNMENT
        if offset < 0 or end > region.size or (sizes and min(sizes) < 0):
            raise ValueError(f"segment {number} has no parts of {tuple(sizes)} bytes at {offset}")
        lease = lease_type.from_address(region.address)
        lease.region = region
        lease.on_release = None
        # By way of PickleBuffer, for a view of a ctypes array has a format that few accept; and
        # once, over the lease itself (see `copying.flatten`): all views share what they export.
        whole = PickleBuffer(lease).raw().toreadonly()
        views = [whole[start:stop] for start, stop in ends]
        self._leased[id(lease)] = token
        # One step: Python looks for signals after calls, and between these two there is none.
        lease.on_release = on_release
        on_lease()
        return views

    def leased(self) -> list[int]:
        """Returns the tokens of all leases that live, one per lease, in no order."""
        return list(self._leased.copy().values())

    def discard(self, number: int) -> None:
        """Forgets a segment; it is unmapped once no view of it is left.

        Args:
            number: Its number; unknown ones are ignored.
        """
        with self._lock:
            segment = self._segments.pop(number, None)
        del segment  # outside the lock: unmapping gigabytes takes a while

    def forget(self, numbers: Iterable[int]) -> None:
        """Forgets several segments; see `discard`."""
        for number in numbers:
            self.discard(number)

    def close(self) -> None:
        """Forgets every segment; views live on."""
        with self._lock:
            segments = list(self._segments.values())
            self._segments.clear()
        segments.clear()


def _lease_type(size: int, leased: dict[int, int]) -> Any:
    """Makes the lease type of one mapping: a type for each lease would leak, types being cycles.

    It must not refer to the mapping, which would then wait for the cycle collector.
    """
    body = {
        "__slots__": ("on_release", "region"),
        "__del__": _finalize,
        "__module__": __name__,
        "leased": leased,
    }
    return type("Lease", (ctypes.c_ubyte * size,), body)


def _finalize(lease: Any) -> None:
    lease.leased.pop(id(lease), None)
    on_release = getattr(lease, "on_release", None)  # A signal may have ended `view` before it.
    if on_release is not None:
        on_release()
