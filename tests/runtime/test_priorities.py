"""Priorities on real processes and threads."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest

import snakepit
from tests.runtime.helpers import PATIENCE, Gate, Tally, wait_until


@pytest.fixture(params=["process", "thread"])
def pool(request: pytest.FixtureRequest) -> Any:
    """The name of a pool that runs one call at a time, and begins what it has sent it."""
    threads: dict[str, Any] = {"threads_per_worker": 1} if request.param == "thread" else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # With a GIL threads take turns.
        one = snakepit.Pool("one", profile=request.param, size=1, queue_timeout=None, **threads)
        with snakepit.init(num_cpus=1, pools=[one]):
            snakepit.pool("one").await_ready(PATIENCE)
            yield "one"


@snakepit.remote(pool="one")
def held(gate: Gate, tally: Tally) -> None:
    tally.add()
    gate.wait()


@snakepit.remote(pool="one")
def note(path: str, name: str) -> None:
    with open(path, "a") as file:
        file.write(f"{name}\n")


@snakepit.remote(pool="one", priority=3)
def makes(path: str, name: str) -> None:
    snakepit.get([note.remote(path, f"{name}{n}") for n in range(3)], timeout=PATIENCE)


def test_calls_of_more_priority_go_first(
    pool: str, gate: Gate, tally: Tally, tmp_path: Path
) -> None:
    path = str(tmp_path / "notes")
    first = held.remote(gate, tally)
    assert wait_until(lambda: tally.count == 1)
    order = [("a", 0), ("low", -2), ("b", 0), ("high", 2), ("top", 10), ("higher", 2)]
    calls = [note.options(priority=priority).remote(path, name) for name, priority in order]
    gate.open()
    snakepit.get([first, *calls], timeout=PATIENCE)
    assert Path(path).read_text().split() == ["top", "high", "higher", "a", "b", "low"]


def test_what_an_urgent_call_makes_is_urgent(
    pool: str, gate: Gate, tally: Tally, tmp_path: Path
) -> None:
    path = str(tmp_path / "notes")
    first = held.remote(gate, tally)
    assert wait_until(lambda: tally.count == 1)
    calls = [note.options(priority=2).remote(path, "other") for _ in range(3)]
    urgent = makes.remote(path, "made")
    gate.open()
    snakepit.get([first, urgent, *calls], timeout=PATIENCE)
    assert Path(path).read_text().split() == ["made0", "made1", "made2", *["other"] * 3]


def test_the_usual_pool_has_them_too(gate: Gate, tally: Tally, tmp_path: Path) -> None:
    path = str(tmp_path / "notes")
    usual: dict[str, Any] = {"pool": "default", "num_cpus": 1}
    with snakepit.init(num_cpus=1):
        first = held.options(**usual).remote(gate, tally)
        assert wait_until(lambda: tally.count == 1)
        calls = [note.options(**usual).remote(path, "usual") for _ in range(3)]
        calls.append(note.options(**usual, priority=1).remote(path, "urgent"))
        gate.open()
        snakepit.get([first, *calls], timeout=PATIENCE)
    assert Path(path).read_text().split() == ["urgent", *["usual"] * 3]


def test_inline_calls_run_at_once_whatever_their_priority(tmp_path: Path) -> None:
    path = str(tmp_path / "notes")
    with snakepit.init(mode="inline", pools=[snakepit.Pool("one", size=1)]):
        note.options(priority=-5).remote(path, "first")
        note.options(priority=5).remote(path, "second")
    assert Path(path).read_text().split() == ["first", "second"]
