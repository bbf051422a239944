"""Questions to the driver: a call asks, and reads the mailbox until the answer is there."""

from __future__ import annotations

from threading import RLock
from typing import Any, Final, final

from snakepit.deadline import Deadline
from snakepit.errors import GetTimeoutError, SnakepitError
from snakepit.wire import messages as wire

from .interruption import Interruption
from .mailbox import Mailbox

ANSWER: Final = 60.0
"""Seconds to wait for the driver's answer to a question; it may be busy in C code."""


@final
class Questions:
    """Asks them. No cancel strikes meanwhile: the answer would be nobody's."""

    __slots__ = ("_answers", "_interruption", "_lock", "_mailbox", "_next")

    def __init__(self, mailbox: Mailbox, interruption: Interruption, lock: RLock) -> None:
        """`lock` is held while a question leaves, behind what it may rely on."""
        self._mailbox = mailbox
        self._interruption = interruption
        self._lock = lock
        self._answers: dict[int, wire.Answer] = {}
        self._next = 0

    def answer(self, message: wire.Answer) -> None:
        """A question has been answered."""
        self._answers[message.request] = message

    def ask(self, operation: str, *arguments: Any) -> Any:
        """Ask the driver something; return its answer.

        Raises:
            GetTimeoutError: it does not come within `ANSWER` seconds.
            SerializationError: it cannot be sent.
        """
        with self._interruption.held_off():
            with self._lock:
                self._next += 1
                request = self._next
                self._mailbox.send(wire.Request(request, operation, list(arguments)))
            deadline = Deadline.after(ANSWER)
            if not self._mailbox.wait_for(lambda: request in self._answers, deadline):
                raise GetTimeoutError(f"the driver did not answer {operation!r} within {ANSWER} s")
            answer = self._answers.pop(request)
        if answer.outcome != wire.OK:
            raise _failed(*answer.body)
        return answer.body

    def cancel(self, identifier: int, *, force: bool, recursive: bool) -> None:
        """See `Runtime.cancel`."""
        refusal = self.ask("cancel", identifier, force, recursive)
        if refusal is not None:
            raise ValueError(refusal)

    def kill(self, actor: int, *, no_restart: bool) -> None:
        """See `Runtime.kill`."""
        self.ask("kill", actor, no_restart)

    def pending_calls(self, actor: int) -> int:
        """See `Runtime.pending_calls`."""
        count: int = self.ask("pending_calls", actor)
        return count

    def relieve(self, needed: int) -> bool:
        """Have everybody else give free memory of the store back; see `Values`."""
        self.ask("relieve", needed)
        return True


def _failed(kind: str, fields: dict[str, Any]) -> SnakepitError:
    from snakepit.faults import Failure, to_exception  # which most workers never need

    return to_exception(Failure(kind, fields))
