"""Actors whose methods run in threads, and concurrency groups of both kinds of actors."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from typing import Any

import pytest

import snakepit
from snakepit.errors import ActorDiedError, GetTimeoutError, OptionError, TaskCancelledError
from tests.runtime.helpers import PATIENCE, Gate, wait_until

pytestmark = pytest.mark.usefixtures("runtime")


@snakepit.remote(max_concurrency=4)
class Room:
    def __init__(self) -> None:
        self.barrier = threading.Barrier(4)
        self.gate = threading.Event()
        self.lock = threading.Lock()
        self.running = 0

    def meet(self) -> str:
        self.barrier.wait(PATIENCE)
        return threading.current_thread().name

    def stay(self) -> None:
        with self.lock:
            self.running += 1
        self.gate.wait(PATIENCE)

    def inside(self) -> int:
        return self.running

    def open(self) -> None:
        self.gate.set()

    def fetch(self, refs: list[Any]) -> Any:
        return snakepit.get(refs[0])

    def spawn(self, value: int) -> int:
        return int(snakepit.get(echo.remote(value)))

    def mine(self) -> str:
        return snakepit.get_runtime_context().get_task_id() or ""

    def die(self) -> None:
        os._exit(4)

    def leave(self) -> None:
        snakepit.exit_actor()

    def fresh(self, value: int) -> list[Any]:
        return [snakepit.put(value)]


@snakepit.remote
def echo(value: Any, seconds: float = 0.0) -> Any:
    time.sleep(seconds)
    return value


def get(ref: Any) -> Any:
    return snakepit.get(ref, timeout=PATIENCE)


def test_as_many_run_as_it_allows() -> None:
    room = Room.remote()
    assert len(set(get([room.meet.remote() for _ in range(4)]))) == 4


def test_no_more_run_than_it_allows_and_the_rest_wait_in_order() -> None:
    room = Room.options(max_concurrency=3).remote()
    staying = [room.stay.remote() for _ in range(2)]
    assert wait_until(lambda: get(room.inside.remote()) == 2)
    staying += [room.stay.remote() for _ in range(5)]
    late = room.inside.remote()
    with pytest.raises(GetTimeoutError):
        snakepit.get(late, timeout=0.05)
    snakepit.kill(room)
    with pytest.raises(ActorDiedError):
        get(late)


def test_each_thread_waits_for_its_own() -> None:
    room = Room.remote()
    refs = [room.fetch.remote([echo.remote(n, 0.05)]) for n in range(12)]
    assert get(refs) == list(range(12))
    assert get([room.spawn.remote(n) for n in range(12)]) == list(range(12))


def test_each_knows_which_call_it_is() -> None:
    room = Room.remote()
    refs = [room.mine.remote() for _ in range(8)]
    assert get(refs) == [ref.hex() for ref in refs]


def test_references_that_one_returns_outlive_the_reports_of_the_others() -> None:
    room = Room.remote()
    refs = snakepit.get([room.fresh.remote(value) for value in range(1000)], timeout=PATIENCE)
    values = snakepit.get([ref for (ref,) in refs], timeout=PATIENCE)
    assert values == list(range(1000))


def test_a_waiting_call_is_cancelled() -> None:
    room = Room.options(max_concurrency=1, concurrency_groups={"door": 1}).remote()
    staying = room.stay.remote()
    waiting = room.stay.remote()
    assert wait_until(lambda: get(room.inside.options(concurrency_group="door").remote()) == 1)
    snakepit.cancel(waiting)
    with pytest.raises(TaskCancelledError):
        get(waiting)
    get(room.open.options(concurrency_group="door").remote())
    assert get(staying) is None


def test_deaths_and_exits_answer_every_call() -> None:
    for end in ("die", "leave"):
        room = Room.remote()
        staying = [room.stay.remote() for _ in range(2)]
        assert wait_until(lambda room=room: get(room.inside.remote()) == 2)
        last = getattr(room, end).remote()
        for ref in [last, *staying]:
            with pytest.raises(ActorDiedError):
                get(ref)


def test_it_ends_with_its_last_handle_after_what_was_called() -> None:
    room = Room.remote()
    refs = [room.fetch.remote([echo.remote(n)]) for n in range(8)]
    del room
    assert get(refs) == list(range(8))


# --- groups -----------------------------------------------------------------------------------


@snakepit.remote(concurrency_groups={"io": 2, "compute": 1})
class Grouped:
    def __init__(self) -> None:
        self.event = asyncio.Event()
        self.io_running = 0

    @snakepit.method(concurrency_group="io")
    async def io(self) -> None:
        self.io_running += 1
        await self.event.wait()
        self.io_running -= 1

    @snakepit.method(concurrency_group="compute")
    async def compute(self) -> int:
        return self.io_running

    async def other(self) -> int:
        return self.io_running

    async def wake(self) -> None:
        self.event.set()


def test_a_full_group_holds_up_no_other() -> None:
    grouped = Grouped.remote()
    waiting = [grouped.io.remote() for _ in range(700)]
    assert wait_until(lambda: get(grouped.compute.remote()) == 2)
    assert get(grouped.other.remote()) == 2
    get(grouped.wake.remote())
    assert get(waiting) == [None] * 700


def test_a_call_may_choose_its_group(gate: Gate) -> None:
    grouped = Grouped.remote()
    waiting = [grouped.io.options(concurrency_group="compute").remote()]
    assert wait_until(lambda: get(grouped.other.remote()) == 1)
    late = grouped.compute.remote()
    with pytest.raises(GetTimeoutError):
        snakepit.get(late, timeout=0.05)
    get(grouped.wake.remote())
    assert get([*waiting, late]) == [None, 0]


def test_threads_have_groups_too() -> None:
    @snakepit.remote(concurrency_groups={"io": 1})
    class Plain:
        @snakepit.method(concurrency_group="io")
        def io(self) -> str:
            return threading.current_thread().name

        def other(self) -> str:
            return threading.current_thread().name

    plain = Plain.remote()
    io, other = get([plain.io.remote(), plain.other.remote()])
    assert io == "snakepit-io-1"
    assert other == "snakepit-actor-1"


def test_unknown_groups_are_refused_with_those_there_are() -> None:
    @snakepit.remote(concurrency_groups={"io": 1})
    class Wrong:
        @snakepit.method(concurrency_group="oi")
        def work(self) -> None: ...

    with pytest.raises(OptionError, match=r"'oi' of Wrong\.work.*it has: 'io'"):
        Wrong.remote()
    grouped = Grouped.remote()
    with pytest.raises(OptionError, match=r"'disk'.*it has: 'io', 'compute'"):
        grouped.io.options(concurrency_group="disk")


def test_the_options_are_checked() -> None:
    for options, text in (
        ({"max_concurrency": 0}, "max_concurrency"),
        ({"concurrency_groups": {"io": 0}}, "io"),
        ({"concurrency_groups": {"": 1}}, "a name in concurrency_groups"),
    ):
        with pytest.raises(OptionError, match=text):
            snakepit.remote(**options)(type("A", (), {}))  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="concurrency_groups"):
        snakepit.remote(concurrency_groups=["io"])(type("A", (), {}))  # type: ignore[call-overload]
