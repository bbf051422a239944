"""Values whose memory never reaches the driver: made again by their call, or an error that says so.

A value is taken only together with the descriptor of the memory that it lies in; from then on the
driver has both, and no death can lose it (tests/faults/test_worker_deaths.py). What can be lost is
a descriptor on its way: the kernel throws it away when the receiver may open no more files.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy
import pytest
from faults_harness import PATIENCE_S, empties, works_on

import snakepit
from snakepit import errors
from snakepit.runtime.memory import Memory
from snakepit.wire import messages as wire

pytestmark = pytest.mark.usefixtures("runtime")

Lose = Callable[[int], list[int]]


@pytest.fixture
def lose(monkeypatch: pytest.MonkeyPatch) -> Lose:
    """Give a function that loses as many descriptors as it is told; returns whose were lost."""
    real = Memory.take

    def start(count: int) -> list[int]:
        lost: list[int] = []

        def take(self: Memory, message: Any, fds: tuple[int, ...]) -> None:
            if type(message) is wire.Segment and fds and len(lost) < count:
                lost.append(message.number)
                for fd in fds:
                    os.close(fd)
                fds = ()
            real(self, message, fds)

        monkeypatch.setattr(Memory, "take", take)
        return lost

    return start


@snakepit.remote
def ones() -> Any:
    return numpy.ones(100_000)


@snakepit.remote
def puts() -> list[Any]:
    return [snakepit.put(numpy.ones(100_000))]


@snakepit.remote
def yields() -> Iterator[Any]:
    for _ in range(3):
        yield numpy.ones(100_000)


@snakepit.remote
class Maker:
    def ones(self) -> Any:
        return numpy.ones(100_000)


def test_a_result_that_is_lost_is_computed_again(lose: Lose) -> None:
    lost = lose(2)
    assert snakepit.get(ones.remote(), timeout=PATIENCE_S).sum() == 100_000
    assert len(set(lost)) == 2
    works_on()
    empties()


def test_it_is_computed_again_for_the_task_that_takes_it(lose: Lose) -> None:
    @snakepit.remote
    def total(array: Any) -> float:
        return float(array.sum())

    lost = lose(1)
    assert snakepit.get(total.remote(ones.remote()), timeout=PATIENCE_S) == 100_000
    assert len(lost) == 1


def test_only_as_often_as_max_retries_allows(lose: Lose) -> None:
    lost = lose(2)
    with pytest.raises(
        errors.WorkerCrashedError, match="what it stored cannot be reached"
    ) as error:
        snakepit.get(ones.options(max_retries=1).remote(), timeout=PATIENCE_S)
    assert "open files" in str(error.value)
    assert len(set(lost)) == 2
    works_on()


def test_what_a_task_puts_is_made_again_with_its_task(lose: Lose) -> None:
    lost = lose(1)
    (ref,) = snakepit.get(puts.remote(), timeout=PATIENCE_S)
    assert snakepit.get(ref, timeout=PATIENCE_S).sum() == 100_000
    assert len(lost) == 1


def test_the_items_of_a_generator(lose: Lose) -> None:
    lost = lose(1)
    items = [snakepit.get(ref, timeout=PATIENCE_S).sum() for ref in yields.remote()]
    assert items == [100_000] * 3
    assert len(lost) == 1


def test_an_actor_is_restarted_and_its_method_called_again_if_it_may_be(lose: Lose) -> None:
    lose(1)
    maker = Maker.options(max_restarts=1, max_task_retries=1).remote()
    assert snakepit.get(maker.ones.remote(), timeout=PATIENCE_S).sum() == 100_000
    lose(1)
    maker = Maker.options(max_restarts=1).remote()
    with pytest.raises(errors.ActorUnavailableError, match="cannot be reached"):
        snakepit.get(maker.ones.remote(), timeout=PATIENCE_S)
    assert snakepit.get(maker.ones.remote(), timeout=PATIENCE_S).sum() == 100_000
