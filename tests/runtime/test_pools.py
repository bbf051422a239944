"""Declared pools on real processes: sizes, queues, what they say of themselves."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

import snakepit
from snakepit import errors
from snakepit.policy.lines import PARTS
from tests.runtime.helpers import PATIENCE, Gate, Tally, core, wait_until


@pytest.fixture
def pools() -> Iterator[None]:
    """A runtime with two pools beside the usual one."""
    with snakepit.init(
        num_cpus=1,
        pools=[
            snakepit.Pool("wide", size=3, max_queue_size=2, queue_timeout=None),
            snakepit.Pool("brief", size=1, queue_timeout=0.2),
        ],
    ):
        # Who calls before waits for a worker that starts, and no longer than for one that works.
        for name in ("wide", "brief"):
            snakepit.pool(name).await_ready(PATIENCE)
        yield


@snakepit.remote
def hold(gate: Gate, tally: Tally) -> int:
    tally.add()
    gate.wait()
    return os.getpid()


@snakepit.remote
def holds_at_times(gate: Gate, tally: Tally, holds: bool) -> None:
    if holds:
        tally.add()
        gate.wait()


@snakepit.remote(pool="wide")
def pid() -> int:
    return os.getpid()


@snakepit.remote
def fails() -> None:
    raise ValueError("on purpose")


@pytest.mark.usefixtures("pools")
def test_a_pool_has_its_workers_from_the_start() -> None:
    wide = snakepit.pool("wide")
    wide.await_ready(PATIENCE)
    stats = wide.stats()
    assert sum(stats["workers"].values()) == 3 and stats["state"] == "running"
    assert (stats["name"], stats["size"], stats["max_size"]) == ("wide", 3, 3)
    assert snakepit.get(wide.ready(), timeout=PATIENCE) is None
    snakepit.pool().await_ready(PATIENCE)


@pytest.mark.usefixtures("pools")
def test_its_size_is_the_limit_and_not_the_cpus(gate: Gate, tally: Tally) -> None:
    calls = [hold.options(pool="wide").remote(gate, tally) for _ in range(3)]
    assert wait_until(lambda: tally.count == 3)
    assert snakepit.available_resources()["CPU"] == 1
    gate.open()
    assert len(set(snakepit.get(calls, timeout=PATIENCE))) == 3


@pytest.mark.usefixtures("pools")
def test_one_call_too_many_fails_at_once(gate: Gate, tally: Tally) -> None:
    before = snakepit.pool("wide").stats()
    calls = [hold.options(pool="wide").remote(gate, tally) for _ in range(5)]
    assert wait_until(lambda: tally.count == 3)
    with pytest.raises(errors.PoolSaturatedError, match="2 calls wait") as caught:
        snakepit.get(pid.remote(), timeout=PATIENCE)
    assert (caught.value.pool, caught.value.limit) == ("wide", 2)
    stats = snakepit.pool("wide").stats()
    assert (stats["running"], stats["queued"], stats["waiting"]) == (3, 2, 0)
    assert stats["saturations"] == before["saturations"] + 1
    assert stats["workers"]["busy"] == 3
    gate.open()
    snakepit.get(calls, timeout=PATIENCE)
    assert snakepit.get(pid.remote(), timeout=PATIENCE)
    stats = snakepit.pool("wide").stats()
    assert stats["requests"] - before["requests"] == 7
    assert stats["succeeded"] - before["succeeded"] == 6


@pytest.mark.usefixtures("pools")
def test_who_waits_for_too_long_never_runs(gate: Gate, tally: Tally) -> None:
    brief = hold.options(pool="brief")
    first = brief.remote(gate, tally)
    assert wait_until(lambda: tally.count == 1)
    late = brief.remote(gate, tally)
    with pytest.raises(errors.QueueTimeoutError, match="never will: no worker") as caught:
        snakepit.get(late, timeout=PATIENCE)
    assert (caught.value.pool, caught.value.timeout) == ("brief", 0.2)
    assert isinstance(caught.value, TimeoutError)
    gate.open()
    snakepit.get(first, timeout=PATIENCE)
    assert snakepit.get(pid.options(pool="brief").remote(), timeout=PATIENCE)
    assert tally.count == 1
    assert snakepit.pool("brief").stats()["timeouts"] == 1


@pytest.mark.usefixtures("pools")
def test_what_was_sent_ahead_of_time_waits_in_line_too(gate: Gate, tally: Tally) -> None:
    often_brief = holds_at_times.options(pool="brief")
    for _ in range(3):
        snakepit.get(often_brief.remote(gate, tally, False), timeout=PATIENCE)
    first = often_brief.remote(gate, tally, True)
    late = [often_brief.remote(gate, tally, True) for _ in range(5)]
    for ref in late:
        with pytest.raises(errors.QueueTimeoutError):
            snakepit.get(ref, timeout=PATIENCE)
    gate.open()
    snakepit.get(first, timeout=PATIENCE)
    assert tally.count == 1
    assert snakepit.pool("brief").stats()["timeouts"] == 5


@pytest.mark.usefixtures("pools")
def test_errors_are_counted_by_kind() -> None:
    before = snakepit.pool("brief").stats()["errors"]
    with pytest.raises(ValueError, match="on purpose"):
        snakepit.get(fails.options(pool="brief").remote(), timeout=PATIENCE)
    after = snakepit.pool("brief").stats()["errors"]
    assert after["error"] == before.get("error", 0) + 1


@pytest.mark.usefixtures("pools")
def test_the_usual_pool_counts_too() -> None:
    before = snakepit.pool().stats()
    with pytest.raises(ValueError, match="on purpose"):
        snakepit.get(fails.remote(), timeout=PATIENCE)
    after = snakepit.pool().stats()
    assert after["requests"] == before["requests"] + 1
    assert after["errors"]["error"] == before["errors"].get("error", 0) + 1


@snakepit.remote
def ask(name: str) -> Any:
    snakepit.pool(name).await_ready(PATIENCE)
    return snakepit.pool(name).stats()


@pytest.mark.usefixtures("pools")
def test_a_task_may_ask_and_call() -> None:
    assert snakepit.get(ask.remote("wide"), timeout=PATIENCE)["size"] == 3

    @snakepit.remote
    def calls() -> int:
        return snakepit.get(pid.remote())

    assert snakepit.get(calls.remote(), timeout=PATIENCE) > 0
    with pytest.raises(errors.UnknownPoolError, match="'narrow'"):
        snakepit.get(ask.remote("narrow"), timeout=PATIENCE)


@pytest.mark.usefixtures("pools")
def test_a_pool_that_is_not_there() -> None:
    for name in ("narrow", "default.1"):
        with pytest.raises(errors.UnknownPoolError, match=f"pool '{name}'.*wide, brief, default"):
            snakepit.get(pid.options(pool=name).remote(), timeout=PATIENCE)
        with pytest.raises(errors.UnknownPoolError, match=name):
            snakepit.pool(name).stats()
        with pytest.raises(errors.UnknownPoolError, match=name):
            snakepit.pool(name).await_ready(PATIENCE)


@pytest.mark.usefixtures("pools")
def test_a_worker_that_dies_is_replaced() -> None:
    brief = snakepit.pool("brief")
    with pytest.raises(errors.WorkerCrashedError):
        snakepit.get(
            snakepit.remote(os._exit).options(pool="brief", max_retries=0).remote(3),
            timeout=PATIENCE,
        )
    brief.await_ready(PATIENCE)
    assert brief.stats()["workers"]["idle"] == 1


def test_a_pool_named_default_is_for_calls_that_name_none(gate: Gate, tally: Tally) -> None:
    with snakepit.init(num_cpus=1, pools=[snakepit.Pool("default", size=2, queue_timeout=None)]):
        calls = [hold.remote(gate, tally) for _ in range(2)]
        assert wait_until(lambda: tally.count == 2)
        gate.open()
        assert len(set(snakepit.get(calls, timeout=PATIENCE))) == 2
        # What a call asks for it takes all the same.
        with pytest.raises(errors.TaskUnschedulableError):
            snakepit.get(pid.options(pool=None, num_cpus=2).remote(), timeout=PATIENCE)


def test_an_elastic_pool_grows_and_shrinks(gate: Gate, tally: Tally) -> None:
    elastic = snakepit.Pool(
        "elastic", min_size=0, max_size=2, idle_timeout=0.01, queue_timeout=None
    )
    with snakepit.init(num_cpus=1, pools=[elastic]):
        assert sum(snakepit.pool("elastic").stats()["workers"].values()) == 0
        calls = [hold.options(pool="elastic").remote(gate, tally) for _ in range(3)]
        assert wait_until(lambda: tally.count == 2)
        gate.open()
        snakepit.get(calls, timeout=PATIENCE)
        assert wait_until(lambda: not sum(snakepit.pool("elastic").stats()["workers"].values()))


def test_a_pool_is_made_smaller_and_larger_while_it_works(gate: Gate, tally: Tally) -> None:
    with snakepit.init(num_cpus=1, pools=[snakepit.Pool("work", size=3, queue_timeout=None)]):
        work = snakepit.pool("work")
        work.await_ready(PATIENCE)
        call = hold.options(pool="work")
        calls = [call.remote(gate, tally) for _ in range(3)]
        assert wait_until(lambda: tally.count == 3)
        work.resize(0)
        later = [pid.options(pool="work").remote() for _ in range(4)]
        gate.open()
        snakepit.get(calls, timeout=PATIENCE)
        assert wait_until(lambda: not sum(work.stats()["workers"].values()))
        assert work.stats()["queued"] == 4
        work.resize(min_size=1, max_size=2)
        assert len(snakepit.get(later, timeout=PATIENCE)) == 4
        work.resize(2)
        work.await_ready(PATIENCE)
        assert sum(work.stats()["workers"].values()) == 2


@pytest.mark.usefixtures("pools")
def test_sizes_that_are_not_allowed() -> None:
    wide = snakepit.pool("wide")
    for arguments, error, text in (
        ({}, errors.OptionError, "size: give the number"),
        ({"size": -1}, errors.OptionError, "size must be an integer from 0"),
        ({"size": "1"}, TypeError, "size must be an integer"),
        ({"min_size": 1}, errors.OptionError, "max_size is missing"),
        ({"min_size": 2, "max_size": 1}, errors.OptionError, "min_size must be an integer"),
    ):
        with pytest.raises(error, match=text):
            wide.resize(**arguments)  # type: ignore[arg-type]
    with pytest.raises(errors.OptionError, match="'default' was not declared"):
        snakepit.pool().resize(3)
    with pytest.raises(errors.UnknownPoolError, match="narrow"):
        snakepit.pool("narrow").resize(3)
    assert wide.stats()["size"] == 3


def test_an_environment_that_no_worker_can_begin_with_stops_no_other_call() -> None:
    broken = snakepit.Pool("broken", size=1, queue_timeout=None)
    env = {"worker_process_setup_hook": "not.there.at_all"}
    with snakepit.init(num_cpus=1, pools=[broken], restart_intensity=0, restart_period=0.1):
        assert snakepit.get(pid.options(pool=None).remote(), timeout=PATIENCE)
        with pytest.raises(errors.RuntimeEnvSetupError):
            snakepit.get(pid.options(pool="broken", runtime_env=env).remote(), timeout=PATIENCE)
        assert snakepit.get(pid.options(pool=None).remote(), timeout=PATIENCE)


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"name": 3}, TypeError, "name must be a string of 1 to 64"),
        ({"name": ""}, errors.OptionError, "name must be 1 to 64 letters"),
        ({"name": "a/b"}, errors.OptionError, "not 'a/b'"),
        ({"name": "a" * 65}, errors.OptionError, "name must be 1 to 64 letters"),
        ({"profile": 1}, TypeError, 'profile must be "process" or "thread"'),
        ({"profile": "fibre"}, errors.OptionError, "not 'fibre'"),
        ({"threads_per_worker": 2}, errors.OptionError, 'profile="process" runs one call'),
        ({"profile": "thread", "threads_per_worker": 0}, errors.OptionError, "from 1 to 256"),
        ({"profile": "thread", "threads_per_worker": "2"}, TypeError, "threads_per_worker must be"),
        ({"initializer": "main"}, TypeError, "initializer must be a function without arguments"),
        ({"size": 0}, errors.OptionError, "size must be an integer from 1 to 65536, not 0"),
        ({"size": "2"}, TypeError, "size must be an integer"),
        ({"size": True}, TypeError, "size must be an integer"),
        ({"size": 2, "max_size": 3}, errors.OptionError, "size: leave it out"),
        ({"min_size": 2}, errors.OptionError, "max_size is missing"),
        ({"min_size": 3, "max_size": 2}, errors.OptionError, "min_size must be an integer from 0"),
        ({"idle_timeout": -1}, errors.OptionError, "idle_timeout must be a number of seconds"),
        ({"idle_timeout": None}, TypeError, "idle_timeout must be a number of seconds"),
        ({"max_queue_size": -1}, errors.OptionError, "max_queue_size must be an integer from 0"),
        ({"queue_timeout": 0}, errors.OptionError, "queue_timeout must be .* more than 0"),
        ({"queue_timeout": float("nan")}, errors.OptionError, "queue_timeout must be"),
        ({"queue_timeout": "1"}, TypeError, "queue_timeout must be"),
        ({"sizes": 3}, TypeError, "sizes"),
    ],
    ids=str,
)
def test_wrong_settings_are_refused(arguments: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        snakepit.Pool(**{"name": "a", **arguments})


@pytest.mark.parametrize(
    ("pools", "error", "text"),
    [
        ("wide", TypeError, "pools must be a list of snakepit.Pool"),
        (snakepit.Pool("a"), TypeError, "pools must be a list of snakepit.Pool"),
        (["wide"], TypeError, "a pool in pools must be a snakepit.Pool"),
        ([snakepit.Pool("a"), snakepit.Pool("a", size=2)], errors.OptionError, "'a' is the name"),
    ],
    ids=str,
)
def test_wrong_pools_are_refused(pools: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        snakepit.init(pools=pools)
    assert not snakepit.is_initialized()


def test_wrong_names_of_pools_are_refused() -> None:
    with pytest.raises(TypeError, match="pool must be a string"):
        pid.options(pool=3)  # type: ignore[arg-type]
    with pytest.raises(errors.OptionError, match="pool must be 1 to 64 letters"):
        pid.options(pool="a b")
    with pytest.raises(errors.OptionError, match="name must be 1 to 64 letters"):
        snakepit.pool("")


@snakepit.remote(num_cpus=0)
class Client:
    """Somebody else's process that calls."""

    def call(self, gate: Gate, tally: Tally, count: int) -> int:
        self.made = [hold.options(pool="brief").remote(gate, tally) for _ in range(count)]
        return os.getpid()


@pytest.mark.usefixtures("pools")
def test_a_client_that_dies_leaves_its_worker_to_others(gate: Gate, tally: Tally) -> None:
    client = Client.remote()
    snakepit.get(client.call.remote(gate, tally, 1), timeout=PATIENCE)
    assert wait_until(lambda: tally.count == 1)
    snakepit.kill(client)
    with pytest.raises(errors.ActorDiedError):
        snakepit.get(client.call.remote(gate, tally, 1), timeout=PATIENCE)
    gate.open()
    brief = snakepit.pool("brief")
    assert wait_until(lambda: brief.stats()["running"] == 0)
    assert snakepit.get(pid.options(pool="brief").remote(), timeout=PATIENCE)
    stats = brief.stats()
    assert (stats["requests"], stats["succeeded"], stats["workers"]["idle"]) == (2, 2, 1)


def test_a_time_that_runs_out_after_a_call_has_got_its_worker_is_no_concern(
    gate: Gate, tally: Tally
) -> None:
    with snakepit.init(num_cpus=1, pools=[snakepit.Pool("one", size=1, queue_timeout=600)]):
        one = hold.options(pool="one")
        other = Gate(f"{gate.path}-2")
        first, second = one.remote(other, tally), one.remote(gate, tally)
        assert wait_until(lambda: tally.count == 1)
        assert snakepit.pool("one").stats()["queued"] == 1
        other.open()
        assert wait_until(lambda: tally.count == 2)
        for _ in range(2 * PARTS):  # More than ten minutes pass.
            core().update(lambda: core().scheduler.tick("queue:one"))
        gate.open()
        snakepit.get([first, second], timeout=PATIENCE)
        assert snakepit.pool("one").stats()["timeouts"] == 0
