"""Large values: shared without a copy, read-only, and alive as long as anything shows them."""

from __future__ import annotations

import gc
import os
import pickle
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import snakepit
from snakepit.errors import ObjectStoreFullError
from tests.runtime.helpers import PATIENCE, core, is_settled, stored_values, wait_until

pytestmark = pytest.mark.usefixtures("runtime")

MiB = 1 << 20
LIMIT = 96 * MiB


@pytest.fixture(scope="module")
def runtime(nothing_left_behind: None) -> Iterator[Any]:
    with snakepit.init(num_cpus=2, object_store_memory=LIMIT) as context:
        yield context


@snakepit.remote
def ones(size: int) -> Any:
    return np.ones(size, np.uint8)


@snakepit.remote
def total(array: Any) -> tuple[int, bool]:
    return int(array.sum()), bool(array.flags.writeable)


@snakepit.remote
def pid() -> int:
    return os.getpid()


def address(array: Any) -> int:
    return int(array.__array_interface__["data"][0])


def test_arrays_are_shared_and_read_only() -> None:
    source = np.arange(MiB, dtype=np.int64)
    ref = snakepit.put(source)
    one, two = snakepit.get([ref, ref])
    assert address(one) == address(two) != address(source)
    assert address(one) % 64 == 0
    assert (one == source).all()
    with pytest.raises(ValueError, match="read-only"):
        one[0] = 5
    with pytest.raises(ValueError):
        one.flags.writeable = True
    source[0] = 99
    assert one[0] == 0
    assert snakepit.get(total.remote(ref)) == (int(two.sum()), False)


def test_kinds_of_arrays() -> None:
    base = np.arange(400_000, dtype=np.float32).reshape(400, 1000)
    record = np.zeros(30_000, dtype=[("a", "i4"), ("b", "f8")])
    for array in [base, np.asfortranarray(base), base[::2, ::-3], base.T, record,
                  np.array(["x" * 10] * 20_000), np.ma.masked_array(base, base > 5),
                  base.astype("datetime64[s]"), np.zeros((0, 5)), base[..., None]]:  # fmt: skip
        back = snakepit.get(snakepit.put(array))
        assert type(back) is type(array)
        assert back.dtype == array.dtype and back.shape == array.shape
        assert (np.asarray(back) == np.asarray(array)).all()
    objects = np.array([1, "two", None] * 50_000, dtype=object)
    assert (snakepit.get(snakepit.put(objects)) == objects).all()


def test_arguments_and_results_through_the_store() -> None:
    assert snakepit.get(total.remote(np.ones(5 * MiB, np.uint8))) == (5 * MiB, False)
    result = snakepit.get(ones.remote(5 * MiB))
    assert int(result.sum()) == 5 * MiB and not result.flags.writeable
    assert snakepit.get(total.remote(ones.remote(3 * MiB))) == (3 * MiB, False)
    text = "é" * MiB
    same = snakepit.remote(lambda value: value)
    assert snakepit.get(same.remote(text)) == text
    assert snakepit.get(same.remote({"k": [b"z" * MiB]})) == {"k": [b"z" * MiB]}


def test_several_large_results() -> None:
    @snakepit.remote(num_returns=3)
    def three() -> Any:
        return tuple(np.full(MiB, number, np.uint8) for number in range(3))

    refs = three.remote()
    middle = refs[1]
    del refs
    gc.collect()
    assert (snakepit.get(middle) == 1).all()


@pytest.mark.parametrize("size", [10, 10 * MiB // 8])
def test_bytes_like(size: int) -> None:
    data = os.urandom(size)
    for value in (data, bytearray(data)):
        back = snakepit.get(snakepit.put(value))
        assert back == value and type(back) is type(value)
    view = snakepit.get(snakepit.put(memoryview(data)))
    assert bytes(view) == data
    buffer = snakepit.get(snakepit.put(pickle.PickleBuffer(data)))
    assert bytes(buffer) == data


def test_arrow_travels_as_what_it_shows() -> None:
    table = pa.table({"n": np.arange(MiB), "s": pa.array(["x"] * MiB)})
    before = core().memory.ledger.used()
    part = table.slice(5, 10)
    back = snakepit.get(snakepit.put(part))
    assert back.equals(part)
    assert core().memory.ledger.used() - before < MiB
    whole = snakepit.get(snakepit.put(table))
    assert whole.equals(table)
    batch = table.to_batches()[0]
    assert snakepit.get(snakepit.put(batch)).equals(batch)

    @snakepit.remote
    def count(rows: Any) -> int:
        return int(rows.num_rows)

    assert snakepit.get(count.remote(table)) == MiB
    array = pa.chunked_array([table["n"].chunk(0)])
    assert snakepit.get(snakepit.put(array)).equals(array)


def test_views_outlive_their_reference() -> None:
    ref = snakepit.put(np.full(4 * MiB, 7, np.uint8))
    tail = snakepit.get(ref)[-10:]
    del ref
    gc.collect()
    for _ in range(4):  # would overwrite what had been freed
        snakepit.put(np.zeros(4 * MiB, np.uint8))
    assert (tail == 7).all()
    assert stored_values() == 1
    del tail
    assert stored_values() == 0


def test_views_outlive_the_process_that_made_them() -> None:
    @snakepit.remote
    class Maker:
        def make(self) -> Any:
            return np.full(4 * MiB, 9, np.uint8)

        def pid(self) -> int:
            return os.getpid()

    maker = Maker.remote()
    number = snakepit.get(maker.pid.remote())
    ref, unread = maker.make.remote(), maker.make.remote()
    view = snakepit.get(ref)
    snakepit.wait([unread])
    snakepit.kill(maker)
    del maker
    assert wait_until(lambda: not os.path.exists(f"/proc/{number}"))
    del ref
    gc.collect()
    assert (view == 9).all()
    assert (snakepit.get(unread) == 9).all()
    assert snakepit.get(total.remote(unread)) == (36 * MiB, False)


def test_views_kept_by_an_actor() -> None:
    @snakepit.remote
    class Keeper:
        def keep(self, array: Any) -> None:
            self.array = array[:5]

        def look(self) -> list[int]:
            return [int(value) for value in self.array]

    keeper = Keeper.remote()
    snakepit.get(keeper.keep.remote(np.full(4 * MiB, 3, np.uint8)))
    for _ in range(4):
        snakepit.get(total.remote(np.zeros(4 * MiB, np.uint8)))
    assert snakepit.get(keeper.look.remote()) == [3] * 5
    del keeper
    assert wait_until(is_settled)
    assert stored_values() == 0


def test_full_and_usable_again() -> None:
    held = [snakepit.put(np.zeros(20 * MiB, np.uint8)) for _ in range(4)]
    with pytest.raises(ObjectStoreFullError) as info:
        snakepit.put(np.zeros(40 * MiB, np.uint8))
    assert info.value.needed >= 40 * MiB and "object_store_memory" in str(info.value)
    with pytest.raises(ObjectStoreFullError):
        snakepit.get(ones.remote(40 * MiB), timeout=PATIENCE)
    with pytest.raises(ObjectStoreFullError):
        total.remote(np.zeros(40 * MiB, np.uint8))
    assert snakepit.get(pid.remote()) > 0
    del held
    assert snakepit.get(total.remote(np.ones(60 * MiB, np.uint8)), timeout=PATIENCE)[0] == 60 * MiB
    assert snakepit.get(ones.remote(60 * MiB), timeout=PATIENCE).sum() == 60 * MiB


def test_memory_is_used_again_and_again() -> None:
    for _ in range(30):
        assert snakepit.get(total.remote(np.ones(30 * MiB, np.uint8)))[0] == 30 * MiB
        assert snakepit.get(ones.remote(10 * MiB)).shape == (10 * MiB,)
    assert core().memory.ledger.used() <= LIMIT
