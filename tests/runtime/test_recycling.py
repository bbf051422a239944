"""Recycling on real processes."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

import snakepit
from snakepit import errors
from snakepit.runtime.weighing import own_memory
from tests.runtime.helpers import PATIENCE, Gate, Tally, wait_until

MEGABYTE = 1 << 20


@pytest.fixture(scope="module")
def pools() -> Iterator[None]:
    """A runtime with pools whose workers do not last."""
    with snakepit.init(
        num_cpus=1,
        pools=[
            snakepit.Pool("plain", size=2, queue_timeout=None),
            snakepit.Pool("single", size=1, queue_timeout=None, worker_max_requests=1),
            snakepit.Pool("short", size=1, queue_timeout=None, worker_ttl=0.5),
            snakepit.Pool("heavy", size=1, queue_timeout=None, worker_max_memory=300 * MEGABYTE),
        ],
    ):
        for name in ("plain", "single", "short", "heavy"):
            snakepit.pool(name).await_ready(PATIENCE)
        yield


@snakepit.remote(max_retries=0)
def pid() -> int:
    return os.getpid()


@snakepit.remote(max_retries=0)
def hold(gate: Gate, tally: Tally) -> int:
    tally.add()
    gate.wait()
    return os.getpid()


def recycled(pool: str) -> dict[str, int]:
    return snakepit.pool(pool).stats()["recycled"]


@pytest.mark.usefixtures("pools")
def test_each_call_has_a_process_of_its_own() -> None:
    single = pid.options(pool="single")
    found = snakepit.get([single.remote() for _ in range(20)], timeout=PATIENCE)
    assert len(set(found)) == 20
    assert recycled("single")["requests"] >= 19


@pytest.mark.usefixtures("pools")
def test_all_are_replaced_and_their_calls_end(gate: Gate, tally: Tally) -> None:
    plain = snakepit.pool("plain")
    before = sum(recycled("plain").values())
    old = [hold.options(pool="plain").remote(gate, tally) for _ in range(2)]
    assert wait_until(lambda: tally.count == 2)
    queued = [pid.options(pool="plain").remote() for _ in range(10)]
    plain.recycle()
    new = set(snakepit.get(queued, timeout=PATIENCE))
    assert wait_until(lambda: plain.stats()["workers"]["leaving"] == 2)
    gate.open()
    assert not new & set(snakepit.get(old, timeout=PATIENCE))
    assert wait_until(lambda: sum(recycled("plain").values()) == before + 2)
    stats = plain.stats()
    assert sum(stats["workers"].values()) == 2 and len(stats["ready"]) == 2


@pytest.mark.usefixtures("pools")
def test_one_is_replaced() -> None:
    plain = snakepit.pool("plain")
    first, second = plain.stats()["ready"]
    plain.recycle(worker=first)
    assert wait_until(lambda: first not in plain.stats()["ready"])
    assert second in plain.stats()["ready"]
    with pytest.raises(
        errors.OptionError, match=rf"worker={first}: .*'plain' has no such .*{second}"
    ):
        plain.recycle(worker=first)
    with pytest.raises(TypeError, match="worker"):
        plain.recycle(worker="1")  # type: ignore[arg-type]
    with pytest.raises(errors.UnknownPoolError, match="narrow"):
        snakepit.pool("narrow").recycle()


@pytest.mark.usefixtures("pools")
def test_a_task_may_ask_for_it() -> None:
    @snakepit.remote
    def ask() -> None:
        snakepit.pool("plain").recycle()

    before = set(snakepit.pool("plain").stats()["ready"])
    snakepit.get(ask.remote(), timeout=PATIENCE)
    assert wait_until(lambda: not before & set(snakepit.pool("plain").stats()["ready"]))
    assert wait_until(lambda: len(snakepit.pool("plain").stats()["ready"]) == 2)


@pytest.mark.usefixtures("pools")
def test_they_go_when_they_are_old() -> None:
    assert wait_until(lambda: recycled("short").get("ttl", 0) >= 2)
    assert snakepit.get(pid.options(pool="short").remote(), timeout=PATIENCE)


@snakepit.remote(max_retries=0)
def leak(size: int) -> int:
    leaked.append(b"\1" * size)
    return os.getpid()


leaked: list[bytes] = []


@pytest.mark.usefixtures("pools")
def test_they_go_when_they_have_too_much_memory_of_their_own() -> None:
    heavy = leak.options(pool="heavy")
    first = snakepit.get(heavy.remote(10 * MEGABYTE), timeout=PATIENCE)
    assert snakepit.get(heavy.remote(MEGABYTE), timeout=PATIENCE) == first
    assert snakepit.get(heavy.remote(400 * MEGABYTE), timeout=PATIENCE) == first
    assert wait_until(lambda: recycled("heavy") == {"memory": 1})
    assert snakepit.get(heavy.remote(MEGABYTE), timeout=PATIENCE) != first


@pytest.mark.usefixtures("pools")
def test_what_is_shared_is_not_its_own() -> None:
    @snakepit.remote
    def measure() -> tuple[int, int, int]:
        from snakepit.runtime.weighing import own_memory

        bound, before = own_memory(os.getpid(), 1 << 60), own_memory(os.getpid(), 0)
        kept = b"\1" * (64 * MEGABYTE)
        return bound, before, own_memory(os.getpid(), 0) - len(kept)

    bound, before, after = snakepit.get(measure.remote(), timeout=PATIENCE)
    # What it has from its zygote has not been written to.
    assert 0 < before < bound - MEGABYTE
    assert abs(after - before) < 8 * MEGABYTE
    assert own_memory(1 << 22, 0) == 0


@pytest.mark.parametrize(
    ("setting", "value", "problem"),
    [
        ("worker_ttl", 0, "more than 0"),
        ("worker_ttl", 0.01, "from 0.1 to"),
        ("worker_ttl", 1e9, "at most"),
        ("worker_max_requests", 0, "from 1 to"),
        ("worker_max_memory", 1000, "from 1048576 to"),
    ],
)
def test_limits_are_checked(setting: str, value: float, problem: str) -> None:
    with pytest.raises(errors.OptionError, match=f"{setting}.*{problem}"):
        snakepit.Pool("p", **{setting: value})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=setting):
        snakepit.Pool("p", **{setting: "many"})  # type: ignore[arg-type]
