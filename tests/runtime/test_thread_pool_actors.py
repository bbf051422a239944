"""Actors that live inside the workers of thread pools, beside tasks and one another."""

from __future__ import annotations

import gc
import os
import threading
import warnings
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

import snakepit
from snakepit import errors
from tests.runtime.helpers import PATIENCE, Gate, Tally, wait_until

THREADS = 3


def load() -> None:
    from snakepit.util import threads

    threads.shared("model", lambda: [os.getpid()])


@pytest.fixture(scope="module", autouse=True)
def pools() -> Iterator[None]:
    """A runtime with a pool of one process and three threads, and one of two processes."""
    pools = [
        snakepit.Pool(
            "one", profile="thread", threads_per_worker=THREADS, queue_timeout=None,
            initializer=load,
        ),
        snakepit.Pool("two", profile="thread", size=2, threads_per_worker=2, queue_timeout=None),
    ]  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of threads that take turns
        context = snakepit.init(num_cpus=1, pools=pools)
    with context:
        for name in ("one", "two"):
            snakepit.pool(name).await_ready(PATIENCE)
        yield


@pytest.fixture(autouse=True)
def nobody_lives_there() -> Iterator[None]:
    """The next test finds pools without actors."""
    yield
    gc.collect()  # an exception that a test has caught may hold its handles in a cycle
    assert wait_until(lambda: not any(sum(stats(n)["actors"].values()) for n in ("one", "two")))


def stats(pool: str) -> snakepit.PoolStats:
    return snakepit.pool(pool).stats()


@snakepit.remote(pool="one", max_retries=0)
def task_pid() -> int:
    return os.getpid()


@snakepit.remote(pool="one", max_retries=0)
def hold(gate: Gate, tally: Tally) -> int:
    tally.add()
    gate.wait()
    return os.getpid()


@snakepit.remote(pool="one")
class Lodger:
    def __init__(self, first: int = 0) -> None:
        self.calls = first
        self.inside = 0

    def count(self) -> int:
        self.calls += 1
        return self.calls

    def pid(self) -> int:
        return os.getpid()

    def alone(self, tally: Tally) -> bool:
        self.inside += 1
        tally.add()
        alone = self.inside == 1
        self.inside -= 1
        return alone

    def model(self) -> int:
        from snakepit.util import threads

        found: list[int] = threads.shared("model")
        return id(found)

    def wait(self, gate: Gate, tally: Tally) -> int:
        tally.add()
        gate.wait()
        return self.calls

    def wait_for_word(self, tally: Tally) -> bool:
        tally.add()
        here = snakepit.get_runtime_context()
        return wait_until(here.is_canceled)

    def ask(self, other: snakepit.ActorHandle[Any]) -> int:
        found: int = snakepit.get(other.count.remote())
        return found

    def die(self) -> None:
        os._exit(7)

    def leave(self) -> None:
        snakepit.exit_actor()

    def who(self) -> tuple[str | None, str | None]:
        here = snakepit.get_runtime_context()
        return here.get_actor_id(), here.get_actor_name()

    def numbers(self, count: int) -> Iterator[int]:
        yield from range(count)


def test_many_live_in_one_process_beside_tasks() -> None:
    actors = [Lodger.remote(n) for n in range(20)]
    pids = {snakepit.get(actor.pid.remote(), timeout=PATIENCE) for actor in actors}
    assert pids == {snakepit.get(task_pid.remote(), timeout=PATIENCE)}
    assert [snakepit.get(a.count.remote(), timeout=PATIENCE) for a in actors] == [*range(1, 21)]
    # What the initializer has loaded is there once.
    assert len({snakepit.get(actor.model.remote(), timeout=PATIENCE) for actor in actors}) == 1
    assert stats("one")["actors"]["alive"] == 20
    assert stats("one")["workers"]["actor"] == 0 and len(stats("one")["ready"]) == 1
    assert snakepit.available_resources()["CPU"] == 1.0


def test_one_call_at_a_time_in_order(tally: Tally) -> None:
    actor = Lodger.remote()
    refs = [actor.count.remote() for _ in range(100)]
    assert snakepit.get(refs, timeout=PATIENCE) == list(range(1, 101))
    assert all(snakepit.get([actor.alone.remote(tally) for _ in range(50)], timeout=PATIENCE))
    assert tally.count == 50


def test_what_waits_for_its_actor_takes_no_thread(gate: Gate, tally: Tally) -> None:
    busy, other = Lodger.remote(), Lodger.remote()
    waiting = [busy.wait.remote(gate, tally) for _ in range(10)]
    assert wait_until(lambda: tally.count == 1)
    assert snakepit.get(other.count.remote(), timeout=PATIENCE) == 1
    assert snakepit.get(task_pid.remote(), timeout=PATIENCE)
    assert tally.count == 1
    gate.open()
    assert snakepit.get(waiting, timeout=PATIENCE) == [0] * 10


def test_several_calls_of_one_instance_run_at_once() -> None:
    @snakepit.remote(pool="one", max_concurrency=2)
    class Pair:
        def __init__(self) -> None:
            self.barrier = threading.Barrier(2)

        def meet(self) -> str:
            self.barrier.wait(PATIENCE)
            return threading.current_thread().name

    pair = Pair.remote()
    met = snakepit.get([pair.meet.remote() for _ in range(8)], timeout=PATIENCE)
    assert all(name.startswith("snakepit-thread-") for name in met)


def test_concurrency_groups_have_limits_of_their_own(gate: Gate, tally: Tally) -> None:
    @snakepit.remote(pool="one", concurrency_groups={"io": 1})
    class Board:
        @snakepit.method(concurrency_group="io")
        def wait(self, gate: Gate, tally: Tally) -> None:
            tally.add()
            gate.wait()

        def look(self) -> bool:
            return True

    board = Board.remote()
    waiting = [board.wait.remote(gate, tally) for _ in range(2)]
    assert wait_until(lambda: tally.count == 1)
    assert snakepit.get(board.look.remote(), timeout=PATIENCE)
    assert tally.count == 1
    gate.open()
    snakepit.get(waiting, timeout=PATIENCE)


def test_calls_wait_for_actors_of_their_process_though_all_threads_are_taken() -> None:
    chain = [Lodger.remote() for _ in range(2 * THREADS)]
    asked = [one.ask.remote(other) for one, other in pairwise(chain)]
    assert snakepit.get(asked, timeout=PATIENCE) == [1] * len(asked)

    @snakepit.remote(pool="one")
    def make_and_ask() -> int:
        found: int = snakepit.get(Lodger.remote(41).count.remote())
        return found

    asked = [make_and_ask.remote() for _ in range(2 * THREADS)]
    assert snakepit.get(asked, timeout=PATIENCE) == [42] * len(asked)


def test_a_kill_ends_the_actor_and_nothing_else(gate: Gate, tally: Tally) -> None:
    victim, other = Lodger.remote(), Lodger.remote()
    pid = snakepit.get(other.pid.remote(), timeout=PATIENCE)
    running, waiting = victim.wait_for_word.remote(tally), victim.count.remote()
    beside = hold.remote(gate, tally)
    assert wait_until(lambda: tally.count == 2)
    snakepit.kill(victim)
    for ref in (running, waiting, victim.count.remote()):
        with pytest.raises(errors.ActorDiedError, match="kill"):
            snakepit.get(ref, timeout=PATIENCE)
    gate.open()
    assert snakepit.get(beside, timeout=PATIENCE) == pid
    assert snakepit.get(other.pid.remote(), timeout=PATIENCE) == pid


def test_a_kill_with_a_restart_makes_another_instance() -> None:
    actor = Lodger.options(max_restarts=1).remote(5)
    assert snakepit.get(actor.count.remote(), timeout=PATIENCE) == 6
    snakepit.kill(actor, no_restart=False)
    assert snakepit.get(actor.count.remote(), timeout=PATIENCE) == 6
    snakepit.kill(actor, no_restart=False)
    with pytest.raises(errors.ActorDiedError):
        snakepit.get(actor.count.remote(), timeout=PATIENCE)


def test_an_instance_goes_with_the_last_handle(tally: Tally) -> None:
    @snakepit.remote(pool="one")
    class Marked:
        def __init__(self, tally: Tally) -> None:
            self.tally = tally

        def pid(self) -> int:
            return os.getpid()

        def __del__(self) -> None:
            self.tally.add()

    first, second = Marked.remote(tally), Marked.remote(tally)
    pid = snakepit.get([first.pid.remote(), second.pid.remote()], timeout=PATIENCE)[0]
    del first

    def is_gone() -> bool:
        # Without the GIL an object goes when the thread that made it runs again: any may be that.
        snakepit.get([second.pid.remote() for _ in range(THREADS)], timeout=PATIENCE)
        return tally.count == 1

    assert wait_until(is_gone)
    assert snakepit.get(second.pid.remote(), timeout=PATIENCE) == pid


def test_an_actor_may_end_itself() -> None:
    actor, other = Lodger.remote(), Lodger.remote()
    left, late = actor.leave.remote(), actor.count.remote()
    for ref in (left, late):
        with pytest.raises(errors.ActorDiedError, match="exit_actor"):
            snakepit.get(ref, timeout=PATIENCE)
    ended = other.count.remote(), other.__ray_terminate__.remote()
    assert snakepit.get(ended[0], timeout=PATIENCE) == 1
    with pytest.raises(errors.ActorDiedError):
        snakepit.get(ended[1], timeout=PATIENCE)


def test_a_death_of_the_process_ends_all_and_each_by_its_own_rules() -> None:
    mortal = Lodger.remote()
    lasting = [Lodger.options(max_restarts=2, max_task_retries=1).remote(n) for n in range(3)]
    before = {snakepit.get(actor.pid.remote(), timeout=PATIENCE) for actor in (mortal, *lasting)}
    died = lasting[0].die.options(max_task_retries=0).remote()
    with pytest.raises(errors.ActorError):
        snakepit.get(died, timeout=PATIENCE)
    with pytest.raises(errors.ActorDiedError) as caught:
        snakepit.get(mortal.count.remote(), timeout=PATIENCE)
    assert caught.value.exit_code == 7
    counted = [snakepit.get(actor.count.remote(), timeout=PATIENCE) for actor in lasting]
    assert counted == [1, 2, 3]
    assert before.isdisjoint(snakepit.get([a.pid.remote() for a in lasting], timeout=PATIENCE))


def test_workers_with_actors_are_not_recycled() -> None:
    actor = Lodger.options(pool="two").remote()
    home = snakepit.get(actor.pid.remote(), timeout=PATIENCE)
    snakepit.pool("two").recycle()
    assert wait_until(lambda: stats("two")["recycled"].get("asked") == 1)
    assert snakepit.get(actor.pid.remote(), timeout=PATIENCE) == home
    assert stats("two")["recycled"] == {"asked": 1}


def test_actors_are_spread_over_the_processes_of_a_pool() -> None:
    assert wait_until(lambda: len(stats("two")["ready"]) == 2)
    actors: list[snakepit.ActorHandle[Lodger]] = []
    pids: list[int] = []
    for _ in range(6):  # each when the one before is there, and takes no thread any more
        actors.append(Lodger.options(pool="two").remote())
        pids.append(snakepit.get(actors[-1].pid.remote(), timeout=PATIENCE))
    assert sorted(pids.count(pid) for pid in set(pids)) == [3, 3]


def test_names_contexts_and_streams() -> None:
    actor = Lodger.options(name="lodger", get_if_exists=True).remote()
    other = Lodger.remote()
    mine, name = snakepit.get(actor.who.remote(), timeout=PATIENCE)
    theirs, nothing = snakepit.get(other.who.remote(), timeout=PATIENCE)
    assert mine != theirs and name == "lodger" and not nothing
    found = snakepit.get_actor("lodger")
    assert snakepit.get(found.count.remote(), timeout=PATIENCE) == 1
    stream = actor.numbers.options(num_returns="streaming").remote(5)
    assert [snakepit.get(ref, timeout=PATIENCE) for ref in stream] == [0, 1, 2, 3, 4]


def test_pending_calls_are_limited(gate: Gate, tally: Tally) -> None:
    actor = Lodger.options(max_pending_calls=1).remote()
    running = actor.wait.remote(gate, tally)
    with pytest.raises(errors.PendingCallsLimitExceeded):
        actor.count.remote()
    gate.open()
    snakepit.get(running, timeout=PATIENCE)


def test_force_is_refused_and_a_cancel_is_asked(tally: Tally) -> None:
    actor = Lodger.remote()
    running = actor.wait_for_word.remote(tally)
    assert wait_until(lambda: tally.count == 1)
    with pytest.raises(ValueError, match="kill"):
        snakepit.cancel(running, force=True)
    snakepit.cancel(running)
    with pytest.raises(errors.TaskCancelledError):
        snakepit.get(running, timeout=PATIENCE)
    assert snakepit.get(actor.count.remote(), timeout=PATIENCE) == 1


def test_a_constructor_that_raises_costs_nobody_else() -> None:
    @snakepit.remote(pool="one")
    class Broken:
        def __init__(self) -> None:
            raise ValueError("no")

        def ok(self) -> bool:
            return True

    other = Lodger.remote()
    pid = snakepit.get(other.pid.remote(), timeout=PATIENCE)
    with pytest.raises(errors.ActorDiedError, match="its constructor raised"):
        snakepit.get(Broken.remote().ok.remote(), timeout=PATIENCE)
    assert snakepit.get(other.pid.remote(), timeout=PATIENCE) == pid


def test_what_does_not_fit_into_threads_is_refused() -> None:
    @snakepit.remote(pool="one")
    class Loop:
        async def ok(self) -> bool:
            return True

    with pytest.raises(errors.NotSupportedError, match=r"coroutines.*max_concurrency"):
        Loop.remote()

    @snakepit.remote(pool="one")
    class Unsafe:
        thread_safe = False

    with pytest.raises(errors.NotSupportedError, match="thread_safe = False"):
        Unsafe.remote()


def test_resources_are_held_for_as_long_as_it_lives() -> None:
    actor = Lodger.options(num_cpus=1).remote()
    snakepit.get(actor.count.remote(), timeout=PATIENCE)
    assert snakepit.available_resources().get("CPU", 0.0) == 0.0
    snakepit.kill(actor)
    assert wait_until(lambda: snakepit.available_resources().get("CPU") == 1.0)


def test_stats_count_tasks_alone(gate: Gate, tally: Tally) -> None:
    actor = Lodger.remote()
    before = stats("one")["requests"]
    running = [actor.wait.remote(gate, tally), hold.remote(gate, tally)]
    assert wait_until(lambda: tally.count == 2)
    now = stats("one")
    assert (now["running"], now["queued"], now["waiting"]) == (1, 0, 0)
    assert now["requests"] == before + 1 and now["workers"]["busy"] == 1
    gate.open()
    snakepit.get(running, timeout=PATIENCE)
