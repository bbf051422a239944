"""Begin and end: one runtime, however many ask, in whatever order, interrupted or forked."""

from __future__ import annotations

import os
import threading
from typing import Any

import pytest

import snakepit
from snakepit import protocol
from snakepit.errors import ForkedRuntimeError, OptionError


def test_init_starts_and_shutdown_ends(started: Any) -> None:
    assert not snakepit.is_initialized()
    context = snakepit.init(
        num_cpus=3, resources={"camera": 2}, namespace="lab", max_workers=7,
        restart_intensity=2, restart_period=9,
    )  # fmt: skip
    assert snakepit.is_initialized()
    (runtime,) = started
    settings = runtime.config
    assert (settings.num_cpus, settings.resources) == (3, (("camera", 20_000),))
    assert (settings.namespace, settings.max_workers, settings.log_to_driver) == ("lab", 7, True)
    assert (settings.restart_intensity, settings.restart_period) == (2, 9.0)
    assert context["run"] == runtime.run and set(context) == set(runtime.facts)
    assert len(context) == len(runtime.facts) and runtime.run in repr(context)
    snakepit.shutdown()
    assert runtime.shutdowns == 1 and not snakepit.is_initialized()
    snakepit.shutdown()
    assert runtime.shutdowns == 1


def test_a_second_init_raises_or_attaches(started: Any) -> None:
    snakepit.init()
    with pytest.raises(RuntimeError, match=r"ignore_reinit_error=True"):
        snakepit.init()
    with snakepit.init(ignore_reinit_error=True) as context:
        assert context["run"] == started[0].run
    assert snakepit.is_initialized()
    snakepit.shutdown()
    snakepit.init()
    assert len(started) == 2


def test_the_context_ends_what_its_init_started(started: Any) -> None:
    with snakepit.init() as context:
        pass
    assert started[0].shutdowns == 1 and not snakepit.is_initialized()
    snakepit.init()
    context.disconnect()
    assert started[1].shutdowns == 0 and snakepit.is_initialized()


def test_init_inside_a_task_attaches(fake: Any, started: Any) -> None:
    with snakepit.init(num_cpus=1) as context:
        assert context["run"] == fake.run
    snakepit.shutdown()
    assert protocol.current() is fake and started == []


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"cpus": 1}, TypeError, "no option 'cpus'; it has: num_cpus, .*max_workers"),
        ({"cpus": 1}, ValueError, "no option 'cpus'"),
        ({"address": "auto"}, OptionError, "address='auto'.*not supported yet"),
        ({"runtime_env": {"pip": ["x"]}}, NotImplementedError, "'pip'. is not available"),
        ({"runtime_env": {"pips": 1}}, OptionError, "no field 'pips'; it has: env_vars, working_d"),
        ({"runtime_env": []}, TypeError, "runtime_env must be a dictionary"),
        ({"num_cpus": -1}, OptionError, "num_cpus"),
        ({"num_cpus": "2"}, TypeError, "num_cpus"),
        ({"ignore_reinit_error": 1}, TypeError, "ignore_reinit_error"),
    ],
)
def test_wrong_arguments_start_nothing(
    started: Any, arguments: dict[str, Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        snakepit.init(**arguments)
    assert started == [] and not snakepit.is_initialized()


def test_what_rays_programs_say_needlessly_is_allowed(started: Any) -> None:
    snakepit.init(address="local", include_dashboard=False, runtime_env=None)
    assert len(started) == 1


def test_an_interrupted_start_leaves_the_slot_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(config: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr("snakepit.api.context._start", interrupted)
    for begin in (snakepit.init, lambda: snakepit.put(1)):
        with pytest.raises(KeyboardInterrupt):
            begin()
        assert not snakepit.is_initialized()


def test_an_interrupted_shutdown_is_finished(started: Any) -> None:
    snakepit.init()
    started[0].interruptions = 1
    with pytest.raises(KeyboardInterrupt):
        snakepit.shutdown()
    assert started[0].shutdowns == 2 and not snakepit.is_initialized()
    snakepit.init()
    started[1].interruptions = 9
    with pytest.raises(KeyboardInterrupt):
        snakepit.shutdown()
    assert not snakepit.is_initialized()


def test_of_threads_that_begin_at_once_one_wins(started: Any) -> None:
    barrier = threading.Barrier(8)
    outcomes: list[Any] = []

    def begin() -> None:
        barrier.wait()
        try:
            outcomes.append(snakepit.init(num_cpus=1))
        except RuntimeError as error:
            outcomes.append(error)

    threads = [threading.Thread(target=begin) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(started) == 1
    assert sum(isinstance(item, RuntimeError) for item in outcomes) == 7


def test_a_fork_is_told_so_and_may_begin_anew(started: Any) -> None:
    snakepit.init()
    ref = snakepit.put(1)
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        found = []
        try:
            found.append(str(snakepit.is_initialized()))
            snakepit.shutdown()
            for use in (lambda: snakepit.put(1), lambda: snakepit.get(ref)):
                try:
                    use()
                except ForkedRuntimeError:
                    found.append("told")
            snakepit.init()
            found.append(str(snakepit.get(snakepit.put(2))))
        finally:
            os.write(writer, " ".join(found).encode())
            os._exit(0)
    os.close(writer)
    os.waitpid(pid, 0)
    with open(reader, "rb") as answer:
        assert answer.read() == b"False told told 2"
    assert snakepit.get(ref) == 1 and started[0].shutdowns == 0


def test_the_runtime_context(fake: Any) -> None:
    here = snakepit.get_runtime_context()
    assert here.get_job_id() == fake.run
    assert (here.get_task_id(), here.get_actor_id(), here.namespace) == (None, None, "")
    fake.facts.update(worker=3, task=9, actor=10, namespace="lab")
    inside = snakepit.get_runtime_context()
    assert int(inside.get_worker_id()[16:], 16) == 3
    assert int((inside.get_task_id() or "")[16:], 16) == 9
    assert int((inside.get_actor_id() or "")[16:], 16) == 10
    assert inside.namespace == "lab"
    assert "worker=3" in repr(inside)
