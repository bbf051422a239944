"""Fixtures for tests with a real zygote."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from zygote_harness import Zygote


@pytest.fixture
def zygote() -> Iterator[Zygote]:
    """A zygote whose workers obey."""
    started = Zygote()
    try:
        yield started
    finally:
        started.close()
