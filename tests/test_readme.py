"""Every Python block of the README runs as it is written, and says the truth in its comments."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"
DEADLINE_S = 100
OWN = "# A program of its own."
GIL = "ignore:pool :RuntimeWarning"
LOOK = "('look around', {'CPU': 0.5})"
# What the text around the blocks promises of the names in them.
PROMISED = """
import asyncio

assert snakepit.get(fib.remote(8)) == 21
assert ref.future().result(timeout=60) == 12

async def waited():
    return await ref

assert asyncio.run(waited()) == 12
assert len(ready) == 3 and len(rest) == 5
assert snakepit.get(parse.remote("7")) == 7
try:
    snakepit.get(parse.remote("seven"))
except snakepit.errors.TaskError as error:
    assert isinstance(error, ValueError) and type(error.cause) is ValueError
    assert "return int(text)" in str(error)
assert snakepit.get(counter.add.remote()) == 4
snakepit.kill(counter)
try:
    snakepit.get(counter.add.remote())
except snakepit.errors.ActorDiedError:
    print("kept")
"""


def blocks() -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", README.read_text(), re.MULTILINE | re.DOTALL)


def claims(block: str) -> Iterator[tuple[int, str]]:
    """The lines of a block that end in a comment with a value: their numbers, and the value."""
    for token in tokenize.generate_tokens(StringIO(block).readline):
        if token.type == tokenize.COMMENT:
            try:
                ast.literal_eval(token.string.lstrip("# "))
            except (SyntaxError, ValueError):
                continue
            yield token.start[0], token.string.lstrip("# ")


def checked(block: str) -> str:
    """The block, each expression that it claims a value for made an assertion of it."""
    lines = block.splitlines()
    expected = dict(claims(block))
    for statement in ast.parse(block).body:
        value = expected.pop(statement.end_lineno or 0, None)
        if value is not None:
            assert isinstance(statement, ast.Expr), f"no expression has the value {value}"
            assert statement.lineno == statement.end_lineno
            said = ast.unparse(statement)
            lines[statement.lineno - 1] = f"assert ({said}) == {value}, {said!r}"
    assert not expected, f"values that nobody computes: {expected}"
    return "\n".join(lines) + "\n"


def run(code: str, tmp_path: Path) -> str:
    script = tmp_path / "tour.py"
    script.write_text(code)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-W", GIL, script],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        cwd=tmp_path,
        # As the text says of memory_limit on free-threaded Python.
        env={**os.environ, "MIMALLOC_ARENA_RESERVE": "0"},
    )
    assert done.returncode == 0, done.stderr
    # But for a progress bar, and a worker that hangs on purpose.
    expected = (") squares: 100%", "snakepit: this process hangs: ")
    lines = done.stderr.splitlines()
    assert [line for line in lines if not any(text in line for text in expected)] == []
    return done.stdout


def test_the_first_block_stands_alone(tmp_path: Path) -> None:
    assert run(blocks()[0], tmp_path) == "[0, 1, 4, 9]\n"


def test_the_tour_runs_from_top_to_end(tmp_path: Path) -> None:
    tour = "\n".join(checked(block) for block in blocks()[1:] if not block.startswith(OWN))
    printed = run(tour + PROMISED, tmp_path)
    assert "invalid literal for int() with base 10: 'seven'" in printed
    assert printed.endswith("kept\n")


def test_programs_of_their_own_run(tmp_path: Path) -> None:
    programs = [block for block in blocks() if block.startswith(OWN)]
    assert programs
    for program in programs:
        run(checked(program), tmp_path)


def test_comments_with_values_are_found() -> None:
    found = [value for block in blocks() for _, value in claims(block)]
    wanted = [
        "[0, 1, 4, 9]",
        "12",
        "[1, 2, 3]",
        "'on'",
        "{'lit'}",
        "[0, 1, 2, 3, 4]",
        "0",
        "(3, 6)",
        LOOK,
        "4.0",
        "[0, 10, 20, 30]",
        "30",
        "88",
        "[285, 328350]",
        "['line 0', 'line 1', 'line 2']",
        "[0, 1, 4, 9, 16]",
        "[8, 9]",
        "6",
        "'careful'",
        "1",
        "'CREATED'",
        "True",
        "6",
        "3",
        "['hits']",
        "0",
        "[('requests', 3.0), ('seconds', 0.4)]",
        "b'HELLO'",
        "(1024, [3, 2, 1, 0, 1, 2])",
        "[0, 1, 4, 9, 16]",
        "[0, 1, 4, 9]",
        "2",
        "[0, 1, 4]",
        "9",
        "(3, 3, {})",
        "0.01",
        "1000",
        "[0, 1, 4, 9, 16]",
        "25",
        "[0, 2, 4, 6]",
        "4",
        "[1, 3, 5]",
        "(1, 1)",
        "True",
        "3",
        "[1, 2]",
        "'why?'",
        "'hang'",
        "{'hang': 1}",
        "1",
    ]
    assert sorted(found) == sorted(wanted)


def test_a_false_comment_is_caught(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="1 \\+ 1"):
        run(checked("x = 0\n1 + 1  # 3\n"), tmp_path)


def test_the_files_and_targets_that_it_names_exist() -> None:
    text = README.read_text()
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        if target != "bench/RESULTS.md":  # made by `make bench`, on a quiet machine
            assert (README.parent / target).exists(), target
    makefile = (README.parent / "Makefile").read_text()
    for name in re.findall(r"^make (\w+)", text, re.MULTILINE):
        assert re.search(rf"^{name}:", makefile, re.MULTILINE), name
