"""Sessions in a storm: those that have lost their worker are pinned anew, and lose no call."""

from __future__ import annotations

import time
from typing import Any, final

import snakepit
from snakepit import errors

from . import work


@final
class Seat:
    """One session, and its calls in the order in which they were made.

    Attributes:
        repinned: how often it was pinned anew.
    """

    def __init__(self, name: str, affinity: str, seconds: float) -> None:
        self._session = snakepit.Session(name, affinity=affinity)
        self._seconds = seconds
        self._strict = affinity != "hint"
        self._made = 0
        self._ran: list[tuple[int, int, int]] = []  # which call, in which process, its how manieth
        self.repinned = 0

    def call(self, x: int) -> tuple[int, int, Any]:
        """Make a call; return its number, how often the session had been pinned anew, and it."""
        self._made += 1
        ref = self._session.remote(work.sit, x, self._seconds)
        return self._made, self.repinned, ref

    def value(self, x: int, made: tuple[int, int, Any], deadline: float) -> int:
        """Wait for a call, and make it again as often as the session has lost its worker."""
        while True:
            number, pinned, ref = made
            try:
                value, pid, nth = snakepit.get(ref, timeout=deadline - time.monotonic())
            except errors.SessionWorkerUnavailableError:
                assert self._strict, f"{self._session} has lost a worker that it never had"
                # The first to hear of it pins the session; the others were made before that.
                if pinned == self.repinned:
                    self._session.repin()
                    self.repinned += 1
                made = self.call(x)
                continue
            self._ran.append((number, pid, nth))
            return int(value)

    def check(self, ordered: bool) -> None:
        """Compare the order of this wave's calls in each process with that in which they were made.

        Args:
            ordered: whether each process runs one call at a time.
        """
        last: dict[int, int] = {}
        if self._strict and ordered:
            for number, pid, nth in sorted(self._ran):
                assert nth > last.get(pid, 0), f"call {number} of {self._session} ran out of turn"
                last[pid] = nth
        self._ran.clear()

    def close(self) -> None:
        """End the session."""
        self._session.close()


def seats(count: int, wave: int, seconds: float) -> list[Seat]:
    """Open sessions, strict ones and others."""
    kinds = "hint", "strict_queue"
    return [Seat(f"{wave}-{n}", kinds[n % 2], seconds) for n in range(count)]
