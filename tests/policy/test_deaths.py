"""Kinds of deaths: from what is known of an end to the one word for it."""

from __future__ import annotations

from typing import Any

import pytest

from snakepit.policy.deaths import kind_of


@pytest.mark.parametrize(
    ("cause", "kind"),
    [
        ({"signal": "SIGSEGV"}, "segfault"),
        ({"signal": "SIGBUS", "stderr": "out of memory"}, "segfault"),
        ({"signal": "SIGABRT"}, "abort"),
        ({"signal": "SIGABRT", "stderr": "what():  std::bad_alloc\n"}, "oom"),
        ({"signal": "SIGKILL"}, "killed"),
        ({"signal": "SIGKILL", "oom": False}, "killed"),
        ({"signal": "SIGKILL", "oom": True}, "oom"),
        ({"signal": "SIGKILL", "stderr": "CUDA error: an earlier one"}, "killed"),
        ({"signal": "SIGTERM", "oom": True}, "killed"),
        ({"signal": "SIGABRT", "stderr": "RuntimeError: CUDA error: misaligned address"}, "gpu"),
        ({"signal": "SIGSEGV", "stderr": "hipErrorNoBinaryForGpu"}, "gpu"),
        ({"exit_code": 1, "stderr": "torch.OutOfMemoryError: CUDA out of memory."}, "gpu"),
        ({"exit_code": 3, "stderr": None}, "exit"),
        ({"exit_code": 0, "signal": None}, "exit"),
        ({"exit_code": 1, "stderr": "MemoryError"}, "exit"),
        ({"exit_code": None, "signal": None}, ""),
        ({"spawn": "no descriptors"}, ""),
    ],
)
def test_a_death_has_one_kind(cause: dict[str, Any], kind: str) -> None:
    assert kind_of(cause) == kind
