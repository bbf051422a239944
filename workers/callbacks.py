"""Callbacks inside a worker: called when objects resolve, though nobody waits for them.

Purpose: while a task does something else, somebody has to read the mailbox for its futures. A
thread does so while there are callbacks, and it is this thread that calls them: whoever happens to
read the news holds the reader's role, and a callback may well need an answer from the mailbox.

Guarantees: each callback is called once, without any lock held, whatever others raise. The thread
ends with the last one.

Assumptions: a lock guards the tables; nothing relies on the GIL.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import final

from snakepit.deadline import Deadline
from snakepit.resolving import call_back

from .mailbox import DriverGone, Mailbox


@final
class Callbacks:
    """What waits for objects to resolve, by the object's id.

    Args:
        mailbox: what the thread reads meanwhile.
    """

    __slots__ = ("_due", "_lock", "_mailbox", "_serving", "_waiting")

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox
        self._lock = threading.Lock()
        self._waiting: dict[int, list[Callable[[], None]]] = {}
        self._due: list[Callable[[], None]] = []
        self._serving = False

    def add(self, identifier: int, callback: Callable[[], None]) -> None:
        """Have `callback` called; the driver must have been asked, or be asked next."""
        with self._lock:
            self._waiting.setdefault(identifier, []).append(callback)
            start, self._serving = not self._serving, True
        if start:
            threading.Thread(target=self._serve, name="snakepit-callbacks", daemon=True).start()

    def resolved(self, identifier: int) -> None:
        """An object is there: its callbacks are due."""
        if not self._waiting:
            return  # Who adds one now asks the driver after it, and is answered again.
        with self._lock:
            self._due += self._waiting.pop(identifier, ())

    def _serve(self) -> None:
        never = Deadline.after(None)
        while True:
            with self._lock:
                due, self._due = self._due, []
                if not due and not self._waiting:
                    self._serving = False
                    return
            _call_all(due)
            if not due:
                try:
                    self._mailbox.wait_for(lambda: self._due, never)
                except DriverGone:
                    return  # The main thread learns it too, and ends the process.


def _call_all(callbacks: list[Callable[[], None]]) -> None:
    """Call them, and have no name that keeps the last one alive while others are waited for."""
    for callback in callbacks:
        call_back(callback, DriverGone)
