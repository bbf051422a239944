"""Retries: after a death by themselves, after an exception when asked for."""

from __future__ import annotations

import os
from typing import Any

import pytest

from tests.conformance.marks import not_inline


@not_inline("a process dies, and there is one only")
def test_a_task_whose_worker_died_is_tried_again(ray: Any, tally: Any) -> None:
    @ray.remote
    def dies_twice() -> int:
        number: int = tally.add()
        if number < 3:
            os._exit(1)
        return number

    assert ray.get(dies_twice.remote()) == 3


@not_inline("a process dies, and there is one only")
def test_max_retries_says_how_often(ray: Any, tally: Any) -> None:
    @ray.remote(max_retries=1)
    def dies() -> None:
        tally.add()
        os._exit(1)

    with pytest.raises(ray.exceptions.WorkerCrashedError):
        ray.get(dies.remote())
    assert tally.count == 2


@not_inline("a process dies, and there is one only")
def test_no_retries_when_there_are_none(ray: Any, tally: Any) -> None:
    @ray.remote(max_retries=0)
    def dies() -> None:
        tally.add()
        os._exit(1)

    with pytest.raises(ray.exceptions.WorkerCrashedError):
        ray.get(dies.remote())
    assert tally.count == 1


def test_an_exception_is_not_tried_again_unless_asked_for(ray: Any, tally: Any) -> None:
    @ray.remote
    def fails() -> None:
        tally.add()
        raise OSError

    with pytest.raises(OSError):
        ray.get(fails.remote())
    assert tally.count == 1


def test_retry_exceptions_tries_again(ray: Any, tally: Any) -> None:
    @ray.remote(retry_exceptions=True)
    def fails_twice() -> int:
        number: int = tally.add()
        if number < 3:
            raise OSError
        return number

    assert ray.get(fails_twice.remote()) == 3


def test_retry_exceptions_ends_with_the_retries(ray: Any, tally: Any) -> None:
    @ray.remote(retry_exceptions=True, max_retries=2)
    def fails() -> None:
        tally.add()
        raise OSError("each time")

    with pytest.raises(OSError, match="each time"):
        ray.get(fails.remote())
    assert tally.count == 3


def test_retry_exceptions_takes_the_classes(ray: Any, tally: Any) -> None:
    @ray.remote(retry_exceptions=[OSError, KeyError])
    def fails_in_three_ways() -> None:
        raise (OSError, KeyError, ValueError)[tally.add() - 1]

    with pytest.raises(ValueError):
        ray.get(fails_in_three_ways.remote())
    assert tally.count == 3


def test_retry_exceptions_takes_subclasses_too(ray: Any, tally: Any) -> None:
    @ray.remote(retry_exceptions=[OSError])
    def fails_once() -> str:
        if tally.add() == 1:
            raise FileNotFoundError
        return "then"

    assert ray.get(fails_once.remote()) == "then"


def test_retries_can_be_said_at_the_call(ray: Any, tally: Any) -> None:
    @ray.remote(max_retries=0)
    def fails_once() -> str:
        if tally.add() == 1:
            raise OSError
        return "then"

    call = fails_once.options(max_retries=1, retry_exceptions=[OSError])
    assert ray.get(call.remote()) == "then"


def test_arguments_are_fresh_for_each_attempt(ray: Any, tally: Any) -> None:
    @ray.remote(retry_exceptions=True)
    def appends(items: list[int]) -> list[int]:
        items.append(tally.add())
        if len(items) < 2 and tally.count < 3:
            raise OSError
        return items

    assert ray.get(appends.remote([])) == [3]


def test_max_retries_of_minus_one_goes_on(ray: Any, tally: Any) -> None:
    @ray.remote(max_retries=-1, retry_exceptions=True)
    def fails_often() -> int:
        number: int = tally.add()
        if number < 8:
            raise OSError
        return number

    assert ray.get(fails_often.remote()) == 8


@not_inline("a process dies, and there is one only")
def test_a_dead_worker_harms_no_other_task(ray: Any) -> None:
    @ray.remote(max_retries=0)
    def dies() -> None:
        os._exit(1)

    @ray.remote
    def lives(i: int) -> int:
        return i

    dead = dies.remote()
    assert ray.get([lives.remote(i) for i in range(10)]) == list(range(10))
    with pytest.raises(ray.exceptions.WorkerCrashedError):
        ray.get(dead)


@not_inline("a process dies, and there is one only")
def test_a_signal_is_a_crash_too(ray: Any) -> None:
    @ray.remote(max_retries=0)
    def dies() -> None:
        import signal

        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(ray.exceptions.WorkerCrashedError):
        ray.get(dies.remote())


@not_inline("a process dies, and there is one only")
def test_a_method_is_not_tried_again_by_itself(ray: Any, tally: Any) -> None:
    @ray.remote(max_restarts=1)
    class Fragile:
        def dies_once(self) -> str:
            if tally.add() == 1:
                os._exit(1)
            return "then"

    fragile = Fragile.remote()
    with pytest.raises(ray.exceptions.RayActorError):
        ray.get(fragile.dies_once.remote())
    assert tally.count == 1


@not_inline("a process dies, and there is one only")
def test_a_method_with_max_task_retries_is_tried_again(ray: Any, tally: Any) -> None:
    @ray.remote(max_restarts=2, max_task_retries=2)
    class Fragile:
        def dies_twice(self) -> int:
            number: int = tally.add()
            if number < 3:
                os._exit(1)
            return number

    fragile = Fragile.remote()
    assert ray.get(fragile.dies_twice.remote()) == 3


def test_a_methods_own_retries(ray: Any, tally: Any) -> None:
    @ray.remote
    class Flaky:
        @ray.method(max_task_retries=3, retry_exceptions=[OSError])
        def fails_twice(self) -> int:
            number: int = tally.add()
            if number < 3:
                raise OSError
            return number

    flaky = Flaky.remote()
    assert ray.get(flaky.fails_twice.remote()) == 3


def test_a_methods_retries_can_be_said_at_the_call(ray: Any, tally: Any) -> None:
    @ray.remote
    class Flaky:
        def fails_once(self) -> int:
            number: int = tally.add()
            if number < 2:
                raise OSError
            return number

    flaky = Flaky.remote()
    call = flaky.fails_once.options(max_task_retries=1, retry_exceptions=True)
    assert ray.get(call.remote()) == 2
