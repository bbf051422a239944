"""What is tried again, and how often."""

from __future__ import annotations

import os
import signal

import pytest

import snakepit
from snakepit.errors import PoisonedCallError, TaskError, WorkerCrashedError
from tests.runtime.helpers import PATIENCE, Gate, Tally

pytestmark = pytest.mark.usefixtures("runtime")


class Flaky(Exception):
    pass


class Worse(Flaky):
    pass


@snakepit.remote
def fail_until(tally: Tally, succeed_at: int, error: type[Exception]) -> int:
    count = tally.add()
    if count < succeed_at:
        raise error(f"attempt {count}")
    return count


@snakepit.remote
def die_until(tally: Tally, succeed_at: int) -> int:
    count = tally.add()
    if count < succeed_at:
        os.kill(os.getpid(), signal.SIGKILL)
    return count


def test_exceptions_are_not_retried_by_default(tally: Tally) -> None:
    with pytest.raises(Flaky, match="attempt 1"):
        snakepit.get(fail_until.remote(tally, 3, Flaky), timeout=PATIENCE)
    assert tally.count == 1


@pytest.mark.parametrize("choice", [True, [Flaky], [KeyError, Flaky]], ids=str)
def test_chosen_exceptions_are(tally: Tally, choice: object) -> None:
    retrying = fail_until.options(retry_exceptions=choice, max_retries=4)
    assert snakepit.get(retrying.remote(tally, 5, Worse), timeout=PATIENCE) == 5


def test_others_are_not(tally: Tally) -> None:
    retrying = fail_until.options(retry_exceptions=[Worse], max_retries=4)
    with pytest.raises(Flaky):
        snakepit.get(retrying.remote(tally, 5, Flaky), timeout=PATIENCE)
    assert tally.count == 1


def test_the_last_error_is_raised_when_all_are_used(tally: Tally) -> None:
    retrying = fail_until.options(retry_exceptions=True, max_retries=2)
    with pytest.raises(Flaky, match="attempt 3") as info:
        snakepit.get(retrying.remote(tally, 9, Flaky), timeout=PATIENCE)
    assert isinstance(info.value, TaskError)
    assert tally.count == 3


def test_a_death_is_retried_by_default(tally: Tally) -> None:
    assert snakepit.get(die_until.remote(tally, 2), timeout=PATIENCE) == 2


def test_deaths_without_retries(tally: Tally) -> None:
    with pytest.raises(WorkerCrashedError) as info:
        snakepit.get(die_until.options(max_retries=0).remote(tally, 2), timeout=PATIENCE)
    assert info.value.signal == "SIGKILL"
    assert "die_until" in str(info.value)
    assert tally.count == 1


def test_a_call_that_always_kills_is_given_up(tally: Tally) -> None:
    with pytest.raises(WorkerCrashedError) as info:
        snakepit.get(die_until.options(max_retries=-1).remote(tally, 10**6), timeout=PATIENCE)
    assert isinstance(info.value, PoisonedCallError)
    assert 2 <= tally.count < 50


def test_calls_queued_behind_a_death_lose_no_retry(tally: Tally, gate: Gate) -> None:
    @snakepit.remote(max_retries=0)
    def die() -> None:
        gate.wait()
        os._exit(1)

    @snakepit.remote(max_retries=0)
    def count() -> int:
        return tally.add()

    deaths = [die.remote() for _ in range(2)]
    others = [count.remote() for _ in range(20)]
    gate.open()
    assert sorted(snakepit.get(others, timeout=PATIENCE)) == list(range(1, 21))
    for ref in deaths:
        with pytest.raises(WorkerCrashedError):
            snakepit.get(ref, timeout=PATIENCE)


def test_methods_retry_exceptions(tally: Tally) -> None:
    @snakepit.remote
    class Actor:
        @snakepit.method(retry_exceptions=[Flaky], max_task_retries=3)
        def flaky(self, succeed_at: int) -> int:
            count = tally.add()
            if count < succeed_at:
                raise Flaky(count)
            return count

    actor = Actor.remote()
    assert snakepit.get(actor.flaky.remote(3), timeout=PATIENCE) == 3
    with pytest.raises(Flaky):
        snakepit.get(actor.flaky.options(max_task_retries=0).remote(99), timeout=PATIENCE)
    assert tally.count == 4
