"""A worker killed at each point of a call: its value or the exact error, and nothing is left."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest
from faults_harness import PATIENCE_S, driver, is_alive, store_empties, wait_until, works_on

import snakepit
from snakepit import errors, testing
from snakepit.testing import KillPlan, KillPoint, Kills

LARGE = 300_000
"""Bytes; what is this large goes through the store, arguments and results alike."""

UNBEGUN = (KillPoint.CALL_READ, KillPoint.BEFORE_EXEC)
NOT_UNDER_WAY = (*UNBEGUN, KillPoint.AFTER_REPLY)
"""Where a death costs no call a retry."""

ONCE_A_WORKER = (KillPoint.DESCRIPTOR_TAKEN, KillPoint.DESCRIPTOR_SENT)
ON_EACH_PATH = [point for point in KillPoint if point is not KillPoint.HALF_CALL]
ON_A_METHODS_PATH = [point for point in ON_EACH_PATH if point not in ONCE_A_WORKER]


def points(which: list[KillPoint]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("point", which, ids=lambda point: point.value)


@snakepit.remote
def flip(data: bytes) -> bytes:
    return data[::-1]


@snakepit.remote
class Book:
    def __init__(self, data: bytes) -> None:
        self.first = snakepit.put(data[::-1])
        self.calls = 0

    def flip(self, data: bytes) -> bytes:
        self.calls += 1
        return data[::-1]

    def count(self) -> int:
        return self.calls


def data(number: int = 0) -> bytes:
    return bytes([number, 7]) * (LARGE // 2)


@contextmanager
def killing(point: KillPoint, nth: int = 1, times: int = 1) -> Iterator[Kills]:
    """A runtime with the plan; at its end it works, and store and scheduler are empty."""
    plan = KillPlan(point, nth, times)
    with testing.killing_runtime(plan, log_to_driver=False) as kills:
        yield kills
        assert kills.deaths == times
        assert snakepit.get(flip.remote(data(9)), timeout=PATIENCE_S) == data(9)[::-1]
        works_on()
        store_empties()
        core = driver()._core
        living = {number for number, worker in core.connections.items() if is_alive(worker.pid)}
        assert set(core.memory.segments) <= living | {0}


class Watched(NamedTuple):
    """A call, and what its future was told."""

    ref: Any
    told: list[Any]

    def value(self) -> Any:
        return snakepit.get(self.ref, timeout=PATIENCE_S)

    def error(self, kind: type[Exception]) -> Any:
        try:
            value = self.value()
        except kind as error:
            assert type(error) is kind
            # Its frames would hold the reference.
            return error.with_traceback(None)
        raise AssertionError(f"{value!r} is no {kind.__name__}")

    def resolved_once(self) -> None:
        assert wait_until(lambda: self.told)
        # What it resolved to is for ever.
        outcomes = {repr(self.again()) for _ in range(3)}
        assert (len(outcomes), len(self.told)) == (1, 1)

    def again(self) -> Any:
        try:
            return self.value()
        except errors.SnakepitError as error:
            return type(error), str(error)


def watch(ref: Any) -> Watched:
    told: list[Any] = []
    ref.future().add_done_callback(told.append)
    return Watched(ref, told)


def assert_killed(error: Any, running: str, call: str) -> None:
    assert (error.signal, error.exit_code) == ("SIGKILL", None)
    assert (error.running, error.call) == (running, call)
    assert error.pid and not is_alive(error.pid)
    assert "was killed by SIGKILL" in str(error)


# --- tasks --------------------------------------------------------------------------------


@points(ON_EACH_PATH)
def test_a_task_with_retries_has_its_value(point: KillPoint) -> None:
    with killing(point):
        calls = [watch(flip.options(max_retries=1).remote(data(n))) for n in range(3)]
        for number, call in enumerate(calls):
            assert call.value() == data(number)[::-1]
            call.resolved_once()
        del calls, call


@points(ON_EACH_PATH)
def test_a_task_without_retries_is_lost_only_if_it_had_begun(point: KillPoint) -> None:
    with killing(point):
        struck, behind = (watch(flip.options(max_retries=0).remote(data(n))) for n in range(2))
        if point in NOT_UNDER_WAY:
            assert struck.value() == data()[::-1]
        else:
            error = struck.error(errors.WorkerCrashedError)
            assert_killed(error, "flip", "flip")
            assert error.attempts == 1
            del error
        assert behind.value() == data(1)[::-1]
        struck.resolved_once()
        behind.resolved_once()
        del struck, behind


@points(ON_EACH_PATH)
def test_a_task_that_meets_it_each_time_is_given_up(point: KillPoint) -> None:
    with killing(point, times=3):
        call = watch(flip.options(max_retries=-1).remote(data()))
        if point in NOT_UNDER_WAY:
            assert call.value() == data()[::-1]
        else:
            error = call.error(errors.PoisonedCallError)
            assert_killed(error, "flip", "flip")
            assert error.attempts == 3
            del error
        call.resolved_once()
        del call
        if point is KillPoint.AFTER_REPLY:
            rest = [flip.remote(data(n)) for n in range(2)]
            assert snakepit.get(rest, timeout=PATIENCE_S) == [data(n)[::-1] for n in range(2)]
            del rest


# --- actors -------------------------------------------------------------------------------


@points(ON_EACH_PATH)
@pytest.mark.parametrize("restarts", [0, 1])
def test_an_actors_constructor(point: KillPoint, restarts: int) -> None:
    with killing(point):
        book = Book.options(max_restarts=restarts).remote(data())
        call = watch(book.flip.options(max_task_retries=1).remote(data(1)))
        if restarts or point in UNBEGUN:
            assert call.value() == data(1)[::-1]
            call.resolved_once()
            assert snakepit.get(book.count.remote(), timeout=PATIENCE_S) == 1
        else:
            error = call.error(errors.ActorDiedError)
            running = "" if point is KillPoint.AFTER_REPLY else "Book"
            assert_killed(error, running, "Book" if running else "Book.flip")
            call.resolved_once()
            later = watch(book.count.remote())
            assert_killed(later.error(errors.ActorDiedError), running, "Book")
            later.resolved_once()
            del error, later
        del book, call


@points(ON_A_METHODS_PATH)
def test_a_method_of_an_actor_without_restarts(point: KillPoint) -> None:
    with killing(point, nth=2):
        book = Book.remote(data())
        struck, behind = (watch(book.flip.remote(data(n))) for n in range(2))
        running = "" if point in NOT_UNDER_WAY else "Book.flip"
        if point is KillPoint.AFTER_REPLY:
            assert struck.value() == data()[::-1]
        else:
            assert_killed(struck.error(errors.ActorDiedError), running, "Book.flip")
        assert_killed(behind.error(errors.ActorDiedError), running, "Book.flip")
        assert_killed(watch(book.count.remote()).error(errors.ActorDiedError), running, "Book")
        struck.resolved_once()
        behind.resolved_once()
        del book, struck, behind


@points(ON_A_METHODS_PATH)
@pytest.mark.parametrize("retries", [0, 1])
def test_a_method_of_an_actor_that_is_restarted(point: KillPoint, retries: int) -> None:
    with killing(point, nth=2):
        book = Book.options(max_restarts=1).remote(data())
        flip_it = book.flip.options(max_task_retries=retries)
        struck, behind = (watch(flip_it.remote(data(n))) for n in range(2))
        if retries or point in NOT_UNDER_WAY:
            assert struck.value() == data()[::-1]
        else:
            assert_killed(struck.error(errors.ActorUnavailableError), "Book.flip", "Book.flip")
        # What had not begun runs in the actor's second life, which knows nothing of the first.
        assert behind.value() == data(1)[::-1]
        lived = (retries and point not in NOT_UNDER_WAY) or point in UNBEGUN
        assert snakepit.get(book.count.remote(), timeout=PATIENCE_S) == 1 + bool(lived)
        struck.resolved_once()
        behind.resolved_once()
        del book, struck, behind, flip_it


# --- more of the frames -------------------------------------------------------------------


@snakepit.remote(max_retries=0)
def echo(value: bytes) -> bytes:
    return value


@pytest.mark.parametrize("size", [0, 1, 60_000, 50_000_000])
def test_half_a_reply_of_any_size(size: int) -> None:
    with killing(KillPoint.HALF_REPLY):
        struck, behind = watch(echo.remote(bytes(size))), watch(echo.remote(bytes(size)))
        assert_killed(struck.error(errors.WorkerCrashedError), "echo", "echo")
        assert behind.value() == bytes(size)
        del struck, behind


@snakepit.remote
def total(numbers: list[bytes]) -> int:
    flipped = [flip.remote(number) for number in numbers]
    return sum(len(value) for value in snakepit.get(flipped))


@pytest.mark.parametrize("nth", [1, 2, 3])
@pytest.mark.parametrize("retries", [0, 1])
def test_half_a_nested_call(nth: int, retries: int) -> None:
    with killing(KillPoint.HALF_CALL, nth):
        call = watch(total.options(max_retries=retries).remote([data(n) for n in range(3)]))
        if retries:
            assert call.value() == 3 * LARGE
        else:
            assert_killed(call.error(errors.WorkerCrashedError), "total", "total")
        call.resolved_once()
        del call


@pytest.mark.parametrize("point", ONCE_A_WORKER, ids=lambda point: point.value)
def test_a_socket_on_its_way(point: KillPoint) -> None:
    @snakepit.remote
    def answer(sock: socket.socket) -> tuple[bytes, socket.socket]:
        return sock.recv(5), sock

    ours, theirs = socket.socketpair()
    with killing(point), ours:
        with theirs:
            ours.sendall(b"hello" * 2)  # one for who dies once it has answered
            ref = answer.remote(theirs)
        text, sock = snakepit.get(ref, timeout=PATIENCE_S)
        with sock:
            assert text == b"hello"
            del ref
        assert wait_until(lambda: not len(driver()._core.memory.descriptors))
