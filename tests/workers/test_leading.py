"""Who reads the mailbox: a thread that runs brief calls, or the main thread."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from snakepit.workers.leading import BRIEF, STREAK, Lead


class Mailbox:
    """Counts the pokes."""

    def __init__(self) -> None:
        self.pokes = 0

    def poke(self) -> None:
        self.pokes += 1


@pytest.fixture
def lock() -> Any:
    return threading.Lock()


@pytest.fixture
def lead(lock: Any) -> Lead:
    mailbox: Any = Mailbox()
    return Lead(lock, mailbox)


def earn(lead: Lead) -> None:
    """Have the present thread run as many brief calls as it takes."""
    for _ in range(STREAK):
        assert not lead.take()
        lead.ended(BRIEF - 1)


def follow(lead: Lead, lock: Any) -> threading.Thread:
    """Follow in a thread of its own, which ends when it is to read."""

    def body() -> None:
        with lock:
            lead.follow()

    thread = threading.Thread(target=body)
    thread.start()
    return thread


def test_brief_calls_in_a_row_make_a_leader(lead: Lead, lock: Any) -> None:
    with lock:
        earn(lead)
        assert lead.take() and lead.mine
        assert not lead.take(), "there is one"
        lead.give_up()
        assert not lead.thread and not lead.take(), "it has to be earned anew"


def test_a_long_call_in_between_makes_none(lead: Lead) -> None:
    for _ in range(STREAK - 1):
        lead.ended(1)
    lead.ended(BRIEF)
    lead.ended(1)
    assert not lead.take()


def test_the_main_thread_reads_when_the_leader_gives_up(lead: Lead, lock: Any) -> None:
    with lock:
        earn(lead)
        assert lead.take()
    main = follow(lead, lock)
    with lock:
        lead.give_up()
    main.join(30)
    assert not main.is_alive()


def test_a_leader_that_does_not_come_back_is_none(lead: Lead, lock: Any) -> None:
    with lock:
        earn(lead)
        assert lead.take()
        lead.begins()
    follow(lead, lock).join(30)
    assert not lead.thread
    with lock:
        lead.ended(1_000_000)  # It comes back after all.
        assert not lead.mine


def test_one_that_sleeps_is_told_when_the_leader_takes_a_call(lead: Lead, lock: Any) -> None:
    with lock:
        earn(lead)
        assert lead.take()
    main = follow(lead, lock)
    asleep = threading.Event()
    while not asleep.wait(0.001):
        with lock:
            if lead._asleep:
                asleep.set()
    with lock:
        lead.begins()  # and does not end
    main.join(30)
    assert not main.is_alive() and not lead.thread
