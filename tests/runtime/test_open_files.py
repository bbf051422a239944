"""The soft limit of open files: raised for the driver, the user's own in workers and afterwards."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from typing import Any

import pytest

import snakepit
from snakepit import errors
from tests.runtime.helpers import PATIENCE

FILES = resource.RLIMIT_NOFILE


@pytest.fixture
def own() -> Iterator[int]:
    """A soft limit that the user has set, below the hard one."""
    before = resource.getrlimit(FILES)
    hard = before[1]
    chosen = 4000 if hard < 0 else min(4000, hard - 1)
    resource.setrlimit(FILES, (chosen, hard))
    yield chosen
    resource.setrlimit(FILES, before)


@snakepit.remote
def soft() -> int:
    return resource.getrlimit(FILES)[0]


def here() -> int:
    return resource.getrlimit(FILES)[0]


def test_each_runtime_gives_its_workers_the_users_own_and_gives_it_back(own: int) -> None:
    hard = resource.getrlimit(FILES)[1]
    for _ in range(2):
        with snakepit.init(num_cpus=1):
            assert here() == hard
            assert snakepit.get(soft.remote(), timeout=PATIENCE) == own
        assert here() == own


def test_what_the_user_sets_meanwhile_stays(own: int) -> None:
    with snakepit.init(num_cpus=1):
        resource.setrlimit(FILES, (own - 100, resource.getrlimit(FILES)[1]))
    assert here() == own - 100


def test_a_start_that_fails_gives_it_back_too(own: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from snakepit.runtime import start

    def fails(*_: Any, **__: Any) -> Any:
        raise errors.RuntimeStartError("on purpose")

    monkeypatch.setattr(start, "_launch", fails)
    with pytest.raises(errors.RuntimeStartError, match="on purpose"):
        snakepit.init(num_cpus=1)
    assert here() == own
