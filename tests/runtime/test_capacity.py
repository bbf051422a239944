"""How the calls of a thread pool are spread over its workers: `Pool(capacity=...)`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

import snakepit
from snakepit import errors
from tests.runtime.helpers import PATIENCE, Gate, Tally, wait_until

pytestmark = [
    pytest.mark.usefixtures("runtime"),
    # On builds with a GIL.
    pytest.mark.filterwarnings("ignore:pool pool, profile, hybrid, methods"),
]


CAPACITIES = ("pool", "profile", "hybrid")


@pytest.fixture(scope="module")
def runtime() -> Iterator[Any]:
    """A runtime with an elastic pool of each capacity: one process to begin with, two threads."""
    pools = [
        snakepit.Pool(
            name, profile="thread", capacity=capacity, threads_per_worker=2, min_size=1, max_size=2,
            max_queue_size=None, queue_timeout=None, idle_timeout=3600,
        )
        for name, capacity in {**{each: each for each in CAPACITIES}, "methods": "hybrid"}.items()
    ]  # fmt: skip
    with snakepit.init(num_cpus=2, pools=pools) as context:
        for pool in pools:
            snakepit.pool(pool.name).await_ready(PATIENCE)
        yield context


@snakepit.remote
def hold(gate: Gate, tally: Tally) -> int:
    tally.add()
    gate.wait()
    return os.getpid()


@snakepit.remote
def pid() -> int:
    return os.getpid()


@snakepit.remote
def parent(pool: str) -> tuple[int, int]:
    return os.getpid(), snakepit.get(pid.options(pool=pool).remote())


def workers(pool: str) -> int:
    return sum(snakepit.pool(pool).stats()["workers"].values())


def get(refs: Any) -> Any:
    return snakepit.get(refs, timeout=PATIENCE)


def test_pool_fills_the_threads_and_then_grows(gate: Gate, tally: Tally) -> None:
    calls = [hold.options(pool="pool").remote(gate, tally) for _ in range(2)]
    assert wait_until(lambda: tally.count == 2)
    assert workers("pool") == 1
    calls += [hold.options(pool="pool").remote(gate, tally) for _ in range(2)]
    assert wait_until(lambda: tally.count == 4)
    gate.open()
    found = get(calls)
    assert found[0] == found[1] != found[2] == found[3]


def test_profile_runs_one_call_in_each_process(gate: Gate, tally: Tally) -> None:
    profile = snakepit.pool("profile")
    calls = [hold.options(pool="profile").remote(gate, tally) for _ in range(3)]
    assert wait_until(lambda: tally.count == 2)
    stats = profile.stats()
    assert (stats["running"], stats["queued"], stats["threads_per_worker"]) == (2, 1, 2)
    gate.open()
    assert len(set(get(calls)[:2])) == 2
    # Calls that are known to be short do not begin beside one another either.
    get([pid.options(pool="profile").remote() for _ in range(20)])
    assert profile.stats()["succeeded"] == 23


def test_profile_runs_what_a_call_waits_for_beside_it(gate: Gate, tally: Tally) -> None:
    refs = [parent.options(pool="profile").remote("profile") for _ in range(2)]
    assert len(get(refs)) == 2


def test_hybrid_grows_when_calls_share_a_process(gate: Gate, tally: Tally) -> None:
    first = [hold.options(pool="hybrid").remote(gate, tally) for _ in range(2)]
    assert wait_until(lambda: tally.count == 2), "none waits for a process that starts"
    assert wait_until(lambda: snakepit.pool("hybrid").stats()["workers"]["idle"] == 1)
    more = hold.options(pool="hybrid").remote(gate, tally)
    assert wait_until(lambda: tally.count == 3)
    gate.open()
    one, two, three = get([*first, more])
    assert one == two != three
    assert workers("hybrid") == 2


@snakepit.remote
class Counter:
    def where(self) -> int:
        return os.getpid()


def test_hybrid_grows_when_a_method_shares_a_process(gate: Gate, tally: Tally) -> None:
    actor = Counter.options(pool="methods").remote()
    home = get(actor.where.remote())
    assert workers("methods") == 1
    first = hold.options(pool="methods").remote(gate, tally)
    assert wait_until(lambda: tally.count == 1)
    assert get(actor.where.remote()) == home
    assert wait_until(lambda: workers("methods") == 2)
    gate.open()
    assert get(first) == home


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"capacity": "profile"}, errors.OptionError, 'capacity="profile": a worker of profile="p'),
        ({"capacity": "hybrid"}, errors.OptionError, 'take profile="thread"'),
        ({"capacity": "all"}, errors.OptionError, 'capacity must be "pool", "profile" or "hybrid"'),
        ({"capacity": None, "profile": "thread"}, TypeError, "capacity must be"),
        ({"capacity": 1}, TypeError, "capacity must be"),
    ],
    ids=str,
)
def test_wrong_settings_are_refused(arguments: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        snakepit.Pool("a", **arguments)


def test_a_pool_of_processes_may_say_what_it_has_anyway() -> None:
    assert snakepit.Pool("a", capacity="pool").capacity == "pool"
