"""Calls that wait for calls, to any depth, on any number of CPUs."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import snakepit
from snakepit.errors import NestingDepthError, TaskError
from tests.runtime.helpers import core

PATIENCE = 60.0
MOST = 8


@pytest.fixture(scope="module", autouse=True)
def runtime(nothing_left_behind: None) -> Iterator[Any]:
    with snakepit.init(num_cpus=1, max_workers=MOST) as context:
        yield context


def task_processes() -> int:
    workers = core().scheduler.placement.workers.values()
    return sum(worker.actor is None for worker in workers)


@snakepit.remote
def down(depth: int) -> int:
    return 1 + int(snakepit.get(down.remote(depth - 1))) if depth else 0


def test_deep_on_one_cpu() -> None:
    assert snakepit.get(down.remote(200), timeout=PATIENCE) == 200
    assert task_processes() <= MOST


def test_wide_and_deep() -> None:
    @snakepit.remote
    def tree(depth: int) -> int:
        if not depth:
            return 1
        return sum(snakepit.get([tree.remote(depth - 1) for _ in range(3)]))

    assert snakepit.get(tree.remote(4), timeout=PATIENCE) == 81


def test_endless_recursion_ends_with_the_reason() -> None:
    @snakepit.remote(max_retries=0)
    def endless(depth: int) -> int:
        return int(snakepit.get(endless.remote(depth + 1)))

    with pytest.raises((NestingDepthError, TaskError, RecursionError)) as info:
        snakepit.get(endless.remote(0), timeout=PATIENCE)
    assert "nested" in str(info.value) or isinstance(info.value, NestingDepthError)
    assert task_processes() <= MOST
    assert snakepit.get(down.remote(3), timeout=PATIENCE) == 3


def test_waiting_in_the_middle_of_a_chain_of_arguments() -> None:
    @snakepit.remote
    def add(a: int, b: int) -> int:
        return a + b

    @snakepit.remote
    def outer() -> int:
        ref: Any = snakepit.put(0)
        for number in range(30):
            ref = add.remote(ref, number)
        return int(snakepit.get(ref))

    assert snakepit.get([outer.remote() for _ in range(3)], timeout=PATIENCE) == [435] * 3


def test_through_actors() -> None:
    @snakepit.remote
    class Middle:
        def call(self, depth: int) -> int:
            return int(snakepit.get(through.remote(depth - 1)))

    @snakepit.remote
    def through(depth: int) -> int:
        if not depth:
            return 0
        return 1 + int(snakepit.get(Middle.remote().call.remote(depth)))

    assert snakepit.get(through.remote(6), timeout=PATIENCE) == 6


def test_wait_and_several_gets_in_one_call() -> None:
    @snakepit.remote
    def one(number: int) -> int:
        return number

    @snakepit.remote
    def parent() -> int:
        refs = [one.remote(number) for number in range(10)]
        total = 0
        while refs:
            ready, refs = snakepit.wait(refs)
            total += sum(snakepit.get(ready))
        return total

    assert snakepit.get([parent.remote() for _ in range(4)], timeout=PATIENCE) == [45] * 4


def test_threads_of_a_task_may_call_and_get() -> None:
    @snakepit.remote
    def one(number: int) -> int:
        return number

    @snakepit.remote
    def threaded() -> list[int]:
        found: list[int] = []

        def work(base: int) -> None:
            for number in range(base, base + 10):
                found.append(snakepit.get(one.options(num_cpus=0).remote(number)))

        threads = [threading.Thread(target=work, args=(10 * place,)) for place in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sorted(found)

    assert snakepit.get(threaded.remote(), timeout=PATIENCE) == list(range(40))


def test_a_nested_call_that_dies_fails_only_those_who_wait_for_it() -> None:
    @snakepit.remote(max_retries=0)
    def die() -> None:
        os._exit(1)

    @snakepit.remote(max_retries=0)
    def parent() -> str:
        try:
            snakepit.get(die.remote())
        except snakepit.errors.WorkerCrashedError as error:
            return f"code {error.exit_code}"
        return "nothing"

    assert snakepit.get(parent.remote(), timeout=PATIENCE) == "code 1"
