"""Functions and classes: by name where a name leads to them, else by value."""

from __future__ import annotations

import collections
import functools
import pathlib
import subprocess
import sys
import threading
from typing import Any

import pytest

from snakepit.errors import SerializationError
from snakepit.payload import note_reference, pack_code, unpack_code

MODULE = """
import functools, threading

LOCK = threading.Lock()

class Remote:
    def __init__(self, target):
        functools.update_wrapper(self, target, updated=())

@Remote
def task(x):
    with LOCK:
        return x + 1

@Remote
class Actor:
    def go(self):
        return LOCK.locked()

def plain():
    return 7
"""


def again(definition: Any) -> Any:
    return unpack_code([bytes(part) for part in pack_code(definition).packed.parts])


@pytest.fixture
def module(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    (tmp_path / "sp_code_module.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    import sp_code_module  # type: ignore[import-not-found]

    yield sp_code_module
    del sys.modules["sp_code_module"]


def test_what_can_be_imported_goes_by_name(module: Any) -> None:
    assert again(module.plain) is module.plain
    assert again(collections.OrderedDict) is collections.OrderedDict
    assert len(pack_code(module.plain).packed.parts[0]) < 100


def test_what_a_decorator_hides_goes_by_name(module: Any) -> None:
    task, actor = module.task.__wrapped__, module.Actor.__wrapped__
    assert again(task) is task
    assert again(actor) is actor
    assert again(functools.partial(task, 1)).func is task


def test_a_module_registered_by_value_is_left_to_cloudpickle(module: Any) -> None:
    import cloudpickle

    cloudpickle.register_pickle_by_value(module)
    try:
        assert again(module.plain) is not module.plain
        assert again(module.plain)() == 7
    finally:
        cloudpickle.unregister_pickle_by_value(module)


def test_closures_defaults_and_recursion() -> None:
    base = 10

    def factorial(n: int, *, one: int = 1) -> int:
        return one if n <= 1 else n * factorial(n - 1)

    assert again(factorial)(5) == 120
    assert again(lambda x=2: x + base)() == 12


def test_classes_go_by_value() -> None:
    class Base:
        def name(self) -> str:
            return "base"

    class Derived(Base):
        def name(self) -> str:
            return "derived " + super().name()

    assert again(Derived)().name() == "derived base"


def test_definitions_of_main_work_elsewhere() -> None:
    code = (
        "import math, sys\n"
        "from snakepit.payload import pack_code\n"
        "K = 4\n"
        "class Shape:\n"
        "    def area(self): return helper(K)\n"
        "def helper(x): return math.floor(x * 1.5)\n"
        "def work(n): return Shape().area() if n == 0 else work(n - 1)\n"
        "code = pack_code(work)\n"
        "assert len(code.digest) == 16 and len(code.packed.parts) == 1\n"
        "sys.stdout.buffer.write(code.packed.parts[0])\n"
    )
    stream = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
    assert unpack_code([stream])(3) == 6


def test_the_digest_names_the_content() -> None:
    import numpy as np

    def make(values: Any) -> Any:
        return lambda: values

    same, other = np.zeros(1000), np.ones(1000)
    assert pack_code(len).digest == pack_code(len).digest
    assert pack_code(len).digest != pack_code(max).digest
    assert pack_code(make(same)).digest != pack_code(make(other)).digest


def test_arrays_in_closures_travel_out_of_band_and_numpy_is_foretold() -> None:
    import numpy as np

    values = np.arange(10_000)
    code = pack_code(lambda: values.sum())
    assert len(code.packed.parts) == 2
    assert code.packed.uses_numpy
    assert unpack_code(code.packed.parts)() == values.sum()


def test_code_without_arrays_foretells_none() -> None:
    assert not pack_code(lambda: 1).packed.uses_numpy


def test_references_in_closures_are_noted() -> None:
    reference = Reference()
    assert pack_code(lambda: reference).packed.refs == (77,)


def test_what_cannot_travel_is_named() -> None:
    lock = threading.Lock()

    def work() -> None:
        lock.acquire()

    with pytest.raises(SerializationError) as info:
        pack_code(work)
    assert info.value.path == "work.<closure>.lock"
    assert "the definition of work" in str(info.value)


class Reference:
    def __reduce__(self) -> Any:
        note_reference(77)
        return int, (77,)
