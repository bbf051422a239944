"""However the driver's code is run, its functions and classes reach the workers."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

# Everything that can be defined in __main__, used by a task, sent, and brought home.
SCRIPT = """
import dataclasses, enum
import snakepit
{imports}

class Colour(enum.Enum):
    RED = 1

@dataclasses.dataclass
class Point:
    x: int
    colour: Colour = Colour.RED

class Failure(Exception):
    def __init__(self, code, *, why):
        super().__init__(code, why)
        self.code = code

FACTOR = 10

def helper(x):
    return x * FACTOR

def closure(n):
    def inner(x):
        return helper(x) + n
    return inner

@snakepit.remote
def work(point, function):
    assert isinstance(point, Point) and point.colour is Colour.RED
    return Point(function(point.x)), Colour.RED

@snakepit.remote
def fail():
    raise Failure(3, why="so")

@snakepit.remote
class Counter:
    def __init__(self, start: Point):
        self.value = start.x
    def add(self, n):
        self.value += helper(n)
        return self.value

point, colour = snakepit.get(work.remote(Point(4), closure(2)))
assert type(point) is Point and point == Point(42) and colour is Colour.RED
counter = Counter.remote(Point(1))
assert snakepit.get([counter.add.remote(1), counter.add.remote(2)]) == [11, 31]
try:
    snakepit.get(fail.remote())
except Failure as error:
    assert error.code == 3 and type(error.cause) is Failure
assert snakepit.get(snakepit.remote(lambda x: helper(x)).remote(5)) == 50
{uses}
print("all", "well")
"""
LOCAL = """
import dataclasses, enum, snakepit
from sibling_two import shift
class Kind(enum.Enum):
    A = "a"
@dataclasses.dataclass
class Row:
    kind: Kind = Kind.A
def plain(row):
    assert isinstance(row, Row) and row.kind is Kind.A
    return shift(1)
@snakepit.remote
def decorated(row):
    return plain(row)
class Failure(Exception): pass
@snakepit.remote
def fail():
    raise Failure("local")
"""
USES = """
import sibling
assert snakepit.get(snakepit.remote(sibling.plain).remote(sibling.Row())) == 101
assert snakepit.get(sibling.decorated.remote(sibling.Row())) == 101
try:
    snakepit.get(sibling.fail.remote())
except sibling.Failure:
    pass
row = snakepit.get(snakepit.remote(lambda: sibling.Row()).remote())
assert type(row) is sibling.Row
"""


def script(uses: str = "", imports: str = "") -> str:
    return SCRIPT.format(uses=uses, imports=imports)


def run(*arguments: str, text: str | None = None, cwd: Path | None = None) -> None:
    done = subprocess.run(
        [sys.executable, *arguments], input=text, capture_output=True, text=True, cwd=cwd,
        timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all well" in done.stdout, done.stdout + done.stderr
    assert "Error" not in done.stderr and "Exception" not in done.stderr, done.stderr


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with modules beside the script."""
    (tmp_path / "sibling.py").write_text(LOCAL)
    (tmp_path / "sibling_two.py").write_text("def shift(n): return n + 100\n")
    return tmp_path


def test_a_script_without_a_guard(folder: Path) -> None:
    path = folder / "program.py"
    path.write_text("print('once')\n" + script(USES))
    run(str(path), cwd=Path("/"))


def test_a_script_is_run_once(folder: Path) -> None:
    (folder / "p.py").write_text("print('once')\n" + script())
    done = subprocess.run(
        [sys.executable, "p.py"], capture_output=True, text=True, cwd=folder, timeout=100
    )
    assert done.stdout.count("once") == 1, done.stdout + done.stderr


def test_dash_c(folder: Path) -> None:
    run("-c", script(USES), cwd=folder)


def test_standard_input(folder: Path) -> None:
    run("-", text=script(USES), cwd=folder)
    run(text=script(), cwd=folder)


def test_a_module_and_a_package(folder: Path) -> None:
    package = folder / "package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "inner.py").write_text("def seven(): return 7\n")
    uses = USES + "assert snakepit.get(snakepit.remote(seven).remote()) == 7\n"
    (package / "__main__.py").write_text(script(uses, "from .inner import seven"))
    run("-m", "package", cwd=folder)


def test_an_interactive_interpreter(folder: Path) -> None:
    code = textwrap.dedent(
        """
        import code
        shell = code.InteractiveInterpreter({"__name__": "__main__", "__builtins__": __builtins__})
        def cell(text):
            assert not shell.runcode(compile(text, "<cell>", "exec"))
        cell("import snakepit")
        cell("def helper(x): return x + 1")
        cell("class Thing:\\n    def go(self): return helper(1)")
        cell("@snakepit.remote\\ndef f(t): return helper(5), t.go()")
        cell("assert snakepit.get(f.remote(Thing())) == (6, 2)")
        cell("def helper(x): return x + 2")  # defined anew: the next call has the new one
        cell("@snakepit.remote\\ndef f(t): return helper(5), t.go()")
        cell("print('all' if snakepit.get(f.remote(Thing())) == (7, 3) else '', 'well')")
        """
    )
    run("-c", code, cwd=folder)


def test_ipython(folder: Path) -> None:
    pytest.importorskip("IPython")
    code = textwrap.dedent(
        """
        import sys, warnings
        from IPython.core.interactiveshell import InteractiveShell
        shell = InteractiveShell.instance()
        shell.history_manager.enabled = False
        def cell(text):
            result = shell.run_cell(text)
            result.raise_error()
        """
    )
    cells = [
        "import snakepit, asyncio",
        "class Thing:\n    n = 4",
        "@snakepit.remote\ndef f(t):\n    assert isinstance(t, Thing)\n    return t",
        "assert type(snakepit.get(f.remote(Thing()))) is Thing",
        "x = await f.remote(Thing())\nassert x.n == 4",
        "print('all', 'well')",
        "snakepit.shutdown()",
    ]
    run("-c", code + "".join(f"cell({text!r})\n" for text in cells), cwd=folder)


PYTEST = """
import enum, snakepit, pytest
class Colour(enum.Enum):
    RED = 1
def helper(): return Colour.RED
@snakepit.remote
def work(colour):
    assert colour is helper()
    return colour
@pytest.fixture(scope="module", autouse=True)
def runtime():
    with snakepit.init(num_cpus=1): yield
def test_it():
    assert snakepit.get(work.remote(Colour.RED)) is Colour.RED
    with pytest.raises(ZeroDivisionError):
        snakepit.get(snakepit.remote(lambda: 1 / 0).remote())
    print("all well")
"""


@pytest.mark.parametrize("mode", ["prepend", "importlib"])
def test_pytest_itself(folder: Path, mode: str) -> None:
    (folder / "test_inner.py").write_text(PYTEST)
    run("-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", f"--import-mode={mode}",
        str(folder / "test_inner.py"), cwd=Path("/"))  # fmt: skip


def test_the_working_directory_and_path_follow_the_driver(folder: Path) -> None:
    late = folder / "late"
    late.mkdir()
    (late / "late_module.py").write_text("def nine(): return 9\n")
    code = textwrap.dedent(
        """
        import os, sys, time, snakepit
        where = snakepit.remote(os.getcwd)
        assert snakepit.get(where.remote()) == os.getcwd()
        os.chdir("late")
        sys.path.insert(0, os.getcwd())
        from late_module import nine
        assert snakepit.get(snakepit.remote(nine).remote()) == 9
        deadline = time.monotonic() + 30
        while snakepit.get(where.remote()) != os.getcwd():
            assert time.monotonic() < deadline
        print("all", "well")
        """
    )
    run("-c", code, cwd=folder)


def test_an_end_without_shutdown_is_clean(folder: Path) -> None:
    code = (
        "import snakepit, time\n"
        "f = snakepit.remote(time.sleep)\n"
        "refs = [f.remote(600) for _ in range(5)]\n"
        "print('all', 'well', flush=True)\n"
    )
    run("-c", code, cwd=folder)
    run("-c", code + "raise SystemExit(0)\n", cwd=folder)
