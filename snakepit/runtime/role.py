"""The role of the pump: one thread has it, the others stand in line.

Guarantees:
* Whoever leaves gives the role to the first in line that still waits; it is never free while
  somebody stands there. (A role that is let go and a waiter that is woken would be two steps: a
  thread that runs already takes it again before the one that has just been woken gets a core,
  and on a busy machine that goes on for ever.)
* A waiter that stops waiting, for whatever reason, learns whether the role was given to it.

Assumptions: the line is guarded by a lock, held for moments and never while anything blocks. The
role itself is a lock that one thread takes and another may let go. Nothing relies on the GIL.
"""

from __future__ import annotations

import threading
from collections import deque
from functools import partial
from typing import final

from ..policy.objects import PENDING


@final
class Waiter:
    """One thread that sleeps, or waits for `left` objects, and how to wake it.

    Attributes:
        outcome: negative while the objects are not there.
        heir: the role has been given to it; set and cleared by `Role` alone.
    """

    __slots__ = ("_bell", "eager", "heir", "ids", "left", "outcome")

    def __init__(self, left: int, ids: tuple[int, ...] = (), eager: bool = False) -> None:
        """With `eager`, the first failure among `ids` ends the wait."""
        self.left = left
        self.ids = ids
        self.eager = eager
        self.heir = False
        self.outcome = PENDING if left > 0 else 0
        self._bell = threading.Lock()
        self._bell.acquire()

    def arrived(self, outcome: int) -> None:
        """One more object is there; called under the runtime's lock."""
        self.left -= 1
        if self.left <= 0 or (self.eager and outcome > 0):
            self.outcome = 0
            self.ring()

    def ring(self) -> None:
        """Wake the thread: it is done, or it has the role, or it should look again."""
        try:
            self._bell.release()
        except RuntimeError:
            return  # It rings already.

    def sleep(self, timeout: float | None) -> None:
        """Wait for the bell."""
        self._bell.acquire(timeout=-1 if timeout is None else timeout)


@final
class Role:
    """Who pumps, and who is to pump next.

    Attributes:
        take: takes the role if it is free; tells whether the caller has it now.
    """

    __slots__ = ("_held", "_line", "_lock", "take")

    def __init__(self) -> None:
        self._held = threading.Lock()
        self.take = partial(self._held.acquire, False)
        self._lock = threading.Lock()
        self._line: deque[Waiter] = deque()

    def take_at_last(self) -> None:
        """Wait until everybody has left, and keep the role for good."""
        self._held.acquire()

    def line_up(self, waiter: Waiter) -> bool:
        """Take the role if it is free, or stand in line; tell which."""
        with self._lock:
            if self._held.acquire(blocking=False):
                return True
            self._line.append(waiter)
            return False

    def step_out(self, waiter: Waiter) -> bool:
        """Stand in line no longer; tell whether the caller has been given the role meanwhile."""
        with self._lock:
            if waiter.heir:
                waiter.heir = False
                return True
            try:
                self._line.remove(waiter)
            except ValueError:
                pass  # It was passed over, since what it waited for is there.
            return False

    def leave(self) -> bool:
        """Give the role to the first in line, or let it go; tell whether somebody has it now."""
        with self._lock:
            while self._line:
                waiter = self._line.popleft()
                if waiter.outcome < 0:
                    waiter.heir = True
                    waiter.ring()
                    return True
            self._held.release()
            return False

    @property
    def wanted(self) -> bool:
        """Whether somebody stands in line."""
        return bool(self._line)

    def ring(self) -> None:
        """Have everybody in line look again."""
        with self._lock:
            for waiter in self._line:
                waiter.ring()
