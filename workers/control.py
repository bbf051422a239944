"""The worker's control thread: what must not wait until a call has ended.

It takes descriptors, cancels, gives unstarted calls back, trims the arena and answers
pings. It needs the GIL: while C code holds it, none of this happens (see `Interruption`).
"""

from __future__ import annotations

import os
import select
import socket
import threading
from _thread import start_new_thread
from collections.abc import Callable
from typing import Any, final

from snakepit.protocol import watch_forks
from snakepit.transport.fds import FdConnection, PeerGone
from snakepit.wire import messages as wire
from snakepit.wire.codec import Encoder, decode


@final
class Control:
    """The control socket and the thread that serves it.

    Args:
        sock: the connected socket.
        take: takes each message with its descriptors, in the control thread.
    """

    __slots__ = ("__weakref__", "_connection", "_encode", "_sending", "_take")

    def __init__(self, sock: socket.socket, take: Callable[[Any, tuple[int, ...]], None]) -> None:
        self._connection = FdConnection(sock)
        self._encode = Encoder()
        self._sending = threading.Lock()
        self._take = take
        watch_forks(self)

    def start(self) -> None:
        """Start the thread.

        Not with `threading`, whose start of a thread writes to 0.3 MB that each worker shares with
        the others until then.
        """
        start_new_thread(self._serve, ())

    def send(self, message: tuple[Any, ...], fds: tuple[int, ...] = ()) -> None:
        """Send a message; waits while the driver's end is full."""
        with self._sending:
            done = self._connection.send(self._encode(message), fds)
            while not done:
                select.select((), (self._connection,), ())
                done = self._connection.flush()

    def forked_in_parent(self) -> None:
        """See `protocol.Forkable`: nothing has changed here."""

    def forked_in_child(self) -> None:
        """See `protocol.Forkable`: close it; no lock's holder exists here."""
        self._sending = threading.Lock()
        self._connection.abandon()

    def _serve(self) -> None:
        try:
            self._serve_until_gone()
        except BaseException:
            # Without this thread the worker would be deaf: better that the driver has another.
            import traceback

            traceback.print_exc()
            os._exit(1)

    def _serve_until_gone(self) -> None:
        poll = select.poll()
        poll.register(self._connection.fileno(), select.POLLIN)
        while True:
            poll.poll()
            try:
                bodies = self._connection.receive()
            except PeerGone:
                return  # The driver has gone; the zygote ends this process.
            for body in bodies:
                message = decode(body)
                carries = type(message) in wire.CARRIERS
                fds = self._connection.take_descriptors() if carries else ()
                self._take(message, fds)
