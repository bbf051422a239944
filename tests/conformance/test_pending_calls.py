"""max_pending_calls: how many calls a handle may have unanswered. And handles by name."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from tests.runtime.helpers import PATIENCE, wait_until


@pytest.fixture
def slow_class(ray: Any, gate: Any) -> Any:
    """An actor that answers when the gate opens."""

    @ray.remote
    class Slow:
        def work(self) -> str:
            gate.wait()
            return "worked"

    return Slow


def test_one_call_too_many_is_refused(ray: Any, slow_class: Any, gate: Any) -> None:
    slow = slow_class.options(max_pending_calls=2).remote()
    calls = [slow.work.remote(), slow.work.remote()]
    with pytest.raises(ray.exceptions.PendingCallsLimitExceeded):
        slow.work.remote()
    gate.open()
    assert ray.get(calls) == ["worked"] * 2


def test_what_was_answered_makes_room(ray: Any, slow_class: Any, gate: Any, backend: str) -> None:
    slow = slow_class.options(max_pending_calls=1).remote()
    gate.open()

    def works() -> bool:
        try:
            return bool(ray.get(slow.work.remote()) == "worked")
        except ray.exceptions.PendingCallsLimitExceeded:
            # Ray counts an answer as such a moment after `get` has it.
            assert backend == "ray"
            return False

    assert all(wait_until(works) for _ in range(5))


def test_no_limit(ray: Any, slow_class: Any, gate: Any) -> None:
    slow = slow_class.options(max_pending_calls=-1).remote()
    calls = [slow.work.remote() for _ in range(50)]
    gate.open()
    assert ray.get(calls) == ["worked"] * 50


@pytest.mark.parametrize("limit", ["2", 1.5, -2], ids=str)
def test_limits_that_are_not_allowed(ray: Any, slow_class: Any, limit: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        slow_class.options(max_pending_calls=limit)


def test_a_handle_by_name_keeps_nobody_alive(
    ray: Any, slow_class: Any, gate: Any, backend: str
) -> None:
    gate.open()
    name = uuid.uuid4().hex
    slow = slow_class.options(name=name).remote()
    found = ray.get_actor(name)
    assert ray.get(found.work.remote()) == "worked"
    del slow

    def is_gone() -> bool:
        try:
            ray.get(found.work.remote())
        except ray.exceptions.ActorDiedError:
            return True
        return False

    assert wait_until(is_gone, timeout=0.2 if backend == "snakepit" else PATIENCE)
