"""put, get and wait: what they take, what they give, what they refuse."""

from __future__ import annotations

from typing import Any

import pytest


def test_get_of_what_was_put(ray: Any) -> None:
    assert ray.get(ray.put({"a": [1, 2]})) == {"a": [1, 2]}


@pytest.mark.parametrize(
    "value",
    [None, 0, 2**80, 1.5, "", "ü" * 10, b"\x00" * 5, (), [], {}, {1, 2}, frozenset({3}), 1j, ...],
    ids=repr,
)
def test_plain_values_come_back_equal(ray: Any, value: Any) -> None:
    got = ray.get(ray.put(value))
    assert got == value and type(got) is type(value)


def test_get_of_a_list_keeps_its_order(ray: Any) -> None:
    refs = [ray.put(i) for i in range(10)]
    assert ray.get(refs[::-1]) == list(range(10))[::-1]


def test_get_of_an_empty_list(ray: Any) -> None:
    assert ray.get([]) == []


def test_get_of_the_same_reference_twice(ray: Any) -> None:
    ref = ray.put("x")
    assert ray.get([ref, ref]) == ["x", "x"]
    assert ray.get(ref) == "x"


def test_get_again_gives_an_equal_value(ray: Any) -> None:
    ref = ray.put([1, 2])
    assert ray.get(ref) == ray.get(ref)


@pytest.mark.parametrize("kind", [tuple, set, iter, dict.fromkeys])
def test_get_takes_lists_and_no_other_container(ray: Any, kind: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        ray.get(kind([ray.put(1)]))


def test_get_of_a_tuple_is_a_value_error(ray: Any) -> None:
    with pytest.raises(ValueError):
        ray.get((ray.put(1),))


@pytest.mark.parametrize("value", [1, "x", None])
def test_get_of_a_plain_value_is_a_value_error(ray: Any, value: Any) -> None:
    with pytest.raises(ValueError):
        ray.get(value)


def test_get_of_a_list_with_a_plain_value_is_a_type_error(ray: Any) -> None:
    with pytest.raises(TypeError):
        ray.get([ray.put(1), 2])


def test_get_takes_its_timeout_by_name_only(ray: Any) -> None:
    with pytest.raises(TypeError):
        ray.get(ray.put(1), 5)


def test_get_with_a_timeout_gives_what_is_there(ray: Any) -> None:
    assert ray.get(ray.put(1), timeout=30) == 1


def test_get_ends_with_its_timeout_and_the_task_goes_on(ray: Any, gate: Any) -> None:
    @ray.remote
    def slow() -> str:
        gate.wait()
        return "late"

    ref = slow.remote()
    with pytest.raises(ray.exceptions.GetTimeoutError):
        ray.get(ref, timeout=0.05)
    gate.open()
    assert ray.get(ref) == "late"


def test_a_timeout_of_zero_only_looks(ray: Any, gate: Any) -> None:
    @ray.remote
    def slow() -> None:
        gate.wait()

    ref = slow.remote()
    with pytest.raises(TimeoutError):
        ray.get([ref], timeout=0)
    gate.open()
    ray.get(ref)


def test_get_raises_the_first_error_of_a_list(ray: Any) -> None:
    @ray.remote
    def fails(kind: Any) -> None:
        raise kind("x")

    refs = [ray.put(1), fails.remote(KeyError), fails.remote(OSError)]
    ray.wait(refs, num_returns=3)
    with pytest.raises(KeyError):
        ray.get(refs)


def test_put_of_a_reference_is_refused(ray: Any) -> None:
    with pytest.raises(TypeError):
        ray.put(ray.put(1))


def test_put_of_a_list_of_references_keeps_them_references(ray: Any) -> None:
    inner = ray.put("inner")
    (got,) = ray.get(ray.put([inner]))
    assert got == inner
    assert ray.get(got) == "inner"


def test_put_twice_makes_two_objects(ray: Any) -> None:
    assert ray.put(1) != ray.put(1)


# --- wait -----------------------------------------------------------------------------------


def test_wait_returns_what_is_ready_and_the_rest(ray: Any, gate: Any) -> None:
    @ray.remote
    def slow() -> None:
        gate.wait()

    @ray.remote
    def fast() -> str:
        return "fast"

    late, soon = slow.remote(), fast.remote()
    ready, rest = ray.wait([late, soon])
    assert (ready, rest) == ([soon], [late])
    gate.open()
    ray.get(late)


def test_wait_gives_no_more_than_asked_for(ray: Any) -> None:
    refs = [ray.put(i) for i in range(4)]
    ready, rest = ray.wait(refs)
    assert (len(ready), len(rest)) == (1, 3)
    ready, rest = ray.wait(refs, num_returns=3)
    assert (len(ready), len(rest)) == (3, 1)


def test_wait_keeps_the_order_it_was_given(ray: Any) -> None:
    refs = [ray.put(i) for i in range(5)]
    assert ray.wait(refs[::-1], num_returns=5) == (refs[::-1], [])


def test_wait_counts_what_failed_as_ready(ray: Any) -> None:
    @ray.remote
    def fails() -> None:
        raise OSError

    ref = fails.remote()
    assert ray.wait([ref]) == ([ref], [])


def test_wait_with_a_timeout_gives_fewer(ray: Any, gate: Any) -> None:
    @ray.remote
    def slow() -> None:
        gate.wait()

    there, ref = ray.put(1), slow.remote()
    assert ray.wait([ref, there], num_returns=2, timeout=0.05) == ([there], [ref])
    gate.open()
    ray.get(ref)


def test_wait_with_a_timeout_of_zero_looks_once(ray: Any, gate: Any) -> None:
    @ray.remote
    def slow() -> None:
        gate.wait()

    ref = slow.remote()
    assert ray.wait([ref], timeout=0) == ([], [ref])
    gate.open()
    ray.get(ref)


def test_wait_for_nothing(ray: Any) -> None:
    assert ray.wait([]) == ([], [])


def test_wait_refuses_duplicates(ray: Any) -> None:
    ref = ray.put(1)
    with pytest.raises(ValueError):
        ray.wait([ref, ref])


@pytest.mark.parametrize("count", [0, -1, 3])
def test_wait_refuses_a_number_that_cannot_be(ray: Any, count: int) -> None:
    with pytest.raises(ValueError):
        ray.wait([ray.put(1), ray.put(2)], num_returns=count)


def test_wait_refuses_one_reference(ray: Any) -> None:
    with pytest.raises(TypeError):
        ray.wait(ray.put(1))


def test_wait_refuses_a_tuple(ray: Any) -> None:
    with pytest.raises(TypeError):
        ray.wait((ray.put(1),))


def test_wait_refuses_plain_values(ray: Any) -> None:
    with pytest.raises(TypeError):
        ray.wait([1, 2])


def test_wait_refuses_a_negative_timeout(ray: Any) -> None:
    with pytest.raises(ValueError):
        ray.wait([ray.put(1)], timeout=-1)


def test_wait_takes_its_options_by_name_only(ray: Any) -> None:
    with pytest.raises(TypeError):
        ray.wait([ray.put(1)], 1)


def test_wait_takes_fetch_local(ray: Any) -> None:
    ref = ray.put(1)
    assert ray.wait([ref], fetch_local=False) == ([ref], [])


def test_wait_inside_a_task(ray: Any) -> None:
    @ray.remote
    def leaf(i: int) -> int:
        return i

    @ray.remote
    def collect(n: int) -> int:
        rest, total = [leaf.remote(i) for i in range(n)], 0
        while rest:
            ready, rest = ray.wait(rest)
            total += ray.get(ready[0])
        return total

    assert ray.get(collect.remote(4)) == 6
