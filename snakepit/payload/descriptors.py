"""Open sockets and connections as parts of values.

A pickle cannot hold a descriptor, so it holds the id of an object: the runtime keeps a duplicate of
the descriptor as that object's value, and whoever unpickles the value asks for a duplicate of its
own. A value mentions the id as it does those of references, so that what keeps a reference inside
a value alive (a queued call, its retries, a stored result) keeps the descriptor open, and nothing
else does. So a value can be read any number of times, in any process, and its sender may close what
it sent.

The standard library's way, `multiprocessing.reduction.DupFd`, is not used: it has a thread that
listens on a socket in the file system, and gives each descriptor once.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeAlias, final

from ..errors import DescriptorLimitError
from ..protocol import Runtime, current
from .references import note_reference

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from socket import socket

Lend: TypeAlias = Callable[[int], int]
"""Gives the id under which a descriptor can be had."""

_NO_ROOM: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})


@final
class Lent:
    """One handle of this process on a descriptor that the runtime keeps."""

    __slots__ = ("_runtime", "id")

    def __init__(self, runtime: Runtime, identifier: int) -> None:
        self._runtime = runtime
        self.id = identifier

    def __del__(self) -> None:
        self._runtime.drop(self.id)


@final
class Lender:
    """Lends the descriptors of one value to the runtime.

    Args:
        lent: where the handles on them go, to be kept until something else mentions their ids.
    """

    __slots__ = ("_lent",)

    def __init__(self, lent: list[Lent]) -> None:
        self._lent = lent

    def __call__(self, fd: int) -> int:
        """Lend one; return its id."""
        runtime = current()
        if runtime is None:
            raise TypeError("there is no runtime that could carry it")
        lent = runtime.lend(fd, Lent)
        self._lent.append(lent)
        note_reference(lent.id)
        return lent.id


def refuse(fd: int) -> int:
    """Lend nothing: what is pickled here lives too long, or does not tell what it mentions."""
    raise TypeError(
        "open sockets and connections travel in arguments, results, items and values given to put; "
        "not in definitions, which are kept for as long as the runtime, nor in exceptions"
    )


def pretend(fd: int) -> int:
    """Lend nothing, where it is only tried whether a value can be pickled."""
    return 0


def reduce_socket(sock: socket, lend: Lend) -> Any:
    """Reduce a socket, of exactly this class, to what makes another of the same open socket."""
    fd = sock.fileno()
    if fd < 0:
        raise ValueError("the socket is closed")
    kept = lend(fd), int(sock.family), int(sock.type), sock.proto, sock.gettimeout()
    return rebuild_socket, kept


def rebuild_socket(
    identifier: int, family: int, kind: int, proto: int, timeout: float | None
) -> socket:
    """Make a socket of a lent descriptor."""
    from socket import socket

    fd = _borrow(identifier)
    try:
        sock = socket(family, kind, proto, fileno=fd)
    except BaseException:
        os.close(fd)
        raise
    # Whether it blocks is a property of what both have open, and is left as it is.
    if sock.gettimeout() != timeout:
        sock.settimeout(timeout)
    return sock


def reduce_connection(connection: Connection, lend: Lend) -> Any:
    """Reduce one end of a `multiprocessing.Pipe`."""
    # A closed one raises and says so.
    kept = lend(connection.fileno()), connection.readable, connection.writable
    return rebuild_connection, kept


def rebuild_connection(identifier: int, readable: bool, writable: bool) -> Connection:
    """Make a connection of a lent descriptor."""
    from multiprocessing.connection import Connection

    fd = _borrow(identifier)
    try:
        return Connection(fd, readable, writable)
    except BaseException:
        os.close(fd)
        raise


def duplicate(fd: int) -> int:
    """Return a duplicate of a descriptor, which is closed by an exec.

    Raises:
        DescriptorLimitError: this process may open no more.
        OSError: it is not open.
    """
    try:
        return os.dup(fd)
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise no_room() from error
        raise


def no_room(whose: str = "") -> DescriptorLimitError:
    """Return the error for a process that may open no more descriptors; by default this one."""
    whose = whose or f"process {os.getpid()}"
    return DescriptorLimitError(
        f"a socket or connection could not be carried: {whose} has as many files open as it may "
        "(ulimit -n). Close some, or send fewer at a time; each that waits in an argument, a "
        "result or a stored value is open in the driver too"
    )


def _borrow(identifier: int) -> int:
    runtime = current()
    if runtime is None:
        raise TypeError("there is no runtime that could have carried it")
    return runtime.borrow(identifier)


REDUCERS: Final[dict[tuple[str, str], Callable[[Any, Lend], Any]]] = {
    ("socket", "socket"): reduce_socket,
    ("multiprocessing.connection", "Connection"): reduce_connection,
}
"""By the module and name of a type, which need not be loaded."""
