"""Kinds of deaths: from what is known of an end to the one word for it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from snakepit.api.templates import method_template
from snakepit.policy.deaths import ended_for, kind_of


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


class _Call:
    def __init__(self, name: str, cancelled: bool = False, expired: bool = False) -> None:
        template = method_template("A.m", "m", 1, 0, timeout=0.5)
        self.name, self.cancelled, self.expired = name, cancelled, expired
        self.shape = SimpleNamespace(template=template)


FORCED, LATE, OTHER = _Call("forced", cancelled=True), _Call("late", expired=True), _Call("other")


@pytest.mark.parametrize(
    ("cause", "guilty", "said"),
    [
        ({"exit_code": 1}, [OTHER, FORCED], {"ended_for": "forced"}),
        ({"signal": "SIGKILL"}, [FORCED], {"ended_for": "forced"}),
        ({"exit_code": 1}, [LATE], {"ended_for": "late", "timeout": 0.5}),
        ({"signal": "SIGKILL"}, [LATE], {"ended_for": "late", "timeout": 0.5}),
        ({"exit_code": 1}, [OTHER], {}),
        ({"signal": "SIGKILL"}, [], {}),
        # What they ended with is not what the runtime ends them with.
        ({"signal": "SIGKILL", "oom": True}, [LATE], {}),
        ({"signal": "SIGSEGV"}, [FORCED], {}),
        ({"exit_code": 3}, [FORCED], {}),
        ({"spawn": "no descriptors"}, [FORCED], {}),
    ],
)
def test_why_the_runtime_ended_a_process(
    cause: dict[str, Any], guilty: list[Any], said: dict[str, Any]
) -> None:
    assert ended_for({**cause, "kind": kind_of(cause)}, guilty) == said
