"""The driver's side of the zygote: starts it, talks to it without blocking, and ends it.

Guarantees:
* No call blocks but `stop` and `kill`, which keep to their deadline.
* Messages leave in the order of `send`, whichever threads called it; descriptors given to `send`
  belong to the client from then on.
* After `stop` or `kill` no process of the run is left, the zygote included.

Assumptions: one thread at a time calls `receive`. There are no threads in here, and nothing
relies on the GIL.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, final

from ..deadline import Deadline
from ..errors import RuntimeStartError
from ..store.platform import OutOfPages
from ..store.status import create_area, line_of
from ..transport.fds import FdConnection, PeerGone
from ..transport.streams import Channels, socket_channels
from ..wire.codec import Encoder, decode
from ..wire.messages import Areas, Died, Spawned, Stop
from .launch import DEFAULT_ENTRY, Launched, launch, open_pidfd

_STARTUP_TEXT = 64 << 10
_UNKNOWN = 255


@final
class ZygoteGone(Exception):
    """The zygote has ended, asked or not; everything that it sent has been received."""


@final
class ZygoteClient:
    """A running zygote, as its driver sees it. Made by `start`."""

    __slots__ = (
        "_channel",
        "_encode",
        "_encoding",
        "_log",
        "_status",
        "_workers",
        "exit_code",
        "pid",
        "pidfd",
        "run",
    )

    def __init__(self, launched: Launched, slots: int, ledger_fd: int) -> None:
        """Take over a process that was started, and give it what its workers share.

        Args:
            launched: the process; what belongs to it is the client's from now on, unless this
                raises.
            slots: how many workers the status area has room for.
            ledger_fd: the store's ledger, which each worker gets a descriptor of.

        Raises:
            RuntimeStartError: the machine has no memory or descriptors left.
        """
        given: list[int] = []
        try:
            status, self._status = create_area(slots)
            given.append(status)
            given.append(os.dup(ledger_fd))
        except (OSError, OutOfPages) as error:
            for fd in given:
                os.close(fd)
            raise RuntimeStartError(f"no worker can be given its memory: {error}") from error
        self.run = launched.run
        self.pid = launched.pid
        self.pidfd = open_pidfd(launched.pid)
        self.exit_code: int | None = None
        self._log = launched.log
        self._channel = FdConnection(socket.socket(fileno=launched.channel))
        self._encode = Encoder()
        self._encoding = threading.Lock()
        self._workers: set[int] = set()
        self.send(Areas(slots), given)

    @classmethod
    def start(
        cls,
        *,
        run: str,
        slots: int,
        ledger_fd: int,
        env: Mapping[str, str],
        entry: str = DEFAULT_ENTRY,
        log_to_driver: bool = True,
        open_files: int = 0,
        interpreter: str = "",
    ) -> ZygoteClient:
        """Start a zygote and return at once; its readiness arrives as `Started`.

        Args:
            run: the run's id.
            slots: how many workers the status area has room for.
            ledger_fd: the store's ledger, which each worker gets a descriptor of.
            env: the whole environment of the zygote and so of its workers.
            entry: what workers run, `package.module:function`.
            log_to_driver: whether the workers' output is wanted here.
            open_files: the soft limit that workers get back (see `raise_open_files`); 0: as it is.
            interpreter: the command that starts Python; by default this process's own.

        Raises:
            RuntimeStartError: no process could be started.
        """
        launched = launch(
            run=run,
            env=env,
            entry=entry,
            log_to_driver=log_to_driver,
            open_files=open_files,
            interpreter=interpreter,
        )
        try:
            return cls(launched, slots, ledger_fd)
        except BaseException:
            launched.end()
            raise

    @staticmethod
    def channels() -> Channels:
        """Return the ends of a new worker's sockets; the handed ones travel with its `Spawn`."""
        return socket_channels()

    def fileno(self) -> int:
        """Return the channel's descriptor, to be watched for messages; -1 once closed."""
        return self._channel.fileno()

    @property
    def pending(self) -> bool:
        """Whether messages wait for room: watch the channel for writability and `flush`."""
        return self._channel.pending

    def send(self, message: tuple[Any, ...], fds: Sequence[int] = ()) -> bool:
        """Queue a message and send what fits; return whether everything has left.

        Args:
            message: one of the messages from driver to zygote.
            fds: descriptors that travel with it; closed here once they are sent.
        """
        with self._encoding:
            return self._channel.send(self._encode(message), fds)

    def flush(self) -> bool:
        """Send what fits; return whether everything has left."""
        return self._channel.flush()

    def receive(self) -> list[Any]:
        """Return the messages that have arrived; an empty list if none has.

        Raises:
            ZygoteGone: the zygote has ended.
        """
        try:
            messages = [decode(body) for body in self._channel.receive()]
        except PeerGone as error:
            raise ZygoteGone(str(error)) from None
        for message in messages:
            if type(message) is Spawned:
                self._workers.add(message.pid)
            elif type(message) is Died:
                self._workers.discard(message.pid)
        return messages

    def status(self, slot: int) -> memoryview:
        """Return the 64 bytes that the worker in `slot` writes its status to."""
        return line_of(self._status, slot)

    def startup_text(self) -> str:
        """Return what the zygote itself printed: why it failed, if it did."""
        if self._log < 0:
            return ""
        size = os.fstat(self._log).st_size
        text = os.pread(self._log, _STARTUP_TEXT, max(0, size - _STARTUP_TEXT))
        return text.decode("utf-8", "replace").strip()

    def stop(self, deadline: Deadline, deliver: Callable[[Any], object] | None = None) -> None:
        """End every process of the run, then the zygote; return when they have ended.

        Args:
            deadline: after it, the zygote is killed and what it left is ended from here.
            deliver: takes each message that still arrives, output above all.
        """
        self.send(Stop())
        try:
            while not deadline.expired:
                for message in self.receive():
                    if deliver is not None:
                        deliver(message)
                self._wait(deadline)
                self.flush()
        except ZygoteGone:
            pass
        self._end(deadline)

    def kill(self, deadline: Deadline | None = None) -> None:
        """Kill the zygote and every process of the run, delivering nothing.

        Also what is left to do after `ZygoteGone`.

        Args:
            deadline: when to give up on processes that do not die; by default 1 s from now.
        """
        self._signal(signal.SIGKILL)
        self._end(deadline or Deadline.after(1.0))
        if self.exit_code == 0:  # a program that started the zygote elsewhere and went away
            self._end_marked(None)

    def close(self) -> None:
        """Close this process's descriptors, and nothing else.

        A fork of the driver may call it; in the driver it comes after `stop` or `kill`.
        """
        self._channel.abandon()
        for fd in (self.pidfd, self._log):
            if fd >= 0:
                os.close(fd)
        self.pidfd = self._log = -1

    def _end(self, deadline: Deadline) -> None:
        if self.exit_code is None and not self._reap(deadline):
            self._signal(signal.SIGKILL)
            self._reap(Deadline.after(1.0))
        if self.exit_code != 0:
            self._end_marked(None if deadline.expired else deadline)
        self._workers.clear()

    def _end_marked(self, deadline: Deadline | None) -> None:
        from ..transport.orphans import end_marked  # here, for most zygotes do it themselves

        end_marked(self.run, self._workers, deadline)

    def _reap(self, deadline: Deadline) -> bool:
        """Wait for the zygote's end; return whether it came."""
        if self.pidfd >= 0:
            poll = select.poll()
            poll.register(self.pidfd, select.POLLIN)
            seconds = deadline.remaining()
            if not poll.poll(None if seconds is None else seconds * 1000 + 1):
                return False
        try:
            pid, status = os.waitpid(self.pid, os.WNOHANG if self.pidfd >= 0 else 0)
        except ChildProcessError:  # the user's own wait() has reaped it
            self.exit_code = _UNKNOWN
            return True
        if pid:
            self.exit_code = os.waitstatus_to_exitcode(status)
        return bool(pid)

    def _wait(self, deadline: Deadline) -> None:
        poll = select.poll()
        poll.register(self.fileno(), select.POLLIN | (select.POLLOUT if self.pending else 0))
        seconds = deadline.remaining()
        poll.poll(None if seconds is None else seconds * 1000 + 1)

    def _signal(self, number: int) -> None:
        if self.exit_code is not None:
            return
        try:
            if self.pidfd >= 0:
                signal.pidfd_send_signal(self.pidfd, number)
            else:
                os.kill(self.pid, number)
        except ProcessLookupError:
            return
