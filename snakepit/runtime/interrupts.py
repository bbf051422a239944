"""Ctrl-C at any moment: between the steps of a section it waits, elsewhere it strikes at once.

A section is a stretch of the main thread's code that must not be torn: a plan whose actions are
not performed yet, an outbox half drained. While one is open the wrapped handler only records; its
end lets the original handler have the signal. Threads other than the main one never see a signal,
so only the main thread counts sections, and no lock is needed.

A signal that comes just before the main thread blocks would be seen only after something else has
woken it. So it also writes to a pipe, unless somebody else has the process's wake-up descriptor;
whoever pumps reads that, and wakes the main thread.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from importlib import import_module
from types import FrameType
from typing import Any, Final, final

from ..finalizers import in_finalizer

_SIGINT: Final = int(signal.SIGINT)

# signal.getsignal makes an enum of the answer, at 5 µs a call; CPython's module under it does not.
getsignal: Final = import_module("_signal").getsignal


@final
class Interrupts:
    """The wrapped SIGINT handler of one runtime.

    Attributes:
        pending: a signal has come and waits for the section's end.
    """

    __slots__ = (
        "_depth",
        "_handler",
        "_original",
        "_writer",
        "again",
        "main",
        "pending",
        "reader",
    )

    def __init__(self) -> None:
        self.main = threading.main_thread().ident
        self._depth = 0
        self.pending = False
        self._original: Any = None
        self._handler = self._handle
        self.reader, self._writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self.again: Callable[[], None] = lambda: None

    def install(self) -> None:
        """Wrap the present handler; called again, also a newer one (notebooks set their own)."""
        if threading.get_ident() != self.main or self._writer < 0:
            return
        present = getsignal(_SIGINT)
        if present is not self._handler and callable(present):
            self._original = present
            signal.signal(signal.SIGINT, self._handler)
            other = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
            if other not in (-1, self._writer):
                signal.set_wakeup_fd(other)

    def uninstall(self) -> None:
        """Put the original handler back, unless somebody has set another since; close the pipe.

        Only the main thread can; after a shutdown elsewhere the handler stays, and does no harm.
        """
        if self._writer < 0:
            return
        if threading.get_ident() != self.main:
            if self._original is None:  # never installed: no signal writes to the pipe
                self._close()
            return
        other = signal.set_wakeup_fd(-1)
        if other not in (-1, self._writer):
            signal.set_wakeup_fd(other)
        if self._original is not None and getsignal(_SIGINT) is self._handler:
            signal.signal(signal.SIGINT, self._original)
        self._original = None
        self._close()

    def _close(self) -> None:
        reader, writer = self.reader, self._writer
        self.reader = self._writer = -1
        os.close(reader)
        os.close(writer)

    def abandon(self) -> None:
        """Uninstall in a forked child, whose only thread is its main thread."""
        self.main = threading.get_ident()
        self._depth = 0
        self.uninstall()

    def woken(self) -> None:
        """Empty the pipe: whoever read of it has been woken."""
        try:
            os.read(self.reader, 4096)
        except OSError:
            return

    def enter(self) -> int:
        """Open a section; return the token that `leave` needs."""
        if threading.get_ident() != self.main:
            return -1
        depth = self._depth
        self._depth = depth + 1
        if getsignal(_SIGINT) is not self._handler:
            self.install()
        return depth

    def leave(self, token: int) -> None:
        """Close the section; a signal that came meanwhile is let through after the outermost."""
        if token >= 0:
            self._depth = token
            if self.pending and not token:
                self.pending = False
                self._original(signal.SIGINT, None)

    def breathe(self) -> None:
        """Let through what came, at a moment when nothing is torn: for loops that may be long."""
        if self.pending:
            self.resume(self.pause())

    def pause(self) -> int:
        """Let signals strike while the main thread blocks; return what `resume` needs."""
        if threading.get_ident() != self.main:
            return -1
        depth = self._depth
        # First the depth, then the look: a signal between the two strikes by itself.
        self._depth = 0
        if self.pending:
            self.pending = False
            self._original(signal.SIGINT, None)
        return depth

    def resume(self, depth: int) -> None:
        """Take up the sections that `pause` opened to signals."""
        if depth >= 0:
            self._depth = depth

    def strike(self) -> None:
        """Send the main thread the signal that its finalizer could not take."""
        signal.pthread_kill(self.main or 0, _SIGINT)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._depth:
            self.pending = True
        elif in_finalizer(frame):
            # Python throws away what is raised in a finalizer; the signal comes again after it.
            self.again()
        else:
            self._original(number, frame)


def unwrapped(handler: Any) -> Any:
    """Return the handler that one of `Interrupts` stands before, and any other one as it is."""
    owner = getattr(handler, "__self__", None)
    return owner._original if isinstance(owner, Interrupts) else handler
