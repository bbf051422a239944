"""How a call waits inside a worker: on the stack of the main thread, or beside others.

Guarantees:
* The driver knows of each call that waits, and for what, so that others use its slot meanwhile. A
  call waits for as long as one of its threads does that have its context.
* A call on the stack gives back what its worker has not begun, and runs above itself what the
  driver sends for that: the worker of a call that waits is never idle in vain, nor in the way.

Assumption: `on_stack` is used by the main thread alone. Nothing relies on the GIL.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol, final

from snakepit.deadline import Deadline
from snakepit.protocol import TaskInterrupt
from snakepit.wire import messages as wire

from .interruption import Interruption
from .mailbox import Mailbox

Send = Callable[[wire.Blocked], None]
"""Asks the driver for what is waited for, and tells it of the wait."""


class Bell(Protocol):
    """Wakes one coroutine, from whichever thread."""

    @property
    def rung(self) -> Awaitable[None]:
        """Done when it has rung."""
        ...

    def ring(self) -> None:
        """Wake it."""
        ...


class Loop(Protocol):
    """An event loop that reads the mailbox."""

    @property
    def here(self) -> bool:
        """Whether the present thread is its own."""
        ...

    def bell(self) -> Bell:
        """Return a bell for the coroutine that runs."""
        ...


@final
class Waiting:
    """The waits of one worker's calls.

    Args:
        mailbox: read while a call waits.
        interruption: a cancel may strike while the main thread blocks.
        give_back: takes out the calls that have not begun, and returns their ids.

    Attributes:
        on_top: whether the call on top of the stack waits.
        run_nested, give_back_nested, has_nested: what to do with calls that were sent for that.
        begins_beside: entered while it is told that a call waits beside others; gives what goes
            back with that.
        ends_beside: called when it waits no more.
    """

    __slots__ = (
        "_beside",
        "_give_back",
        "_interruption",
        "_mailbox",
        "_telling",
        "begins_beside",
        "ends_beside",
        "give_back_nested",
        "has_nested",
        "on_top",
        "run_nested",
    )

    def __init__(
        self, mailbox: Mailbox, interruption: Interruption, give_back: Callable[[], list[int]]
    ) -> None:
        self._mailbox = mailbox
        self._interruption = interruption
        self._give_back = give_back
        self._telling = threading.Lock()
        self._beside: dict[int, list[wire.Blocked]] = {}  # what the threads of a call wait for
        self.on_top = False
        self.run_nested: Callable[[], None] = lambda: None
        self.give_back_nested: Callable[[], list[int]] = list
        self.has_nested: Callable[[], bool] = lambda: False
        self.begins_beside: Callable[[], AbstractContextManager[list[int]]] = _nothing
        self.ends_beside: Callable[[], None] = lambda: None

    def beside(
        self, send: Send, blocked: wire.Blocked, ready: Callable[[], bool], deadline: Deadline
    ) -> bool:
        """Wait in one of several calls that run here, in a thread of its own or in a coroutine.

        Raises:
            TaskInterrupt: it was cancelled; no signal reaches the thread.
        """
        call, cancelled = blocked.call, self._interruption.cancelled
        with self._telling, self.begins_beside() as back:
            waits = self._beside.setdefault(call, [])
            waits.append(blocked)
            send(_together(waits)._replace(back=back))
        try:
            self._mailbox.wait_for(lambda: ready() or cancelled(call), deadline)
        finally:
            self.ends_beside()
            with self._telling:
                waits.remove(blocked)
                if waits:
                    self._mailbox.send(_together(waits))
                else:
                    del self._beside[call]
                    self._mailbox.send(wire.Unblocked(call))
        if ready():
            return True
        if cancelled(call):
            raise TaskInterrupt("this call was cancelled")
        return False

    def on_stack(
        self,
        send: Send,
        blocked: wire.Blocked,
        ready: Callable[[], bool],
        deadline: Deadline,
        *,
        keeps: bool,
    ) -> bool:
        """Wait in the call on top of the stack; with `keeps` what has not begun stays here."""
        interruption = self._interruption
        was_open, interruption.open = interruption.open, False
        was_on_top, self.on_top = self.on_top, True
        try:
            back = [] if keeps else self._give_back()
            send(blocked._replace(back=back))
            try:
                return self._wait_and_help(ready, deadline)
            except TaskInterrupt:
                was_open = False  # What the user's code does for its end is not struck once more.
                raise
            finally:
                self._mailbox.send(wire.Unblocked(blocked.call))
        finally:
            self.on_top = was_on_top
            # After that: another thread that reads looks at it again when it has added a call.
            self._return_calls(self.give_back_nested())
            interruption.open = was_open

    def _wait_and_help(self, ready: Callable[[], bool], deadline: Deadline) -> bool:
        interruption = self._interruption
        while True:
            interruption.waits = True
            try:
                done = self._mailbox.wait_for(lambda: ready() or self.has_nested(), deadline)
            finally:
                interruption.waits = False
            if ready() or not self.has_nested():
                return done
            # Its own waits come and go below this one, on the same stack.
            self.on_top = False
            self.run_nested()
            self.on_top = True
            # What else came has not begun, and this worker may wait for long.
            self._return_calls(self._give_back())

    def _return_calls(self, calls: list[int]) -> None:
        if calls:
            self._mailbox.send(wire.GivenBack(calls))


def _together(waits: list[wire.Blocked]) -> wire.Blocked:
    """Return one wait for all that the threads of a call wait for."""
    if len(waits) == 1:
        return waits[0]
    ids = dict.fromkeys(identifier for wait in waits for identifier in wait.ids)
    return wire.Blocked(waits[0].call, [*ids], all(wait.every for wait in waits), [])


def _nothing() -> AbstractContextManager[list[int]]:
    nothing: list[int] = []
    return nullcontext(nothing)


def warn_of_blocking() -> None:
    """Tell of a wait that holds up an event loop; called by what `get` and `wait` both call."""
    import warnings

    warnings.warn(
        "get() and wait() in a coroutine block the event loop, and with it all other calls of this "
        "actor; write `await ref` instead",
        RuntimeWarning,
        stacklevel=6,
    )
