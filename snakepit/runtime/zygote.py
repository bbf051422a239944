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

import fcntl
import os
import resource
import select
import signal
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, final

from ..deadline import Deadline
from ..errors import RuntimeStartError
from ..store.platform import PAGE, OutOfPages, Region, memory_file, reserve_pages, round_up
from ..transport.fds import FdConnection, PeerGone
from ..transport.handover import CHANNEL, DRIVER, LEDGER, STATUS, STATUS_BYTES, Settings, view_of
from ..transport.orphans import MARK, end_marked
from ..transport.streams import Channels, socket_channels
from ..wire.codec import Encoder, decode
from ..wire.messages import Died, Spawned, Stop
from .interpreter import command

DEFAULT_ENTRY: Final = "snakepit.workers.process:main"

_THREAD_LIMITS: Final = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
_STARTUP_TEXT: Final = 64 << 10
_UNKNOWN: Final = 255


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

    def __init__(
        self, run: str, pid: int, channel: socket.socket, status: memoryview, log: int
    ) -> None:
        self.run = run
        self.pid = pid
        self.pidfd = _open_pidfd(pid)
        self.exit_code: int | None = None
        self._channel = FdConnection(channel)
        self._encode = Encoder()
        self._encoding = threading.Lock()
        self._status = status
        self._log = log
        self._workers: set[int] = set()

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
        opened: list[int] = []
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            driver = _open_pidfd(os.getpid())
            if driver >= 0:
                opened.append(driver)
            status, view = _status_area(slots)
            opened.append(status)
            log = _log_file()
            opened.append(log)
            settings = Settings(run, slots, open_files, log_to_driver, driver >= 0, entry)
            given = {CHANNEL: theirs.fileno(), STATUS: status, LEDGER: ledger_fd}
            if driver >= 0:
                given[DRIVER] = driver
            pid = _spawn(interpreter, settings, env, given, log)
            opened.remove(log)
            return cls(run, pid, ours, view, log)
        except BaseException as error:
            ours.close()  # what has started already ends by this
            if not isinstance(error, OSError | OutOfPages):
                raise
            raise RuntimeStartError(
                f"the zygote, the process that workers are forked from, cannot start: {error}"
            ) from error
        finally:
            theirs.close()
            for fd in opened:
                os.close(fd)

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
        return self._status[slot * STATUS_BYTES : (slot + 1) * STATUS_BYTES]

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
            end_marked(self.run)

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
            end_marked(self.run, self._workers, deadline if not deadline.expired else None)
        self._workers.clear()

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


def raise_open_files() -> int:
    """Raise this process's soft limit of open files to the hard one; return what it was."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return soft


def _open_pidfd(pid: int) -> int:
    try:
        return os.pidfd_open(pid) if hasattr(os, "pidfd_open") else -1
    except ProcessLookupError:
        return -1


def _status_area(slots: int) -> tuple[int, memoryview]:
    size = round_up(slots * STATUS_BYTES, PAGE)
    fd = memory_file("snakepit-status", size)
    try:
        reserve_pages(fd, 0, size)
        area = Region(fd, size, writable=True)
    except BaseException:
        os.close(fd)
        raise
    return fd, view_of(area, area.address, size)


def _log_file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("snakepit-zygote-log", os.MFD_CLOEXEC)
    import tempfile

    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _spawn(
    interpreter: str,
    settings: Settings,
    env: Mapping[str, str],
    given: Mapping[int, int],
    log: int,
) -> int:
    """Start the interpreter with descriptor `given[n]` as its n; return its pid."""
    arguments = command(interpreter, settings.arguments())
    copies: list[int] = []
    try:
        # High numbers first, so that no descriptor is overwritten before it is duplicated.
        for fd in (log, *given.values()):
            copies.append(fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, DRIVER + 1))
        actions: list[tuple[Any, ...]] = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, copies[0], 1),
            (os.POSIX_SPAWN_DUP2, copies[0], 2),
        ]
        actions += [(os.POSIX_SPAWN_DUP2, copy, fd) for copy, fd in zip(copies[1:], given)]
        env = _environment(settings.run, env, bool(interpreter))
        return _posix_spawn(arguments, env, actions)
    finally:
        for fd in copies:
            os.close(fd)


def _posix_spawn(
    arguments: list[str], env: Mapping[str, str], actions: list[tuple[Any, ...]]
) -> int:
    # A session from the first moment: a Ctrl-C at the terminal must not end a young zygote.
    try:
        return os.posix_spawn(
            arguments[0], arguments, env, file_actions=actions, setsid=True, setsigmask=()
        )
    except NotImplementedError:
        return os.posix_spawn(arguments[0], arguments, env, file_actions=actions, setsigmask=())


def _environment(run: str, env: Mapping[str, str], foreign: bool) -> dict[str, str]:
    if foreign:  # another one would look there for its standard library
        env = {name: text for name, text in env.items() if name != "PYTHONHOME"}
    # Whoever sets the first of them speaks for every library.
    limits = () if _THREAD_LIMITS[0] in env else _THREAD_LIMITS
    return {**dict.fromkeys(limits, "1"), **env, MARK: f"{run}:0"}
