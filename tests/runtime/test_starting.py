"""Pools whose workers take long to start: in batches, and for as long as they may."""

from __future__ import annotations

import os
import re
import threading
from functools import partial
from typing import Any

import pytest

import snakepit
from snakepit import errors
from snakepit.policy.starts import MOST_STARTING
from tests.runtime.helpers import PATIENCE, Gate, Tally, wait_until


def load(gate: Gate, tally: Tally) -> None:
    tally.add()
    gate.wait()


def waits_for_ever() -> None:
    threading.Event().wait()


NEVER_ENDS = partial(re.match, "(a+)+$", "a" * 60 + "b")
"""Native code that holds the GIL. It needs no module of the tests, to import which takes long."""


@snakepit.remote
def pid() -> int:
    return os.getpid()


def starting(name: str) -> int:
    return snakepit.pool(name).stats()["workers"]["starting"]


@pytest.mark.filterwarnings("ignore:pool slow")  # on builds with a GIL
@pytest.mark.parametrize("profile", ["process", "thread"])
def test_no_more_than_a_batch_start_at_one_time(profile: str, gate: Gate, tally: Tally) -> None:
    pools = [
        snakepit.Pool(
            "slow", profile=profile, size=4, start_batch=2, start_timeout=PATIENCE,
            threads_per_worker=2 if profile == "thread" else None,
            initializer=partial(load, gate, tally),
        ),
        snakepit.Pool("others", size=3),
    ]  # fmt: skip
    with snakepit.init(num_cpus=1, pools=pools):
        assert wait_until(lambda: tally.count == 2)
        snakepit.pool("others").await_ready(PATIENCE)
        assert (tally.count, starting("slow")) == (2, 2)
        gate.open()
        snakepit.pool("slow").await_ready(PATIENCE)
        assert tally.count == 4


def test_one_that_is_not_ready_in_time_is_ended_and_its_pool_says_where_it_was() -> None:
    # More of them than are forked at one time: they must not keep the others from that.
    crowd = MOST_STARTING + 1
    pools = [
        snakepit.Pool("stuck", size=crowd, start_batch=crowd, initializer=waits_for_ever),
        snakepit.Pool("late", size=1, start_timeout=1.0, initializer=NEVER_ENDS),
        snakepit.Pool("well", size=2),
    ]
    options: dict[str, Any] = {"restart_intensity": 1, "restart_period": 2.0}
    with snakepit.init(num_cpus=1, log_to_driver=False, pools=pools, **options):
        snakepit.pool("well").await_ready(PATIENCE)
        waits = pid.options(pool="late").remote()
        with pytest.raises(errors.PoolFailedError, match=r"within start_timeout=1 s") as caught:
            snakepit.pool("late").await_ready(PATIENCE)
        assert re.search(r"re/__init__.py\", line \d+ in match", caught.value.stderr)
        assert "2 times in a row" in str(caught.value)
        with pytest.raises(errors.PoolFailedError, match=r"pid: .* start_timeout"):
            snakepit.get(waits, timeout=PATIENCE)
        assert starting("stuck") == crowd
        assert snakepit.get(pid.options(pool="well").remote(), timeout=PATIENCE)
        assert snakepit.get(pid.remote(), timeout=PATIENCE)


def waits_for_its_own_pool() -> None:
    snakepit.pool("selfish").await_ready(PATIENCE)


def test_an_initializer_cannot_wait_for_its_pool() -> None:
    pool = snakepit.Pool("selfish", size=1, initializer=waits_for_its_own_pool)
    options: dict[str, Any] = {"restart_intensity": 0, "restart_period": 2.0}
    with snakepit.init(num_cpus=1, log_to_driver=False, pools=[pool], **options):
        with pytest.raises(errors.PoolFailedError) as caught:
            snakepit.pool("selfish").await_ready(PATIENCE)
        assert "PoolDeadlockError: pool selfish" in caught.value.stderr
        assert "its own initializer" in caught.value.stderr


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"start_batch": 0}, errors.OptionError, "start_batch must be an integer from 1 to 65536"),
        ({"start_batch": None}, TypeError, "start_batch must be an integer"),
        ({"start_batch": 1.5}, TypeError, "start_batch must be an integer"),
        ({"start_timeout": 0}, errors.OptionError, "start_timeout must be .* more than 0"),
        ({"start_timeout": -1}, errors.OptionError, "start_timeout must be"),
        ({"start_timeout": "10"}, TypeError, "start_timeout must be"),
        ({"start_timeout": float("inf")}, errors.OptionError, "start_timeout must be"),
    ],
    ids=str,
)
def test_wrong_settings_are_refused(arguments: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        snakepit.Pool("a", **arguments)
