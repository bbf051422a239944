"""Cancelling a running call: an exception that strikes the right call or none.

A thread asks with a real-time signal; the handler, which runs in the main thread between
two instructions of Python, raises only while the call that was meant runs user code. Sections of
our own (a read of the mailbox, a reply) are never torn. The signal is repeated with growing pauses
until it has struck, for user code may be in a finalizer, out of which no exception comes, or sit in
C code that retries; C code that never returns to the interpreter cannot be interrupted, only ended.
What nevertheless comes to nothing, as in a callback from C code, strikes again.
"""

from __future__ import annotations

import signal
import sys
import threading
from _thread import start_new_thread
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final, final

from snakepit.finalizers import in_finalizer
from snakepit.protocol import TaskInterrupt

SIGNAL: Final = signal.SIGRTMIN + 5 if hasattr(signal, "SIGRTMIN") else signal.SIGUSR1
FIRST_PAUSE: Final = 0.005
LONGEST_PAUSE: Final = 1.0


@final
class Interruption:
    """What runs in the main thread, and what of it has been cancelled.

    Attributes:
        stack: ids of the calls on the main thread's stack, the running one last.
        open: whether user code runs right now, so that an exception may strike.
        waits: whether the main thread waits in user code, so that it may strike while that blocks.
        sending: tells whether the main thread may be in the middle of a message, which an exception
            would tear in two. The user's code calls, puts and asks, all by messages.
    """

    __slots__ = ("_changed", "_struck", "_wanted", "main", "open", "sending", "stack", "waits")

    def __init__(self) -> None:
        self.stack: list[int] = []
        self.open = self.waits = False
        self._wanted: dict[int, bool] = {}  # and whether they are only late
        self._struck: set[int] = set()
        self.main = threading.main_thread().ident
        self.sending: Callable[[], bool] = lambda: False
        self._changed = threading.Condition()

    def install(self) -> None:
        """Install the handler; call it in the main thread."""
        signal.signal(SIGNAL, self._strike)
        others = sys.unraisablehook

        def hook(unraisable: sys.UnraisableHookArgs) -> None:
            if unraisable.exc_type is TaskInterrupt and threading.get_ident() == self.main:
                self.open = True
            else:
                others(unraisable)

        sys.unraisablehook = hook

    def _strike(self, number: int, frame: FrameType | None) -> None:
        # What does not strike now is tried again: see `strike_until_ended`.
        if self._strikes and not self.sending() and not in_finalizer(frame):
            self.open = False
            raise TaskInterrupt("this call was cancelled")

    @property
    def _strikes(self) -> bool:
        return self.open and bool(self.stack) and self.stack[-1] in self._wanted

    @contextmanager
    def held_off(self) -> Iterator[None]:
        """Let nothing strike the main thread in a section of ours that user code leads to."""
        held = self.hold()
        try:
            yield
        finally:
            self.release(held)

    def hold(self) -> bool:
        """Begin such a section; return what `release` is to be given at its end, in any case."""
        if not self.open or threading.get_ident() != self.main:
            return False
        self.open = False
        return True

    def release(self, held: bool) -> None:
        """End it.

        Raises:
            TaskInterrupt: the call was cancelled meanwhile: signals may always find a section open.
        """
        if held:
            self.open = True
            if self._strikes and not in_finalizer(sys._getframe()):
                self.open = False
                raise TaskInterrupt("this call was cancelled")

    def cancelled(self, call: int) -> bool:
        """Tell whether the call was cancelled, or its time is over."""
        return call in self._wanted

    def unwanted(self, call: int) -> bool:
        """Tell whether the call was cancelled, so that nobody waits for its value."""
        return self._wanted.get(call) is False

    def want(self, call: int, late: bool = False) -> None:
        """Cancel a call, before or while it runs; of one that is `late` a value is welcome."""
        with self._changed:
            self._wanted[call] = late and self._wanted.get(call, True)
            self._changed.notify_all()

    def ended(self, call: int) -> None:
        """The call has ended: nothing is to strike any more."""
        if self._wanted:
            with self._changed:
                self._wanted.pop(call, None)
                self._changed.notify_all()

    def strike(self, call: int) -> None:
        """Have a cancelled call struck until it has left the stack, which may take for ever.

        In a thread of its own: the control thread has others to hear.
        """
        with self._changed:
            if call in self._struck:
                return
            self._struck.add(call)
        start_new_thread(self.strike_until_ended, (call,))

    def strike_until_ended(self, call: int) -> None:
        """Signal the main thread until the call has left its stack."""
        pause = FIRST_PAUSE
        while True:
            with self._changed:
                if call not in self._wanted or call not in self.stack:
                    self._struck.discard(call)
                    return
            signal.pthread_kill(self.main or 0, SIGNAL)
            with self._changed:
                self._changed.wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
