"""One runtime a module, which must be as empty after each test as before the first."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import snakepit
from snakepit.leftovers import Census
from tests.runtime.helpers import Gate, Tally, core, entries, is_settled, wait_until


@pytest.fixture(scope="module", autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """Processes and descriptors are counted around a module: within it they serve many tests."""
    census = Census()
    yield
    if left := census.left():
        pytest.fail(f"left behind: {left}")


@pytest.fixture(scope="module")
def runtime() -> Iterator[Any]:
    """A runtime with two CPUs for all tests of a module."""
    context = snakepit.init(num_cpus=2)
    try:
        yield context
    finally:
        snakepit.shutdown()


@pytest.fixture(autouse=True)
def everything_released(request: pytest.FixtureRequest) -> Iterator[None]:
    """After a test that succeeded no object, actor or resource is held any more."""
    failed = request.session.testsfailed
    yield
    if not snakepit.is_initialized() or request.session.testsfailed != failed:
        return
    if not wait_until(is_settled, timeout=10.0):
        left = {hex(key): vars_of(entry) for key, entry in entries().items()}
        pytest.fail(
            f"still held: {left}; waiters {core().waiters}; free {core().scheduler.resources.free}"
        )


def vars_of(entry: Any) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in ("local", "holders", "pins", "call", "actor")}


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    """A gate that is closed."""
    return Gate(str(tmp_path / "gate"))


@pytest.fixture
def tally(tmp_path: Path) -> Tally:
    """A count of zero."""
    return Tally(str(tmp_path / "tally"))
