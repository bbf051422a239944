"""The wall clock may jump: nothing waits, expires or dies by it."""

from __future__ import annotations

import ast
import time
from pathlib import Path
from typing import Any

import pytest
from faults_harness import PATIENCE_S, driver, empties, works_on

import snakepit
import snakepit.workers
from snakepit import errors

WALL = {
    "time": "time time_ns localtime gmtime ctime asctime strftime mktime clock_settime".split(),
    "datetime": "now utcnow today".split(),
    "date": ["today"],
}
"""What reads the wall clock, by the name of what it belongs to."""


def wall_clock_uses(tree: ast.AST) -> list[str]:
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name | ast.Attribute):
            owner = node.value.id if isinstance(node.value, ast.Name) else node.value.attr
            if node.attr in WALL.get(owner, ()) or node.attr == "CLOCK_REALTIME":
                found.append(f"{owner}.{node.attr}")
        elif isinstance(node, ast.ImportFrom) and node.module == "time":
            found += [f"time.{name.name}" for name in node.names if name.name in WALL["time"]]
    return found


def test_no_module_reads_it() -> None:
    packages = [Path(package.__path__[0]) for package in (snakepit, snakepit.workers)]
    # The register of runs shows people since when each is there, and decides nothing by that.
    shown = Path("snakepit", "registry.py")
    modules = [
        path
        for package in packages
        for path in package.rglob("*.py")
        if path.parts[-2:] != shown.parts
    ]
    assert len(modules) > 50
    found = {
        str(path): uses
        for path in modules
        if (uses := wall_clock_uses(ast.parse(path.read_text("utf-8"))))
    }
    assert found == {}


@pytest.mark.parametrize(
    "source",
    [
        "import time\ntime.time()",
        "from time import time\ntime()",
        "import datetime\ndatetime.datetime.now()",
        "from datetime import date\ndate.today()",
        "import time\ntime.clock_gettime(time.CLOCK_REALTIME)",
    ],
)
def test_a_use_would_be_found(source: str) -> None:
    assert wall_clock_uses(ast.parse(source))


@pytest.mark.parametrize("jump", [-86_400.0, 86_400.0], ids=["back", "ahead"])
def test_a_day_s_jump_changes_nothing(
    runtime: Any, jump: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    # To set the system's clock takes privileges, and would hit the whole machine. What Python
    # code sees of it is changed instead, here and in a worker.
    wall = time.time
    monkeypatch.setattr(time, "time", lambda: wall() + jump)
    monkeypatch.setattr(time, "time_ns", lambda: int((wall() + jump) * 1e9))

    @snakepit.remote
    class Worker:
        def __init__(self) -> None:
            genuine = time.time
            time.time = lambda: genuine() + jump

        def nap(self, seconds: float) -> float:
            before = time.time()
            time.sleep(seconds)
            return time.time() - before

        def get(self, refs: list[Any]) -> str:
            try:
                snakepit.get(refs[0], timeout=0.01)
            except errors.GetTimeoutError:
                return "timeout"
            return "value"

    worker, other = Worker.remote(), Worker.remote()
    begun = time.monotonic()
    ref = worker.nap.remote(0.3)
    with pytest.raises(errors.GetTimeoutError):
        snakepit.get(ref, timeout=0.01)
    assert snakepit.wait([ref], timeout=0.01) == ([], [ref])
    assert snakepit.get(other.get.remote([worker.nap.remote(0.3)]), timeout=PATIENCE_S) == "timeout"
    assert snakepit.get(ref, timeout=PATIENCE_S) >= 0.3
    assert time.monotonic() - begun >= 0.3
    assert driver()._core.scheduler.closed is None
    del worker, other, ref
    works_on()
    empties()
