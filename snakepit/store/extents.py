"""Which bytes of an arena are in use, which are free and backed, and which are not backed.

Pure arithmetic, no I/O, no lock: an `Arena` owns one and guards it.

Every byte of the arena is in exactly one of four states:

    live    part of an extent that a caller holds, 64-byte aligned
    warm    free, backed by a page: the next write there costs a copy and nothing else
    cold    free, whole pages without memory behind them
    moving  pages taken out by `reserve` or `trim` whose backing is being made or given back

`moving` is what lets the slow system calls run outside the arena's lock: nobody else can be given
a page before `settle`, `abandon` or `chill` has put it back. For that, a claim on cold space takes
whole pages, and returns what it does not need of the last one when it settles.

Free neighbours of one kind are always joined. Best fit, warm before cold: a large freed extent is
kept for a large request as long as a smaller hole fits a small one. A request that no warm hole
fits starts in the warm hole before the cold space it takes, so a growing object leaves no row of
slightly too small holes behind.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple, final

from snakepit.store.platform import PAGE, round_up

ALIGNMENT: Final = 64
"""Bytes; a cache line, and what Arrow and wide vector loads want."""


class Claim(NamedTuple):
    """What `Extents.reserve` found: an extent, and the pages in it that must be backed first."""

    offset: int
    length: int
    cold_offset: int
    cold_length: int


class Span(NamedTuple):
    """A maximal run of bytes in one state, as `Extents.spans` lists them."""

    start: int
    end: int
    state: str


def place(sizes: Iterable[int]) -> tuple[list[int], int]:
    """Lays parts out one after the other, each aligned.

    Args:
        sizes: The parts' lengths in bytes.

    Returns:
        The offset of each part within its extent, and the bytes that all of them take.
    """
    offsets = []
    end = 0
    for size in sizes:
        offsets.append(end)
        end += round_up(size, ALIGNMENT)
    return offsets, end


@final
class _Holes:
    """Free ranges of one kind, joined with their neighbours, found by fit or by position."""

    __slots__ = ("_by_end", "_by_length", "_by_start", "total")

    def __init__(self) -> None:
        self._by_start: dict[int, int] = {}
        self._by_end: dict[int, int] = {}
        # A sorted list beats a tree here: an insertion moves a few kilobytes at C speed.
        self._by_length: list[tuple[int, int]] = []
        self.total = 0

    def add(self, start: int, end: int) -> None:
        if start == end:
            return
        before = self._by_end.get(start)
        if before is not None:
            self.remove(before)
            start = before
        if end in self._by_start:
            end = self.remove(end)
        self._by_start[start] = end
        self._by_end[end] = start
        insort(self._by_length, (end - start, start))
        self.total += end - start

    def remove(self, start: int) -> int:
        end = self._by_start.pop(start)
        del self._by_end[end]
        del self._by_length[bisect_left(self._by_length, (end - start, start))]
        self.total -= end - start
        return end

    def best_fit(self, length: int) -> int | None:
        index = bisect_left(self._by_length, (length, 0))
        return self._by_length[index][1] if index < len(self._by_length) else None

    def start_of(self, end: int) -> int | None:
        return self._by_end.get(end)

    def largest(self) -> int:
        return self._by_length[-1][0] if self._by_length else 0

    def items(self) -> list[tuple[int, int]]:
        return sorted(self._by_start.items())


@final
class Extents:
    """The allocator of one arena.

    Args:
        size: Bytes of the arena, a multiple of `PAGE`; all of it starts cold.
    """

    __slots__ = ("_cold", "_live", "_warm", "backed", "size")

    def __init__(self, size: int) -> None:
        if size <= 0 or size % PAGE:
            raise ValueError(f"an arena's size is a positive multiple of {PAGE}, not {size}")
        self.size = size
        self.backed = 0
        self._live: dict[int, int] = {}
        self._warm = _Holes()
        self._cold = _Holes()
        self._cold.add(0, size)

    @classmethod
    def restored(cls, size: int, live: Mapping[int, int]) -> Extents:
        """Rebuilds the state of which only the live extents are known.

        Args:
            size: Bytes of the arena.
            live: Offset of each extent to its length in bytes, as the maker asked for it.

        Returns:
            An allocator in which every page that holds no live byte is cold.

        Raises:
            ValueError: Two extents overlap, or one lies outside the arena or off the grid.
        """
        extents = cls(size)
        extents._cold.remove(0)
        used_to = backed_to = 0  # ends of the last extent, and of the last page it touches
        for offset, nbytes in sorted(live.items()):
            length = max(round_up(nbytes, ALIGNMENT), ALIGNMENT)
            if offset < used_to or offset + length > size or offset % ALIGNMENT:
                raise ValueError(f"no extent of {nbytes} bytes can live at {offset}")
            page = max(offset & -PAGE, backed_to)
            if page > backed_to:
                extents._warm.add(used_to, backed_to)
                extents._cold.add(backed_to, page)
                extents._warm.add(page, offset)
            else:
                extents._warm.add(used_to, offset)
            extents._live[offset] = length
            used_to, end = offset + length, round_up(offset + length, PAGE)
            extents.backed += end - page
            backed_to = end
        extents._warm.add(used_to, backed_to)
        extents._cold.add(backed_to, size)
        return extents

    def reserve(self, nbytes: int) -> Claim | None:
        """Takes an extent; if its claim has cold pages, `settle` or `abandon` must follow.

        Args:
            nbytes: Bytes wanted; zero still gets an offset of its own.

        Returns:
            The claim, or None where no free run is long enough.
        """
        length = max(round_up(nbytes, ALIGNMENT), ALIGNMENT)
        start = self._warm.best_fit(length)
        if start is not None:
            self._warm.add(start + length, self._warm.remove(start))
            self._live[start] = length
            return Claim(start, length, start, 0)
        cold = self._cold.best_fit(length)
        if cold is None:
            return None
        start = self._warm.start_of(cold)
        if start is None:
            start = cold
        else:
            self._warm.remove(start)
        end = round_up(start + length, PAGE)
        self._cold.add(end, self._cold.remove(cold))
        return Claim(start, length, cold, end - cold)

    def settle(self, claim: Claim) -> None:
        """Makes a claim live whose cold pages have been backed.

        Args:
            claim: What `reserve` returned, with cold pages.
        """
        self._live[claim.offset] = claim.length
        self.backed += claim.cold_length
        self._warm.add(claim.offset + claim.length, claim.cold_offset + claim.cold_length)

    def abandon(self, claim: Claim) -> None:
        """Undoes a claim whose cold pages could not be backed.

        Args:
            claim: What `reserve` returned, with cold pages, none of them backed now.
        """
        self._warm.add(claim.offset, claim.cold_offset)
        self._cold.add(claim.cold_offset, claim.cold_offset + claim.cold_length)

    def release(self, offset: int) -> int:
        """Frees a live extent; it stays warm.

        Args:
            offset: Where it begins.

        Returns:
            Its length in bytes, alignment included.

        Raises:
            ValueError: No live extent begins there.
        """
        length = self._live.pop(offset, None)
        if length is None:
            raise ValueError(f"no live extent begins at {offset}")
        self._warm.add(offset, offset + length)
        return length

    def trim(self) -> list[tuple[int, int]]:
        """Takes out every whole page that is free and backed; `chill` must follow for each range.

        Returns:
            Ranges of (offset, length) in bytes, whose memory may be given back.
        """
        ranges = []
        for start, end in self._warm.items():
            first, last = round_up(start, PAGE), end & -PAGE
            if first < last:
                self._warm.remove(start)
                self._warm.add(start, first)
                self._warm.add(last, end)
                ranges.append((first, last - first))
        return ranges

    def chill(self, offset: int, length: int, *, kept: bool = False) -> None:
        """Puts a range back that `trim` took out.

        Args:
            offset: Start of the range in bytes.
            length: Its bytes.
            kept: Whether its memory could not be given back.
        """
        if kept:
            self._warm.add(offset, offset + length)
            return
        self.backed -= length
        self._cold.add(offset, offset + length)

    @property
    def live(self) -> int:
        """How many extents are held."""
        return len(self._live)

    @property
    def warm(self) -> int:
        """Bytes that are free and backed."""
        return self._warm.total

    @property
    def roomiest(self) -> int:
        """Bytes of the longest free run of one kind: what a failed `reserve` could have got."""
        return max(self._warm.largest(), self._cold.largest())

    def cold_ranges(self) -> list[tuple[int, int]]:
        """Returns the (offset, length) of each free range without memory."""
        return [(start, end - start) for start, end in self._cold.items()]

    def spans(self) -> list[Span]:
        """Returns every run of bytes that is not moving, in order, live ones singly."""
        found = [Span(start, start + length, "live") for start, length in self._live.items()]
        found += [Span(start, end, "warm") for start, end in self._warm.items()]
        found += [Span(start, end, "cold") for start, end in self._cold.items()]
        return sorted(found)
