"""docs/ray.md says of each name of Ray whether it is here; this says whether that is true."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

HERE = Path(__file__).parent
TABLE = HERE.parents[1] / "docs" / "ray.md"
ROW = re.compile(r"^\| `([\w.]+)` \| (\w+) \| (.*) \|$", re.MULTILINE)


def rows() -> list[tuple[str, str, str]]:
    """Name, state and note of each row."""
    return ROW.findall(TABLE.read_text())


def names_of_ray() -> list[str]:
    """What Ray has, as recorded from it."""
    lines = (HERE / "ray_names.txt").read_text().splitlines()
    return [line for line in lines if not line.startswith("#")]


def is_there(module: Any, name: str) -> bool:
    """Whether the name resolves, modules on the way being imported."""
    found: Any = module
    for part in name.split("."):
        if part == "RuntimeContext":
            found = _context(module)
        elif hasattr(found, part):
            found = getattr(found, part)
        elif isinstance(found, ModuleType):
            try:
                found = importlib.import_module(f"{found.__name__}.{part}")
            except ImportError:
                return False
        else:
            return False
    return True


def _context(module: Any) -> Any:
    """The class, since of an object some properties raise."""
    if module.__name__ == "ray":
        return importlib.import_module("ray.runtime_context").RuntimeContext
    return importlib.import_module("snakepit.api.whereabouts").RuntimeContext


def test_the_table_has_the_three_states_and_says_how_or_why() -> None:
    assert {state for _, state, _ in rows()} == {"same", "differs", "absent"}
    silent = [name for name, state, note in rows() if state != "same" and not note.strip()]
    assert silent == []


def test_no_name_is_in_the_table_twice() -> None:
    names = [name for name, _, _ in rows()]
    assert len(names) == len(set(names))


def test_each_name_of_ray_is_in_the_table() -> None:
    missing = set(names_of_ray()) - {name for name, _, _ in rows()}
    assert missing == set()


def test_what_is_said_to_be_here_is(module: Any) -> None:
    said = [name for name, state, _ in rows() if state != "absent"]
    assert [name for name in said if not is_there(module, name)] == []


def test_what_is_said_to_be_absent_is(module: Any, backend: str) -> None:
    if backend == "ray":
        pytest.skip("it is about snakepit")
    said = [name for name, state, _ in rows() if state == "absent"]
    assert [name for name in said if is_there(module, name)] == []
