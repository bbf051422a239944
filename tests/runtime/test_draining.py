"""Pools that take no more calls, and pools without workers."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import snakepit
from snakepit import errors
from tests.runtime.helpers import PATIENCE, Gate, Tally, wait_until


@pytest.fixture(scope="module")
def runtime() -> Iterator[Any]:
    """A runtime with a pool of two workers."""
    pools = [snakepit.Pool("work", size=2, max_queue_size=None, queue_timeout=None)]
    with snakepit.init(num_cpus=2, pools=pools) as context:
        snakepit.pool("work").await_ready(PATIENCE)
        yield context


pytestmark = pytest.mark.usefixtures("runtime")


@snakepit.remote(pool="work")
def hold(gate: Gate, tally: Tally) -> int:
    tally.add()
    gate.wait()
    return os.getpid()


@snakepit.remote(pool="work")
def pid() -> int:
    return os.getpid()


@snakepit.remote(pool="work")
def parent(gate: Gate, tally: Tally) -> int:
    tally.add()
    gate.wait()
    return snakepit.get(pid.remote())


@snakepit.remote(pool="work")
def drains(pool: str) -> None:
    snakepit.pool(pool).drain(timeout=PATIENCE)


@snakepit.remote
def drains_from_elsewhere(pool: str) -> None:
    snakepit.pool(pool).drain(timeout=PATIENCE)


@snakepit.remote(pool="work")
def has_it_drained() -> None:
    snakepit.get(drains_from_elsewhere.remote("work"))


@snakepit.remote(pool="work")
def is_ready() -> bool:
    snakepit.pool("work").await_ready(PATIENCE)
    return True


def test_a_call_cannot_drain_its_own_pool() -> None:
    work = snakepit.pool("work")
    with pytest.raises(errors.PoolDeadlockError, match=r"pool work .* its own call drains") as told:
        snakepit.get(drains.remote("work"), timeout=PATIENCE)
    assert told.value.cause.pool == "work"
    with pytest.raises(errors.PoolDeadlockError, match="its own call has_it_drained"):
        snakepit.get(has_it_drained.remote(), timeout=PATIENCE)
    assert not work.stats()["draining"]
    # It may drain another, and whoever is not of the pool may drain it.
    snakepit.get(drains.remote("default"), timeout=PATIENCE)
    snakepit.pool().resume()
    snakepit.get(drains_from_elsewhere.remote("work"), timeout=PATIENCE)
    work.resume()
    # That it has its workers is true while they run calls.
    assert snakepit.get(is_ready.remote(), timeout=PATIENCE)


def test_calls_that_there_are_end_and_new_ones_are_refused(gate: Gate, tally: Tally) -> None:
    work = snakepit.pool("work")
    calls = [hold.remote(gate, tally) for _ in range(5)]
    assert wait_until(lambda: tally.count == 2)
    with pytest.raises(errors.GetTimeoutError, match=r"calls .*'running': 2, 'queued': 3"):
        work.drain(timeout=0.05)
    assert work.stats()["draining"]
    with pytest.raises(errors.PoolDrainingError, match=r"pid was not .*resume") as caught:
        snakepit.get(pid.remote(), timeout=PATIENCE)
    assert caught.value.pool == "work"
    drained = threading.Thread(target=work.drain)
    drained.start()
    assert snakepit.get(pid.options(pool="default").remote(), timeout=PATIENCE)
    gate.open()
    drained.join(PATIENCE)
    assert not drained.is_alive()
    assert snakepit.wait(calls, num_returns=5, timeout=0)[1] == []
    assert len(snakepit.get(calls)) == 5 and work.stats()["running"] == 0
    work.drain(timeout=PATIENCE)
    work.resume()
    assert snakepit.get(pid.remote(), timeout=PATIENCE) and not work.stats()["draining"]


def test_its_own_calls_may_need_others(gate: Gate, tally: Tally) -> None:
    work = snakepit.pool("work")
    first = parent.remote(gate, tally)
    assert wait_until(lambda: tally.count == 1)
    with pytest.raises(errors.GetTimeoutError):
        work.drain(timeout=0)
    gate.open()
    work.drain(timeout=PATIENCE)
    assert snakepit.get(first) > 0
    work.resume()


def test_who_waits_is_told_when_it_is_resumed(gate: Gate, tally: Tally) -> None:
    work = snakepit.pool("work")
    call = hold.remote(gate, tally)
    caught: list[BaseException] = []

    def drain() -> None:
        try:
            work.drain()
        except errors.TaskCancelledError as error:
            caught.append(error)

    waiting = threading.Thread(target=drain)
    waiting.start()
    assert wait_until(lambda: work.stats()["draining"])
    # It may not have said yet that it waits.
    assert wait_until(lambda: bool(work.resume() or caught or not waiting.is_alive()))
    waiting.join(PATIENCE)
    assert caught
    gate.open()
    assert snakepit.get(call, timeout=PATIENCE)


def test_a_task_may_ask_for_it_and_unknown_pools_are_told() -> None:
    @snakepit.remote(pool="default")
    def ask() -> bool:
        snakepit.pool("work").drain(timeout=PATIENCE)
        drains = snakepit.pool("work").stats()["draining"]
        snakepit.pool("work").resume()
        return drains

    assert snakepit.get(ask.remote(), timeout=PATIENCE)
    for change in (snakepit.pool("narrow").drain, snakepit.pool("narrow").resume):
        with pytest.raises(errors.UnknownPoolError, match="narrow"):
            change()


def test_a_pool_that_was_not_declared_drains_too() -> None:
    default = snakepit.pool()
    default.drain(timeout=PATIENCE)
    try:
        with pytest.raises(errors.PoolDrainingError):
            snakepit.get(pid.options(pool="default").remote(), timeout=PATIENCE)
    finally:
        default.resume()
    assert snakepit.get(pid.options(pool="default").remote(), timeout=PATIENCE)


def test_resized_to_nothing_under_load(gate: Gate, tally: Tally) -> None:
    work = snakepit.pool("work")
    before = work.stats()["succeeded"]
    calls = [hold.remote(gate, tally) for _ in range(2)]
    assert wait_until(lambda: tally.count == 2)
    queued = [pid.remote() for _ in range(50)]
    work.resize(0)
    gate.open()
    old = set(snakepit.get(calls, timeout=PATIENCE))
    assert wait_until(lambda: not sum(work.stats()["workers"].values()))
    stats = work.stats()
    # What a worker had in its mailbox already may have run there.
    assert stats["running"] == 0
    assert stats["queued"] == 50 - (stats["succeeded"] - before - 2)
    more = pid.remote()
    assert work.stats()["queued"] == stats["queued"] + 1
    work.resize(2)
    new = snakepit.get([*queued, more], timeout=PATIENCE)
    assert new[-1] not in old
    assert wait_until(lambda: len(work.stats()["ready"]) == 2)
