"""The allocator against a model that knows the state of each 64 bytes."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from snakepit.store.extents import ALIGNMENT, Claim, Extents, place
from snakepit.store.platform import PAGE

SIZE = 64 * PAGE


def settled(extents: Extents, nbytes: int) -> Claim:
    claim = extents.reserve(nbytes)
    assert claim is not None
    if claim.cold_length:
        extents.settle(claim)
    return claim


def trimmed(extents: Extents) -> int:
    ranges = extents.trim()
    for offset, length in ranges:
        extents.chill(offset, length)
    return sum(length for _, length in ranges)


class Model(RuleBasedStateMachine):
    """Random reservations, failures, releases and trims, in any interleaving."""

    def __init__(self) -> None:
        super().__init__()
        self.extents = Extents(SIZE)
        self.live: dict[int, int] = {}
        self.claims: list[Claim] = []
        self.trims: list[tuple[int, int]] = []
        self.pages: set[int] = set()

    @rule(nbytes=st.one_of(st.integers(0, 300), st.integers(0, SIZE // 3)))
    def reserve(self, nbytes: int) -> None:
        roomiest = self.extents.roomiest
        claim = self.extents.reserve(nbytes)
        if claim is None:
            assert nbytes > roomiest - ALIGNMENT
            return
        assert claim.length >= nbytes and claim.offset % ALIGNMENT == 0
        assert claim.cold_length % PAGE == 0
        assert claim.cold_offset % PAGE == 0 or not claim.cold_length
        fresh = range(claim.cold_offset, claim.cold_offset + claim.cold_length, PAGE)
        assert self.pages.isdisjoint(fresh)
        for page in range(claim.offset & -PAGE, claim.offset + claim.length, PAGE):
            assert page in self.pages or page in fresh
        if claim.cold_length:
            self.claims.append(claim)
        else:
            self.live[claim.offset] = claim.length

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), fails=st.booleans())
    def back(self, data: st.DataObject, fails: bool) -> None:
        claim = self.claims.pop(data.draw(st.integers(0, len(self.claims) - 1)))
        if fails:
            self.extents.abandon(claim)
            return
        self.extents.settle(claim)
        self.live[claim.offset] = claim.length
        self.pages.update(range(claim.cold_offset, claim.cold_offset + claim.cold_length, PAGE))

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        offset = data.draw(st.sampled_from(sorted(self.live)))
        assert self.extents.release(offset) == self.live.pop(offset)
        with pytest.raises(ValueError):
            self.extents.release(offset)

    @rule()
    def trim(self) -> None:
        for offset, length in self.extents.trim():
            pages = set(range(offset, offset + length, PAGE))
            assert pages <= self.pages
            self.trims.append((offset, length))
        assert all(
            span.end & -PAGE <= -(-span.start // PAGE) * PAGE
            for span in self.extents.spans()
            if span.state == "warm"
        ), "a whole free page was left behind"

    @precondition(lambda self: self.trims)
    @rule(kept=st.booleans())
    def chill(self, kept: bool) -> None:
        offset, length = self.trims.pop()
        self.extents.chill(offset, length, kept=kept)
        if not kept:
            self.pages -= set(range(offset, offset + length, PAGE))

    @invariant()
    def each_byte_has_one_state(self) -> None:
        spans = [(span.start, span.end) for span in self.extents.spans()]
        spans += [(start, start + length) for start, length in self.trims]
        for claim in self.claims:
            spans.append((claim.offset, claim.cold_offset + claim.cold_length))
        at = 0
        for start, end in sorted(spans):
            assert start == at < end
            at = end
        assert at == SIZE

    @invariant()
    def free_neighbours_are_joined(self) -> None:
        spans = self.extents.spans()
        for left, right in pairwise(spans):
            assert left.end < right.start or left.state == "live" or left.state != right.state

    @invariant()
    def backing_is_known(self) -> None:
        assert self.extents.backed == len(self.pages) * PAGE
        live = {s.start: s.end - s.start for s in self.extents.spans() if s.state == "live"}
        assert live == self.live
        for span in self.extents.spans():
            touched = set(range(span.start & -PAGE, span.end, PAGE))
            if span.state == "cold":
                assert touched.isdisjoint(self.pages)
            else:
                assert touched <= self.pages

    @invariant()
    def live_extents_are_enough_to_restore(self) -> None:
        rebuilt = Extents.restored(SIZE, self.live)
        touched = {
            page
            for offset, length in self.live.items()
            for page in range(offset & -PAGE, offset + length, PAGE)
        }
        assert rebuilt.backed == len(touched) * PAGE
        assert sum(span.end - span.start for span in rebuilt.spans()) == SIZE
        for offset in self.live:
            rebuilt.release(offset)
        assert trimmed(rebuilt) == len(touched) * PAGE
        assert rebuilt.cold_ranges() == [(0, SIZE)]


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_a_freed_large_extent_is_used_again_although_small_ones_come_between() -> None:
    extents = Extents(SIZE)
    large = settled(extents, 20 * PAGE)
    small = settled(extents, 2 * PAGE)
    settled(extents, PAGE)
    extents.release(large.offset)
    extents.release(small.offset)
    again = settled(extents, 22 * PAGE)
    assert again.offset == large.offset and not again.cold_length
    extents.release(again.offset)

    kept = settled(extents, 21 * PAGE)
    assert settled(extents, PAGE).offset == kept.offset + kept.length, "the snug hole comes first"


def test_a_growing_object_continues_from_warm_into_cold() -> None:
    extents = Extents(2 * SIZE)
    for pages in range(1, 60):
        extents.release(settled(extents, pages * PAGE).offset)
    assert extents.backed == 59 * PAGE


def test_a_small_claim_takes_one_page_and_leaves_the_rest_warm() -> None:
    extents = Extents(SIZE)
    first = settled(extents, 1)
    assert first.length == ALIGNMENT and first.cold_length == PAGE
    for _ in range(PAGE // ALIGNMENT - 1):
        assert not settled(extents, 0).cold_length
    assert extents.warm == 0 and extents.backed == PAGE


def test_fragmentation_stays_mild_under_a_changing_load() -> None:
    dice = random.Random(7)
    extents = Extents(4096 * PAGE)
    live: list[tuple[int, int]] = []
    held = peak = 0
    for _ in range(20_000):
        if live and (held > 1024 * PAGE or dice.random() < 0.45):
            offset, length = live.pop(dice.randrange(len(live)))
            assert extents.release(offset) == length
            held -= length
        else:
            claim = settled(extents, int(dice.paretovariate(0.9) * 100) % (64 * PAGE))
            live.append((claim.offset, claim.length))
            held += claim.length
            peak = max(peak, held)
    assert extents.backed < 1.5 * peak
    for offset, _ in live:
        extents.release(offset)
    assert trimmed(extents) and extents.backed == 0


def test_place_aligns_each_part() -> None:
    assert place([1, 0, 64, 65, 0]) == ([0, 64, 64, 128, 256], 256)
    assert place([]) == ([], 0)


@pytest.mark.parametrize("size", [0, -PAGE, PAGE + 1])
def test_a_crooked_size_is_refused(size: int) -> None:
    with pytest.raises(ValueError):
        Extents(size)


@pytest.mark.parametrize("live", [{0: 100, 64: 1}, {1: 1}, {SIZE: 1}, {-64: 1}, {0: SIZE + 1}])
def test_live_extents_that_cannot_be_are_refused(live: dict[int, int]) -> None:
    with pytest.raises(ValueError):
        Extents.restored(SIZE, live)
