"""What another process could not import travels by value."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys
from importlib import util
from types import ModuleType
from typing import Any

import pytest

from snakepit.payload import pack, unpack
from snakepit.payload.modules import is_stray

SOURCE = """
import enum
LIMIT = 3
class Colour(enum.Enum):
    RED = 1
class Thing:
    def __init__(self): self.colour = Colour.RED
def make():
    return Thing(), LIMIT
"""


def load(folder: pathlib.Path, name: str) -> ModuleType:
    """Load a module as a plug-in system would: into sys.modules, from a folder off the path."""
    path = folder / f"{name}.py"
    path.write_text(SOURCE)
    spec = util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = sys.modules[name] = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_importable_modules_go_by_name(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("sys", "enum", "json.decoder", "numpy", "snakepit.workers.output", "os.path"):
        assert not is_stray(name), name
    assert not is_stray("__main__") and not is_stray(None) and not is_stray("never_loaded")
    assert b"json.decoder" in bytes(pack(json.JSONDecoder, what="a class").parts[0])
    stray = load(tmp_path, "sp_on_path")
    assert is_stray("sp_on_path")
    monkeypatch.syspath_prepend(tmp_path)
    assert not is_stray("sp_on_path")
    assert b"sp_on_path" in bytes(pack(stray.Thing, what="a class").parts[0])
    del sys.modules["sp_on_path"]


def test_a_namesake_elsewhere_is_not_taken_for_the_module(tmp_path: pathlib.Path) -> None:
    real = sys.modules.get("colorsys")
    load(tmp_path, "colorsys")
    try:
        assert is_stray("colorsys")
    finally:
        del sys.modules["colorsys"]
        if real is not None:
            sys.modules["colorsys"] = real


def test_strays_are_made_anew_where_they_are_missing(tmp_path: pathlib.Path) -> None:
    module: Any = load(tmp_path, "sp_stray")
    try:
        thing, limit = unpack(pack(module.make, what="a function").parts)()
        assert (type(thing), limit) == (module.Thing, 3)
        stream = b"".join(bytes(part) for part in pack([module.make], what="a list").parts)
    finally:
        del sys.modules["sp_stray"]
    code = (
        "import pickle, sys\n"
        "thing, limit = pickle.loads(sys.stdin.buffer.read())[0]()\n"
        "print(thing.colour, limit)"
    )
    done = subprocess.run([sys.executable, "-c", code], input=stream, capture_output=True)
    assert done.stdout == b"Colour.RED 3\n", done.stderr.decode()
