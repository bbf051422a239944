"""Reading fails with an error that names what is missing."""

from __future__ import annotations

import pathlib
import sys
from typing import Any

import pytest

from snakepit.errors import SerializationError
from snakepit.payload import pack, unpack


def make_module(folder: pathlib.Path, name: str, text: str, monkeypatch: Any) -> Any:
    (folder / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(folder)
    return __import__(name)


def test_a_missing_module_is_named(tmp_path: pathlib.Path, monkeypatch: Any) -> None:
    module = make_module(tmp_path, "sp_missing_module", "class A: pass\n", monkeypatch)
    parts = pack(module.A(), what="a value").parts
    del sys.modules["sp_missing_module"]
    monkeypatch.undo()
    with pytest.raises(SerializationError, match="module 'sp_missing_module'") as info:
        unpack(parts)
    assert info.value.path == "sp_missing_module.A"


def test_a_missing_name_is_named(tmp_path: pathlib.Path, monkeypatch: Any) -> None:
    module = make_module(tmp_path, "sp_missing_name", "class A: pass\n", monkeypatch)
    parts = pack(module.A(), what="a value").parts
    try:
        del module.A
        with pytest.raises(SerializationError, match=r"sp_missing_name\.A, which .* cannot find"):
            unpack(parts)
    finally:
        del sys.modules["sp_missing_name"]


GRUMPY = """
class Grumpy:
    def __getstate__(self): return {"a": 1}
    def __setstate__(self, state): raise ValueError("not today")
"""


def test_an_object_that_refuses_is_named(tmp_path: pathlib.Path, monkeypatch: Any) -> None:
    module = make_module(tmp_path, "sp_grumpy", GRUMPY, monkeypatch)
    try:
        with pytest.raises(SerializationError, match="not today") as info:
            unpack(pack(module.Grumpy(), what="a value").parts)
    finally:
        del sys.modules["sp_grumpy"]
    assert info.value.path.endswith(".Grumpy")
    assert isinstance(info.value.__cause__, ValueError)


def test_garbage_is_an_error() -> None:
    for garbage in (b"", b"garbage", b"\x80\x05."):
        with pytest.raises(SerializationError):
            unpack([garbage])


def test_a_stream_may_be_any_memory() -> None:
    stream = pack({"a": 1}, what="a value").parts[0]
    assert unpack([memoryview(bytearray(stream))]) == {"a": 1}
