"""The limits: a socketpair between two processes that poll, and Arrow's memory copy."""

from __future__ import annotations

import mmap
import os
import select
import socket
from collections.abc import Callable
from time import perf_counter_ns
from typing import Any, final

from .base import NotOffered, Peer

MESSAGE = b"m" * 100
SPIN_NS = 100_000
COPY_THREADS = 2


def receiver(sock: socket.socket) -> Callable[[], bytes]:
    """A function that polls for a while, then blocks, and returns what arrived."""
    receive = sock.recv
    poller = select.poll()
    poller.register(sock, select.POLLIN)

    def next_message() -> bytes:
        end = perf_counter_ns() + SPIN_NS
        while True:
            try:
                return receive(4096, socket.MSG_DONTWAIT)
            except BlockingIOError:
                # Both sides may have been put on one core, where a spin without this is lost.
                os.sched_yield()
                if perf_counter_ns() > end:
                    poller.poll()

    return next_message


@final
class Raw(Peer):
    """No runtime at all: what the kernel, the interpreter and the memory allow."""

    name = "raw"
    distribution = "pyarrow"
    title = "raw limit"
    packages = ("pyarrow",)

    def start(self, workers: int = 1) -> None:
        """Fork a process that echoes bytes."""
        self.socket, theirs = socket.socketpair()
        self.child = os.fork()
        if self.child == 0:
            self.socket.close()
            receive = receiver(theirs)
            while message := receive():
                theirs.send(message)
            os._exit(0)
        theirs.close()
        self.receive = receiver(self.socket)
        self.target: Any = None

    def stop(self) -> None:
        """Close the pair; the other side ends by itself."""
        self.socket.close()
        os.waitpid(self.child, 0)

    def call(self, value: int) -> int:
        """There and back."""
        self.socket.send(MESSAGE)
        self.receive()
        return value

    @property
    def put(self) -> Callable[[Any], Any]:
        """A copy by Arrow into shared memory that is mapped and touched already."""
        return self._copy

    def _copy(self, value: Any) -> Any:
        if isinstance(value, int):
            raise NotOffered("the limit of a small put is the interpreter's")
        import pyarrow as pa

        source = pa.py_buffer(value)
        if self.target is None or self.target.size != source.size:
            self.target = pa.py_buffer(mmap.mmap(-1, source.size, mmap.MAP_SHARED))
        writer = pa.FixedSizeBufferWriter(self.target)
        writer.set_memcopy_threads(COPY_THREADS)
        writer.write(source)
        writer.close()
        return self.target
