"""What dies again and again before it has done anything: back-off, failure, healing."""

from __future__ import annotations

import os
import resource
import signal
import sys
import textwrap
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from faults_harness import PATIENCE_S, driver, settles, wait_until, works_on

import snakepit
from snakepit import errors

# No busy machine puts deaths in vain that far apart.
INTENSITY, PERIOD = 2, 3600.0


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A runtime that bears two deaths in vain, whose zygote can import from a folder: the path."""
    monkeypatch.syspath_prepend(str(tmp_path))
    snakepit.init(num_cpus=2, restart_intensity=INTENSITY, restart_period=PERIOD)
    yield tmp_path
    snakepit.shutdown()


@snakepit.remote(max_retries=0)
def pid() -> int:
    return os.getpid()


@snakepit.remote
class Actor:
    def pid(self) -> int:
        return os.getpid()


def preload(folder: Path, name: str, source: str) -> None:
    """Have the zygote import a module of this source before it forks again."""
    (folder / f"{name}.py").write_text(textwrap.dedent(source))
    driver()._processes.preload(name)


def get(ref: Any) -> Any:
    return snakepit.get(ref, timeout=PATIENCE_S)


def pool() -> Any:
    return driver()._core.scheduler.placement.pools["default"]


def cooled_down() -> None:
    """Let the cool-down of the pool be over."""
    core = driver()._core
    assert pool().state == "failed"
    core.update(lambda: core.scheduler.tick(f"retry:{pool().turn}:default"))
    assert pool().state == "trial"


def end_workers() -> None:
    """Kill the pool's workers, also one that is on its way, and wait until the driver knows."""
    known = set(pool().workers)

    def gone() -> bool:
        for number in known & set(pool().workers):
            connection = driver()._core.connections.get(number)
            if connection is not None and connection.pid:
                with suppress(ProcessLookupError):
                    os.kill(connection.pid, signal.SIGKILL)
        return not known & set(pool().workers)

    assert wait_until(gone)


def spawns() -> int:
    """How many processes have been asked for so far."""
    count: int = driver()._core.scheduler.placement.staff._next
    return count


def failed(ref: Any) -> errors.PoolFailedError:
    with pytest.raises(errors.PoolFailedError) as caught:
        get(ref)
    return caught.value


BROKEN_BIRTH = """
    import os
    from snakepit.workers import spawn

    whole = spawn._tell_apart

    def broken(number):
        if os.path.exists({flag!r}):
            raise ImportError("no module named licence")
        whole(number)

    spawn._tell_apart = broken
"""


def test_workers_that_die_at_their_start_fail_their_calls_until_one_serves(impatient: Path) -> None:
    flag = impatient / "broken"
    preload(impatient, "broken_birth", BROKEN_BIRTH.format(flag=str(flag)))
    works_on()
    flag.touch()
    end_workers()
    before = spawns()
    refs = [pid.remote() for _ in range(20)]
    for error in map(failed, refs):
        assert (error.exit_code, error.signal, error.call) == (1, None, "pid")
        assert "ImportError: no module named licence" in error.stderr
        assert "no module named licence" in str(error) and "3 times in a row" in str(error)
        assert (error.restarts, error.period, error.pool) == (INTENSITY + 1, PERIOD, "default")
        assert error.pid
    # Two began together, then it was one at a time.
    assert spawns() - before <= 2 + INTENSITY
    forked = spawns()
    assert failed(pid.remote()).restarts == INTENSITY + 1
    assert spawns() == forked
    # A trial that dies too fails it at once; one that serves heals it.
    cooled_down()
    assert failed(pid.remote()).restarts == INTENSITY + 2
    assert spawns() == forked + 1
    flag.unlink()
    cooled_down()
    works_on()
    assert pool().state == "running"
    del refs, error


def test_an_actor_whose_processes_die_at_their_start_tells_how_often(impatient: Path) -> None:
    flag = impatient / "broken"
    preload(impatient, "broken_birth", BROKEN_BIRTH.format(flag=str(flag)))
    works_on()
    flag.touch()
    with pytest.raises(errors.ActorDiedError, match="no module named licence") as caught:
        get(Actor.remote().pid.remote())
    error = caught.value
    assert (error.restarts, error.period, error.exit_code) == (INTENSITY + 1, PERIOD, 1)
    assert "3 times in a row" in str(error)
    flag.unlink()
    # Its budget is its own: the pool has nothing to do with it.
    works_on()
    assert get(Actor.remote().pid.remote()) > 0


def test_processes_that_cannot_be_forked_for_want_of_descriptors(impatient: Path) -> None:
    works_on()
    zygote = driver()._processes.zygotes.home.zygote.pid
    limits = resource.prlimit(zygote, resource.RLIMIT_NOFILE)
    resource.prlimit(zygote, resource.RLIMIT_NOFILE, (8, limits[1]))
    end_workers()
    error = failed(pid.remote())
    assert "no worker process can be started" in str(error) and "ulimit" in str(error)
    assert (error.exit_code, error.signal, error.restarts) == (None, None, INTENSITY + 1)
    resource.prlimit(zygote, resource.RLIMIT_NOFILE, limits)
    cooled_down()
    works_on()


def test_a_pool_with_a_worker_left_goes_on_without_the_others(impatient: Path) -> None:
    flag, gate = impatient / "broken", impatient / "gate"
    preload(impatient, "broken_birth", BROKEN_BIRTH.format(flag=str(flag)))

    @snakepit.remote(num_cpus=0)
    def wait(path: str) -> int:
        import time

        while not os.path.exists(path):
            time.sleep(0.005)
        return 1

    works_on()
    flag.touch()
    refs = [wait.remote(str(gate)) for _ in range(5)]
    assert wait_until(lambda: pool().window.exceeded)
    assert pool().state in ("resting", "probing")
    gate.touch()
    assert snakepit.get(refs, timeout=PATIENCE_S) == [1] * 5
    del refs
    settles()


def test_deaths_of_workers_that_have_served_never_add_up() -> None:
    with snakepit.init(num_cpus=1, restart_intensity=0, restart_period=60):
        for round in range(12):
            # It may be sent before a death is known, and then begin in the dying one.
            worker = get(pid.options(max_retries=3).remote())
            os.kill(
                worker if round % 4 else driver()._processes.zygotes.home.zygote.pid, signal.SIGKILL
            )
            assert get(pid.options(max_retries=3).remote()) > 0
        assert pool().window.failures == 0


def test_a_zygote_that_dies_at_once_each_time_fails_the_runtime(impatient: Path) -> None:
    fatal = """
        import os, sys
        sys.stderr.write("licence expired\\n")
        sys.stderr.flush()
        os._exit(3)
    """
    preload(impatient, "fatal", fatal)
    # Workers that it had forked already may have served until then.
    assert wait_until(lambda: driver()._processes.zygotes.home.lost)
    phoenix = Actor.options(max_restarts=-1, max_task_retries=-1).remote()
    refs = [pid.options(max_retries=-1).remote() for _ in range(5)] + [phoenix.pid.remote()]
    for ref in [*refs, pid.remote(), phoenix.pid.remote()]:
        with pytest.raises(errors.RuntimeFailedError, match="licence expired") as caught:
            get(ref)
        error = caught.value
        assert (error.exit_code, error.signal) == (3, None)
        assert (error.restarts, error.period) == (INTENSITY + 1, PERIOD)
        assert error.stderr == "licence expired" and "3 times in a row" in str(error)
    snakepit.shutdown()
    snakepit.init(num_cpus=2)
    works_on()


def test_an_interpreter_that_is_none_fails_the_runtime_with_its_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    none = tmp_path / "python"
    none.write_text("#!/bin/sh\necho 'no interpreter today' >&2\nexit 4\n")
    none.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(none))
    with snakepit.init(num_cpus=1, restart_intensity=INTENSITY, restart_period=PERIOD):
        with pytest.raises(errors.RuntimeFailedError, match="no interpreter today") as caught:
            get(pid.remote())
        assert (caught.value.exit_code, caught.value.restarts) == (4, INTENSITY + 1)


def test_a_constructor_that_dies_is_run_later_and_later(impatient: Path) -> None:
    tally = impatient / "tally"

    @snakepit.remote(max_restarts=-1)
    class Fragile:
        def __init__(self, path: str, deaths: int) -> None:
            with open(path, "a") as file:
                file.write("x")
            if os.path.getsize(path) <= deaths:
                os._exit(3)

        def lives(self, path: str) -> int:
            return os.path.getsize(path)

    lucky = Fragile.remote(str(tally), INTENSITY)
    assert get(lucky.lives.remote(str(tally))) == INTENSITY + 1
    tally.unlink()
    with pytest.raises(errors.ActorDiedError) as caught:
        get(Fragile.remote(str(tally), 100).lives.remote(str(tally)))
    assert (caught.value.exit_code, caught.value.restarts) == (3, INTENSITY + 1)
    assert tally.stat().st_size == INTENSITY + 1
    del lucky
    works_on()
