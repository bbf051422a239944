"""Locks, thread-locals and objects by name."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from snakepit.util import threads


def in_threads(count: int, body: Callable[[], Any]) -> list[Any]:
    """Return what `count` threads that meet in `body` return."""
    barrier = threading.Barrier(count)
    found: list[Any] = []

    def run() -> None:
        barrier.wait(30)
        found.append(body())

    runners = [threading.Thread(target=run) for _ in range(count)]
    for runner in runners:
        runner.start()
    for runner in runners:
        runner.join(30)
    assert len(found) == count
    return found


def test_a_name_is_one_lock_which_its_holder_may_take_again() -> None:
    locks = in_threads(4, lambda: threads.lock("one"))
    assert all(each is locks[0] for each in locks)
    assert threads.lock("another") is not locks[0]
    with threads.lock("one"), threads.lock("one"):
        assert in_threads(1, lambda: locks[0].acquire(blocking=False)) == [False]


def test_each_thread_has_locals_of_its_own() -> None:
    def body() -> tuple[bool, bool]:
        state = threads.local("state")
        fresh = not hasattr(state, "number")
        state.number = threading.get_ident()
        return fresh, threads.local("state").number == threading.get_ident()

    assert in_threads(4, body) == [(True, True)] * 4


def test_what_is_shared_is_made_once() -> None:
    made: list[object] = []

    def make() -> object:
        made.append(object())
        return made[-1]

    assert {id(each) for each in in_threads(4, lambda: threads.shared("made", make))} == {
        id(made[0])
    }
    assert len(made) == 1 and threads.shared("made") is made[0]


def test_what_could_not_be_made_is_tried_again() -> None:
    with pytest.raises(ZeroDivisionError):
        threads.shared("again", lambda: 1 / 0)
    assert threads.shared("again", lambda: None) is None
    assert threads.shared("again", lambda: 1) is None


def test_what_nobody_makes_is_said() -> None:
    with pytest.raises(LookupError, match="nothing is shared as 'nobody'"):
        threads.shared("nobody")


@pytest.mark.parametrize("function", [threads.lock, threads.local, threads.shared])
def test_names_are_strings(function: Callable[[Any], Any]) -> None:
    with pytest.raises(TypeError, match="name must be a string"):
        function(1)
