"""Actors that live in pools whose workers run one call at a time: each has a worker to itself."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Iterator

import pytest

import snakepit
from snakepit import errors
from tests.runtime.helpers import PATIENCE, Gate, Tally, wait_until

POOLS = ("pair", "wide", "short", "broken")


def load() -> None:
    vars(sys)["_model"] = os.getpid()


def refuse_to_start() -> None:
    os._exit(3)


@pytest.fixture(scope="module", autouse=True)
def pools() -> Iterator[None]:
    """A runtime with a pool of two processes, an elastic one, and one that recycles."""
    with snakepit.init(
        num_cpus=1,
        pools=[
            snakepit.Pool(
                "pair", size=2, queue_timeout=None, initializer=load, nice=3,
                memory_limit=1 << 32 if sys.version_info < (3, 13) else None,
            ),
            snakepit.Pool("wide", min_size=0, max_size=3, queue_timeout=0.5),
            snakepit.Pool("short", size=1, queue_timeout=None, worker_max_requests=2),
            snakepit.Pool("broken", min_size=0, max_size=1, initializer=refuse_to_start),
        ],
    ):  # fmt: skip
        yield


@pytest.fixture(autouse=True)
def all_places_are_free() -> Iterator[None]:
    """The next test finds pools without actors."""
    yield
    gc.collect()  # an exception that a test has caught may hold its handles in a cycle
    assert wait_until(lambda: not any(living(name) for name in POOLS))
    assert wait_until(lambda: sum(stats("pair")["workers"].values()) == 2)


def stats(pool: str) -> snakepit.PoolStats:
    return snakepit.pool(pool).stats()


def living(pool: str) -> int:
    return sum(stats(pool)["actors"].values()) + stats(pool)["workers"]["actor"]


@snakepit.remote(pool="pair", max_retries=0)
def pid() -> int:
    return os.getpid()


@snakepit.remote(pool="pair")
class Resident:
    def __init__(self, gate: Gate | None = None) -> None:
        self.calls = 0
        if gate is not None:
            gate.wait()

    def count(self) -> int:
        self.calls += 1
        return self.calls

    def facts(self) -> tuple[int, int, int]:
        return os.getpid(), vars(sys)["_model"], os.nice(0)

    def pid(self) -> int:
        return os.getpid()

    def die(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def call_its_pool(self) -> int:
        return snakepit.get(pid.remote())


def test_an_idle_worker_becomes_the_actors_process() -> None:
    snakepit.pool("pair").await_ready(PATIENCE)
    before = {snakepit.get(pid.remote(), timeout=PATIENCE) for _ in range(20)}
    actor = Resident.remote()
    found, loaded, nice = snakepit.get(actor.facts.remote(), timeout=PATIENCE)
    assert found == loaded and nice >= 3
    ready = stats("pair")["ready"]
    assert len(ready) == 1 and stats("pair")["workers"]["actor"] == 1
    assert stats("pair")["actors"] == {"pending": 0, "starting": 0, "alive": 1}
    # Whichever it took, tasks have the other alone.
    rest = {snakepit.get(pid.remote(), timeout=PATIENCE) for _ in range(20)}
    assert len(rest) == 1 and found not in rest
    assert before <= {found, *rest}
    assert snakepit.available_resources()["CPU"] == 1.0


def test_calls_keep_their_order_and_the_state() -> None:
    actor = Resident.remote()
    refs = [actor.count.remote() for _ in range(300)]
    assert snakepit.get(refs, timeout=PATIENCE) == list(range(1, 301))


def test_who_finds_no_place_waits_for_one() -> None:
    actors = [Resident.remote() for _ in range(3)]
    pids = [actor.pid.remote() for actor in actors]
    ready, rest = snakepit.wait(pids, num_returns=2, timeout=PATIENCE)
    assert rest == pids[2:]
    assert stats("pair")["actors"] == {"pending": 1, "starting": 0, "alive": 2}
    task = pid.remote()
    assert not snakepit.wait([task, pids[2]], timeout=0.1)[0]
    snakepit.kill(actors[0])
    # The actor came first; the task has a worker when another actor has gone.
    assert snakepit.get(pids[2], timeout=PATIENCE) not in snakepit.get(ready)
    snakepit.kill(actors[1])
    assert snakepit.get(task, timeout=PATIENCE) not in snakepit.get(pids)
    assert snakepit.get(actors[2].count.remote(), timeout=PATIENCE) == 1


def test_tasks_without_a_worker_wait_as_long_as_their_pool_lets_them() -> None:
    actors = [Resident.options(pool="wide").remote() for _ in range(3)]
    snakepit.get([actor.count.remote() for actor in actors], timeout=PATIENCE)
    with pytest.raises(errors.QueueTimeoutError):
        snakepit.get(pid.options(pool="wide").remote(), timeout=PATIENCE)
    # An actor waits for longer than that, for as long as it takes.
    late = Resident.options(pool="wide").remote()
    counted = late.count.remote()
    assert not snakepit.wait([counted], timeout=0.8)[0]
    snakepit.kill(actors.pop())
    assert snakepit.get(counted, timeout=PATIENCE) == 1


def test_a_pool_grows_for_actors_and_shrinks_after() -> None:
    actors = [Resident.options(pool="wide").remote() for _ in range(3)]
    assert len(set(snakepit.get([a.pid.remote() for a in actors], timeout=PATIENCE))) == 3
    del actors
    assert wait_until(lambda: sum(stats("wide")["workers"].values()) == 0)


def test_a_restart_takes_another_worker_of_the_pool() -> None:
    actor = Resident.options(max_restarts=1, max_task_retries=1).remote()
    first, _, _ = snakepit.get(actor.facts.remote(), timeout=PATIENCE)
    with pytest.raises(errors.ActorError):
        snakepit.get(actor.die.options(max_task_retries=0).remote(), timeout=PATIENCE)
    second, loaded, _ = snakepit.get(actor.facts.remote(), timeout=PATIENCE)
    assert second == loaded != first
    with pytest.raises(errors.ActorDiedError):
        snakepit.get(actor.die.remote(), timeout=PATIENCE)


def test_what_ends_leaves_a_place_that_is_filled(gate: Gate) -> None:
    actor = Resident.remote(gate)
    assert wait_until(lambda: stats("pair")["actors"]["starting"] == 1)
    snakepit.kill(actor)
    with pytest.raises(errors.ActorDiedError):
        snakepit.get(actor.count.remote(), timeout=PATIENCE)
    snakepit.pool("pair").await_ready(PATIENCE)
    assert wait_until(lambda: len(stats("pair")["ready"]) == 2)


def test_actors_are_not_recycled_and_their_calls_not_counted() -> None:
    actor = Resident.options(pool="short").remote()
    found = {snakepit.get(actor.pid.remote(), timeout=PATIENCE) for _ in range(10)}
    snakepit.pool("short").recycle()
    assert {snakepit.get(actor.pid.remote(), timeout=PATIENCE)} == found
    assert stats("short")["recycled"] == {}


def test_a_resize_leaves_actors_alone() -> None:
    actor = Resident.remote()
    found = snakepit.get(actor.pid.remote(), timeout=PATIENCE)
    snakepit.pool("pair").resize(0)
    assert wait_until(lambda: sum(stats("pair")["workers"].values()) == 1)
    task = pid.remote()
    assert snakepit.get(actor.pid.remote(), timeout=PATIENCE) == found
    snakepit.pool("pair").resize(2)
    assert snakepit.get(task, timeout=PATIENCE) != found


def test_a_pool_that_drains_takes_no_actors_and_leaves_those_it_has() -> None:
    actor = Resident.remote()
    snakepit.get(actor.count.remote(), timeout=PATIENCE)
    snakepit.pool("pair").drain(timeout=PATIENCE)
    try:
        refused = Resident.remote()
        with pytest.raises(errors.PoolDrainingError, match="Resident was not taken"):
            snakepit.get(refused.count.remote(), timeout=PATIENCE)
        assert snakepit.get(actor.count.remote(), timeout=PATIENCE) == 2
        assert snakepit.get(actor.call_its_pool.remote(), timeout=PATIENCE)
    finally:
        snakepit.pool("pair").resume()


def test_a_pool_that_cannot_start_says_so_to_actors() -> None:
    actor = Resident.options(pool="broken").remote()
    with pytest.raises(errors.PoolFailedError) as caught:
        snakepit.get(actor.count.remote(), timeout=PATIENCE)
    assert caught.value.exit_code == 3 and "pool broken has failed" in str(caught.value)
    late = Resident.options(pool="broken").remote()
    with pytest.raises(errors.PoolFailedError):
        snakepit.get(late.count.remote(), timeout=PATIENCE)


def test_a_pool_that_is_not_there_is_the_error_that_tasks_get() -> None:
    actor = Resident.options(pool="nowhere").remote()
    with pytest.raises(errors.UnknownPoolError, match="Resident is for pool 'nowhere'"):
        snakepit.get(actor.count.remote(), timeout=PATIENCE)
    with pytest.raises(errors.OptionError, match="pool"):
        Resident.options(pool="no such name!")


def test_resources_are_taken_besides_the_place() -> None:
    actor = Resident.options(num_cpus=1).remote()
    snakepit.get(actor.count.remote(), timeout=PATIENCE)
    assert snakepit.available_resources().get("CPU", 0.0) == 0.0
    snakepit.kill(actor)
    assert wait_until(lambda: snakepit.available_resources().get("CPU") == 1.0)


def test_environments_have_workers_of_their_own_in_the_pool() -> None:
    @snakepit.remote(pool="pair", runtime_env={"env_vars": {"MODE": "careful"}})
    class Careful:
        def mode(self) -> tuple[str | None, int]:
            return os.environ.get("MODE"), vars(sys)["_model"]

        def pid(self) -> int:
            return os.getpid()

    actor = Careful.remote()
    mode, loaded = snakepit.get(actor.mode.remote(), timeout=PATIENCE)
    assert mode == "careful" and loaded == snakepit.get(actor.pid.remote(), timeout=PATIENCE)
    assert stats("pair")["actors"]["alive"] == 1


def test_actors_without_a_pool_need_no_place() -> None:
    residents = [Resident.remote() for _ in range(2)]
    snakepit.get([actor.count.remote() for actor in residents], timeout=PATIENCE)

    @snakepit.remote
    class Free:
        def ok(self) -> bool:
            return "_model" not in vars(sys)

    assert snakepit.get(Free.remote().ok.remote(), timeout=PATIENCE)
    assert stats("pair")["actors"]["alive"] == 2


def test_coroutines_and_threads_side_by_side_in_a_process_of_the_pool(tally: Tally) -> None:
    @snakepit.remote(pool="pair")
    class Meeting:
        def __init__(self, parties: int) -> None:
            import asyncio

            self.parties, self.here, self.all = parties, 0, asyncio.Event()

        async def meet(self) -> int:
            self.here += 1
            if self.here == self.parties:
                self.all.set()
            await self.all.wait()
            return os.getpid()

    actor = Meeting.remote(8)
    met = snakepit.get([actor.meet.remote() for _ in range(8)], timeout=PATIENCE)
    assert len(set(met)) == 1

    @snakepit.remote(pool="pair", max_concurrency=3)
    class Gathering:
        def wait(self, tally: Tally, parties: int) -> bool:
            tally.add()
            return wait_until(lambda: tally.count >= parties)

    other = Gathering.remote()
    assert all(snakepit.get([other.wait.remote(tally, 3) for _ in range(3)], timeout=PATIENCE))


def test_names_and_detached_actors_and_handles_as_arguments() -> None:
    named = Resident.options(name="resident", get_if_exists=True, lifetime="detached").remote()
    snakepit.get(named.count.remote(), timeout=PATIENCE)
    del named

    @snakepit.remote
    def use(actor: snakepit.ActorHandle[Resident]) -> int:
        found: int = snakepit.get(actor.count.remote())
        return found

    again = Resident.options(name="resident", get_if_exists=True).remote()
    assert snakepit.get(use.remote(again), timeout=PATIENCE) == 2
    snakepit.kill(again)
