"""One program of tasks, nested calls and actors, with workers killed at one passing after another.

The suite tries two passings of each point; `make kill-points` tries every one that the program
has, which is what makes the enumeration complete.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from faults_harness import PATIENCE_S, settles, store_empties

import snakepit
from snakepit import testing
from snakepit.testing import KillPlan, KillPoint

LARGE = 200_000
"""Bytes: what is this large lies in the store."""

SAMPLE = {1: (2,), 2: (9,)}
"""Which passings the suite tries, by the number of CPUs."""

EVERY = "SNAKEPIT_TEST_EVERY_KILL"
"""The variable that, when set, has every passing tried."""


@snakepit.remote(max_retries=-1)
def flip(value: bytes) -> bytes:
    return value[::-1]


@snakepit.remote(max_retries=-1)
def spread(values: list[bytes]) -> Any:
    """Call, wait, and give away a reference to a call's result and one to a stored value."""
    refs = [flip.remote(value) for value in values]
    kept = snakepit.put(values[0] * 2)
    return [len(value) for value in snakepit.get(refs)], refs[0], kept


@snakepit.remote(max_retries=-1)
def follow(found: Any) -> tuple[int, int]:
    _, one, two = found
    return len(snakepit.get(one)), len(snakepit.get(two))


@snakepit.remote(max_restarts=-1, max_task_retries=-1)
class Keeper:
    def __init__(self, value: bytes) -> None:
        self.ref = snakepit.put(value)

    def flip(self, value: bytes) -> bytes:
        flipped: bytes = snakepit.get(flip.remote(value))
        return flipped

    def own(self) -> Any:
        return self.ref


def data(number: int) -> bytes:
    return bytes([number, 7]) * (LARGE // 2)


def program() -> None:
    """Make calls of every kind, and look at what they return."""

    def get(refs: Any) -> Any:
        return snakepit.get(refs, timeout=PATIENCE_S)

    keepers = [Keeper.remote(data(n)) for n in range(2)]
    flipped = [flip.remote(data(n)) for n in range(6)]
    chained = [flip.remote(ref) for ref in flipped]
    spreads = [spread.remote([data(n), data(n + 1), b"small"]) for n in range(3)]
    follows = [follow.remote(ref) for ref in spreads]
    methods = [keeper.flip.remote(data(n)) for keeper in keepers for n in range(3)]
    owned = [keeper.own.remote() for keeper in keepers]
    assert get(flipped) == [data(n)[::-1] for n in range(6)]
    assert get(chained) == [data(n) for n in range(6)]
    assert [lengths for lengths, _, _ in get(spreads)] == [[LARGE, LARGE, 5]] * 3
    assert get(follows) == [(LARGE, 2 * LARGE)] * 3
    assert get(methods) == [data(n)[::-1] for n in range(3)] * 2
    assert get(get(owned)) == [data(n) for n in range(2)]


def passings(cpus: int) -> Iterator[int]:
    return iter(range(1, 1000) if EVERY in os.environ else SAMPLE[cpus])


@pytest.mark.timeout(900)
@pytest.mark.parametrize("cpus", [1, 2])
@pytest.mark.parametrize("point", KillPoint, ids=lambda point: point.value)
def test_every_call_has_its_value_wherever_workers_die(point: KillPoint, cpus: int) -> None:
    for nth in passings(cpus):
        plan = KillPlan(point, nth, times=2)
        with testing.killing_runtime(plan, num_cpus=cpus, log_to_driver=False) as kills:
            program()
            store_empties()
            settles()
            if not kills.deaths:
                break  # The program has no such passing.
