"""One runtime with two CPUs for the tests of a module."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import snakepit
from tests.runtime.helpers import Gate, Tally


@pytest.fixture(scope="module", autouse=True)
def runtime(nothing_left_behind_at_last: None) -> Iterator[Any]:
    context = snakepit.init(num_cpus=2)
    try:
        yield context
    finally:
        snakepit.shutdown()


@pytest.fixture
def gate(tmp_path: Any) -> Gate:
    """A gate that is closed."""
    return Gate(str(tmp_path / "gate"))


@pytest.fixture
def tally(tmp_path: Any) -> Tally:
    """A count of zero."""
    return Tally(str(tmp_path / "tally"))
