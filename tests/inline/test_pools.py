"""Pools in inline mode: programs that name them run, and names that are not there are told."""

from __future__ import annotations

from collections.abc import Iterator

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
