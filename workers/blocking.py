"""What goes on while a thread of the worker blocks: dropped handles are told, a cancel may strike.

Guarantees:
* What is dropped while a thread reads the mailbox is told at once, by that thread.
* The reader never waits for the runtime's lock: who has that may wait for what it reads.

Nothing relies on the GIL.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, final

from snakepit.handles import Handles

from .interruption import Interruption

if TYPE_CHECKING:
    from .client import WorkerRuntime
    from .mailbox import Mailbox


@final
class Blocking:
    """What the mailbox tells of each thread that blocks in it."""

    __slots__ = ("_interruption", "_parts")

    def __init__(self, interruption: Interruption) -> None:
        self._interruption = interruption
        self._parts: tuple[WorkerRuntime, Handles, Mailbox] | None = None

    def begin(self, runtime: WorkerRuntime, handles: Handles, mailbox: Mailbox) -> None:
        """From now on there is somebody to tell."""
        self._parts = runtime, handles, mailbox

    def __call__(self, blocking: bool, reads: bool) -> None:
        """The present thread, which reads or lets another do so, is about to block, or goes on."""
        if reads and self._parts is not None:
            self._sleep(blocking, *self._parts)
        # While the main thread waits inside a call of the user's, a cancel may strike.
        interruption = self._interruption
        if interruption.waits and threading.get_ident() == interruption.main:
            interruption.open = blocking

    @staticmethod
    def _sleep(sleeps: bool, runtime: WorkerRuntime, handles: Handles, mailbox: Mailbox) -> None:
        # An event loop sleeps on its own, also when a thread beside it has ended to read.
        handles.sleeping = sleeps or runtime.loop is not None
        if not sleeps or not handles.queue:
            return
        if runtime.lock.acquire(blocking=False):
            try:
                runtime.report_handles()
            finally:
                runtime.lock.release()
        else:
            mailbox.poke()  # It looks again at once.
