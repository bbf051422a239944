"""Many threads at once use one runtime in every way it has, in the driver and inside a task.

With the GIL these tests prove little; without it they are what proves that nothing relies on it.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import snakepit
from snakepit.errors import TaskCancelledError
from tests.runtime.helpers import PATIENCE, stored_values

pytestmark = pytest.mark.usefixtures("runtime")

THREADS = 8
STEPS = 60
LARGE = 20_000  # numbers: more than travel in a message


class OddError(Exception):
    """Raised by tasks that are told to."""


@snakepit.remote
def double(value: Any) -> Any:
    return value * 2


@snakepit.remote
def fail(value: int) -> int:
    raise OddError(value)


@snakepit.remote
def first_of(refs: list[Any]) -> Any:
    return snakepit.get(refs[0], timeout=PATIENCE)


@snakepit.remote
class Sum:
    def __init__(self) -> None:
        self.total = 0

    def add(self, value: int) -> int:
        self.total += value
        return self.total


def in_threads(work: Callable[[int], None]) -> None:
    """Run `work` in several threads that begin together; raise the first thing that went wrong."""
    together = threading.Barrier(THREADS)
    errors: list[BaseException] = []

    def run(number: int) -> None:
        together.wait()
        try:
            work(number)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def call(dice: random.Random) -> None:
    values = [dice.randrange(1000) for _ in range(dice.randrange(1, 12))]
    refs = [double.remote(value) for value in values]
    assert snakepit.get(refs, timeout=PATIENCE) == [2 * value for value in values]


def call_with_references(dice: random.Random) -> None:
    value = dice.randrange(1000)
    inner = double.remote(value)
    assert snakepit.get(double.remote(inner), timeout=PATIENCE) == 4 * value
    assert snakepit.get(first_of.remote([inner]), timeout=PATIENCE) == 2 * value


def store(dice: random.Random) -> None:
    value = dice.randrange(1000)
    ref = snakepit.put(np.full(LARGE, value))
    twice = snakepit.get(double.remote(ref), timeout=PATIENCE)
    assert twice.shape == (LARGE,)
    assert (twice == 2 * value).all()
    assert (snakepit.get(ref) == value).all()


def put_many(dice: random.Random) -> None:
    values = [dice.randrange(1000) for _ in range(20)]
    assert snakepit.get([snakepit.put(value) for value in values]) == values


def wait_for_some(dice: random.Random) -> None:
    refs = [double.remote(value) for value in range(6)]
    ready, rest = snakepit.wait(refs, num_returns=3, timeout=PATIENCE)
    assert (len(ready), len(rest)) == (3, 3)
    assert {*snakepit.get(ready + rest, timeout=PATIENCE)} == {0, 2, 4, 6, 8, 10}


def cancel(dice: random.Random) -> None:
    refs = [double.remote(value) for value in range(6)]
    chosen = dice.randrange(6)
    snakepit.cancel(refs[chosen])
    for value, ref in enumerate(refs):
        try:
            assert snakepit.get(ref, timeout=PATIENCE) == 2 * value
        except TaskCancelledError:
            assert value == chosen


def catch(dice: random.Random) -> None:
    value = dice.randrange(1000)
    with pytest.raises(OddError, match=str(value)):
        snakepit.get([double.remote(1), fail.remote(value)], timeout=PATIENCE)


def drop(dice: random.Random) -> None:
    for value in range(dice.randrange(10)):
        double.remote(value)


def call_back(dice: random.Random) -> None:
    value = dice.randrange(1000)
    assert double.remote(value).future().result(PATIENCE) == 2 * value


WAYS = (call, call_with_references, store, put_many, wait_for_some, cancel, catch, drop, call_back)


def test_in_the_driver() -> None:
    total = Sum.remote()

    def work(number: int) -> None:
        dice = random.Random(number)
        for _ in range(STEPS):
            dice.choice(WAYS)(dice)
            total.add.remote(1)

    in_threads(work)
    assert snakepit.get(total.add.remote(0), timeout=PATIENCE) == THREADS * STEPS


def test_inside_a_task() -> None:
    @snakepit.remote
    def task(total: Any) -> None:
        def work(number: int) -> None:
            dice = random.Random(number)
            for _ in range(STEPS // 2):
                dice.choice(WAYS)(dice)
                snakepit.get(total.add.remote(1), timeout=PATIENCE)

        in_threads(work)

    total = Sum.remote()
    snakepit.get(task.remote(total), timeout=4 * PATIENCE)
    assert snakepit.get(total.add.remote(0), timeout=PATIENCE) == THREADS * STEPS // 2


def test_one_definition_met_by_all_of_them_at_once_is_stored_once() -> None:
    """The last test: definitions stay for as long as the runtime does."""
    rounds = 10
    for number_of_round in range(rounds):
        table = np.arange(LARGE) + number_of_round  # stored with the function

        @snakepit.remote
        def look(place: int, table: Any = table) -> int:
            return int(table[place])

        def work(number: int, look: Any = look, more: int = number_of_round) -> None:
            assert snakepit.get(look.remote(number), timeout=PATIENCE) == number + more

        in_threads(work)
    assert stored_values() == rounds
    snakepit.shutdown()
