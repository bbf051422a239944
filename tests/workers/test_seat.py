"""Where a spinning worker sits."""

from __future__ import annotations

import os
import threading
from itertools import pairwise
from types import SimpleNamespace

import pytest

from snakepit.workers import seat
from snakepit.workers.platform import current_core
from snakepit.workers.seat import FIRST_PAUSE, LONGEST_PAUSE, LOOK_EACH, Seat, leave_core

pytestmark = pytest.mark.skipif(not seat._MEASURES, reason="this system counts no switches")


@pytest.fixture
def moves(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The moments at which the thread was moved, on a clock that `clock` sets."""
    moved: list[float] = []
    monkeypatch.setattr(seat, "leave_core", lambda: moved.append(clock.now))
    monkeypatch.setattr(seat, "monotonic", lambda: clock.now)
    return moved


clock = SimpleNamespace(now=100.0)


def spin(monkeypatch: pytest.MonkeyPatch, sitting: Seat, switches: int, hits: int) -> None:
    """Let `hits` spins succeed, over which the thread is switched out `switches` times each."""
    count = sitting._switches
    for _ in range(hits):
        count += switches
        usage = SimpleNamespace(ru_nivcsw=count)
        monkeypatch.setattr(seat.resource, "getrusage", lambda who, usage=usage: usage)
        sitting.hit()


def test_a_thread_that_is_switched_out_at_each_yield_moves(
    monkeypatch: pytest.MonkeyPatch, moves: list[float]
) -> None:
    spin(monkeypatch, Seat(), switches=1, hits=LOOK_EACH)
    assert moves == [clock.now]


def test_a_thread_with_its_core_to_itself_stays(
    monkeypatch: pytest.MonkeyPatch, moves: list[float]
) -> None:
    spin(monkeypatch, Seat(), switches=0, hits=10 * LOOK_EACH)
    assert moves == []


def test_moving_in_vain_becomes_rare(monkeypatch: pytest.MonkeyPatch, moves: list[float]) -> None:
    sitting = Seat()
    clock.now = 0.0
    while clock.now < 60.0:
        spin(monkeypatch, sitting, switches=1, hits=LOOK_EACH)
        clock.now += FIRST_PAUSE / 2
    pauses = [after - before for before, after in pairwise(moves)]
    expected = [min(FIRST_PAUSE * 2**place, LONGEST_PAUSE) for place in range(len(pauses))]
    assert pauses == pytest.approx(expected, abs=FIRST_PAUSE)
    assert expected[-1] == LONGEST_PAUSE
    # Alone again, then not: the next move is not late.
    spin(monkeypatch, sitting, switches=0, hits=LOOK_EACH)
    clock.now += LONGEST_PAUSE
    before = len(moves)
    for _ in range(4):
        spin(monkeypatch, sitting, switches=1, hits=LOOK_EACH)
        clock.now += FIRST_PAUSE
    assert len(moves) >= before + 2


def test_leaving_a_core_binds_the_thread_to_nothing() -> None:
    allowed = os.sched_getaffinity(0)
    if len(allowed) < 2:
        pytest.skip("there is one core")
    found: list[object] = []

    def move() -> None:
        here = current_core()
        os.sched_setaffinity(0, {here})
        os.sched_setaffinity(0, allowed)
        found.extend([leave_core(), os.sched_getaffinity(0)])

    thread = threading.Thread(target=move)
    thread.start()
    thread.join()
    assert found == [True, allowed]


def test_a_thread_that_may_use_one_core_stays() -> None:
    allowed = os.sched_getaffinity(0)
    found: list[object] = []

    def stay() -> None:
        os.sched_setaffinity(0, {current_core()})
        found.extend([leave_core(), len(os.sched_getaffinity(0))])

    thread = threading.Thread(target=stay)
    thread.start()
    thread.join()
    assert found == [False, 1]
    assert os.sched_getaffinity(0) == allowed
