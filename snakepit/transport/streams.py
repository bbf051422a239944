"""What a mailbox needs of its transport: a stream of bytes with a descriptor that can be watched.

A connected `socket.socket` is one; so is the in-memory stream of `snakepit.testing`, which passes
the same contract suite. Both sides of a mailbox are written against this and nothing more.
"""

from __future__ import annotations

import socket
from typing import NamedTuple, Protocol


class Stream(Protocol):
    """One end of a connected, ordered, reliable stream of bytes in both directions."""

    def send(self, data: bytes | memoryview, /) -> int:
        """Take some of `data`; return how many bytes.

        Raises:
            BlockingIOError: none can be taken now, and this end does not block.
            OSError: the other end has gone.
        """
        ...

    def sendall(self, data: bytes | memoryview, /) -> None:
        """Take all of `data`; only for an end that blocks.

        Raises:
            OSError: the other end has gone.
        """
        ...

    def recv(self, size: int, /) -> bytes:
        """Return what has arrived, at most `size` bytes; nothing at the end of the stream.

        Raises:
            BlockingIOError: nothing has arrived, and this end does not block.
            OSError: the other end broke off.
        """
        ...

    def fileno(self) -> int:
        """Return the descriptor whose readiness is this end's; -1 once closed."""
        ...

    def setblocking(self, flag: bool, /) -> None:
        """Choose whether `send` and `recv` wait."""
        ...

    def close(self) -> None:
        """Close this end; the other reads what was sent, then the end of the stream."""
        ...


class Channels(NamedTuple):
    """The driver's ends of a new worker's sockets, and what travels to the zygote.

    `handed` are the worker's ends, mailbox first, as descriptors; they belong to whoever takes
    the message that they are sent with.
    """

    mailbox: Stream
    control: socket.socket
    handed: tuple[int, int]


def socket_channels() -> Channels:
    """Return the sockets for one worker process.

    Raises:
        OSError: this process has no descriptors left.
    """
    mailbox, their_mailbox = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        control, their_control = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    except OSError:
        mailbox.close()
        their_mailbox.close()
        raise
    return Channels(mailbox, control, (their_mailbox.detach(), their_control.detach()))
