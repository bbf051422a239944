"""The core that a spinning worker sits on: not the driver's, if there is another.

Two processes that wake each other are put on one core by the kernel (a wake-up over a socket
counts as a hand-over), and stay there while both spin, for neither ever sleeps again. A call then
costs two switches and cold caches: twice the time that it takes on two cores.

A thread that has its core to itself is not switched when it yields. So the count of involuntary
switches, looked at now and then while spins succeed, tells whether somebody else wants the core;
if so the thread is moved to another that it may use. It is a nudge, not a binding: its affinity
is as before a moment later, and the kernel decides from there on.

Assumption: one thread at a time calls `hit`. Nothing relies on the GIL.
"""

from __future__ import annotations

import os
import resource
from time import monotonic
from typing import Final, final

from .platform import current_core

LOOK_EACH: Final = 32
"""Successful spins between looks; a look costs as much as a spin."""

FIRST_PAUSE: Final = 0.01
LONGEST_PAUSE: Final = 1.0
"""Seconds between moves: where every core is wanted by somebody, moving is in vain."""

_MEASURES: Final = hasattr(resource, "RUSAGE_THREAD") and hasattr(os, "sched_setaffinity")


@final
class Seat:
    """Moves its thread off a core on which it is switched out whenever it yields."""

    __slots__ = ("_hits", "_next_move", "_pause", "_switches")

    def __init__(self) -> None:
        self._hits = 0
        self._switches = 0
        self._pause = FIRST_PAUSE
        self._next_move = 0.0

    def hit(self) -> None:
        """A spin has brought something; look now and then how long that took."""
        self._hits += 1
        if not self._hits % LOOK_EACH and _MEASURES:
            switches = resource.getrusage(resource.RUSAGE_THREAD).ru_nivcsw
            shared = switches - self._switches >= LOOK_EACH // 2
            self._switches = switches
            self._judge(shared, monotonic())

    def _judge(self, shared: bool, now: float) -> None:
        if not shared:
            self._pause = FIRST_PAUSE
        elif now >= self._next_move:
            self._next_move = now + self._pause
            self._pause = min(2 * self._pause, LONGEST_PAUSE)
            leave_core()


def leave_core() -> bool:
    """Move the calling thread to another core that it may use; tell whether there is one."""
    allowed = os.sched_getaffinity(0)
    others = allowed - {current_core()}
    if not others:
        return False
    try:
        os.sched_setaffinity(0, others)
        os.sched_setaffinity(0, allowed)
    except OSError:
        return False  # The set of cores has just been changed under it.
    return True
