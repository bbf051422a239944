"""Values to parts and back: which path they take, and that they come back the same."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import enum
import fractions
import gc
import math
import pathlib
import subprocess
import sys
import threading
import weakref
from typing import Any

import pytest

from snakepit.errors import SerializationError
from snakepit.payload import Packed, note_reference, pack, pack_call, unpack


class Colour(enum.Enum):
    RED = 1


@dataclasses.dataclass
class Point:
    x: int
    y: list[int]


class Pair(collections.namedtuple("Pair", "a b")):
    __slots__ = ()


class NeedsArguments(Exception):
    def __init__(self, code: int, *, why: str) -> None:
        super().__init__(f"code {code}")
        self.why = why


def through(value: Any) -> Any:
    packed = pack(value, what="a value")
    return unpack([bytes(part) for part in packed.parts])


VALUES: list[Any] = [
    None,
    True,
    0,
    -(1 << 200),
    1.5,
    2j,
    "text",
    "\ud800",
    b"bytes",
    bytearray(b"array"),
    (),
    [],
    {},
    set(),
    (1, "a", None),
    [1, [2, [3, [4]]]],
    {"a": {"b": {"c": (1, 2)}}},
    list(range(1000)),
    {i: str(i) for i in range(100)},
    {1, 2},
    frozenset({3, 4}),  # no strings: their order, and the name of the test, is another each time
    range(3),
    slice(1, 2),
    Ellipsis,
    NotImplemented,
    int,
    type(None),
    Colour.RED,
    Point(1, [2]),
    Pair(1, 2),
    collections.OrderedDict(a=1),
    collections.Counter("aab"),
    collections.deque([1]),
    fractions.Fraction(1, 3),
    datetime.datetime(2020, 1, 2, tzinfo=datetime.UTC),
    pathlib.PurePosixPath("/a"),
    math.sin,
    {}.keys(),
    sys,
    Point,
]


@pytest.mark.parametrize("value", VALUES, ids=lambda v: repr(v)[:30])
def test_values_come_back_the_same(value: Any) -> None:
    again = through(value)
    assert type(again) is type(value)
    assert again == value or list(again) == list(value)


@pytest.mark.parametrize("value", [1, (1, "a"), [1, 2], {"a": 1}, b"x"])
def test_plain_data_needs_no_cloudpickle(value: Any) -> None:
    code = (
        "import sys; from snakepit.payload import pack, pack_call;"
        f"pack({value!r}, what=''); pack_call(({value!r},), {{'a': 1}});"
        "assert 'cloudpickle' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ((), {}),
        ((1, "a", None), {}),
        ((1,), {"b": 2.5}),
        (([1, 2], {"a": 1}), {"c": (3,)}),
        ((Point(1, []),), {"p": Colour.RED}),
        ((b"x" * 100_000, b"y"), {"z": bytearray(100_000)}),
    ],
)
def test_a_call_comes_back_as_its_arguments(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    packed = pack_call(args, kwargs, what="f")
    assert type(packed) is Packed
    assert unpack(packed.parts) == (args, kwargs)
    assert packed.refs == ()
    assert not packed.uses_numpy


def test_an_object_passed_twice_stays_one_object() -> None:
    for shared in (bytearray(100_000), [1], Point(1, []), bytearray(3)):
        (a, b), kwargs = unpack(pack_call((shared, shared), {"c": shared}).parts)
        assert a is b is kwargs["c"]


def test_cycles_come_back() -> None:
    loop: list[Any] = [Point(1, [])]
    loop.append(loop)
    again = through(loop)
    assert again[1] is again


def test_lambdas_and_closures_go_by_value() -> None:
    factor = 3
    assert through(lambda x: x * factor)(2) == 6


def test_definitions_of_main_go_by_value() -> None:
    code = (
        "import sys\n"
        "from dataclasses import dataclass\n"
        "from snakepit.payload import pack, pack_call\n"
        "@dataclass\n"
        "class P:\n"
        "    x: int\n"
        "    def twice(self): return self.x * 2\n"
        "value = [[[P(4)]]]\n"
        "parts = pack_call((value,), {}).parts\n"
        "assert len(parts) == 1\n"
        "sys.stdout.buffer.write(parts[0])\n"
    )
    stream = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
    ([[[point]]],), kwargs = unpack([stream])
    assert point.twice() == 8
    assert kwargs == {}


def test_exceptions_are_values_too() -> None:
    again = through([NeedsArguments(4, why="so")])[0]
    assert type(again) is NeedsArguments
    assert (again.args, again.why) == (("code 4",), "so")


def test_a_failure_names_what_and_where() -> None:
    with pytest.raises(SerializationError) as info:
        pack({"a": [threading.Lock()]}, what="the result of f", root="result")
    assert info.value.path == "result['a'][0]"
    assert "the result of f" in str(info.value)
    assert "lock" in str(info.value)
    assert info.value.__cause__ is not None


def test_a_call_names_its_argument() -> None:
    with pytest.raises(SerializationError) as info:
        pack_call((1,), {"lock": threading.Lock()}, what="f")
    assert info.value.path == "kwargs['lock']"
    assert "the arguments of f" in str(info.value)


def test_too_deep_a_nesting_says_so() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(SerializationError, match="too deeply"):
        pack(deep, what="the result of f")
    while deep:  # or its end would recurse just as deeply
        deep = deep.pop()


def test_interrupts_and_lack_of_memory_pass() -> None:
    for kind in (KeyboardInterrupt, MemoryError):

        class Refuses:
            def __reduce__(self, kind: type[BaseException] = kind) -> Any:
                raise kind

        with pytest.raises(kind):
            pack(Refuses(), what="a value")


def test_an_object_may_pack_while_it_is_packed() -> None:
    class Reference:
        def __init__(self, number: int) -> None:
            self.number = number

        def __reduce__(self) -> Any:
            note_reference(self.number)
            return int, (self.number,)

    class Nest:
        def __init__(self) -> None:
            self.inner: Packed | None = None

        def __reduce__(self) -> Any:
            self.inner = pack([Reference(8), Reference(9)], what="inner")
            return bytes, (self.inner.parts[0],)

    nest = Nest()
    packed = pack([Reference(1), nest, Reference(2), Reference(1)], what="outer")
    assert packed.refs == (1, 2)
    assert nest.inner is not None
    assert nest.inner.refs == (8, 9)


def test_packing_leaves_no_cycle_that_keeps_the_value() -> None:
    class Local:
        lock: Any = None

        def method(self) -> int:
            return 1

    def broken() -> Local:
        value = Local()
        value.lock = threading.Lock()
        return value

    gc.collect()
    gc.disable()
    try:
        for make in (Local, broken):
            value = make()
            alive = weakref.ref(value)
            try:
                pack_call((value, memoryview(bytearray(10)), lambda: 1, len), {})
            except SerializationError:
                assert make is broken
            del value
            assert alive() is None
    finally:
        gc.enable()


def test_threads_collect_their_own_references() -> None:
    gate = threading.Barrier(4)

    class Reference:
        def __init__(self, number: int) -> None:
            self.number = number

        def __reduce__(self) -> Any:
            note_reference(self.number)
            return int, (self.number,)

    found: dict[int, tuple[int, ...]] = {}

    def work(number: int) -> None:
        gate.wait(10)
        for _ in range(50):
            found[number] = pack([Reference(number), Reference(-number)], what="").refs

    threads = [threading.Thread(target=work, args=(n,)) for n in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {n: (n, -n) for n in range(1, 5)}
