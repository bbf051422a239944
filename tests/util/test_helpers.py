"""as_completed and map_unordered: what comes first, how much is under way, what is refused."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import snakepit
from snakepit.util import as_completed, map_unordered
from tests.runtime.helpers import Gate

pytestmark = pytest.mark.usefixtures("runtime")


@snakepit.remote
def after(gate: Gate, value: Any) -> Any:
    gate.wait()
    return value


@snakepit.remote
def double(number: int) -> int:
    if number < 0:
        raise ValueError(f"{number} is negative")
    return 2 * number


@snakepit.remote
class Doubler:
    def double(self, number: int) -> int:
        return 2 * number


def opened(path: Path) -> Gate:
    gate = Gate(str(path / "opened"))
    gate.open()
    return gate


def test_the_first_to_come_is_the_first(gate: Gate, tmp_path: Path) -> None:
    refs = [after.remote(gate, "late"), after.remote(opened(tmp_path), "early")]
    results = as_completed(refs, chunk_size=2)
    assert next(results) == "early"
    gate.open()
    assert list(results) == ["late"]


def test_each_value_comes_once() -> None:
    refs = [double.remote(number) for number in range(1000)]
    assert sorted(as_completed(refs)) == list(range(0, 2000, 2))
    assert set(as_completed(refs, yield_obj_refs=True)) == set(refs)
    assert list(as_completed([])) == []


def test_a_failure_is_raised_when_its_turn_comes() -> None:
    refs = [double.remote(1), double.remote(-1), double.remote(2)]
    snakepit.wait(refs, num_returns=3)
    results = as_completed(refs)
    assert next(results) == 2
    with pytest.raises(ValueError, match="-1 is negative"):
        next(results)
    assert list(as_completed(refs, yield_obj_refs=True)) == refs


def test_map_unordered_calls_with_each_item() -> None:
    assert sorted(map_unordered(double, range(300))) == list(range(0, 600, 2))
    assert list(map_unordered(double, [])) == []
    assert sorted(map_unordered(double, range(300), backpressure_size=None)) == list(
        range(0, 600, 2)
    )


def test_map_unordered_calls_methods() -> None:
    actor = Doubler.remote()
    assert sorted(map_unordered(actor.double, [1, 2, 3])) == [2, 4, 6]


def test_only_so_many_are_under_way() -> None:
    asked: list[int] = []

    def items() -> Iterator[int]:
        for number in itertools.count():
            asked.append(number)
            yield number

    results = map_unordered(double, items(), backpressure_size=3)
    assert asked == []
    for taken in range(20):
        next(results)
        assert len(asked) <= taken + 3


def test_map_unordered_yields_what_came_first(gate: Gate, tmp_path: Path) -> None:
    gates = [gate, opened(tmp_path), opened(tmp_path)]
    pass_gate = snakepit.remote(lambda item: (item[0].wait(), item[1])[1])
    results = map_unordered(pass_gate, zip(gates, "abc"), backpressure_size=2)
    assert [next(results), next(results)] == ["b", "c"]
    gate.open()
    assert list(results) == ["a"]


def test_map_unordered_raises_what_a_call_raised() -> None:
    results = map_unordered(double, [-1])
    with pytest.raises(ValueError, match="-1 is negative"):
        next(results)
    refs = list(map_unordered(double, [-1, 1], yield_obj_refs=True))
    assert len(refs) == 2
    with pytest.raises(ValueError, match="-1 is negative"):
        snakepit.get(refs)


def two() -> list[Any]:
    ref = snakepit.put(1)
    return [ref, ref]


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: as_completed(3), TypeError, "refs must be .* not 3"),
        (lambda: as_completed(snakepit.put(1)), TypeError, "refs must be a list"),
        (lambda: as_completed([3]), TypeError, "references"),
        (lambda: as_completed(two()), ValueError, "twice"),
        (lambda: as_completed([], chunk_size=0), ValueError, "chunk_size must be .* not 0"),
        (lambda: as_completed([], chunk_size=1.5), TypeError, r"chunk_size must be .* not 1\.5"),
        (lambda: as_completed([], yield_obj_refs=2), TypeError, "yield_obj_refs must be .* not 2"),
        (lambda: map_unordered(abs, [1]), TypeError, "fn must be a remote function"),
        (lambda: map_unordered(double, 3), TypeError, "items must be .* not 3"),
        (lambda: map_unordered(double, [], backpressure_size=0), ValueError, "or None, not 0"),
        (lambda: map_unordered(double, [], chunk_size=0), ValueError, "chunk_size must be"),
        (
            lambda: next(map_unordered(double.options(num_returns=0), [1])),
            ValueError,
            "one reference, not None",
        ),
    ],
)
def test_bad_input_is_named(call: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        call()
