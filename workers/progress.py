"""Progress bars of a worker, on their way to the driver, which shows them."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, final

from snakepit.errors import SerializationError
from snakepit.wire.messages import Progress

from .interruption import Interruption
from .mailbox import Mailbox

if TYPE_CHECKING:
    from snakepit.bars import Bar


@final
class Bars:
    """Tells the driver of bars.

    What a finalizer says waits in `late`, since the finalizer may have come in the middle of a
    message: it goes with the next bar, or before the next reply.
    """

    __slots__ = ("_interruption", "_mailbox", "late")

    def __init__(self, mailbox: Mailbox, interruption: Interruption) -> None:
        self._mailbox = mailbox
        self._interruption = interruption
        self.late: deque[Bar] = deque()

    def progress(self, bar: Bar, *, late: bool) -> None:
        """See `Runtime.progress`."""
        self.late.append(bar)
        if late:
            return
        # What is taken out is sent, whatever cancels come.
        with self._interruption.held_off():
            self.flush()

    def flush(self) -> None:
        """Send what waits."""
        while self.late:
            try:
                bar = self.late.popleft()
            except IndexError:
                return  # Another thread was faster.
            try:
                self._mailbox.send(Progress(list(bar)))
            except SerializationError:
                pass  # No task ends for a bar, such as one with a total that has too many digits.
