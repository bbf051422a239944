"""The zygote killed, idle and busy: another takes its place, and calls follow their rules."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from faults_harness import (
    PATIENCE_S,
    bearing,
    driver,
    empties,
    is_alive,
    wait_until,
    works_on,
)

import snakepit
from snakepit import errors

pytestmark = pytest.mark.usefixtures("runtime")


def zygote() -> int:
    pid: int = driver()._processes.zygotes.home.zygote.pid
    return pid


def end_zygote() -> int:
    # A driver that has not noticed the last death still names the dead one, and may do so once more
    # between the look and the kill.
    killed: list[int] = []

    def kill() -> bool:
        old = zygote()
        if is_alive(old):
            with contextlib.suppress(ProcessLookupError):
                os.kill(old, signal.SIGKILL)
                killed.append(old)
        return bool(killed)

    assert wait_until(kill)
    return killed[0]


def replaced(old: int) -> None:
    """Wait until the driver has noticed, which idle it does in the background."""
    assert wait_until(lambda: zygote() != old and not is_alive(old))


@snakepit.remote(max_retries=0)
def note(mark: str) -> int:
    with open(mark, "a") as file:
        file.write("once\n")
    signal.pause()
    return 1


@snakepit.remote
def once(mark: str) -> int:
    try:
        with open(mark, "x"):
            pass
    except FileExistsError:
        return 1
    signal.pause()
    return 0


@snakepit.remote
class Counter:
    def __init__(self) -> None:
        self.calls = 0

    def count(self) -> int:
        self.calls += 1
        return self.calls

    def pause(self, mark: str) -> int:
        if not os.path.exists(mark):
            Path(mark).touch()
            signal.pause()
        return self.count()


def test_killed_while_idle() -> None:
    works_on()
    actor, phoenix = Counter.remote(), Counter.options(max_restarts=1).remote()
    assert snakepit.get([actor.count.remote(), phoenix.count.remote()], timeout=PATIENCE_S) == [
        1,
        1,
    ]
    replaced(end_zygote())
    works_on()
    with pytest.raises(errors.ActorDiedError, match="zygote"):
        snakepit.get(actor.count.remote(), timeout=PATIENCE_S)
    assert snakepit.get(phoenix.count.remote(), timeout=PATIENCE_S) == 1
    replaced(end_zygote())
    works_on()
    with pytest.raises(errors.ActorDiedError, match="zygote"):
        snakepit.get(phoenix.count.remote(), timeout=PATIENCE_S)
    del actor, phoenix
    empties()


def test_killed_while_busy(tmp_path: Path) -> None:
    marks = [str(tmp_path / name) for name in "abcd"]
    phoenix = Counter.options(max_restarts=1, max_task_retries=1).remote()
    running: list[Any] = [note.remote(marks[0]), once.remote(marks[1])]
    running.append(phoenix.pause.remote(marks[2]))
    queued = [once.options(max_retries=0).remote(marks[1]) for _ in range(5)]
    assert wait_until(lambda: all(map(os.path.exists, marks[:3])))
    end_zygote()
    with pytest.raises(errors.WorkerCrashedError, match="zygote"):
        snakepit.get(running[0], timeout=PATIENCE_S)
    # It had begun: without a retry it must not run twice.
    assert Path(marks[0]).read_text() == "once\n"
    assert snakepit.get(running[1], timeout=PATIENCE_S) == 1
    assert snakepit.get(running[2], timeout=PATIENCE_S) == 1
    # These had not, and need no retry.
    assert snakepit.get(queued, timeout=PATIENCE_S) == [1] * 5
    del running, queued, phoenix
    works_on()
    empties()


def test_what_tasks_started_goes_with_it() -> None:
    @snakepit.remote
    def spawn() -> list[int]:
        import subprocess

        loose = subprocess.Popen(["sleep", "1000"], start_new_session=True)
        bound = subprocess.Popen(["sleep", "1000"])
        return [loose.pid, bound.pid]

    pids = snakepit.get(spawn.remote(), timeout=PATIENCE_S)
    old = end_zygote()
    works_on()
    assert wait_until(lambda: not any(map(is_alive, [*pids, old])))
    mark = f"SNAKEPIT_RUN={driver().run}:"

    def only_ours() -> bool:
        # Asked anew each time: a worker's pid is known some time after its fork.
        ours = {zygote(), *(c.pid for c in driver()._core.connections.values())}
        return set(bearing(mark)) <= ours

    assert wait_until(only_ours)


def test_the_next_one_preloads_what_the_last_had() -> None:
    np = pytest.importorskip("numpy")

    @snakepit.remote(max_retries=-1)
    def has_numpy(*_: Any) -> bool:
        import sys

        return "numpy" in sys.modules

    assert snakepit.get(has_numpy.remote(np.ones(3)), timeout=PATIENCE_S)
    replaced(end_zygote())
    assert snakepit.get(has_numpy.remote(), timeout=PATIENCE_S)


def test_killed_again_and_again() -> None:
    @snakepit.remote(max_retries=-1)
    def square(x: int) -> int:
        return x * x

    for round in range(6):
        refs = [square.remote(x) for x in range(50)]
        if round % 2:
            assert snakepit.get(refs[0], timeout=PATIENCE_S) == 0
        end_zygote()
        assert snakepit.get(refs, timeout=PATIENCE_S) == [x * x for x in range(50)]
    del refs
    works_on()
    empties()


def test_one_that_cannot_start_is_an_error_and_no_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    ref = Counter.remote()
    assert snakepit.get(ref.count.remote(), timeout=PATIENCE_S) == 1
    monkeypatch.setattr(sys, "executable", "/bin/false")
    end_zygote()

    @snakepit.remote
    def one() -> int:
        return 1

    def has_ended() -> bool:
        try:
            snakepit.get(one.remote(), timeout=PATIENCE_S)
        except errors.WorkerCrashedError:
            return False  # it ran when the zygote was killed
        except errors.RuntimeClosedError as error:
            assert "zygote" in str(error)
            return True
        return False  # the death was not noticed yet

    assert wait_until(has_ended)
    with pytest.raises(errors.SnakepitError):
        snakepit.get(ref.count.remote(), timeout=PATIENCE_S)
    snakepit.shutdown()
    monkeypatch.undo()
    snakepit.init(num_cpus=2)
    works_on()
