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
    """One `differs` mark."""

    what: str
    because: str
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
        if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "differs":
            (what,) = map(ast.literal_eval, mark.args)
            (because,) = (ast.literal_eval(word.value) for word in mark.keywords)
            yield Difference(what, because, node.name, file)


def page() -> str:
    """Return the page as it should be."""
    parts, file = [TOP], ""
    for each in differences():
        if each.file != file:
            file = each.file
            title = file.removeprefix("test_").removesuffix(".py").replace("_", " ")
            parts.append(f"\n## {title.capitalize()}\n\n")
        link = f"[{each.test}](../tests/conformance/{each.file})"
        parts.append(f"- {each.what} Why: {each.because}\n  {link}\n")
    return "".join(parts)
