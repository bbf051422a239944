"""Helpers for tests on scripted workers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.runtime.helpers import wait_until


@pytest.fixture
def until() -> Callable[[Callable[[], Any]], None]:
    """Wait for a condition that the pumping thread makes true."""

    def wait(condition: Callable[[], Any]) -> None:
        __tracebackhide__ = True
        if not wait_until(condition):
            pytest.fail("what was waited for did not come")

    return wait
