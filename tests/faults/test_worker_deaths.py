"""Workers that die, at each point of a call: the exact error or a retry, and life goes on."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from faults_harness import PATIENCE_S, driver, empties, is_alive, wait_until, works_on

import snakepit
from snakepit import errors
from snakepit.policy.restart import POISON_DEATHS
from snakepit.policy.workers import LIVE

pytestmark = pytest.mark.usefixtures("runtime")

Setting = dict[str, Any]


def end_how(how: str) -> None:
    if how == "exit":
        os._exit(3)
    elif how == "segfault":
        import ctypes

        ctypes.string_at(0)
    os.kill(os.getpid(), signal.SIGKILL)


HOW: dict[str, Setting] = {
    "exit": {"exit_code": 3, "signal": None},
    "segfault": {"exit_code": None, "signal": "SIGSEGV"},
    "kill": {"exit_code": None, "signal": "SIGKILL"},
}


@snakepit.remote(max_retries=0)
def pid() -> int:
    return os.getpid()


@snakepit.remote(max_retries=0)
def die(how: str) -> None:
    import sys

    print("my last words", file=sys.stderr)

    def deep(levels: int) -> None:
        if levels:
            deep(levels - 1)
        else:
            end_how(how)

    deep(200)  # more than faulthandler's dump shows


@snakepit.remote
def die_once(how: str, mark: str) -> str:
    if not os.path.exists(mark):
        Path(mark).touch()
        end_how(how)
    return "alive"


@snakepit.remote
class Mortal:
    def __init__(self) -> None:
        self.calls = 0

    def pid(self) -> int:
        return os.getpid()

    def count(self) -> int:
        self.calls += 1
        return self.calls

    def store(self, size: int) -> bytes:
        return bytes(size)

    def die(self, how: str) -> None:
        end_how(how)

    def die_once(self, how: str, mark: str) -> int:
        if not os.path.exists(mark):
            Path(mark).touch()
            end_how(how)
        return self.count()


@pytest.mark.parametrize("how", HOW)
def test_a_task_that_ends_its_worker(how: str, tmp_path: Path) -> None:
    with pytest.raises(errors.WorkerCrashedError) as caught:
        snakepit.get(die.remote(how), timeout=PATIENCE_S)
    error = caught.value
    assert not isinstance(error, errors.PoisonedCallError)
    assert {name: getattr(error, name) for name in HOW[how]} == HOW[how]
    assert error.running == "die" and error.pid and not is_alive(error.pid)
    assert "my last words" in error.stderr and "my last words" in str(error)
    # With retries it runs again, up to the number of workers that one call may kill.
    mark = str(tmp_path / "died")
    assert snakepit.get(die_once.remote(how, mark), timeout=PATIENCE_S) == "alive"
    with pytest.raises(errors.PoisonedCallError) as poisoned:
        snakepit.get(die.options(max_retries=-1).remote(how), timeout=PATIENCE_S)
    assert poisoned.value.attempts == 3
    del caught, error, poisoned
    works_on()
    empties()


@pytest.mark.parametrize("how", HOW)
def test_an_actor_that_ends_itself(how: str, tmp_path: Path) -> None:
    actor = Mortal.remote()
    assert snakepit.get(actor.count.remote(), timeout=PATIENCE_S) == 1
    fate, later = actor.die.remote(how), actor.count.remote()
    for ref in (fate, later):
        with pytest.raises(errors.ActorDiedError) as caught:
            snakepit.get(ref, timeout=PATIENCE_S)
        assert {name: getattr(caught.value, name) for name in HOW[how]} == HOW[how]
        assert caught.value.running == "Mortal.die"
    with pytest.raises(errors.ActorDiedError):
        snakepit.get(actor.count.remote(), timeout=PATIENCE_S)
    # Restarted, it begins anew; what it had not begun runs, what it ran is tried if it may be.
    phoenix = Mortal.options(max_restarts=2).remote()
    assert snakepit.get(phoenix.count.remote(), timeout=PATIENCE_S) == 1
    fate, later = phoenix.die.remote(how), phoenix.count.remote()
    with pytest.raises(errors.ActorUnavailableError):
        snakepit.get(fate, timeout=PATIENCE_S)
    assert snakepit.get(later, timeout=PATIENCE_S) == 1
    again = phoenix.die_once.options(max_task_retries=1).remote(how, str(tmp_path / "died"))
    assert snakepit.get(again, timeout=PATIENCE_S) == 1
    with pytest.raises(errors.ActorDiedError):
        snakepit.get(phoenix.die.remote(how), timeout=PATIENCE_S)
    del actor, phoenix, fate, later, again, caught, ref
    works_on()
    empties()


@snakepit.remote
class Stillborn:
    def __init__(self, how: str) -> None:
        end_how(how)

    def touch(self) -> None:
        return None


@pytest.mark.parametrize("restarts", [0, 1])
def test_an_actor_whose_constructor_ends_its_process(restarts: int) -> None:
    actor = Stillborn.options(max_restarts=restarts).remote("exit")
    with pytest.raises(errors.ActorDiedError) as caught:
        snakepit.get(actor.touch.remote(), timeout=PATIENCE_S)
    assert caught.value.exit_code == 3
    del actor, caught
    works_on()
    empties()


class EndsOnLoad:
    """Ends the process that unpickles it, but for the driver."""

    def __reduce__(self) -> Any:
        return _end_here, (os.getpid(),)


def _end_here(maker: int) -> str:
    if os.getpid() != maker:
        os._exit(4)
    return "harmless"


class EndsOnDump:
    def __reduce__(self) -> Any:
        os._exit(5)


class EndsOnCollect:
    def __del__(self) -> None:
        os._exit(6)


@snakepit.remote(max_retries=0)
def take(value: Any) -> int:
    return 1


@snakepit.remote(max_retries=0)
def give(kind: type) -> Any:
    return kind()


@snakepit.remote(max_retries=0)
def drop(kind: type) -> int:
    kind()
    return 1


def test_deaths_around_the_call_itself() -> None:
    for ref, code in (
        (take.remote(EndsOnLoad()), 4),
        (give.remote(EndsOnDump), 5),
        (drop.remote(EndsOnCollect), 6),
    ):
        with pytest.raises(errors.WorkerCrashedError) as caught:
            snakepit.get(ref, timeout=PATIENCE_S)
        assert caught.value.exit_code == code
        works_on()


def test_killed_while_idle() -> None:
    actor = Mortal.options(max_restarts=1).remote()
    victims = [snakepit.get(actor.pid.remote(), timeout=PATIENCE_S)]
    victims += set(snakepit.get([pid.remote() for _ in range(20)], timeout=PATIENCE_S))
    for victim in victims:
        os.kill(victim, signal.SIGKILL)
    # A call that reached the mailbox of a dead worker has not begun: it costs no retry.
    others = set(snakepit.get([pid.remote() for _ in range(20)], timeout=PATIENCE_S))
    assert not others & set(victims)
    assert snakepit.get(actor.count.remote(), timeout=PATIENCE_S) == 1
    works_on()


def test_results_of_the_dead_live_on() -> None:
    actor = Mortal.remote()
    # One worker stores, and is killed; the value and its memory outlive it.
    ref = give_bytes.remote(10_000_000)
    maker, data = snakepit.get(ref, timeout=PATIENCE_S)
    os.kill(maker, signal.SIGKILL)
    assert wait_until(lambda: not is_alive(maker))
    assert snakepit.get(take.remote(ref), timeout=PATIENCE_S) == 1
    assert snakepit.get(ref, timeout=PATIENCE_S)[1] == data == b"x" * 10_000_000
    del ref, data, actor
    works_on()
    empties()
    core = driver()._core
    core.update(core.memory.trim)
    assert wait_until(lambda: core.memory.ledger.used() == 0), core.memory.ledger.used()


def test_a_value_dropped_while_its_maker_dies(monkeypatch: pytest.MonkeyPatch) -> None:
    actor = Mortal.remote()
    refs = [actor.store.remote(1_000_000)]
    kept = actor.store.remote(1_000_000)
    assert snakepit.wait([*refs, kept], num_returns=2, timeout=PATIENCE_S)[1] == []
    maker = snakepit.get(actor.pid.remote(), timeout=PATIENCE_S)
    core = driver()._core
    died = core.scheduler.died

    def died_then_dropped(*args: Any) -> None:
        died(*args)
        refs.clear()  # noted by now, and counted only when the arena is adopted

    monkeypatch.setattr(core.scheduler, "died", died_then_dropped)
    os.kill(maker, signal.SIGKILL)
    assert wait_until(lambda: not refs)
    works_on()
    assert snakepit.get(kept, timeout=PATIENCE_S) == bytes(1_000_000)
    del kept, actor
    empties()


@snakepit.remote
def give_bytes(size: int) -> tuple[int, bytes]:
    return os.getpid(), b"x" * size


def test_a_storm_of_kills() -> None:
    # By value: a fresh worker that had to import this module first would never live to call it.
    @snakepit.remote(max_retries=-1)
    def square(x: int) -> int:
        deadline = time.perf_counter() + 0.001  # so that the storm has something to strike
        while time.perf_counter() < deadline:
            pass
        return x * x

    @snakepit.remote(max_retries=-1)
    def repeat(x: int) -> bytes:
        return bytes([x % 256]) * 100_000

    core = driver()._core
    dice = random.Random(7)
    over = threading.Event()
    kills = 0

    def storm() -> None:
        nonlocal kills
        while not over.wait(0.05):
            with core.lock:
                workers = core.scheduler.placement.workers
                # On a slow machine it would strike one call so often that this is to blame.
                living = [
                    core.connections[number].pid
                    for number, worker in workers.items()
                    if worker.state is LIVE
                    and all(call.deaths < POISON_DEATHS - 1 for call in worker.inflight.values())
                ]
                # While the lock is held nobody is given another call.
                if living:
                    with suppress(ProcessLookupError):
                        os.kill(dice.choice(living), signal.SIGKILL)
                        kills += 1

    thread = threading.Thread(target=storm)
    thread.start()
    try:
        for start in range(0, 2000, 500):
            calls = range(start, start + 500)
            refs = [square.remote(x) for x in calls]
            chained = [square.remote(ref) for ref in refs[::10]]
            large = [repeat.remote(x) for x in calls[::50]]
            assert snakepit.get(refs, timeout=PATIENCE_S) == [x * x for x in calls]
            assert snakepit.get(chained, timeout=PATIENCE_S) == [x**4 for x in calls[::10]]
            for x, value in zip(calls[::50], snakepit.get(large, timeout=PATIENCE_S)):
                assert value == bytes([x % 256]) * 100_000
        assert kills
    finally:
        over.set()
        thread.join()
    del refs, chained, large, value
    works_on()
    empties()
