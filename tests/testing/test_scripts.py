"""Scripted workers and their zygote: each does what a real one would, as far as told."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable
from typing import Any

import pytest

import snakepit
from snakepit import testing
from snakepit.testing import ScriptedWorker
from snakepit.wire import messages as wire

Until = Callable[[Callable[[], Any]], None]


@snakepit.remote
def add(one: Any, two: Any = 1) -> Any:
    return one + two


@snakepit.remote(num_returns=2)
def pair() -> Any:
    return None


@snakepit.remote(max_retries=2, retry_exceptions=[ValueError])
def flaky() -> Any:
    return None


@snakepit.remote
class Actor:
    def method(self) -> Any:
        return None


def get(ref: Any) -> Any:
    return snakepit.get(ref, timeout=30)


def test_apply_runs_the_tasks_own_function() -> None:
    with testing.scripted_runtime(testing.apply()):
        assert get(add.remote(1, two=2)) == 3
        assert get(add.remote(add.remote(1), two=add.remote(2))) == 5
        with pytest.raises(TypeError, match="concatenate"):
            get(add.remote("a"))


def test_apply_runs_another_function() -> None:
    with testing.scripted_runtime(testing.apply(lambda one, two=1: (two, one))):
        assert get(add.remote(7)) == (1, 7)


def test_replies_of_several_values() -> None:
    with testing.scripted_runtime(testing.reply(1, [2])):
        assert get(list(pair.remote())) == [1, [2]]


def test_failures_are_raised_and_retried_as_the_options_say() -> None:
    script = testing.in_turn(
        testing.fail(ValueError("once"), retry=True), testing.fail(KeyError("twice"))
    )
    with testing.scripted_runtime(script) as stage:
        with pytest.raises(KeyError, match="twice"):
            get(flaky.remote())
        calls = [m for m in stage.workers[0].received if type(m) is wire.Execute]
        assert len(calls) == 2


def test_actors_have_a_worker_of_their_own(until: Until) -> None:
    def script(worker: ScriptedWorker, execute: wire.Execute) -> None:
        kind = worker.templates[execute.template].kind
        worker.reply(*([worker.label] if kind == wire.METHOD else []))

    with testing.scripted_runtime(script) as stage:
        actor = Actor.remote()
        assert "Actor" in get(actor.method.remote())
        (worker,) = (each for each in stage.workers if "Actor" in each.label)
        del actor
        until(lambda: not worker.alive)


def test_calls_are_taken_one_at_a_time_and_given_back_when_asked(until: Until) -> None:
    """A call that overruns makes the driver ask for those behind it, for another worker."""
    script = testing.in_turn(testing.reply(0), testing.silence(), testing.reply(2))
    with testing.scripted_runtime(script, num_cpus=2) as stage:
        until(lambda: len(stage.workers) == 2)
        assert get(add.remote(0)) == 0
        slow = add.remote(0)
        until(lambda: any(worker.current for worker in stage.workers))
        assert get([add.remote(0) for _ in range(5)]) == [2] * 5
        (busy,) = (worker for worker in stage.workers if worker.current)
        busy.reply(1)
        assert get(slow) == 1


def test_what_a_worker_is_not_running_cannot_be_answered(until: Until) -> None:
    with testing.scripted_runtime(testing.silence()) as stage:
        until(lambda: stage.workers)
        (worker,) = stage.workers
        for ask in (worker.reply, worker.arguments, worker.function):
            with pytest.raises(LookupError):
                ask()
        assert worker.name == ""
        worker.die()
        worker.die()
        assert not worker.alive and "dead" in repr(worker)


def test_output_that_a_zygote_reports_is_shown_and_credited(
    until: Until, capsys: pytest.CaptureFixture[str]
) -> None:
    with testing.scripted_runtime(testing.reply(1)) as stage:
        stage.zygote.report(wire.Output(1, 77, 1, "add", b"hello\n"))
        until(lambda: wire.Credit(6) in stage.zygote.asked)
    assert "hello" in capsys.readouterr().out


def test_segments_that_a_worker_is_sent_are_closed(until: Until) -> None:
    with testing.scripted_runtime(testing.reply(1)) as stage:
        assert get(add.remote(bytes(200_000))) == 1
        (worker,) = stage.workers
        until(lambda: any(type(m) is wire.Segment for m in worker.received))
        with pytest.raises(LookupError):
            worker.arguments()


def test_a_script_may_wait_for_messages() -> None:
    def script(worker: ScriptedWorker, execute: wire.Execute) -> Any:
        worker.send(wire.Request(1, "describe", []))
        answer = yield wire.Answer
        worker.answer(wire.OK, [pickle.dumps(answer.body["resources"]["CPU"])])

    with testing.scripted_runtime(script, num_cpus=3):
        assert get(add.remote(1)) == 3


def test_scripts_follow_each_other() -> None:
    with pytest.raises(ValueError, match="at least one"):
        testing.in_turn()
    script = testing.in_turn(testing.reply(1), testing.reply(2))
    with testing.scripted_runtime(script):
        assert [get(add.remote(0)) for _ in range(3)] == [1, 2, 2]


def test_there_is_one_runtime_at_a_time() -> None:
    with (
        testing.scripted_runtime(testing.reply(1)),
        pytest.raises(RuntimeError, match="shutdown"),
        testing.scripted_runtime(testing.reply(1)),
    ):
        pytest.fail("a second runtime began")
    assert not snakepit.is_initialized()


def test_importing_snakepit_does_not_load_it() -> None:
    import subprocess

    code = "import sys, snakepit; sys.exit('snakepit.testing' in sys.modules)"
    assert subprocess.run([sys.executable, "-P", "-c", code]).returncode == 0
