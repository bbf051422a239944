from __future__ import annotations

import pytest

from snakepit.policy.restart import (
    LEAST_DELAY,
    POISON_DEATHS,
    RestartWindow,
    after_death,
    after_exception,
    may_restart,
)


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


def test_too_many_are_more_than_the_intensity_within_the_period() -> None:
    window = RestartWindow(2, 10.0)
    for now, exceeded in ((0.0, False), (5.0, False), (10.0, True), (15.1, False), (15.2, True)):
        window.add(now)
        assert window.exceeded is exceeded, now
    assert window.fields() == {"restarts": 5, "intensity": 2, "period": 10.0}
    window.clear()
    assert not window.exceeded
    window.add(15.3)
    assert window.failures == 1


def test_an_intensity_of_zero_bears_none() -> None:
    window = RestartWindow(0, 10.0)
    window.add(3.0)
    assert window.exceeded


def test_the_back_off_doubles_up_to_a_limit() -> None:
    window = RestartWindow(5, 60.0)
    delays = []
    for _ in range(100):
        window.add(0.0)
        delays.append(window.delay)
    assert delays[:4] == [LEAST_DELAY, 2 * LEAST_DELAY, 4 * LEAST_DELAY, 8 * LEAST_DELAY]
    assert delays[-1] == window.longest == 5.0
    window.clear()
    window.add(0.0)
    assert window.delay == LEAST_DELAY


@pytest.mark.parametrize(("intensity", "period"), [(0, 0.1), (5, 0.6), (5, 60.0), (50, 5.1)])
def test_one_too_many_fits_into_the_period_in_spite_of_the_back_off(
    intensity: int, period: float
) -> None:
    window = RestartWindow(intensity, period)
    now = 0.0
    for _ in range(intensity + 1):
        window.add(now)
        now += window.delay
    assert window.exceeded
