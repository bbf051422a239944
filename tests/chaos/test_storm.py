"""The storm of `make chaos`, small: two thousand calls in each of two short ones."""

from __future__ import annotations

import os
import subprocess
from typing import Any

import pytest

import snakepit
from snakepit.protocol import current

from . import books, soak, storm
from .strikes import kill_child

CALLS = 1000


@pytest.mark.parametrize("zygotes", [0.0, 1.5], ids=["workers", "workers and zygotes"])
def test_every_call_resolves_once_to_its_value(runtime: Any, zygotes: float) -> None:
    report = storm.run(CALLS, every=0.1, zygotes=zygotes, seed=7, patience=storm.PATIENCE)
    assert report.calls == CALLS
    assert report.workers


@pytest.mark.parametrize(
    ("profile", "recycle"), [("thread", None), ("thread", 60), ("process", 25)]
)
def test_every_call_of_another_pool_resolves_once_to_its_value(
    profile: str, recycle: int | None
) -> None:
    with storm.begin(profile, recycle):
        report = storm.run(CALLS, every=0.1, zygotes=0.0, seed=7, patience=storm.PATIENCE)
        recycled = snakepit.pool().stats()["recycled"]
    assert report.calls == CALLS
    assert report.workers
    assert bool(recycled) == bool(recycle)


@pytest.mark.parametrize(("profile", "recycle"), [("process", 40), ("thread", None)])
def test_sessions_that_lose_their_worker_lose_no_call(profile: str, recycle: int | None) -> None:
    with storm.begin(profile, recycle):
        report = storm.run(
            CALLS, every=0.05, zygotes=0.0, seed=7, patience=storm.PATIENCE, sessions=20,
            ordered=profile == "process",
        )  # fmt: skip
    assert report.workers


def test_a_soak_sees_what_grows() -> None:
    with storm.begin("process", 100):
        wet = soak.run(0.1, every=0.1, zygotes=0.0, sessions=4, ordered=True, waves=1)
    assert wet.calls == 3 * storm.WAVE and len(wet.samples) == 3 and "an hour" in str(wet)
    grown = [
        sample._replace(held=wet.samples[0].held._replace(heap=1000 + 100 * n, fds=9 + n))
        for n, sample in enumerate(wet.samples)
    ]
    wrong = wet._replace(samples=grown).wrong()
    assert "fds: 9 before, 11 now" in wrong and "KiB an hour" in wrong
    even = [sample._replace(held=grown[0].held) for sample in grown]
    assert wet._replace(samples=even).wrong() == ""


def test_without_strikes_nothing_is_tried_again(runtime: Any) -> None:
    report = storm.run(200, every=0.0, zygotes=0.0, seed=1, patience=storm.PATIENCE)
    # Six nested calls make three each; the actors' constructors are no calls that resolve.
    assert report.resolved == 200 + 6 * 3
    assert (report.workers, report.zygotes, report.poisoned) == (0, 0, 0)


def test_the_books_see_what_is_wrong(runtime: Any) -> None:
    inner: Any = current()
    core = inner._core
    ref = inner.put(b"x" * 1_000_000, lambda _, identifier: identifier)
    assert "entries" in books.wrong_tables(inner)
    assert books.wrong_ledger(inner) == ""
    core.memory.ledger.charge(9, 4096)
    assert "charged" in books.wrong_ledger(inner)
    core.memory.ledger.refund(9, 4096)
    assert "bytes are charged" in books.wrong_store(inner)
    core.scheduler.resources.change((("CPU", 1),), 1)
    assert books.wrong_resources(inner)
    core.scheduler.resources.change((("CPU", 1),), -1)
    inner.drop(ref)
    storm.settle(inner)
    with subprocess.Popen(["sleep", "100"]) as stranger:
        assert str(stranger.pid) in books.wrong_processes(inner)
        # Only what is the given parent's child is struck.
        assert not kill_child(stranger.pid, os.getppid())
        assert kill_child(stranger.pid, os.getpid())
    with pytest.raises(AssertionError, match="wrong"):
        books.within(0.01, lambda: "wrong")
