"""Very large, very many, very deep: values that strain the store, frames and the tables."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from faults_harness import PATIENCE_S, drive, driver, empties, scaled, settles, wait_until, works_on

import snakepit
from snakepit import errors

GiB = 1 << 30
LARGE = scaled(GiB // 16, 3 * GiB)
"""Bytes of the largest argument: 3 GB in `make soak-faults`."""


def store_is_empty() -> None:
    core = driver()._core
    core.update(core.memory.trim)
    assert wait_until(lambda: core.memory.ledger.used() == 0), core.memory.ledger.used()


@snakepit.remote(max_retries=0)
def ends(array: Any, *, key: Any = None) -> tuple[int, int, int]:
    array = array if key is None else key["array"]
    return len(array), int(array[0]), int(array[-1])


@pytest.mark.timeout(300)
def test_an_argument_of_three_gigabytes() -> None:
    # Untouched but for its ends, it costs no memory before it is in the store.
    array = np.zeros(LARGE, np.uint8)
    array[0], array[-1] = 1, 2
    with snakepit.init(num_cpus=2, object_store_memory=LARGE + GiB):
        assert snakepit.get(ends.remote(array), timeout=200) == (LARGE, 1, 2)
        settles()
        empties()
        store_is_empty()
        # Inside another value, it is the same.
        assert snakepit.get(ends.remote(None, key={"array": array}), timeout=200)[1:] == (1, 2)
        works_on()
        empties()
        store_is_empty()


def test_an_argument_larger_than_the_store_is_refused_before_it_is_copied() -> None:
    with snakepit.init(num_cpus=1, object_store_memory=64 << 20):
        array = np.zeros(3 * GiB, np.uint8)
        for call in (lambda: ends.remote(array), lambda: snakepit.put([array])):
            with pytest.raises(errors.ObjectStoreFullError, match="object_store_memory"):
                call()
        works_on()
        empties()


def test_a_hundred_thousand_references_dropped_at_once(runtime: Any) -> None:
    refs = [snakepit.put(x) for x in range(100_000)]
    assert snakepit.get(refs[::1000]) == list(range(0, 100_000, 1000))
    del refs
    works_on()
    empties()


@snakepit.remote
class Hoard:
    def __init__(self) -> None:
        self.refs: list[Any] = []

    def fill(self, count: int) -> int:
        self.refs = [snakepit.put(x) for x in range(count)]
        return sum(snakepit.get(self.refs[:: count // 10]))

    def take(self, refs: list[Any]) -> int:
        self.refs = refs
        return len(refs)

    def drop(self) -> None:
        self.refs = []


def test_a_hundred_thousand_references_dropped_at_once_by_a_worker(runtime: Any) -> None:
    hoard = Hoard.remote()
    count = 100_000
    assert snakepit.get(hoard.fill.remote(count), timeout=PATIENCE_S) == sum(
        range(0, count, count // 10)
    )
    snakepit.get(hoard.drop.remote(), timeout=PATIENCE_S)
    works_on()
    # Some that the driver made, kept by the worker alone, and lost with it.
    refs = [snakepit.put(x) for x in range(count)]
    assert snakepit.get(hoard.take.remote(refs), timeout=PATIENCE_S) == count
    del refs
    assert len(driver()._core.entries) >= count
    snakepit.kill(hoard)
    del hoard
    works_on()
    empties()


def test_ten_thousand_references_in_one_value(runtime: Any) -> None:
    count = 10_000

    @snakepit.remote
    def total(refs: list[Any]) -> int:
        return sum(snakepit.get(refs))

    @snakepit.remote
    def make(count: int) -> list[Any]:
        return [snakepit.put(x) for x in range(count)]

    expected = sum(range(count))
    outer = snakepit.put([snakepit.put(x) for x in range(count)])
    assert len(driver()._core.entries) == count + 1
    assert snakepit.get(total.remote(outer), timeout=PATIENCE_S) == expected
    assert sum(snakepit.get(snakepit.get(outer))) == expected
    del outer
    made = make.remote(count)
    assert snakepit.get(total.remote(made), timeout=PATIENCE_S) == expected
    inner = snakepit.get(made)
    del made
    assert sum(snakepit.get(inner)) == expected
    del inner
    works_on()
    empties()


def test_references_in_references_as_deep_as_one_likes(runtime: Any) -> None:
    ref = snakepit.put(0)
    for _ in range(10_000):
        ref = snakepit.put([ref])
    (inner,) = snakepit.get(ref)
    del ref
    assert len(driver()._core.entries) >= 10_000
    del inner
    empties()


def test_a_function_of_fifty_megabytes(runtime: Any) -> None:
    blob = os.urandom(1 << 20) * 50

    @snakepit.remote
    def where(index: int) -> tuple[int, int]:
        return blob[index], os.getpid()

    size = len(blob)
    expected = [blob[x] for x in range(0, size, size // 20)]
    found = [where.remote(x) for x in range(0, size, size // 20)]
    assert [value for value, _ in snakepit.get(found, timeout=PATIENCE_S)] == expected
    # It was stored once, whoever called it how often.
    assert size <= driver()._core.memory.ledger.used() < 2 * size
    del found
    works_on()


def test_ten_thousand_arguments_and_three_thousand_returns(runtime: Any) -> None:
    @snakepit.remote(num_returns=3_000)
    def spread(*values: int) -> tuple[int, ...]:
        return values[:3_000]

    refs = spread.remote(*[snakepit.put(x) for x in range(10_000)])
    assert snakepit.get(refs, timeout=PATIENCE_S) == list(range(3_000))
    del refs
    works_on()
    empties()


def test_a_frame_that_is_too_long_is_an_error(tmp_path: Path) -> None:
    # Only what is no value can be too long for a frame: a list of references without end. It is
    # shortened here by the bound itself.
    out = drive(
        """
import snakepit
from snakepit import errors
from snakepit.wire import codec

snakepit.init(num_cpus=1)

@snakepit.remote
def count(*refs):
    return len(refs)

refs = [snakepit.put(x) for x in range(2000)]
assert snakepit.get(count.remote(*refs), timeout=30) == 2000
codec.MAX_FRAME = 10_000
try:
    snakepit.get(count.remote(*refs), timeout=30)
except errors.ObjectLostError as error:
    assert 'exceeds' in str(error), error
    print('refused')
codec.MAX_FRAME = 1 << 28
assert snakepit.get(count.remote(*refs), timeout=30) == 2000
snakepit.shutdown()
""",
        tmp_path,
    )
    assert out == "refused\n"
