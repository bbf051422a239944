"""Heartbeats: whose time counts, who is asked, and who is ended when."""

from __future__ import annotations

from typing import Any

import pytest

from snakepit.policy import actions as do
from snakepit.policy.heartbeats import LAST_WORDS, Beat, Heartbeats, Reading, Thread, own_time
from snakepit.policy.lines import Line
from snakepit.policy.stats import stats
from snakepit.policy.taint import Taint

from .rig import Rig, only

BEAT = Beat(interval=2.0, timeout=4.0, misses=2)


def asleep(ran: float = 1.0, waited: float = 0.0, state: str = "S") -> Thread:
    return Thread(state, ran, waited)


def reading(at: float, *threads: Thread, faults: int = 0, traced: bool = False) -> Reading:
    return Reading(at, at, dict(enumerate(threads or (asleep(),), 1)), faults, traced)


@pytest.mark.parametrize(
    ("after", "own"),
    [
        (reading(2.0), 2.0),
        (reading(2.9), 2.9),
        (reading(3.1), 0.0),  # the look came late
        (reading(2.0, asleep(waited=0.5)), 1.5),
        (reading(2.0, asleep(waited=2.5)), 0.0),
        (reading(2.0, asleep(ran=3.0, state="R")), 2.0),
        (reading(2.0, asleep(ran=1.5, state="R")), 0.5),  # it may wait, which counts afterwards
        (reading(2.0, asleep(ran=1.0, state="R")), 0.0),
        (reading(2.0, asleep(state="T")), 2.0),  # stopped, by nobody who looks at it
        (reading(2.0, asleep(state="t")), 0.0),
        (reading(2.0, asleep(state="D")), 0.0),
        (reading(2.0, faults=1), 0.0),
        (reading(2.0, traced=True), 0.0),
        (reading(2.0, asleep(), asleep()), 0.0),
        (None, 0.0),
    ],
)
def test_what_of_the_time_is_a_workers_own(after: Reading | None, own: float) -> None:
    assert own_time(reading(0.0), after, 2.0) == pytest.approx(own)
    assert own_time(None, after, 2.0) == 0.0


def test_what_its_threads_wait_adds_up() -> None:
    before = reading(0.0, asleep(), asleep())
    after = reading(2.0, asleep(waited=0.5), asleep(waited=0.75))
    assert own_time(before, after, 2.0) == pytest.approx(0.75)


@pytest.mark.parametrize("held", [{"traced": True}, {}])
def test_a_process_that_was_held_at_the_look_before_has_no_time(held: dict[str, Any]) -> None:
    before = reading(0.0, asleep(state="S" if held else "D"), **held)
    assert own_time(before, reading(2.0), 2.0) == 0.0


class Ward:
    """A rig with one worker, which is watched, and one call in it."""

    def __init__(self, **settings: Any) -> None:
        self.rig = Rig(cpus=0, size=1, limit=1)
        self.rig.pool.line = Line(None, None)
        self.rig.pool.taint = Taint(10.0)
        self.actions = self.rig.scheduler.actions
        self.beats = Heartbeats(self.actions, {"main": BEAT}, None)
        self.rig.scheduler.placement.staff.heartbeats = self.beats
        self.rig.prestart(1)
        number = only(self.rig.take(), do.Spawn).worker
        self.rig.scheduler.hello(number)
        self.number = number
        self.arm = only([a for a in self.rig.take() if type(a) is do.Arm], do.Arm)
        self.call = self.rig.submit(resources=(), max_retries=1)
        self.rig.take()
        self.now = 0.0
        self.heard = 0
        self.look()
        self.heard = 1
        self.look()

    def look(self, waited: float = 0.0, started: int = 1, **how: Any) -> list[do.Action]:
        """Let two seconds pass, of which it waited for some; return what is done."""
        self.now += BEAT.interval
        found = self.rig.run_out(self.arm)
        checks = [a for a in found if type(a) is do.Check]
        for check in checks:
            at = None
            if self.heard < check.number:
                at = reading(self.now, asleep(waited=waited), **how)
            self.beats.checked(check.worker, self.heard, started, self.now, at)
        return [*found, *self.rig.take()]


def hangs(actions: list[do.Action]) -> list[do.Action]:
    return [action for action in actions if type(action) is do.Hang]


def test_who_answers_is_asked_again_by_one_timer() -> None:
    ward = Ward()
    assert ward.arm == do.Arm(BEAT.interval, "heartbeat:main")
    ward.heard = 2
    actions = ward.look()
    assert do.Ping(ward.number, 3) in actions and ward.arm in actions


def test_who_is_silent_for_long_enough_is_told_to_die_and_then_killed() -> None:
    ward = Ward()
    missed = []
    for _ in range(4):
        actions = ward.look()
        assert not hangs(actions)
        missed += [action for action in actions if type(action) is do.Ping]
    assert missed == [do.Ping(ward.number, 3)]  # asked again at the first miss
    hang, last = ward.look()[-2:]
    assert hang == do.Hang(ward.number, 10.0, 8.0, (("f", 12.0),))
    assert last == do.Arm(LAST_WORDS, f"hung:{ward.number}")
    assert not hangs(ward.look())
    assert do.Kill(ward.number) in ward.rig.run_out(last)  # type: ignore[arg-type]


@pytest.mark.parametrize("how", ["answer", "result", "call"])
def test_whatever_it_does_is_an_answer(how: str) -> None:
    ward = Ward()
    for _ in range(4):
        ward.look()
    if how == "answer":
        ward.heard = 2
    elif how == "result":
        ward.rig.result(ward.call)
    started = 2 if how == "call" else 1
    for _ in range(4):
        assert not hangs(ward.look(started=started))
    assert hangs([a for _ in range(3) for a in ward.look(started=started)])


def test_time_in_which_it_waited_does_not_count() -> None:
    ward = Ward()
    for turn in range(1, 100):
        assert not hangs(ward.look(waited=2.0 * turn))
    assert not any(hangs(ward.look(waited=200.0)) for _ in range(3))
    assert any(hangs(ward.look(waited=200.0)) for _ in range(2))


def test_a_death_of_that_is_a_hang_which_counts_pays_and_taints() -> None:
    ward = Ward()
    while not hangs(ward.look()):
        pass
    actions = ward.rig.die(ward.number, 1, signal="signal 40")
    assert any(getattr(action, "key", "").startswith("taint:") for action in actions)
    assert ward.call.deaths == 1
    assert stats(ward.rig.scheduler.placement, ward.rig.pool)["crashes"] == {"hang": 1}
    assert not [a for a in ward.look() if type(a) is do.Check]
    assert ward.rig.run_out(do.Arm(LAST_WORDS, f"hung:{ward.number}")) == []


def test_one_that_crashes_before_it_is_ended_has_crashed() -> None:
    ward = Ward()
    while not hangs(ward.look()):
        pass
    ward.rig.die(ward.number, 1, signal="SIGSEGV")
    assert stats(ward.rig.scheduler.placement, ward.rig.pool)["crashes"] == {"segfault": 1}
