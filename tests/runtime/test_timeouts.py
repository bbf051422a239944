"""Calls that may not run for ever."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import threading
import time
from pathlib import Path

import pytest

import snakepit
from snakepit import errors
from snakepit.policy import timeouts
from tests.runtime.helpers import PATIENCE, Gate, Tally, core, let_time_run_out, wait_until

pytestmark = pytest.mark.usefixtures("runtime")


@snakepit.remote(timeout=0.2)
def sleeps() -> None:
    while True:
        time.sleep(0.01)


@snakepit.remote(timeout=2 * PATIENCE, max_retries=3)
def deaf(tally: Tally) -> None:
    """C code that holds the GIL and hears of no signal."""
    signal.pthread_sigmask(signal.SIG_SETMASK, set(signal.Signals) - {signal.SIGKILL})
    tally.add()
    ctypes.PyDLL(None).sleep(600)


@snakepit.remote(timeout=PATIENCE)
def pid() -> int:
    return os.getpid()


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No worker is ended, however slow the machine is at the moment."""
    monkeypatch.setattr(timeouts, "GRACE", 2 * PATIENCE)


@pytest.fixture
def strict(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who does not end when interrupted has no long grace."""
    monkeypatch.setattr(timeouts, "GRACE", 0.1)


@pytest.mark.usefixtures("patient")
def test_a_task_is_interrupted_and_its_worker_goes_on() -> None:
    with pytest.raises(errors.TaskTimeoutError, match=r"sleeps ran for more than 0\.2 s") as caught:
        snakepit.get(sleeps.remote(), timeout=PATIENCE)
    assert isinstance(caught.value, TimeoutError) and isinstance(caught.value, errors.SnakepitError)
    assert (caught.value.call, caught.value.timeout) == ("sleeps", 0.2)
    assert snakepit.get(pid.remote(), timeout=PATIENCE) != os.getpid()


@pytest.mark.usefixtures("strict")
def test_one_that_cannot_be_interrupted_ends_with_its_worker(tally: Tally) -> None:
    ref = deaf.remote(tally)
    let_time_run_out(lambda: tally.count == 1)
    with pytest.raises(errors.TaskTimeoutError, match="deaf"):
        snakepit.get(ref, timeout=PATIENCE)
    assert tally.count == 1, "it is not tried again"
    assert snakepit.get(pid.remote(), timeout=PATIENCE)


def test_time_before_it_begins_does_not_count(gate: Gate, tmp_path: Path) -> None:
    @snakepit.remote(num_cpus=2)
    def waits(begun: Gate, end: Gate) -> None:
        begun.open()
        end.wait()

    begun, end = Gate(str(tmp_path / "begun")), Gate(str(tmp_path / "end"))
    first = waits.remote(begun, end)
    last = waits.options(timeout=PATIENCE).remote(gate, gate)
    begun.wait()
    least = time.monotonic() + PATIENCE
    end.open()
    found: list[float] = []

    def has_begun() -> bool:
        for running in [*core().scheduler.timeouts._running.values()]:
            if last._id in running:
                found.append(running[last._id][1])
        return bool(found)

    assert wait_until(has_begun) and found[0] > least
    snakepit.get([first, last], timeout=PATIENCE)


@pytest.mark.usefixtures("patient")
def test_it_is_tried_again_if_the_options_say_so(tally: Tally) -> None:
    @snakepit.remote(
        timeout=2 * PATIENCE, max_retries=2, retry_exceptions=[errors.TaskTimeoutError]
    )
    def endless(tally: Tally) -> None:
        tally.add()
        time.sleep(2 * PATIENCE)

    ref = endless.remote(tally)
    for tries in (1, 2, 3):
        let_time_run_out(lambda tries=tries: tally.count == tries)  # type: ignore[misc]
    with pytest.raises(errors.TaskTimeoutError):
        snakepit.get(ref, timeout=PATIENCE)
    ref = endless.options(retry_exceptions=[ValueError]).remote(tally)
    let_time_run_out(lambda: tally.count == 4)
    with pytest.raises(errors.TaskTimeoutError):
        snakepit.get(ref, timeout=PATIENCE)
    assert tally.count == 4


@pytest.mark.usefixtures("patient")
def test_what_it_raises_when_interrupted_is_no_answer(gate: Gate, tally: Tally) -> None:
    @snakepit.remote(timeout=2 * PATIENCE)
    def stubborn() -> None:
        try:
            gate.open()
            time.sleep(2 * PATIENCE)
        except BaseException:
            tally.add()
            raise ValueError("tidied up") from None

    ref = stubborn.remote()
    let_time_run_out(lambda: gate.is_open)
    with pytest.raises(errors.TaskTimeoutError):
        snakepit.get(ref, timeout=PATIENCE)
    assert tally.count == 1


@pytest.mark.usefixtures("patient")
def test_a_value_that_comes_in_the_grace_is_kept(gate: Gate) -> None:
    @snakepit.remote(timeout=2 * PATIENCE)
    def tidy() -> str:
        try:
            gate.open()
            time.sleep(2 * PATIENCE)
        except BaseException:
            return "tidied up"
        return "too late"

    ref = tidy.remote()
    let_time_run_out(lambda: gate.is_open)
    assert snakepit.get(ref, timeout=PATIENCE) == "tidied up"


@pytest.mark.usefixtures("patient")
def test_what_waits_in_get_is_interrupted_too(gate: Gate) -> None:
    @snakepit.remote(timeout=0.3)
    def parent(gate: Gate) -> None:
        snakepit.get(child.remote(gate))

    @snakepit.remote
    def child(gate: Gate) -> None:
        gate.wait()

    with pytest.raises(errors.TaskTimeoutError, match="parent"):
        snakepit.get(parent.remote(gate), timeout=PATIENCE)
    gate.open()


@snakepit.remote
class Plain:
    @snakepit.method(timeout=0.2)
    def sleeps(self) -> None:
        while True:
            time.sleep(0.01)

    def wait(self, seconds: float = 0.0) -> int:
        time.sleep(seconds)
        return os.getpid()


@pytest.mark.usefixtures("patient")
def test_a_method_is_interrupted_and_its_actor_lives() -> None:
    actor = Plain.remote()
    first = snakepit.get(actor.wait.remote(), timeout=PATIENCE)
    with pytest.raises(errors.TaskTimeoutError, match=r"Plain\.sleeps"):
        snakepit.get(actor.sleeps.remote(), timeout=PATIENCE)
    with pytest.raises(errors.TaskTimeoutError):
        snakepit.get(actor.wait.options(timeout=0.1).remote(PATIENCE), timeout=PATIENCE)
    assert snakepit.get(actor.wait.remote(), timeout=PATIENCE) == first


@snakepit.remote
class Deaf:
    def waits(self, gate: Gate) -> None:
        while True:
            try:
                gate.open()
                time.sleep(2 * PATIENCE)
            except BaseException:
                continue

    def pid(self) -> int:
        return os.getpid()


@pytest.mark.parametrize("max_restarts", [0, 1])
def test_an_actor_that_ended_with_such_a_method_says_so(max_restarts: int, tmp_path: Path) -> None:
    actor = Deaf.options(max_restarts=max_restarts).remote()
    snakepit.get(actor.pid.remote(), timeout=PATIENCE)
    for life in range(max_restarts + 1):
        gate = Gate(str(tmp_path / f"gate-{life}"))
        ref = actor.waits.options(timeout=600).remote(gate)
        let_time_run_out(lambda gate=gate: gate.is_open)  # type: ignore[misc]
        with pytest.raises(errors.TaskTimeoutError):
            snakepit.get(ref, timeout=PATIENCE)
    with pytest.raises(errors.ActorDiedError) as caught:
        snakepit.get(actor.pid.remote(), timeout=PATIENCE)
    text = str(caught.value)
    assert "was ended while it ran Deaf.waits. Deaf.waits had run for more than 600 s" in text
    assert "os._exit" not in text and "out-of-memory" not in text
    assert ("With max_restarts it would" in text) == (not max_restarts)
    assert ("It was made anew as often as max_restarts=1 allows" in text) == bool(max_restarts)


@snakepit.remote
class Loop:
    async def sleeps(self) -> None:
        await asyncio.sleep(PATIENCE)

    async def pid(self) -> int:
        return os.getpid()


@pytest.mark.usefixtures("patient")
def test_a_coroutine_is_cancelled() -> None:
    actor = Loop.remote()
    first = snakepit.get(actor.pid.remote(), timeout=PATIENCE)
    with pytest.raises(errors.TaskTimeoutError):
        snakepit.get(actor.sleeps.options(timeout=0.2).remote(), timeout=PATIENCE)
    assert snakepit.get(actor.pid.remote(), timeout=PATIENCE) == first


@snakepit.remote(max_concurrency=2)
class Threads:
    def __init__(self) -> None:
        self.event = threading.Event()

    def waits(self) -> bool:
        return self.event.wait(PATIENCE)

    def pid(self) -> int:
        return os.getpid()

    def ends(self) -> int:
        self.event.set()
        return os.getpid()


@pytest.mark.usefixtures("strict")
def test_a_thread_is_left_alone_and_its_caller_answered() -> None:
    actor = Threads.remote()
    with pytest.raises(errors.TaskTimeoutError, match="may still run"):
        snakepit.get(actor.waits.options(timeout=0.1).remote(), timeout=PATIENCE)
    assert snakepit.get(actor.ends.remote(), timeout=PATIENCE) != os.getpid()
    assert snakepit.get(actor.ends.remote(), timeout=PATIENCE)


@pytest.mark.usefixtures("strict")
def test_an_actor_whose_calls_were_given_up_ends_with_its_last_handle() -> None:
    actor = Threads.remote()
    process = snakepit.get(actor.pid.remote(), timeout=PATIENCE)
    with pytest.raises(errors.TaskTimeoutError):
        snakepit.get(actor.waits.options(timeout=0.1).remote(), timeout=PATIENCE)
    del actor
    assert wait_until(lambda: not os.path.exists(f"/proc/{process}"))


@pytest.mark.parametrize("value", [0, -1, float("nan"), 1e9])
def test_the_limit_is_checked(value: float) -> None:
    with pytest.raises(errors.OptionError, match="timeout"):
        sleeps.options(timeout=value)
    with pytest.raises(TypeError, match="timeout"):
        sleeps.options(timeout="1")  # type: ignore[arg-type]
