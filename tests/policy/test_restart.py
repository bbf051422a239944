from __future__ import annotations

import pytest

from snakepit.policy.restart import POISON_DEATHS, after_death, after_exception, may_restart


@pytest.mark.parametrize(
    ("deaths", "retries", "verdict"),
    [
        (1, 0, "crashed"),
        (1, 1, "retry"),
        (2, 1, "crashed"),
        (2, 3, "retry"),
        (POISON_DEATHS, 3, "poisoned"),
        (POISON_DEATHS, -1, "poisoned"),
        (1, -1, "retry"),
        (POISON_DEATHS, 2, "crashed"),
    ],
)
def test_after_death(deaths: int, retries: int, verdict: str) -> None:
    assert after_death(deaths, deaths, retries) == verdict


def test_exceptions_and_deaths_share_the_retries() -> None:
    assert after_death(1, 2, 1) == "crashed"
    assert after_death(1, 2, 2) == "retry"


@pytest.mark.parametrize(
    ("attempts", "retries", "again"), [(1, 0, False), (1, 1, True), (2, 1, False), (99, -1, True)]
)
def test_after_exception(attempts: int, retries: int, again: bool) -> None:
    assert after_exception(attempts, retries) is again


@pytest.mark.parametrize(
    ("restarts", "most", "again"), [(0, 0, False), (0, 1, True), (1, 1, False), (99, -1, True)]
)
def test_may_restart(restarts: int, most: int, again: bool) -> None:
    assert may_restart(restarts, most) is again
