"""What becomes of a pool whose calls crash their workers: kinds of deaths, and who is told."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Iterator

import pytest

import snakepit
from snakepit import errors
from tests.runtime.helpers import PATIENCE


@pytest.fixture(scope="module", autouse=True)
def pools() -> Iterator[None]:
    """A runtime with a pool for each test."""
    with snakepit.init(num_cpus=1, pools=[snakepit.Pool("kinds", size=1, queue_timeout=None)]):
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
