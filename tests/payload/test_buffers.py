"""Bytes-likes and numpy arrays travel out of band, uncopied, and come back read-only."""

from __future__ import annotations

import array
import gc
import pathlib
import pickle
from typing import Any

import numpy as np
import pytest

from snakepit.errors import SerializationError
from snakepit.payload import Packed, pack, pack_call, unpack
from snakepit.payload.buffers import LARGE

STRUCT = np.dtype([("a", "<i4"), ("b", "<f8", (2,)), ("c", "S3")])


def arrays() -> dict[str, Any]:
    base = np.arange(60, dtype=np.float64).reshape(3, 4, 5)
    return {
        "plain": base,
        "fortran": np.asfortranarray(base),
        "sliced": base[::2, 1:, ::-1],
        "transposed": base.transpose(1, 0, 2),
        "broadcast": np.broadcast_to(np.arange(3), (4, 3)),
        "zero-dimensional": np.array(3.5),
        "empty": np.zeros((0, 3)),
        "empty sliced": np.zeros((4, 3))[::2, 1:1],
        "structured": np.zeros(4, STRUCT),
        "big-endian": np.arange(5, dtype=">i4"),
        "bool": np.array([True, False]),
        "complex": np.array([1j, 2]),
        "bytes": np.array([b"ab", b"c"]),
        "text": np.array(["ab", "c"]),
        "time": np.array(["2020-01-01", "NaT"], "M8[s]"),
        "time sliced": np.arange(10).astype("m8[ms]")[::3],
        "void": np.array([b"abc"], "V3"),
        "metadata": np.zeros(3, np.dtype("i4", metadata={"unit": "m"})),
        "read-only": np.frombuffer(b"12345678", np.uint8),
    }


def view_of(array: Any) -> memoryview:
    return memoryview(array)


def arrive(packed: Packed) -> Any:
    """Unpack as from a store: each buffer read-only memory of someone else."""
    return unpack([bytes(part) for part in packed.parts])


@pytest.mark.parametrize("name", arrays())
@pytest.mark.parametrize("wrap", [lambda a: a, lambda a: [[{"x": (a, object)}]]])
def test_arrays_come_back_equal_and_read_only(name: str, wrap: Any) -> None:
    sent = arrays()[name]
    packed = pack(wrap(sent), what="an array")
    again = arrive(packed)
    if not isinstance(again, np.ndarray):
        again = again[0][0]["x"][0]
    assert type(again) is np.ndarray
    assert again.dtype == sent.dtype
    assert again.shape == sent.shape
    assert again.tobytes() == sent.tobytes()
    assert not again.flags.writeable
    assert packed.uses_numpy
    assert len(packed.parts) == 2


@pytest.mark.parametrize("fortran", [False, True])
def test_an_array_is_not_copied(fortran: bool) -> None:
    sent = np.arange(100_000).reshape(100, 1000)
    sent = sent.T if fortran else sent
    packed = pack_call((sent,), {"again": sent})
    assert len(packed.parts) == 2
    assert len(packed.parts[0]) < 1000
    view = packed.parts[1]
    assert isinstance(view, memoryview)
    assert (view.ndim, view.itemsize, view.nbytes) == (1, 1, sent.nbytes)
    assert np.shares_memory(np.frombuffer(view, np.uint8), sent)
    (again,), kwargs = unpack(packed.parts)
    assert np.shares_memory(again, sent)
    assert kwargs["again"] is again


def test_objects_in_arrays_travel_by_the_slow_path() -> None:
    sent = np.array([lambda x: x + 1, None, [1]], dtype=object)
    again = arrive(pack(sent, what="an array"))
    assert again[0](1) == 2
    assert again[2] == [1]


def test_masked_arrays_keep_their_mask() -> None:
    sent = np.ma.masked_array([1.0, 2.0, 3.0], mask=[False, True, False])
    again = arrive(pack(sent, what="an array"))
    assert isinstance(again, np.ma.MaskedArray)
    assert again.mask.tolist() == [False, True, False]


def test_a_mapped_file_arrives_as_its_contents(tmp_path: pathlib.Path) -> None:
    mapped = np.memmap(tmp_path / "numbers", dtype=np.int32, mode="w+", shape=(1000,))
    mapped[:] = np.arange(1000)
    packed = pack(mapped[::2], what="an array")
    del mapped
    again = arrive(packed)
    assert type(again) is np.ndarray
    assert again.tolist() == list(range(0, 1000, 2))


def test_numpy_scalars_come_back() -> None:
    for sent in (np.float64(1.5), np.int8(3), np.datetime64("2020-01-01"), np.str_("x")):
        again = arrive(pack(sent, what="a scalar"))
        assert type(again) is type(sent)
        assert again == sent


@pytest.mark.parametrize("kind", [bytes, bytearray])
def test_large_bytes_travel_uncopied_and_come_back_as_they_were(kind: type) -> None:
    sent = kind(b"x" * LARGE)
    packed = pack(sent, what="bytes")
    assert len(packed.parts) == 2
    again = arrive(packed)
    assert type(again) is kind
    assert again == sent
    small = pack(kind(b"x" * (LARGE - 1)), what="bytes")
    assert len(small.parts) == 1
    assert type(arrive(small)) is kind


def test_large_bytes_beside_anything_else() -> None:
    sent = b"x" * LARGE
    args, kwargs = arrive(pack_call((sent, {1}), {"f": lambda: 1, "b": sent}))
    assert args == (sent, {1})
    assert args[0] is kwargs["b"]


@pytest.mark.parametrize(
    "view",
    [
        memoryview(b"abc"),
        memoryview(bytearray(b"abcdef"))[::2],
        memoryview(array.array("d", [1.0, 2.0])),
        view_of(np.arange(6, dtype=np.int32).reshape(2, 3)),
        view_of(np.zeros((0, 3), np.int32)),
        memoryview(b""),
        view_of(np.array(5, np.int64)),
    ],
)
def test_memoryviews_come_back_read_only(view: memoryview) -> None:
    packed = pack([view], what="a view")
    again = arrive(packed)[0]
    assert type(again) is memoryview
    assert again.readonly
    assert again.format == view.format
    assert again.tobytes() == view.tobytes()
    assert again.tolist() == view.tolist() or not view.nbytes
    assert len(packed.parts) == 2


def test_a_memoryview_is_not_copied() -> None:
    memory = bytearray(100_000)
    again = unpack(pack_call((memoryview(memory),), {}).parts)[0][0]
    memory[5] = 7
    assert again[5] == 7


def test_a_released_memoryview_is_an_error() -> None:
    view = memoryview(b"abc")
    view.release()
    with pytest.raises(SerializationError, match="released"):
        pack([view], what="a view")


def test_a_memoryview_that_could_not_be_rebuilt_is_an_error() -> None:
    with pytest.raises(SerializationError, match=r"numpy\.asarray"):
        pack(view_of(np.zeros(3, ">i4")), what="a view")


def test_parts_over_memoryviews_may_end_in_a_cycle() -> None:
    view = memoryview(bytearray(100))
    cycle: list[Any] = [view, pack(view, what="a view")]
    cycle.append(cycle)
    del view, cycle
    gc.collect()


def test_whatever_exports_buffers_travels_out_of_band() -> None:
    packed = pack(Exporter(bytearray(b"z" * 10)), what="an object")
    assert len(packed.parts) == 2
    assert bytes(arrive(packed).data) == b"z" * 10


def test_a_buffer_with_gaps_is_an_error() -> None:
    with pytest.raises(SerializationError, match="contiguous"):
        pack(Exporter(memoryview(bytearray(10))[::2]), what="an object")


class Exporter:
    def __init__(self, data: Any) -> None:
        self.data = data

    def __reduce_ex__(self, protocol: object) -> Any:
        return Exporter, (pickle.PickleBuffer(self.data),)
