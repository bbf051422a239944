"""Tracebacks of functions without a file show the lines that the driver knows."""

from __future__ import annotations

import linecache
import sys
from collections.abc import Iterator
from typing import Any

import pytest

import snakepit
from snakepit.errors import TaskError
from snakepit.sources import with_sources

CELL = "/tmp/kernel_77/1234.py"
SOURCE = """\
def parse(text):
    return int(
        text)

def group(text):
    try:
        parse(text)
    except ValueError as error:
        raise ExceptionGroup("both", [error, KeyError(text)])
"""


@pytest.fixture
def cell() -> Iterator[dict[str, Any]]:
    """What a cell of a notebook has defined, in a driver whose linecache has its lines."""
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(SOURCE, CELL, "exec"), names)
    linecache.cache[CELL] = (len(SOURCE), None, SOURCE.splitlines(keepends=True), CELL)
    yield names
    del linecache.cache[CELL]


def frame(line: int = 2, file: str = CELL, margin: str = "") -> str:
    return f'{margin}  File "{file}", line {line}, in parse'


@pytest.mark.usefixtures("cell")
@pytest.mark.parametrize("margin", ["", "  | ", "    | "])
def test_a_line_that_is_missing_is_added(margin: str) -> None:
    text = f"{margin}Traceback:\n{frame(margin=margin)}\n{margin}ValueError: no"
    wanted = text.replace("in parse", f"in parse\n{margin}    return int(")
    assert with_sources(text) == wanted
    assert with_sources(wanted) == wanted
    twice = f"{frame()}\n{frame(3)}\n  [Previous line repeated 2 more times]"
    assert with_sources(twice).splitlines()[1::2] == ["    return int(", "    text)"]


@pytest.mark.usefixtures("cell")
@pytest.mark.parametrize(
    "text",
    [
        "",
        frame(0),
        frame(4),  # an empty line
        frame(99),
        frame(1, __file__),  # a file, of which the worker reads the lines
        frame(1, "<unknown>"),
        '  File "' + CELL + '", line 2',  # a SyntaxError's
    ],
)
def test_all_else_is_left_alone(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert linecache.getline(__file__, 1)
    assert with_sources(text) == text
    monkeypatch.delitem(sys.modules, "linecache")
    assert with_sources(frame()) == frame()


def test_errors_of_a_cell_show_its_lines(runtime: Any, cell: dict[str, Any]) -> None:
    parse = snakepit.remote(cell["parse"])

    @snakepit.remote
    def outer() -> None:
        snakepit.get(parse.remote("seven"))

    with pytest.raises(ValueError) as caught:
        snakepit.get(parse.remote("seven"))
    assert f'File "{CELL}", line 2, in parse\n    return int(\n' in str(caught.value)
    with pytest.raises(ValueError) as caught:
        snakepit.get(outer.remote())
    assert isinstance(caught.value, TaskError)
    for error in (caught.value, caught.value.cause):
        assert "in parse\n    return int(\n" in str(error)
    with pytest.raises(ExceptionGroup) as several:
        snakepit.get(snakepit.remote(cell["group"]).remote("seven"))
    text = str(several.value)
    assert "in group\n  |     raise ExceptionGroup" in text and "    return int(\n" in text
