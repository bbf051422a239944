"""Sockets and connections in a worker's values: lent to the driver, and borrowed from it.

The descriptors travel on the control socket. One that is lent leaves before the mailbox tells of
its object; one that is borrowed is asked for on the mailbox, by a number that this process chose,
and waited for here until the control thread has it.

Nothing relies on the GIL: `_changed` guards what arrives.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final, TypeVar, final

from snakepit.deadline import Deadline
from snakepit.errors import DescriptorLimitError, ObjectLostError
from snakepit.payload.descriptors import duplicate, no_room
from snakepit.protocol import Runtime
from snakepit.wire import messages as wire

from .control import Control
from .interruption import Interruption
from .mailbox import Mailbox

if TYPE_CHECKING:
    from .client import WorkerRuntime

T = TypeVar("T")

ARRIVAL: Final = 10.0
"""Seconds within which a descriptor must come, once the driver has said that it was sent."""


@final
class Lending:
    """Both directions, of one worker."""

    def __init__(
        self,
        runtime: WorkerRuntime,
        mailbox: Mailbox,
        control: Control,
        interruption: Interruption,
    ) -> None:
        self._runtime = runtime
        self._mailbox = mailbox
        self._control = control
        self._interruption = interruption
        self._changed = threading.Condition()
        self._last = 0
        self._awaited: set[int] = set()
        self._arrived: dict[int, tuple[int, ...]] = {}

    def lend(self, fd: int, make: Callable[[Runtime, int], T]) -> T:
        """See `Runtime.lend`."""
        runtime = self._runtime
        with self._interruption.held_off(), runtime.lock:
            copy = duplicate(fd)
            identifier = runtime.own_id()
            self._control.send(wire.Descriptor(identifier), (copy,))
            self._mailbox.send(wire.Put(identifier, wire.DESCRIPTOR, []))
            return make(runtime, identifier)

    def borrow(self, identifier: int) -> int:
        """See `Runtime.borrow`."""
        fds: tuple[int, ...] = ()
        try:
            with self._interruption.held_off():
                with self._changed:
                    self._last = key = self._last + 1
                    self._awaited.add(key)
                try:
                    refusal = self._runtime.ask("descriptor", identifier, key)
                    fds = () if refusal else self._take(key)
                finally:
                    with self._changed:
                        self._awaited.discard(key)
                        _close(self._arrived.pop(key, ()))
        except BaseException:
            _close(fds)  # The call was cancelled meanwhile: nobody takes it.
            raise
        if refusal:
            kind, text = refusal
            raise (DescriptorLimitError if kind == "limit" else ObjectLostError)(text)
        if not fds:
            raise no_room()
        return fds[0]

    def arrived(self, key: int, fds: tuple[int, ...]) -> None:
        """Take what the driver sent; none came if this process had no room for it."""
        with self._changed:
            if key in self._awaited:
                self._arrived[key] = fds
                self._changed.notify_all()
            else:
                _close(fds)

    def _take(self, key: int) -> tuple[int, ...]:
        deadline = Deadline.after(ARRIVAL)
        with self._changed:
            while key not in self._arrived:
                if deadline.expired:
                    raise ObjectLostError(
                        f"the descriptor of a socket or connection did not come within {ARRIVAL} s"
                    )
                self._changed.wait(deadline.remaining())
            return self._arrived.pop(key)


def _close(fds: Iterable[int]) -> None:
    for fd in fds:
        os.close(fd)
