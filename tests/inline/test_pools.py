"""Pools in inline mode: programs that name them run, and names that are not there are told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import snakepit
from snakepit import errors


@pytest.fixture
def pools() -> Iterator[None]:
    with snakepit.init(mode="inline", num_cpus=0, pools=[snakepit.Pool("wide", size=3)]):
        yield


@snakepit.remote(pool="wide")
def one() -> int:
    return 1


@pytest.mark.usefixtures("pools")
def test_a_call_that_names_a_pool_takes_no_cpu() -> None:
    assert snakepit.get(one.remote()) == 1
    with pytest.raises(errors.TaskUnschedulableError):
        snakepit.get(one.options(pool=None).remote())


@pytest.mark.usefixtures("pools")
def test_every_pool_is_ready() -> None:
    snakepit.pool("wide").await_ready(1)
    with pytest.raises(errors.NotSupportedError, match="no workers"):
        snakepit.pool("wide").stats()


@pytest.mark.usefixtures("pools")
def test_a_pool_that_is_not_there() -> None:
    with pytest.raises(errors.UnknownPoolError, match=r"'narrow'.*wide, default"):
        snakepit.get(one.options(pool="narrow").remote())
    with pytest.raises(errors.UnknownPoolError, match="narrow"):
        snakepit.pool("narrow").await_ready(1)


def test_an_initializer_runs_before_the_first_call_of_its_pool(tmp_path: Path) -> None:
    loaded = tmp_path / "loaded"

    def load() -> None:
        if not loaded.exists():
            loaded.touch()
            raise ValueError("not yet")
        loaded.rename(tmp_path / "again")  # fails, if it is not the second time

    models = snakepit.Pool("models", profile="thread", initializer=load)
    with snakepit.init(mode="inline", pools=[models]):
        assert snakepit.get(one.options(pool=None).remote()) == 1
        assert not loaded.exists()
        task = one.options(pool="models", max_retries=0)
        with pytest.raises(errors.TaskError, match="not yet"):
            snakepit.get(task.remote())
        assert snakepit.get([task.remote(), task.remote()]) == [1, 1]


def test_what_is_not_thread_safe_is_refused_here_too() -> None:
    def unsafe() -> None:
        """Does nothing."""

    unsafe.thread_safe = False  # type: ignore[attr-defined]
    with (
        snakepit.init(mode="inline", pools=[snakepit.Pool("models", profile="thread")]),
        pytest.raises(errors.NotSupportedError, match="thread_safe = False"),
    ):
        snakepit.remote(unsafe).options(pool="models").remote()
