"""Planned deaths: counted over all workers, at the very point, and nowhere else."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest

import snakepit
from snakepit import testing
from snakepit.testing import KillPlan, KillPoint
from snakepit.testing.kill_points import ENTRY, VARIABLE, Tally, heard

PATIENCE_S = 30.0


@snakepit.remote(max_retries=0)
def mark(path: str) -> int:
    with open(path, "a") as file:
        file.write("x")
    return os.getpid()


def killed(ref: object) -> bool:
    try:
        snakepit.get(ref, timeout=PATIENCE_S)
    except snakepit.errors.WorkerCrashedError as error:
        assert error.signal == "SIGKILL"
        return True
    return False


@pytest.mark.parametrize("name", ["nth", "times"])
def test_a_plan_counts_from_one(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is 0"):
        KillPlan(KillPoint.IN_EXEC, **{name: 0})


def test_which_passings_kill() -> None:
    plan = KillPlan(KillPoint.IN_EXEC, nth=3, times=2)
    assert [n for n in range(1, 10) if plan.kills(n)] == [3, 4]


def test_a_plan_travels_in_the_environment(tmp_path: Path) -> None:
    tally = Tally(str(tmp_path / "with space"))
    plan = KillPlan(KillPoint.HALF_CALL, 2, 5)
    assert heard({VARIABLE: plan.spell(tally)}) == (plan, tally)


def test_a_tally_counts_each_passing_once(tmp_path: Path) -> None:
    tally = Tally(str(tmp_path / "tally"))
    assert tally.total == 0
    numbers: list[int] = []

    def count() -> None:
        for _ in range(200):
            numbers.append(tally.count())

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(numbers) == list(range(1, 801))
    assert tally.total == 800


def test_the_nth_passing_kills_and_no_other(tmp_path: Path) -> None:
    with testing.killing_runtime(KillPlan(KillPoint.IN_EXEC, nth=3, times=2), num_cpus=2) as kills:
        fates = [killed(mark.remote(str(tmp_path / "marks"))) for _ in range(6)]
        assert fates == [False, False, True, True, False, False]
        assert (kills.passings, kills.deaths) == (6, 2)
        # Those that died had not done anything yet.
        assert (tmp_path / "marks").read_text() == "xxxx"


@pytest.mark.parametrize(
    ("point", "marks"),
    [
        (KillPoint.CALL_READ, "x"),  # the second try's
        (KillPoint.BEFORE_EXEC, "x"),
        (KillPoint.IN_EXEC, ""),
        (KillPoint.BEFORE_REPLY, "x"),
        (KillPoint.HALF_REPLY, "x"),
        (KillPoint.AFTER_REPLY, "x"),
    ],
)
def test_what_was_done_before_the_point(point: KillPoint, marks: str, tmp_path: Path) -> None:
    path = tmp_path / "marks"
    path.touch()
    with testing.killing_runtime(KillPlan(point)) as kills:
        assert killed(mark.remote(str(path))) is (
            point in (KillPoint.IN_EXEC, KillPoint.BEFORE_REPLY, KillPoint.HALF_REPLY)
        )
        assert kills.deaths == 1
    assert path.read_text() == marks


def test_a_point_off_the_path_kills_nobody(tmp_path: Path) -> None:
    for point in (KillPoint.HALF_CALL, KillPoint.DESCRIPTOR_SENT, KillPoint.DESCRIPTOR_TAKEN):
        with testing.killing_runtime(KillPlan(point)) as kills:
            assert not killed(mark.remote(str(tmp_path / "marks")))
            assert (kills.passings, kills.deaths) == (0, 0)


def test_workers_that_die_otherwise_are_no_kills(tmp_path: Path) -> None:
    with testing.killing_runtime(KillPlan(KillPoint.IN_EXEC, nth=2)) as kills:
        os.kill(snakepit.get(mark.remote(str(tmp_path / "marks"))), signal.SIGKILL)
        assert killed(mark.remote(str(tmp_path / "marks")))
        assert (kills.passings, kills.deaths) == (2, 1)


def test_it_is_the_only_runtime(runtime: object) -> None:
    with (
        pytest.raises(RuntimeError, match="has a runtime already"),
        testing.killing_runtime(KillPlan(KillPoint.IN_EXEC)),
    ):
        pass


def test_a_plain_runtime_knows_nothing_of_it(runtime: object) -> None:
    @snakepit.remote
    def loaded() -> tuple[bool, bool]:
        import sys

        return ENTRY.partition(":")[0] in sys.modules, VARIABLE in os.environ

    assert snakepit.get(loaded.remote(), timeout=PATIENCE_S) == (False, False)
