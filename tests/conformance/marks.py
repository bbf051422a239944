"""How a test says that snakepit departs from Ray, or does not get there yet."""

from __future__ import annotations

from typing import Any

import pytest


def differs(what: str, *, because: str) -> Any:
    """Mark a deliberate difference; the test states both outcomes by the fixture `expect`.

    `python -m tests.conformance` writes the list of these to docs/ray-differences.md.

    Args:
        what: what snakepit does and Ray does not, or the other way round.
        because: the reason.
    """
    return pytest.mark.differs(what=what, because=because)


def not_yet(reason: str) -> Any:
    """Mark what Ray does and snakepit does not: on snakepit the test must fail until mended."""
    return pytest.mark.not_yet(reason=reason)


def crashes_ray(how: str) -> Any:
    """Mark what Ray documents and then dies of; not run there, and listed with the differences."""
    return pytest.mark.crashes_ray(how=how)


def not_inline(because: str) -> Any:
    """Mark what inline mode cannot do, where calls run in the driver; not run there."""
    return pytest.mark.not_inline(because=because)


def not_in_threads(because: str) -> Any:
    """Mark what calls in threads of one process cannot do; not run with tasks in a thread pool."""
    return pytest.mark.not_in_threads(because=because)
