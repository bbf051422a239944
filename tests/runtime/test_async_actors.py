"""Actors with coroutine methods: side by side on one event loop, cancelled, killed, restarted."""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
import time
from typing import Any

import pytest

import snakepit
from snakepit.errors import (
    ActorDiedError,
    GetTimeoutError,
    SerializationError,
    TaskCancelledError,
)
from tests.runtime.helpers import PATIENCE, Gate, wait_until

pytestmark = pytest.mark.usefixtures("runtime")


@snakepit.remote
class Board:
    """Coroutines that meet: what one waits for, another does."""

    def __init__(self) -> None:
        self.event = asyncio.Event()
        self.running = 0
        self.most = 0
        self.cleaned: list[str] = []
        self.marked: contextvars.ContextVar[int] = contextvars.ContextVar("marked", default=0)

    async def wait(self) -> str:
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await self.event.wait()
        finally:
            self.running -= 1
        return "woken"

    async def wake(self) -> None:
        self.event.set()

    async def record(self) -> tuple[int, int]:
        return self.running, self.most

    def plain(self) -> tuple[bool, bool]:
        return (
            threading.current_thread() is threading.main_thread(),
            asyncio.get_running_loop() is not None,
        )

    async def fails(self) -> None:
        await asyncio.sleep(0)
        raise KeyError("inside")

    async def unpicklable(self) -> Any:
        return threading.Lock()

    async def forever(self, gate: Gate) -> None:
        gate.open()
        try:
            await asyncio.sleep(3600)
        finally:
            self.cleaned.append("forever")

    async def cleanings(self) -> list[str]:
        return self.cleaned

    async def awaits(self, refs: list[Any]) -> Any:
        if len(refs) == 1:
            return await refs[0]
        return await asyncio.gather(*refs)

    async def mark(self, number: int) -> tuple[int, int]:
        before = self.marked.get()
        self.marked.set(number)
        await asyncio.sleep(0.001)
        return before, self.marked.get()

    async def leave(self) -> None:
        snakepit.exit_actor()

    async def die(self) -> None:
        os._exit(3)

    async def pid(self) -> int:
        return os.getpid()


@snakepit.remote
def slow(value: Any, seconds: float = 0.05) -> Any:
    time.sleep(seconds)
    return value


@snakepit.remote
def raises() -> None:
    raise OSError("task")


def get(ref: Any) -> Any:
    return snakepit.get(ref, timeout=PATIENCE)


def test_more_calls_wait_than_any_mailbox_holds_and_a_later_one_wakes_them() -> None:
    board = Board.remote()
    waiting = [board.wait.remote() for _ in range(900)]
    assert wait_until(lambda: get(board.record.remote())[0] == 900)
    get(board.wake.remote())
    assert get(waiting) == ["woken"] * 900


def test_no_more_run_at_once_than_it_allows() -> None:
    board = Board.options(max_concurrency=3).remote()
    waiting = [board.wait.remote() for _ in range(2)]
    assert wait_until(lambda: get(board.record.remote())[0] == 2)
    waiting += [board.wait.remote() for _ in range(20)]
    board.wake.remote()
    with pytest.raises(GetTimeoutError):
        snakepit.get(waiting[0], timeout=0.05)
    snakepit.kill(board)


def test_a_plain_method_runs_on_the_loop() -> None:
    assert get(Board.remote().plain.remote()) == (True, True)


def test_errors_arrive_with_their_type() -> None:
    board = Board.remote()
    with pytest.raises(KeyError, match="inside"):
        get(board.fails.remote())
    with pytest.raises(SerializationError, match="lock"):
        get(board.unpicklable.remote())
    assert get(board.record.remote()) == (0, 0)


def test_references_are_awaited_without_blocking_the_loop() -> None:
    board = Board.remote()
    one = board.awaits.remote([slow.remote(1, 0.3)])
    many = board.awaits.remote([slow.remote(n, 0) for n in range(10)])
    assert get(board.record.remote()) == (0, 0)
    assert get(many) == list(range(10))
    assert get(one) == 1
    with pytest.raises(OSError, match="task"):
        get(board.awaits.remote([raises.remote()]))


def test_actors_await_one_another() -> None:
    first, second = Board.remote(), Board.remote()
    waits = first.awaits.remote([second.wait.remote()])
    get(second.wake.remote())
    assert get(waits) == "woken"


def test_each_call_has_a_context_of_its_own() -> None:
    board = Board.remote()
    assert get([board.mark.remote(n) for n in range(1, 6)]) == [(0, n) for n in range(1, 6)]


def test_a_cancelled_coroutine_cleans_up_and_the_others_go_on(gate: Gate) -> None:
    board = Board.remote()
    other = board.wait.remote()
    endless = board.forever.remote(gate)
    gate.wait()
    snakepit.cancel(endless)
    with pytest.raises(TaskCancelledError):
        get(endless)
    assert get(board.cleanings.remote()) == ["forever"]
    get(board.wake.remote())
    assert get(other) == "woken"


def test_a_call_that_waits_for_its_turn_is_cancelled(gate: Gate) -> None:
    board = Board.options(max_concurrency=1).remote()
    endless = board.forever.remote(gate)
    gate.wait()
    waiting = board.wake.remote()
    snakepit.cancel(waiting)
    with pytest.raises(TaskCancelledError):
        get(waiting)
    snakepit.cancel(endless)
    with pytest.raises(TaskCancelledError):
        get(endless)
    assert get(board.cleanings.remote()) == ["forever"]


def test_exit_and_death_answer_every_call() -> None:
    for end in ("leave", "die"):
        board = Board.remote()
        waiting = [board.wait.remote() for _ in range(5)]
        assert wait_until(lambda board=board: get(board.record.remote())[0] == 5)
        last = getattr(board, end).remote()
        for ref in [last, *waiting]:
            with pytest.raises(ActorDiedError):
                get(ref)


def test_it_restarts_and_runs_again_what_may_be() -> None:
    board = Board.options(max_restarts=1, max_task_retries=1).remote()
    before = get(board.pid.remote())
    waiting = [board.wait.remote() for _ in range(3)]
    assert wait_until(lambda: get(board.record.remote())[0] == 3)
    with pytest.raises(snakepit.errors.SnakepitError):
        get(board.die.options(max_task_retries=0).remote())
    assert get(board.pid.remote()) != before
    get(board.wake.remote())
    assert get(waiting) == ["woken"] * 3


def test_a_blocking_get_in_a_coroutine_is_answered_and_warned_of() -> None:
    @snakepit.remote
    class Blocking:
        async def work(self, refs: list[Any]) -> tuple[Any, list[str]]:
            import warnings

            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                value = snakepit.get(refs[0])
            return value, [str(warning.message) for warning in caught]

    value, warned = get(Blocking.remote().work.remote([slow.remote(7)]))
    assert value == 7
    assert any("block the event loop" in text for text in warned)


def test_background_tasks_of_the_user_run_on() -> None:
    @snakepit.remote
    class Ticker:
        def __init__(self) -> None:
            self.ticks = 0
            self.task = asyncio.get_running_loop().create_task(self.tick())

        async def tick(self) -> None:
            while True:
                self.ticks += 1
                await asyncio.sleep(0.001)

        async def seen(self) -> int:
            return self.ticks

    ticker = Ticker.remote()
    assert wait_until(lambda: get(ticker.seen.remote()) > 5)


def test_a_constructor_that_fails() -> None:
    @snakepit.remote
    class Broken:
        def __init__(self) -> None:
            raise RuntimeError("never made")

        async def work(self) -> None: ...

    with pytest.raises(ActorDiedError, match="never made"):
        get(Broken.remote().work.remote())


def test_a_method_that_blocks_the_loop_is_named_once(capfd: pytest.CaptureFixture[str]) -> None:
    @snakepit.remote
    class Blocks:
        def __init__(self) -> None:
            time.sleep(0.6)  # A constructor may.

        async def quick(self) -> int:
            await asyncio.sleep(0)
            return 1

        async def slow(self) -> int:
            time.sleep(0.6)
            return 2

    blocks = Blocks.remote()
    assert snakepit.get(blocks.quick.remote(), timeout=PATIENCE) == 1
    assert "blocked" not in capfd.readouterr().err
    assert snakepit.get([blocks.slow.remote(), blocks.slow.remote()], timeout=PATIENCE) == [2, 2]
    told = ""

    def is_told() -> bool:
        nonlocal told
        told += capfd.readouterr().err
        return "Blocks.slow ended last" in told

    assert wait_until(is_told)
    assert told.count("was blocked for") == 1
