"""Objects: what a reference is, what is copied, what is shared and read-only."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

from tests.conformance.marks import differs


def test_each_get_of_a_mutable_value_is_a_copy(ray: Any) -> None:
    ref = ray.put([1, 2])
    ray.get(ref).append(3)
    assert ray.get(ref) == [1, 2]


def test_what_was_put_is_not_changed_by_its_maker(ray: Any) -> None:
    items = [1, 2]
    ref = ray.put(items)
    items.append(3)
    assert ray.get(ref) == [1, 2]


def test_an_array_that_was_put_is_not_changed_by_its_maker(ray: Any) -> None:
    array = np.zeros(100_000)
    ref = ray.put(array)
    array[:] = 1
    assert ray.get(ref).sum() == 0


def test_a_large_array_is_read_only(ray: Any) -> None:
    array = ray.get(ray.put(np.arange(100_000)))
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1


def test_a_large_array_is_read_only_in_a_task(ray: Any) -> None:
    @ray.remote
    def write(array: Any) -> str:
        try:
            array[0] = 1
        except ValueError:
            return "refused"
        return "written"

    assert ray.get(write.remote(ray.put(np.arange(100_000)))) == "refused"


def test_a_copy_of_an_array_can_be_written(ray: Any) -> None:
    array = ray.get(ray.put(np.arange(100_000))).copy()
    array[0] = 7
    assert array[0] == 7


def test_a_large_array_is_not_copied_by_get(ray: Any) -> None:
    ref = ray.put(np.arange(1_000_000))
    first, second = ray.get(ref), ray.get(ref)
    assert np.shares_memory(first, second) or first.ctypes.data == second.ctypes.data
    assert not first.flags.owndata


def test_the_result_of_a_task_is_read_only(ray: Any) -> None:
    @ray.remote
    def make() -> Any:
        return np.ones(100_000)

    array = ray.get(make.remote())
    assert not array.flags.writeable
    assert array.sum() == 100_000


def test_an_array_stays_when_its_reference_goes(ray: Any) -> None:
    ref = ray.put(np.arange(100_000))
    array = ray.get(ref)
    del ref
    others = [ray.put(np.zeros(100_000)) for _ in range(5)]
    assert array[-1] == 99_999
    del others


def test_arrays_within_a_value_are_read_only(ray: Any) -> None:
    value = ray.get(ray.put({"a": np.arange(100_000), "b": [np.arange(100_000)]}))
    assert not value["a"].flags.writeable
    assert not value["b"][0].flags.writeable


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6).reshape(2, 3),
        np.asfortranarray(np.arange(20_000).reshape(100, 200)),
        np.arange(20_000)[::2],
        np.zeros(0),
        np.array(3),
        np.array(["a", "bc"]),
        np.array([1, None, "x"], dtype=object),
        np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
        np.array(["2026-01-01"], dtype="datetime64[D]"),
        np.array([True, False]),
        np.array([1j]),
    ],
    ids=lambda a: f"{a.dtype}{a.shape}",
)
def test_arrays_come_back_equal(ray: Any, array: Any) -> None:
    got = ray.get(ray.put(array))
    assert got.dtype == array.dtype and got.shape == array.shape
    assert (got == array).all()


def test_a_tables_columns_come_back_equal(ray: Any) -> None:
    arrow = pytest.importorskip("pyarrow")
    table = arrow.table({"n": list(range(1000)), "s": ["x"] * 1000})
    assert ray.get(ray.put(table)).equals(table)


def test_large_bytes_come_back_equal(ray: Any) -> None:
    data = bytes(range(256)) * 4000
    assert ray.get(ray.put(data)) == data


def test_identity_within_one_value_is_kept(ray: Any) -> None:
    inner = [1]
    a, b = ray.get(ray.put((inner, inner)))
    assert a is b


@differs(
    "What is one object twice in a list is one object again.",
    because="it is so in every pickle; Ray sends plain lists and dictionaries in another way.",
)
def test_identity_within_a_list(ray: Any, expect: Any) -> None:
    inner = {"n": 1}
    a, b = ray.get(ray.put([inner, inner]))
    assert (a is b) is expect(snakepit=True, ray=False)


def test_a_cycle_comes_back(ray: Any) -> None:
    cycle: list[Any] = []
    cycle.append(cycle)
    got = ray.get(ray.put(cycle))
    assert got[0] is got


# --- The reference itself ---------------------------------------------------------------------


def test_references_are_equal_by_what_they_name(ray: Any) -> None:
    ref = ray.put(1)
    (again,) = ray.get(ray.put([ref]))
    assert again == ref and hash(again) == hash(ref)
    assert ref != ray.put(1)
    assert {ref: "found"}[again] == "found"


def test_a_reference_has_a_name_in_hexadecimal(ray: Any) -> None:
    ref = ray.put(1)
    assert bytes.fromhex(ref.hex()) == ref.binary()
    assert ref.hex() in repr(ref)


def test_a_reference_is_no_value(ray: Any) -> None:
    ref = ray.put(1)
    with pytest.raises(TypeError):
        ref + 1
    with pytest.raises(TypeError):
        iter(ref)


def test_a_copy_of_a_reference_names_the_same(ray: Any) -> None:
    ref = ray.put(1)
    for again in (copy.copy(ref), copy.deepcopy(ref)):
        assert again == ref and ray.get(again) == 1


@differs(
    "A reference or a handle that the user pickles by hand is refused with a `TypeError`.",
    because="nothing would count it; Ray keeps the object of such a pickle for ever.",
)
def test_a_reference_is_not_pickled_by_hand(ray: Any, expect: Any) -> None:
    try:
        pickle.dumps(ray.put(1))
    except TypeError:
        refused = True
    else:
        refused = False
    assert refused is expect(snakepit=True, ray=False)


def test_a_value_of_none_and_a_missing_one_are_told_apart(ray: Any) -> None:
    ref = ray.put(None)
    assert ray.wait([ref], timeout=0)[0] == [ref]
    assert ray.get(ref) is None


def test_many_small_objects(ray: Any) -> None:
    assert ray.get([ray.put(i) for i in range(500)]) == list(range(500))


def test_references_three_deep(ray: Any) -> None:
    innermost = ray.put("found")
    middle = ray.put([innermost])
    outer = ray.put({"middle": middle})
    del innermost, middle
    found = ray.get(outer)["middle"]
    assert ray.get(ray.get(found)[0]) == "found"


def test_what_a_task_nested_three_deep_outlives_it(ray: Any) -> None:
    @ray.remote
    def nest() -> Any:
        return [ray.put([ray.put([ray.put("found")])])]

    box = ray.get(nest.remote())
    for _ in range(3):
        box = ray.get(box[0])
    assert box == "found"


def test_a_task_reads_three_deep_what_the_driver_let_go(ray: Any, gate: Any) -> None:
    @ray.remote
    def reads(box: Any) -> Any:
        gate.wait()
        for _ in range(3):
            box = ray.get(box[0])
        return box

    ref = reads.remote([ray.put([ray.put([ray.put("found")])])])
    gate.open()
    assert ray.get(ref) == "found"
