"""The deliberate differences from Ray, read from the tests that prove them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "ray-differences.md"
TOP = """\
# Where snakepit departs from Ray on purpose

Made by `python -m tests.conformance` from the `differs` marks of
[tests/conformance](../tests/conformance); not edited by hand. Each line is proven by the test that
it names and which states both outcomes: `make test` runs it on snakepit, and
`make conformance-ray` on Ray.
"""


class Difference(NamedTuple):
    """One mark, and the test that bears it."""

    what: str
    reason: str
    test: str
    file: str


def differences() -> Iterator[Difference]:
    """Yield the marks of all tests, in the order of files and lines."""
    for path in sorted(HERE.glob("test_*.py")):
        for node in ast.parse(path.read_bytes(), str(path)).body:
            if isinstance(node, ast.FunctionDef):
                yield from _of(node, path.name)


def _of(node: ast.FunctionDef, file: str) -> Iterator[Difference]:
    for mark in node.decorator_list:
        match mark:
            case ast.Call(
                func=ast.Name("differs"),
                args=[ast.Constant(str(what))],
                keywords=[ast.keyword(value=ast.Constant(str(because)))],
            ):
                yield Difference(what, f"Why: {because}", node.name, file)
            case ast.Call(func=ast.Name("crashes_ray"), args=[ast.Constant(str(how))]):
                yield Difference("It works, and is not tried on Ray:", f"{how}.", node.name, file)


def page() -> str:
    """Return the page as it should be."""
    parts, file = [TOP], ""
    for each in differences():
        if each.file != file:
            file = each.file
            title = file.removeprefix("test_").removesuffix(".py").replace("_", " ")
            parts.append(f"\n## {title.capitalize()}\n\n")
        link = f"[{each.test}](../tests/conformance/{each.file})"
        parts.append(f"- {each.what} {each.reason}\n  {link}\n")
    return "".join(parts)
