"""Who reads the mailbox of a process that runs calls in threads.

Usually that is the main thread, which runs no calls: what it reads it has other threads woken for,
and goes on to read. Where calls are brief, that costs more than they do. Then one of the threads
*leads*: it reads the mailbox itself, and runs what it has read, as a worker with one thread does.
The main thread *follows*: it looks now and then whether the leader still comes back soon.

Guarantees:
* While a leader runs a call nobody reads; after two or three of `TICK` the main thread does.
* A process in which nothing happens makes no wake-ups: the main thread sleeps after `QUIET` ticks
  without a call, until the leader takes one.

Assumptions: one lock, the pool's, is held in every method. Nothing relies on the GIL.
"""

from __future__ import annotations

import threading
from typing import Final, final

from .mailbox import Mailbox

BRIEF: Final = 50
"""Microseconds: shorter calls are brief."""

STREAK: Final = 8
"""So many brief calls in a row make the thread of the last one the leader."""

TICK: Final = 0.001
"""Seconds between looks at a leader: of two in vain the second ends its lead."""

QUIET: Final = 20
"""Looks in vain after which there are none until the leader takes a call."""


@final
class Lead:
    """The leader of one process, if there is one.

    Args:
        lock: guards all this.
        mailbox: where the main thread blocks when there is none.

    Attributes:
        thread: the leader's identifier, or 0.
    """

    __slots__ = ("_asleep", "_followed", "_mailbox", "_running", "_streak", "_turns", "thread")

    def __init__(self, lock: threading.Lock, mailbox: Mailbox) -> None:
        self.thread = 0
        self._mailbox = mailbox
        self._followed = threading.Condition(lock)
        self._running = False
        self._turns = 0  # calls that leaders have taken
        self._streak = 0
        self._asleep = False

    @property
    def mine(self) -> bool:
        """Whether the present thread leads."""
        return self.thread == threading.get_ident()

    # --- in threads that run calls ----------------------------------------------------------

    def ended(self, micros: int) -> None:
        """A call has ended in the present thread, which took so long."""
        self._streak = self._streak + 1 if micros < BRIEF else 0
        if self.mine:
            self._running = False

    def take(self) -> bool:
        """Become the leader, if calls are brief and there is none."""
        if self.thread or self._streak < STREAK:
            return False
        self.thread = threading.get_ident()
        self._mailbox.poke()
        return True

    def begins(self) -> None:
        """The leader takes a brief call."""
        self._running = True
        self._turns += 1
        if self._asleep:
            self._followed.notify()

    def give_up(self) -> None:
        """The leader does no longer: the main thread reads."""
        self.thread = 0
        self._running = False
        self._streak = 0
        self._followed.notify()

    # --- in the main thread -------------------------------------------------------------------

    def follow(self) -> None:
        """Return when there is no leader; one that does not come back is none any more."""
        quiet = stuck = 0
        while self.thread:
            turns = self._turns
            self._asleep = quiet >= QUIET
            self._followed.wait(None if self._asleep else TICK)
            self._asleep = False
            if turns != self._turns:
                quiet = stuck = 0
            elif not self._running:
                quiet += 1
            elif stuck:
                self.give_up()
            else:
                stuck += 1
