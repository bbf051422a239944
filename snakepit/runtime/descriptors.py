"""The driver's part in sockets and connections that are sent: it holds each until nobody needs it.

Purpose: a descriptor inside a value is an object, whose value is the descriptor. The driver holds a
duplicate for as long as the scheduler keeps the object, and gives a duplicate to each reader.

Guarantees: whatever mentions a descriptor (a queued call, a stored result) can be read as often as
need be, whoever lent it and whether that process lives; what nobody mentions is closed.

Assumptions: a worker sends the descriptor on its control socket before it tells of the object on
its mailbox. `_lock` guards the table and is held over no other lock. Nothing relies on the GIL.
"""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, final

from ..errors import DescriptorLimitError, ObjectLostError
from ..ids import DRIVER, origin_of
from ..payload.descriptors import duplicate, no_room
from ..protocol import Runtime
from ..wire import messages as wire
from .connection import Connection

if TYPE_CHECKING:
    from .core import Core

T = TypeVar("T")


@final
class Descriptors:
    """The lent descriptors of one runtime."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._lock = threading.Lock()
        self._held: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._held)

    # --- lent -----------------------------------------------------------------------------

    def lend(self, runtime: Runtime, fd: int, make: Callable[[Runtime, int], T]) -> T:
        """See `Runtime.lend`; `runtime` is this process's."""
        core = self._core

        def keep() -> T:
            core.check_open()
            # Here, where no Ctrl-C can come between the duplicate and its place in the table.
            copy = duplicate(fd)
            identifier = core.new_ids(1)
            with self._lock:
                self._held[identifier] = copy
            core.scheduler.put(identifier, wire.DESCRIPTOR, (), DRIVER)
            return make(runtime, identifier)

        made: T = core.update(keep)
        return made

    def take(self, identifier: int, fds: tuple[int, ...]) -> None:
        """Take one that a worker lends; none came if this process had no room for it."""
        if fds:
            with self._lock:
                self._held[identifier] = fds[0]

    def require(self, connection: Connection, identifier: int) -> None:
        """Read on its control socket what a worker sent before it told of this object."""
        poll = select.poll()
        poll.register(connection.control_fd, select.POLLIN)
        while identifier not in self._held and poll.poll(0):
            if not connection.read_control(self._core.memory.take):
                return

    # --- borrowed -------------------------------------------------------------------------

    def borrow(self, identifier: int) -> int:
        """See `Runtime.borrow`."""
        with self._lock:
            fd = self._held.get(identifier)
            if fd is not None:
                return duplicate(fd)
        if identifier in self._core.entries and not self._core.closed:
            raise no_room("the driver")
        raise ObjectLostError("a socket or connection inside a value is gone with its runtime")

    def share(self, connection: Connection, identifier: int, key: int) -> tuple[str, str] | None:
        """Send a worker a duplicate, under a number that it chose; the core's lock is held.

        Returns:
            None, or why there is none: "limit" or "lost", and the text for the error.
        """
        try:
            fd = self.borrow(identifier)
        except DescriptorLimitError as error:
            return "limit", str(error)
        except ObjectLostError as error:
            return "lost", str(error)
        self._core.control(connection, wire.Descriptor(key), (fd,))
        return None

    # --- ended ----------------------------------------------------------------------------

    def free(self, identifier: int) -> None:
        """Close one that nobody mentions any more."""
        with self._lock:
            fd = self._held.pop(identifier, None)
        if fd is not None:
            os.close(fd)

    def sweep(self, process: int) -> None:
        """Close what a worker sent that died before it told of the object; the lock is held."""
        entries = self._core.entries
        for identifier in list(self._held):
            if origin_of(identifier) == process and identifier not in entries:
                self.free(identifier)

    def abandon(self) -> None:
        """Close all: at the end of the runtime, or in a forked child, where no lock counts."""
        self._lock = threading.Lock()
        for identifier in list(self._held):
            self.free(identifier)


def is_descriptor(payload: Any) -> bool:
    """Tell whether an object is a lent descriptor."""
    return type(payload) is list and payload == wire.DESCRIPTOR
