"""Limits of memory, where the allocator of Python takes more than it is asked for."""

from __future__ import annotations

import resource
import sysconfig

import pytest

from snakepit.errors import NotSupportedError
from snakepit.workers import limits


def test_no_limit_is_set_that_would_not_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    before = resource.getrlimit(resource.RLIMIT_DATA)
    monkeypatch.setattr(sysconfig, "get_config_var", lambda name: int(name == "Py_GIL_DISABLED"))
    monkeypatch.delenv(limits.AHEAD, raising=False)
    with pytest.raises(NotSupportedError, match="MIMALLOC_ARENA_RESERVE=0"):
        limits.restrict(1 << 30)
    assert resource.getrlimit(resource.RLIMIT_DATA) == before


def test_an_error_that_met_no_limit_says_nothing_of_one() -> None:
    error = MemoryError("the kernel's")
    limits.explain(error, "f", 0)
    assert error.args == ("the kernel's",) and not getattr(error, "__notes__", ())
    limits.explain(error, "f", 1000)
    assert error.__notes__ == ["f may take 1,000 bytes, its memory_limit, and asked for more"]
