"""Pools in a storm: workers that crash again and again or never come to be, and what they leave."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import snakepit
from snakepit import errors
from tests.runtime.helpers import PATIENCE, Gate, core, wait_until

WORKERS, CYCLES = 8, 30
INTENSITY = 1


def refusal(gate: Gate) -> Callable[[], None]:
    """What a worker begins with, by value: it raises once the gate is open."""

    def begin() -> None:
        gate.wait()
        raise ImportError("no module named licence")

    return begin


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Gate:
    return Gate(str(tmp_path_factory.mktemp("storm") / "gate"))


@pytest.fixture(scope="module", autouse=True)
def pools(gate: Gate) -> Iterator[None]:
    """One pool for a storm, a small one, and one whose workers never come to be."""
    with snakepit.init(
        num_cpus=1,
        restart_intensity=INTENSITY,
        restart_period=3600,
        pools=[
            snakepit.Pool("herd", size=WORKERS, queue_timeout=None),
            snakepit.Pool("well", size=1, queue_timeout=None),
            snakepit.Pool("broken", size=1, queue_timeout=None, initializer=refusal(gate)),
        ],
    ):
        yield


@snakepit.remote(pool="herd", max_retries=-1)
def pid() -> int:
    return os.getpid()


@snakepit.remote(pool="herd", max_retries=0)
def die(how: str, note: str = "") -> None:
    if note:
        group = subprocess.Popen(
            ["sh", "-c", "sleep 1000 & echo $!; wait"], stdout=subprocess.PIPE, text=True
        )
        assert group.stdout is not None
        grandchild = group.stdout.readline()
        Path(note).write_text(f"{os.getpid()} {group.pid} {grandchild}")
    if how == "exit":
        os._exit(3)
    os.kill(os.getpid(), signal.SIGSEGV if how == "segfault" else signal.SIGKILL)


def get(ref: Any) -> Any:
    return snakepit.get(ref, timeout=PATIENCE)


def is_alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def herd() -> dict[int, int]:
    """The pids of the pool's ready workers, by their numbers."""
    connections = core().connections
    return {n: connections[n].pid for n in snakepit.pool("herd").stats()["ready"]}


def test_a_storm_leaves_a_pool_with_its_size_and_no_process_of_those_that_died() -> None:
    assert wait_until(lambda: len(herd()) == WORKERS)
    killed: set[int] = set()
    for cycle in range(CYCLES):
        calls = [pid.remote() for _ in range(2 * WORKERS)]
        crash = die.remote("exit" if cycle % 2 else "segfault")
        ready = list(herd().values())
        if ready:
            victim = ready[cycle % len(ready)]
            os.kill(victim, signal.SIGKILL)
            killed.add(victim)
        with pytest.raises(errors.WorkerCrashedError) as caught:
            get(crash)
        assert caught.value.pid is not None
        killed.add(caught.value.pid)
        get(calls)
    assert wait_until(lambda: len(herd()) == WORKERS and not killed & set(herd().values()))
    assert wait_until(lambda: not any(map(is_alive, killed)))
    stats = snakepit.pool("herd").stats()
    assert sum(stats["workers"].values()) == WORKERS
    assert sum(stats["crashes"].values()) >= len(killed) >= CYCLES
    assert stats["succeeded"] == 2 * WORKERS * CYCLES
    assert stats["requests"] == stats["succeeded"] + sum(stats["errors"].values())


@pytest.mark.parametrize("how", ["segfault", "exit", "kill"])
def test_a_worker_takes_its_grandchildren_along(how: str, tmp_path: Path) -> None:
    note = tmp_path / "pids"
    with pytest.raises(errors.WorkerCrashedError):
        get(die.remote(how, str(note)))
    pids = [int(text) for text in note.read_text().split()]
    assert len(pids) == 3
    assert wait_until(lambda: not any(map(is_alive, pids)))


def test_a_pool_whose_workers_never_come_to_be_says_why_and_leaves_others_alone(
    gate: Gate,
) -> None:
    broken = snakepit.pool("broken")
    calls = [pid.options(pool="broken").remote() for _ in range(5)]
    assert get(pid.options(pool="well").remote())
    gates = [broken.ready(), broken.ready()]
    gate.open()
    for ref in [*calls, *gates]:
        with pytest.raises(errors.PoolFailedError) as caught:
            get(ref)
        error = caught.value
        assert "no module named licence" in error.stderr
        assert (error.pool, error.restarts, error.exit_code) == ("broken", INTENSITY + 1, 1)
    with pytest.raises(errors.PoolFailedError, match="no module named licence"):
        broken.await_ready(PATIENCE)
    assert get(pid.options(pool="well").remote())
    # Nothing is started in vain for as long as it cools down: a quarter of the period here.
    stats = broken.stats()
    assert stats["state"] == "failed" and not sum(stats["workers"].values())
    assert stats["crashes"] == {"exit": INTENSITY + 1}
    assert stats["errors"] == {"pool_failed": 5}
    snakepit.pool("well").await_ready(PATIENCE)
