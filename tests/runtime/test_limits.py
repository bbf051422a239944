"""What calls, and the workers of a pool, may take of the machine."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from typing import Any

import pytest

import snakepit
from snakepit import errors
from tests.runtime.helpers import PATIENCE

MEGABYTE = 1 << 20
CPU = min(os.sched_getaffinity(0))


@pytest.fixture(scope="module")
def runtime() -> Iterator[Any]:
    """A runtime with a pool whose workers may not have all, and one that cannot start."""
    pools = [
        snakepit.Pool(
            "humble", size=1, queue_timeout=None, nice=os.getpriority(os.PRIO_PROCESS, 0) + 3,
            cpu_affinity=[CPU], memory_limit=200 * MEGABYTE,
        ),
        # As if this machine had had so many CPUs when it was made.
        snakepit.Pool("nowhere", size=1)._replace(cpu_affinity=(65_000,)),
    ]  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MIMALLOC_ARENA_RESERVE", "0")  # where there is no GIL
        yield from _running(pools)


def _running(pools: list[snakepit.Pool]) -> Iterator[Any]:
    with snakepit.init(num_cpus=1, pools=pools, restart_intensity=1, restart_period=2.0) as context:
        snakepit.pool("humble").await_ready(PATIENCE)
        yield context


pytestmark = pytest.mark.usefixtures("runtime")


@snakepit.remote(memory_limit=100 * MEGABYTE, max_retries=0)
def take(size: int) -> int:
    return len(bytearray(size))


@snakepit.remote
def take_freely(size: int) -> int:
    return len(bytearray(size))


@snakepit.remote
def limits() -> tuple[int, set[int], int]:
    soft, _ = resource.getrlimit(resource.RLIMIT_DATA)
    return os.getpriority(os.PRIO_PROCESS, 0), os.sched_getaffinity(0), soft


def test_a_call_may_not_take_more_memory_than_it_says() -> None:
    assert snakepit.get(take.remote(50 * MEGABYTE), timeout=PATIENCE) == 50 * MEGABYTE
    with pytest.raises(MemoryError, match=r"take may take 104,857,600 bytes, its memory_limit"):
        snakepit.get(take.remote(150 * MEGABYTE), timeout=PATIENCE)
    assert snakepit.get(take.options(memory_limit=300 * MEGABYTE).remote(150 * MEGABYTE)) > 0


def test_the_next_call_in_the_process_has_no_such_limit() -> None:
    with pytest.raises(MemoryError):
        snakepit.get(take.remote(150 * MEGABYTE), timeout=PATIENCE)
    assert snakepit.get(take_freely.remote(150 * MEGABYTE), timeout=PATIENCE) == 150 * MEGABYTE
    _, _, soft = snakepit.get(limits.remote(), timeout=PATIENCE)
    assert soft == resource.getrlimit(resource.RLIMIT_DATA)[0]


def test_nor_after_a_cancel() -> None:
    endless = snakepit.remote(memory_limit=100 * MEGABYTE, timeout=0.1)(spin)
    with pytest.raises(errors.TaskTimeoutError):
        snakepit.get(endless.remote(), timeout=PATIENCE)
    assert snakepit.get(take_freely.remote(150 * MEGABYTE), timeout=PATIENCE) == 150 * MEGABYTE


def spin() -> None:
    while True:
        pass


def test_an_error_of_a_subclass_keeps_its_text() -> None:
    class Own(MemoryError):
        pass

    @snakepit.remote(memory_limit=MEGABYTE * 10)
    def fails() -> None:
        raise Own("no room for the array")

    with pytest.raises(MemoryError, match="no room for the array") as caught:
        snakepit.get(fails.remote(), timeout=PATIENCE)
    assert "10,485,760 bytes, its memory_limit" in str(caught.value)


def test_a_pools_workers_have_what_it_says() -> None:
    mine = snakepit.get(limits.remote(), timeout=PATIENCE)
    nice, cpus, soft = snakepit.get(limits.options(pool="humble").remote(), timeout=PATIENCE)
    assert (nice, cpus) == (mine[0] + 3, {CPU})
    assert soft != mine[2]
    humble = take_freely.options(pool="humble")
    assert snakepit.get(humble.remote(100 * MEGABYTE), timeout=PATIENCE)
    with pytest.raises(MemoryError, match="by the memory_limit of its pool"):
        snakepit.get(humble.remote(250 * MEGABYTE), timeout=PATIENCE)
    with pytest.raises(MemoryError):
        big = take.options(pool="humble", memory_limit=400 * MEGABYTE)
        snakepit.get(big.remote(250 * MEGABYTE), timeout=PATIENCE)


def test_a_pool_that_cannot_have_what_it_asks_for_says_so() -> None:
    with pytest.raises(errors.PoolFailedError, match="Invalid argument") as caught:
        snakepit.pool("nowhere").await_ready(PATIENCE)
    assert "An exception ended it: its last lines have the traceback" in str(caught.value)
    assert "os._exit" not in str(caught.value)


@snakepit.remote
def threads() -> tuple[str | None, str | None]:
    return os.environ.get("OMP_NUM_THREADS"), os.environ.get("OPENBLAS_NUM_THREADS")


def test_threads_of_libraries_are_one_unless_a_call_says_otherwise() -> None:
    env = {"env_vars": {"OMP_NUM_THREADS": "2"}}
    for pool in ("default", "humble"):
        usual = snakepit.get(threads.options(pool=pool).remote(), timeout=PATIENCE)
        more = threads.options(pool=pool, runtime_env=env)
        assert snakepit.get(more.remote(), timeout=PATIENCE) == ("2", usual[1])


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("nice", 20),
        ("nice", -21),
        ("cpu_affinity", []),
        ("cpu_affinity", [-1]),
        ("cpu_affinity", [CPU, 65_000]),
        ("memory_limit", 1000),
    ],
)
def test_settings_of_pools_are_checked(setting: str, value: Any) -> None:
    with pytest.raises(errors.OptionError, match=setting):
        snakepit.Pool("p", **{setting: value})


@pytest.mark.parametrize("setting", ["nice", "cpu_affinity", "memory_limit"])
def test_types_of_settings_are_checked(setting: str) -> None:
    with pytest.raises(TypeError, match=setting):
        snakepit.Pool("p", **{setting: "many"})


def test_the_limit_of_a_call_is_checked() -> None:
    with pytest.raises(errors.OptionError, match="memory_limit"):
        take.options(memory_limit=5)
    with pytest.raises(errors.OptionError, match="generator"):
        take.options(num_returns="streaming")
    with pytest.raises(TypeError, match="memory_limit"):
        take.options(memory_limit=1.5)  # type: ignore[arg-type]
