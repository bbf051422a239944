"""The fixtures notice when a type of the public API is loosened to Any."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FIXTURES = ("public_api.py", "ecosystem.py")

# Where, what stands there, what is put there instead, and the function of a fixture that must fail.
LOOSENED = [
    ("api/calls.py", "def get(refs: ObjectRef[T], *, timeout: float | None = None) -> T:",
     "def get(refs: ObjectRef[T], *, timeout: float | None = None) -> Any:", "values"),
    ("api/refs.py", "def future(self) -> Future[T_co]:", "def future(self) -> Any:", "futures"),
    ("api/refs.py", "Generator[Any, None, T_co]:", "Generator[Any, None, Any]:", "awaited"),
    ("api/generators.py", "def __next__(self) -> ObjectRef[T_co]:",
     "def __next__(self) -> Any:", "generators"),
    ("api/generators.py", "async def __anext__(self) -> ObjectRef[T_co]:",
     "async def __anext__(self) -> Any:", "streamed"),
    ("api/actors.py", "**kwargs: Any) -> ActorHandle[T]:", "**kwargs: Any) -> Any:", "actors"),
    ("api/handles.py", "*args: P.args, **kwargs: P.kwargs) -> Out:",
     "*args: Any, **kwargs: Any) -> Out:", "typed_method_mistakes"),
    ("api/handles.py", "**options: Unpack[CallOptions]) -> ActorMethod[P, Out]:",
     "**options: Unpack[CallOptions]) -> ActorMethod[..., Out]:", "typed_method_options"),
    ("api/handles.py", "first: First,\n        second: ObjectRef[Second],",
     "first: First,\n        second: Second,", "typed_method_references"),
    ("api/typed.py", "cls: Callable[P, T], *args: P.args, **kwargs: P.kwargs",
     "cls: Callable[P, T], *args: Any, **kwargs: Any", "typed_constructor_mistakes"),
    ("api/typed.py", "owner: Any, /) -> ActorMethod[P, Out]:", "owner: Any, /) -> Any:",
     "typed_methods"),
    ("api/functions.py", "*args: P.args, **kwargs: P.kwargs) -> Out:",
     "*args: Any, **kwargs: Any) -> Out:", "argument_mistakes"),
    ("api/functions.py", "self, **options: Unpack[TaskOptions]) -> TaskCall[P, Out]:",
     "self, **options: Unpack[TaskOptions]) -> TaskCall[..., Out]:", "options_keep_parameters"),
    ("api/functions.py", "first: First,\n        second: ObjectRef[Second],",
     "first: First,\n        second: Second,", "arguments"),
    ("api/remote.py", "def remote(target: Callable[P, R], /) -> RemoteFunction[P, ObjectRef[R]]:",
     "def remote(target: Callable[P, R], /) -> RemoteFunction[P, Any]:", "functions"),
    ("api/context.py", "def is_initialized() -> bool:", "def is_initialized() -> Any:", "life"),
    ("backends/executor.py", "fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs",
     "fn: Callable[..., T], /, *args: Any, **kwargs: Any", "executor_mistakes"),
    ("backends/executor.py", ") -> Iterator[T]:\n        \"\"\"Return an it",
     ") -> Any:\n        \"\"\"Return an it", "executor"),
    ("aio.py", "async def get(refs: ObjectRef[T], *, timeout: float | None = None) -> T:",
     "async def get(refs: Any, *, timeout: float | None = None) -> T:", "coroutine_mistakes"),
    ("aio.py", "-> AsyncIterator[ObjectRef[T]]:\n    \"\"\"Yield", "-> Any:\n    \"\"\"Yield",
     "coroutines"),
]  # fmt: skip


def functions_at(path: Path, lines: set[int]) -> set[str]:
    return {
        node.name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and any(node.lineno <= line <= (node.end_lineno or 0) for line in lines)
    }


def failing(package: Path) -> set[str]:
    """The functions of the fixtures with which mypy finds fault, the package being that one."""
    folder = Path(__file__).parent
    run = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent",
         *("--cache-dir", os.devnull), "--config-file", os.devnull,
         *(str(folder / name) for name in FIXTURES)],
        cwd=package,
        env={**os.environ, "MYPYPATH": str(package)},
        capture_output=True,
        text=True,
    )  # fmt: skip
    assert run.returncode in (0, 1), run.stdout + run.stderr
    failed: set[str] = set()
    for name in FIXTURES:
        lines = {int(n) for n in re.findall(rf"{re.escape(name)}:(\d+): error", run.stdout)}
        failed |= functions_at(folder / name, lines)
    return failed


@pytest.mark.skipif(
    sys.version_info[:2] != (3, 11), reason="mypy judges the same whatever interpreter runs it"
)
def test_a_loosened_type_fails_the_fixture_that_is_about_it(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "snakepit", tmp_path / "snakepit")
    assert failing(tmp_path) == set()
    for file, old, new, _ in LOOSENED:
        path = tmp_path / "snakepit" / file
        text = path.read_text()
        assert text.count(old) == 1, f"{file} has no such line, or several: {old}"
        path.write_text(text.replace(old, new))
    assert {function for *_, function in LOOSENED} - failing(tmp_path) == set()
