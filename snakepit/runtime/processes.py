"""Worker processes as the driver sees them: spawned, heard, lost; and the zygote that forks them.

The zygote's word is the authority for a worker's death: whatever the worker still sent is read
first, then the scheduler decides about the calls that it did not answer. When the zygote itself is
killed its workers die with it; the driver ends what bears the run's mark, and starts another when
the scheduler says so: at once, after a back-off, or never (see `policy.supervision`).
"""

from __future__ import annotations

import select
import signal
import socket
import threading
from collections import deque
from functools import partial
from time import monotonic
from typing import Any, final

from ..config import VISIBLE, environment
from ..deadline import Deadline
from ..errors import ObjectLostError, ProtocolError, RuntimeStartError
from ..faults import signal_name
from ..policy import actions as do
from ..policy.scheduler import UnknownCall
from ..runtime_env import merged
from ..transport.streams import Stream
from ..wire import messages as wire
from .connection import Connection
from .core import SLOTS, Core
from .host import StartZygote, Zygote
from .logs import LogPrinter
from .requests import Inbox
from .zygote import ZygoteGone, raise_open_files


@final
class Processes:
    """The zygote's client and the workers' connections of one runtime."""

    def __init__(self, core: Core, inbox: Inbox, start_zygote: StartZygote) -> None:
        self._core = core
        self._start = start_zygote
        self._inbox = inbox
        self._printer = LogPrinter()
        self._printing = threading.Lock()
        self._outputs: deque[wire.Output] = deque()
        self._free_slots = list(range(SLOTS - 1, 0, -1))
        self._open_files = raise_open_files()
        self._preloaded: set[str] = set()
        self._stopping = False
        self._lost = False  # while there is none that lives
        self._zygote = self._make_zygote()
        core.spawn = self.spawn
        core.start_zygote = self.start_zygote
        core.kill = self.kill

    # --- the zygote -----------------------------------------------------------------------

    def _make_zygote(self) -> Zygote:
        core = self._core
        zygote = self._start(
            run=core.run,
            slots=SLOTS,
            ledger_fd=core.memory.ledger.fd,
            env=environment(),
            log_to_driver=core.config.log_to_driver,
            open_files=self._open_files,
        )
        core.pump.watch(zygote.fileno(), self._heard_zygote)
        return zygote

    def _heard_zygote(self, mask: int) -> None:
        if mask & select.EPOLLOUT:
            # Off first: a sender that finds no room meanwhile turns it on, and that must last.
            self._core.pump.want_write(self._zygote.fileno(), False)
            if not self._zygote.flush():
                self._core.pump.want_write(self._zygote.fileno(), True)
        if not mask & ~select.EPOLLOUT:
            return
        try:
            messages = self._zygote.receive()
        except ZygoteGone:
            self._lost_zygote()
            return
        for message in messages:
            self._take(message)

    def _send(self, message: tuple[Any, ...], fds: tuple[int, ...] = ()) -> None:
        if not self._lost and not self._zygote.send(message, fds):
            self._core.pump.want_write(self._zygote.fileno(), True)

    def _take(self, message: Any) -> None:
        kind = type(message)
        if kind is wire.Output:
            self._outputs.append(message)
            self._core.pump.later(self._print)
        elif kind is wire.Died:
            self._died(message)
        elif kind is wire.Spawned:
            connection = self._core.connections.get(message.number)
            if connection is not None:
                connection.pid = message.pid
        elif kind is wire.SpawnFailed:
            self._bury(message.number, {"spawn": message.reason, "reason": message.reason})

    def _print(self) -> None:
        """Print what has come, unless another thread is at it: lines must keep their order."""
        while self._outputs and self._printing.acquire(blocking=False):
            try:
                while self._outputs:
                    self._show(self._outputs.popleft())
            finally:
                self._printing.release()

    def _show(self, output: wire.Output) -> None:
        try:
            self._printer.show(output)
        finally:
            # Without its credit the zygote would hold back all that comes after.
            if not self._stopping:
                self._send(wire.Credit(len(output.text)))

    def preload(self, module: str) -> None:
        """Have the zygote import a module before the next fork, once."""
        if module not in self._preloaded:
            self._preloaded.add(module)
            self._send(wire.Preload([module]))

    def _lost_zygote(self) -> None:
        core = self._core
        lost = self._zygote
        core.pump.unwatch(lost.fileno())
        if self._stopping:
            return
        text = lost.startup_text()
        lost.kill()
        end = _end_of(lost.exit_code)
        how = end["signal"] or f"exit code {lost.exit_code}"
        reason = f"the zygote, which all workers are forked from, ended ({how})"
        if text:
            reason += f"; it printed:\n{text}"
        orphans: list[tuple[int, int]] = []

        def lose() -> None:
            orphans.extend((n, self._begun(each)) for n, each in core.connections.items())
            self._lost = True
            core.scheduler.zygotes.lost("")

        core.update(lose)
        for number, begun in orphans:
            self._bury(number, {"exit_code": None, "signal": "SIGKILL", "zygote": reason}, begun)
        lost.close()
        core.update(lambda: self._replace({**end, "stderr": text}))

    def _replace(self, cause: dict[str, Any]) -> None:
        if not self._core.closed:
            self._core.scheduler.zygotes.replace("", cause, monotonic())

    def start_zygote(self, interpreter: str) -> None:
        """Start another zygote; the core's lock is held."""
        try:
            self._zygote = self._make_zygote()
        except RuntimeStartError as error:
            self._replace({"reason": str(error)})
            return
        self._lost = False
        if self._preloaded:
            self._send(wire.Preload(sorted(self._preloaded)))
        self._core.scheduler.zygotes.started("")

    def _begun(self, connection: Connection) -> int:
        """Return the sequence of the last call that a worker has begun."""
        return int.from_bytes(self._zygote.status(connection.slot)[:8], "little")

    # --- workers --------------------------------------------------------------------------

    def spawn(self, action: do.Spawn) -> None:
        """Have a worker forked; the core's lock is held."""
        core = self._core
        try:
            if not self._free_slots:
                raise OSError(f"{SLOTS} worker processes run already, as many as there may be")
            mailbox, control, handed = self._zygote.channels()
        except OSError as error:
            cause = {"spawn": str(error), "reason": str(error)}
            core.scheduler.died(action.worker, cause, 0, monotonic())
            return
        slot = self._free_slots.pop()
        self._zygote.status(slot)[:16] = bytes(16)
        connection = self._connect(action.worker, slot, mailbox, control)
        core.post(connection, wire.Welcome(
            wire.VERSION, core.run, core.config.namespace, core.config.object_store_memory
        ))  # fmt: skip
        env = list(merged(core.config.runtime_env, action.env))
        gpus = core.config.gpus
        if gpus:
            env.append((VISIBLE, ",".join(gpus[number] for number in action.gpus)))
        spawn = wire.Spawn(action.worker, slot, action.label, env)
        self._send(spawn, handed)

    def _connect(
        self, number: int, slot: int, mailbox: Stream, control: socket.socket
    ) -> Connection:
        pump = self._core.pump
        fd = mailbox.fileno()
        connection = Connection(
            number, slot, mailbox, control, lambda waiting: pump.want_write(fd, waiting)
        )
        self._core.connections[number] = connection
        pump.watch(fd, partial(self._heard, connection))
        pump.watch(connection.control_fd, partial(self._heard_control, connection))
        return connection

    def _heard(self, connection: Connection, mask: int) -> None:
        if mask & select.EPOLLOUT:
            connection.outbox.writable()
        if mask & ~select.EPOLLOUT:
            self._read(connection)

    def _read(self, connection: Connection) -> bool:
        """Take what one read of a mailbox brings; tell whether it brought anything."""
        try:
            messages = connection.read()
            if messages:
                self._inbox.take(connection, messages)
        except (ProtocolError, UnknownCall, ObjectLostError) as error:
            self._distrust(connection, error)
            return False
        if connection.ended:
            self._core.pump.unwatch(connection.mailbox_fd)
        # Also the middle of a long message is something: its end may follow.
        return messages is not None

    def _distrust(self, connection: Connection, error: Exception) -> None:
        import logging

        reason = f"it sent what no worker may: {error}"
        if isinstance(error, ObjectLostError):
            reason = f"what it stored cannot be reached: {error}"
        logging.getLogger("snakepit").error("worker %d is ended: %s", connection.number, reason)
        self._core.pump.unwatch(connection.mailbox_fd)
        self._core.pump.unwatch(connection.control_fd)
        connection.ended = True
        connection.distrusted = reason
        self.kill(connection.number)

    def _heard_control(self, connection: Connection, mask: int) -> None:
        pump = self._core.pump
        if mask & select.EPOLLOUT:
            pump.want_write(connection.control_fd, False)
            if not connection.flush_control():
                pump.want_write(connection.control_fd, True)
        if mask & ~select.EPOLLOUT and not self._read_control(connection):
            pump.unwatch(connection.control_fd)

    def _read_control(self, connection: Connection) -> bool:
        try:
            return connection.read_control(self._core.memory.take)
        except ProtocolError as error:
            self._distrust(connection, error)
            return False

    def kill(self, number: int) -> None:
        """Kill a worker's process group, through the zygote, which alone knows that it lives."""
        self._send(wire.Signal(number, signal.SIGKILL))

    def _died(self, message: wire.Died) -> None:
        cause = {**_end_of(message.code), "stderr": message.stderr, "pid": message.pid}
        connection = self._core.connections.get(message.number)
        if connection is not None and connection.distrusted:
            cause["distrusted"] = connection.distrusted
        self._bury(message.number, cause)

    def _bury(self, number: int, cause: dict[str, Any], begun: int | None = None) -> None:
        core = self._core
        connection = core.connections.get(number)
        if connection is None:
            return
        while not connection.ended and self._read(connection):
            pass
        self._read_control(connection)
        started = self._begun(connection) if begun is None else begun
        core.pump.unwatch(connection.mailbox_fd)
        core.pump.unwatch(connection.control_fd)

        # What goes with the worker is released while it is still known, so that only what
        # others need is inherited.
        core.update(lambda: core.scheduler.died(number, cause, started, monotonic()))
        core.update(lambda: self._inherit(connection))
        connection.close()

    def _inherit(self, connection: Connection) -> None:
        """Keep what the dead worker stored for those who need it; the lock is held."""
        core = self._core
        number, slot = connection.number, connection.slot
        # What handles dropped meanwhile is freed while the arena is still the worker's.
        core.act()
        del core.connections[number]
        self._free_slots.append(slot)
        core.memory.inherit(number, slot)

    # --- the end --------------------------------------------------------------------------

    def stop(self, deadline: Deadline) -> None:
        """End all processes, printing what they still have to say, and close everything."""
        self._stopping = True
        core = self._core
        core.pump.unwatch(self._zygote.fileno())

        def deliver(message: Any) -> None:
            if type(message) is wire.Output:
                self._outputs.append(message)
                self._print()

        self._print()
        self._zygote.stop(deadline, deliver)
        self._zygote.close()
        for connection in list(core.connections.values()):
            core.pump.unwatch(connection.mailbox_fd)
            core.pump.unwatch(connection.control_fd)
            connection.close()
        core.connections.clear()

    def abandon(self) -> None:
        """In a forked child: close the sockets, touch nothing else."""
        self._stopping = True
        self._zygote.close()
        for connection in self._core.connections.values():
            connection.abandon()


def _end_of(code: int | None) -> dict[str, Any]:
    """Return how a process ended, as fields of a failure."""
    if code is None or code >= 0:
        return {"exit_code": code, "signal": None}
    return {"exit_code": None, "signal": signal_name(-code)}
