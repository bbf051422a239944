"""put and get of every kind of value, and what they refuse."""

from __future__ import annotations

import array
import collections
import dataclasses
import datetime
import decimal
import enum
import functools
import pathlib
import re
import uuid
from typing import Any

import numpy as np
import pytest

import snakepit
from snakepit.errors import GetTimeoutError
from tests.runtime.helpers import Gate

pytestmark = pytest.mark.usefixtures("runtime")


@snakepit.remote
def same(value: Any) -> Any:
    return value


class Colour(enum.Enum):
    RED = "r"


@dataclasses.dataclass(frozen=True)
class Point:
    x: int
    y: float = 0.5


Pair = collections.namedtuple("Pair", "a b")

VALUES: list[Any] = [
    None, True, 0, -1, 2**200, 1.5, float("inf"), 1j, "", "text", "\ud83d\ude00é", b"", b"bytes",
    bytearray(b"x"), (), (1, (2,)), [], [1, [2]], {}, {"a": {1: None}}, {1, 2}, frozenset({3}),
    range(3), slice(1, 2), Ellipsis, NotImplemented, int, len, np.float64, np.float64(1.5),
    datetime.datetime(2020, 1, 2, tzinfo=datetime.UTC), decimal.Decimal("1.10"),
    uuid.UUID(int=5), pathlib.PurePosixPath("/a"), array.array("d", [1.0]), Colour.RED, Point(1),
    Pair(1, 2), collections.OrderedDict(a=1), collections.Counter("aab"),
    collections.deque([1], maxlen=3), "x" * 200_000, b"y" * 200_000, list(range(50_000)),
]  # fmt: skip


@pytest.fixture(scope="module")
def through(runtime: Any) -> list[tuple[Any, Any]]:
    stored = snakepit.get([snakepit.put(value) for value in VALUES])
    sent = snakepit.get([same.remote(value) for value in VALUES])
    return list(zip(stored, sent))


@pytest.mark.parametrize("place", range(len(VALUES)), ids=lambda i: type(VALUES[i]).__name__)
def test_values_come_back_equal(place: int, through: list[tuple[Any, Any]]) -> None:
    for value in through[place]:
        assert value == VALUES[place]
        assert type(value) is type(VALUES[place])


def test_values_without_equality() -> None:
    pattern, partial = snakepit.get(snakepit.put([re.compile("a+"), functools.partial(add, 1)]))
    assert pattern.match("aa") and partial(2) == 3
    assert snakepit.get(same.remote(lambda x: x + 1))(1) == 2
    error = snakepit.get(same.remote(ValueError("as a value")))
    assert type(error) is ValueError and error.args == ("as a value",)
    cycle: list[Any] = []
    cycle.append(cycle)
    back = snakepit.get(same.remote(cycle))
    assert back[0] is back


def add(a: int, b: int) -> int:
    return a + b


def test_each_get_of_a_mutable_value_is_a_new_one() -> None:
    ref = snakepit.put([1])
    snakepit.get(ref).append(2)
    assert snakepit.get(ref) == [1]
    original = {"a": 1}
    ref = snakepit.put(original)
    original["a"] = 2
    assert snakepit.get(ref) == {"a": 1}


def test_lists_of_references() -> None:
    assert snakepit.get([]) == []
    refs = [snakepit.put(number) for number in range(5)]
    assert snakepit.get(refs) == list(range(5))


def test_wrong_uses_are_refused() -> None:
    ref = snakepit.put(1)
    for wrong in ((ref,), 5, None, "ref", {ref}):
        with pytest.raises((ValueError, TypeError)):
            snakepit.get(wrong)
    with pytest.raises(TypeError):
        snakepit.get([ref, 5])
    with pytest.raises(ValueError, match="timeout"):
        snakepit.get(ref, timeout=-1)
    with pytest.raises(TypeError):
        snakepit.put(ref)
    with pytest.raises(TypeError):
        snakepit.get(ref, 1)  # type: ignore[call-overload]


def test_get_gives_up_in_time_and_may_be_repeated(gate: Gate) -> None:
    @snakepit.remote
    def hold() -> str:
        gate.wait()
        return "held"

    ref = hold.remote()
    for timeout in (0, 0.02):
        with pytest.raises(GetTimeoutError):
            snakepit.get(ref, timeout=timeout)
    with pytest.raises(TimeoutError):
        snakepit.get([snakepit.put(1), ref], timeout=0)
    gate.open()
    assert snakepit.get(ref) == "held"
    assert snakepit.get(ref, timeout=0) == "held"


def test_names_of_references() -> None:
    one, two = snakepit.put(1), snakepit.put(1)
    assert one != two and one == one and len({one, two, one}) == 2
    assert len(one.hex()) == 32 and bytes.fromhex(one.hex()) == one.binary()
    assert one.hex() in repr(one)


def test_put_inside_tasks_and_actors() -> None:
    @snakepit.remote
    def inside(value: Any) -> Any:
        ref = snakepit.put(value)
        assert snakepit.get(ref) == snakepit.get([ref, ref])[1]
        return snakepit.get(ref)

    for value in (1, "x" * 100_000, {"a": [1, 2]}):
        assert snakepit.get(inside.remote(value)) == value
