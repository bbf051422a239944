"""What becomes of a pool whose calls crash their workers: kinds of deaths, and who is told."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

import snakepit
from snakepit import errors
from tests.runtime.helpers import PATIENCE, Gate, Tally, wait_until


@pytest.fixture(scope="module", autouse=True)
def pools() -> Iterator[None]:
    """A runtime with a pool for each test."""
    breaker = snakepit.CircuitBreaker(failures=2, window=3600, reset_after=0.2)
    with snakepit.init(
        num_cpus=1,
        pools=[
            snakepit.Pool("kinds", size=1, queue_timeout=None),
            snakepit.Pool("thrifty", size=1, queue_timeout=None, retry_budget=2, retry_period=3600),
            snakepit.Pool("stained", size=2, queue_timeout=None, taint=3600),
            snakepit.Pool("spent", size=1, queue_timeout=0.2, taint=3600),
            snakepit.Pool("brief", size=1, queue_timeout=None, taint=0.1),
            snakepit.Pool("fused", size=1, queue_timeout=None, circuit_breaker=breaker),
        ],
    ):
        yield


@snakepit.remote(max_retries=0)
def crash(how: str) -> None:
    import sys

    if how == "gpu":
        print("RuntimeError: CUDA error: device-side assert triggered", file=sys.stderr)
    elif how == "oom":
        print("terminate called after throwing std::bad_alloc", file=sys.stderr)
    sys.stderr.flush()
    if how == "exit":
        os._exit(3)
    numbers = {"segfault": signal.SIGSEGV, "killed": signal.SIGKILL}
    os.kill(os.getpid(), numbers.get(how, signal.SIGABRT))


def test_a_kill_is_for_lack_of_memory_if_the_kernel_counts_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kinds = []
    counts = itertools.count(1 << 40)
    for count in (lambda: next(counts), lambda: 0):
        monkeypatch.setattr("snakepit.runtime.processes.oom_kills", count)
        with pytest.raises(errors.WorkerCrashedError) as caught:
            snakepit.get(crash.remote("killed"), timeout=PATIENCE)
        kinds.append(caught.value.kind)
    assert kinds == ["oom", "killed"]
    assert "for lack of memory" not in str(caught.value)


def test_each_crash_has_a_kind_which_the_pool_counts() -> None:
    kinds = ("segfault", "abort", "oom", "gpu", "killed", "exit")
    for kind in kinds:
        with pytest.raises(errors.WorkerCrashedError) as caught:
            snakepit.get(crash.options(pool="kinds").remote(kind), timeout=PATIENCE)
        assert caught.value.kind == kind
    stats = snakepit.pool("kinds").stats()
    assert stats["crashes"] == dict.fromkeys(kinds, 1)
    assert stats["errors"] == {"worker_crashed": len(kinds)}


@snakepit.remote(pool="fused", max_retries=0)
def trip(how: str = "", gate: Gate | None = None) -> int:
    if gate is not None:
        gate.wait()
    if how == "raise":
        raise ValueError("on purpose")
    if how:
        os.kill(os.getpid(), signal.SIGABRT)
    return 1


def circuit() -> str | None:
    return snakepit.pool("fused").stats()["circuit"]


def test_a_circuit_opens_by_crashes_and_closes_by_one_call(gate: Gate) -> None:
    pool = snakepit.pool("fused")
    assert snakepit.pool("kinds").stats()["circuit"] is None
    with pytest.raises(ValueError, match="on purpose"):
        snakepit.get(trip.remote("raise"), timeout=PATIENCE)
    with pytest.raises(errors.WorkerCrashedError):
        snakepit.get(trip.remote("abort"), timeout=PATIENCE)
    assert circuit() == "closed"
    crash, waits = trip.remote("abort", gate), trip.remote()
    gate.open()
    with pytest.raises(errors.WorkerCrashedError):
        snakepit.get(crash, timeout=PATIENCE)
    with pytest.raises(errors.CircuitOpenError, match="2 calls have crashed") as caught:
        snakepit.get(waits, timeout=PATIENCE)
    error = caught.value
    assert (error.pool, error.signal, error.kind) == ("fused", "SIGABRT", "abort")
    assert 0.0 <= error.retry_after <= 0.2
    assert wait_until(lambda: circuit() == "half-open")
    pool.await_ready(PATIENCE)  # it is not the call to be tried
    assert circuit() == "half-open"
    assert snakepit.get(trip.remote(), timeout=PATIENCE) == 1
    assert circuit() == "closed"
    stats = pool.stats()
    assert stats["errors"] == {"error": 1, "worker_crashed": 2, "circuit_open": 1}
    assert stats["crashes"] == {"abort": 2}


def test_a_crash_of_the_one_that_is_tried_opens_the_circuit_again() -> None:
    for _ in range(2):
        with pytest.raises(errors.WorkerCrashedError):
            snakepit.get(trip.remote("abort"), timeout=PATIENCE)
    assert wait_until(lambda: circuit() == "half-open")
    with pytest.raises(errors.WorkerCrashedError):
        snakepit.get(trip.options(max_retries=3).remote("abort"), timeout=PATIENCE)
    assert wait_until(lambda: circuit() == "half-open")
    assert snakepit.get(trip.remote(), timeout=PATIENCE) == 1


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"failures": 0}, "failures must be an integer from 1 to 10000, not 0"),
        ({"window": 0}, "window must be a number of seconds, more than 0"),
        ({"reset_after": -1.0}, "reset_after must be a number of seconds"),
    ],
)
def test_a_breaker_is_checked_when_made(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(errors.OptionError, match=said):
        snakepit.CircuitBreaker(**settings)
    with pytest.raises(TypeError, match="circuit_breaker must be"):
        snakepit.Pool("p", circuit_breaker=settings)  # type: ignore[arg-type]


@snakepit.remote(pool="thrifty", max_retries=2)
def crash_again(tally: Tally) -> None:
    tally.add()
    os.kill(os.getpid(), signal.SIGSEGV)


def test_a_pool_retries_as_often_as_its_budget_allows(tally: Tally) -> None:
    with pytest.raises(errors.WorkerCrashedError) as caught:
        snakepit.get(crash_again.remote(tally), timeout=PATIENCE)
    assert tally.count == 3 and "retry_budget" not in str(caught.value)
    with pytest.raises(errors.WorkerCrashedError, match="its retry_budget allows, 2 in 3600 s"):
        snakepit.get(crash_again.remote(tally), timeout=PATIENCE)
    assert tally.count == 4
    stats = snakepit.pool("thrifty").stats()
    assert stats["retries"] == 2 and stats["crashes"] == {"segfault": 4}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"retry_budget": -1}, "retry_budget must be an integer from 0 to 10000"),
        ({"retry_budget": 1, "retry_period": 0}, "retry_period must be a number of seconds"),
    ],
)
def test_a_budget_is_checked_when_made(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(errors.OptionError, match=said):
        snakepit.Pool("p", **settings)


@snakepit.remote
def pid() -> int:
    return os.getpid()


def test_nobody_takes_the_place_of_a_worker_that_broke_and_the_others_go_on() -> None:
    pool = snakepit.pool("stained")
    pool.await_ready(PATIENCE)
    with pytest.raises(errors.WorkerCrashedError):
        snakepit.get(crash.options(pool="stained").remote("segfault"), timeout=PATIENCE)
    pids = snakepit.get([pid.options(pool="stained").remote() for _ in range(20)], timeout=PATIENCE)
    stats = pool.stats()
    assert len(set(pids)) == 1 and sum(stats["workers"].values()) == stats["tainted"] == 1


def test_when_all_places_are_tainted_calls_wait_as_long_as_they_may() -> None:
    pool = snakepit.pool("spent")
    pool.await_ready(PATIENCE)
    with pytest.raises(errors.WorkerCrashedError):
        snakepit.get(crash.options(pool="spent").remote("segfault"), timeout=PATIENCE)
    with pytest.raises(errors.QueueTimeoutError):
        snakepit.get(pid.options(pool="spent").remote(), timeout=PATIENCE)
    stats = pool.stats()
    assert (stats["tainted"], stats["timeouts"], stats["queued"]) == (1, 1, 0)


def test_who_was_killed_is_replaced_at_once_and_who_broke_after_its_time() -> None:
    pool = snakepit.pool("brief")
    for how in ("killed", "abort", "abort"):
        with pytest.raises(errors.WorkerCrashedError):
            snakepit.get(crash.options(pool="brief").remote(how), timeout=PATIENCE)
        assert snakepit.get(pid.options(pool="brief").remote(), timeout=PATIENCE)
    assert pool.stats()["crashes"] == {"killed": 1, "abort": 2}
    with pytest.raises(errors.OptionError, match="taint must be a number of seconds"):
        snakepit.Pool("p", taint=-1)
