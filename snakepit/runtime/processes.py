"""Worker processes as the driver sees them: spawned, heard, lost.

The word of their zygote is the authority for a worker's death: whatever the worker still sent is
read first, then the scheduler decides about the calls that it did not answer. `zygotes` has what
becomes of a zygote itself.
"""

from __future__ import annotations

import select
import signal
import socket
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Any, final

from ..bars import DISPLAY, Bar
from ..checks import INTERPRETER, LIMITS
from ..config import VISIBLE
from ..deadline import Deadline
from ..errors import ObjectLostError, ProtocolError
from ..machine import oom_kills
from ..policy import actions as do
from ..policy.scheduler import UnknownCall
from ..runtime_env import merged
from ..transport.handover import STACKS
from ..transport.streams import Stream
from ..wire import messages as wire
from .connection import Connection
from .core import SLOTS, Core
from .host import StartZygote
from .logs import LogPrinter
from .pools import initializers_of
from .requests import Inbox
from .zygotes import Line, Zygotes, end_of


@final
class Processes:
    """The zygotes and the workers' connections of one runtime."""

    def __init__(self, core: Core, inbox: Inbox, start_zygote: StartZygote) -> None:
        self._core = core
        self._inbox = inbox
        self._printer = LogPrinter()
        self._printing = threading.Lock()
        self._shows: deque[Callable[[], None]] = deque()
        self._free_slots = list(range(SLOTS - 1, 0, -1))
        self._stopping = False
        self._limits = {pool.name: pool.limits() for pool in core.config.pools}
        self._initializers = initializers_of(core.config)
        self._oom_kills: int | None = None
        self.zygotes = Zygotes(core, start_zygote, self._take, self._bury)
        if core.config.log_to_driver:
            core.progress = self._progress
        core.spawn = self.spawn
        core.kill = self.kill
        core.performers[do.Weigh] = self._weigh_soon
        core.performers[do.Dump] = self._dump
        core.performers[do.Probe] = lambda probe: core.tell(probe.worker, wire.Ping(-probe.number))
        core.performers[do.EndDeaf] = self._listen_soon
        if core.config.heartbeat or any(pool.heartbeat for pool in core.config.pools):
            from .pulse import watch

            watch(core, self.zygotes)
        if core.config.threaded:
            self.preload("snakepit.workers.pooled")

    def preload(self, module: str) -> None:
        """Have the zygotes import a module before the next fork, once."""
        self.zygotes.preload(module)

    # --- what zygotes say -----------------------------------------------------------------

    def _take(self, line: Line, message: Any) -> None:
        kind = type(message)
        if kind is wire.Output:
            self._show_soon(partial(self._show, line, message))
        elif kind is wire.Died:
            self._died(message)
        elif kind is wire.Spawned:
            connection = self._core.connections.get(message.number)
            if connection is not None:
                connection.pid = message.pid
            if self._oom_kills is None:
                # Not at the start of the runtime, which would wait for it.
                self._oom_kills = oom_kills()
        elif kind is wire.SpawnFailed:
            self._bury(message.number, {"spawn": message.reason, "reason": message.reason})

    def _print(self) -> None:
        """Print what has come, unless another thread is at it: lines must keep their order."""
        while self._shows and self._printing.acquire(blocking=False):
            try:
                while self._shows:
                    self._shows.popleft()()
            finally:
                self._printing.release()

    def _progress(self, connection: Connection, message: wire.Progress) -> None:
        """Have a worker's bar shown; the core's lock is held."""
        owner = self._core.run, connection.number
        label = f"(pid={connection.pid}) "
        self._show_soon(partial(DISPLAY.show, owner, label, Bar(*message.bar)))

    def _show_soon(self, show: Callable[[], None]) -> None:
        self._shows.append(show)
        self._core.pump.later(self._print)

    def _show(self, line: Line, output: wire.Output) -> None:
        try:
            self._printer.show(output)
        finally:
            # Without its credit the zygote would hold back all that comes after.
            if not self._stopping:
                self.zygotes.send(line, wire.Credit(len(output.text)))

    # --- workers --------------------------------------------------------------------------

    def _listen_soon(self, action: do.EndDeaf) -> None:
        connection = self._core.connections.get(action.worker)
        if connection is not None:
            self._core.pump.later(partial(self._listen, connection, action.number))

    def _listen(self, connection: Connection, probe: int) -> None:
        """Kill a worker unless it has answered, perhaps with what nobody has come to read."""
        connection.read_control(self._core.memory.take)
        if connection.probed < probe:
            self._core.update(partial(self.kill, connection.number))

    def spawn(self, action: do.Spawn) -> None:
        """Have a worker forked; the core's lock is held."""
        core = self._core
        try:
            if not self._free_slots:
                raise OSError(f"{SLOTS} worker processes run already, as many as there may be")
            line = self.zygotes.of(action.interpreter)
            mailbox, control, handed = line.zygote.channels()
        except OSError as error:
            cause = {"spawn": str(error), "reason": str(error)}
            core.scheduler.died(action.worker, cause, 0, monotonic())
            return
        slot = self._free_slots.pop()
        connection = self._connect(action.worker, slot, mailbox, control)
        connection.interpreter = action.interpreter
        connection.foreign = line.foreign
        connection.status = line.zygote.status(slot)
        connection.status[:16] = bytes(16)
        self._welcome(connection)
        env = list(merged(core.config.runtime_env, action.env))
        if not connection.foreign:
            env = [pair for pair in env if pair[0] != INTERPRETER]
        gpus = core.config.gpus
        if gpus:
            env.append((VISIBLE, ",".join(gpus[number] for number in action.gpus)))
        worker = core.scheduler.placement.workers[action.worker]
        limits = "" if worker.actor else self._limits.get(worker.pool.root)
        if limits:
            env.append((LIMITS, limits))
        spawn = wire.Spawn(action.worker, slot, action.label, env)
        self.zygotes.send(line, spawn, handed)

    def _welcome(self, connection: Connection) -> None:
        """Say what a worker is to know first; the core's lock is held."""
        core = self._core
        worker = core.scheduler.placement.workers[connection.number]
        initializer = b"" if worker.actor else self._initializers.get(worker.pool.root, b"")
        if initializer:
            connection.initializes = True
            core.note_imports()
            core.send_imports(connection)
        # Of as many calls as run at once none is to wait for others, to be written with them.
        connection.ahead = 1 - worker.slots
        config = core.config
        core.post(connection, wire.Welcome(
            wire.VERSION, core.run, config.namespace, config.object_store_memory,
            worker.slots, initializer, config.threaded,
        ))  # fmt: skip

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
        connection = self._core.connections.get(number)
        if connection is not None:
            connection.killed = True
            line = self.zygotes.of(connection.interpreter)
            self.zygotes.send(line, wire.Signal(number, signal.SIGKILL))

    def _dump(self, action: do.Dump) -> None:
        """Have a worker's stacks written to its stderr, for its last words; the lock is held."""
        connection = self._core.connections.get(action.worker)
        if connection is not None:
            line = self.zygotes.of(connection.interpreter)
            self.zygotes.send(line, wire.Signal(action.worker, STACKS))

    def _weigh_soon(self, action: do.Weigh) -> None:
        self._core.pump.later(partial(self._weigh, action.worker))

    def _weigh(self, number: int) -> None:
        """Look at a worker's memory, which may take milliseconds: without the lock."""
        from .weighing import own_memory

        core = self._core
        connection = core.connections.get(number)
        worker = core.scheduler.placement.workers.get(number)
        if connection is not None and worker is not None and connection.pid:
            limit = worker.pool.turnover.lifespan.memory or 0
            size = own_memory(connection.pid, limit)
            core.update(partial(core.scheduler.placement.recycling.weighed, worker, size))

    def _died(self, message: wire.Died) -> None:
        cause = {**end_of(message.code), "stderr": message.stderr, "pid": message.pid}
        connection = self._core.connections.get(message.number)
        if message.code == -signal.SIGKILL and connection is not None and not connection.killed:
            cause["oom"] = self._ran_out_of_memory()
        if connection is not None and connection.distrusted:
            cause["distrusted"] = connection.distrusted
        self._bury(message.number, cause)

    def _ran_out_of_memory(self) -> bool:
        """Tell whether the kernel has killed more than the workers that this was said of before."""
        seen, now = self._oom_kills, oom_kills()
        if seen is None or now <= seen:
            return False
        self._oom_kills = seen + 1
        return True

    def _bury(self, number: int, cause: dict[str, Any]) -> None:
        core = self._core
        connection = core.connections.get(number)
        if connection is None:
            return
        while not connection.ended and self._read(connection):
            pass
        self._read_control(connection)
        # The last call that it has begun.
        started = int.from_bytes(connection.status[:8], "little")
        core.pump.unwatch(connection.mailbox_fd)
        core.pump.unwatch(connection.control_fd)

        # What goes with the worker is released while it is still known, so that only what
        # others need is inherited.
        self._show_soon(partial(DISPLAY.end, (core.run, number)))
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

        def deliver(line: Line, message: Any) -> None:
            if type(message) is wire.Output:
                self._shows.append(partial(self._show, line, message))
                self._print()

        self._print()
        self.zygotes.stop(deadline, deliver)
        for connection in list(core.connections.values()):
            core.pump.unwatch(connection.mailbox_fd)
            core.pump.unwatch(connection.control_fd)
            connection.close()
            DISPLAY.end((core.run, connection.number))
        core.connections.clear()

    def abandon(self) -> None:
        """In a forked child: close the sockets, touch nothing else."""
        self._stopping = True
        self.zygotes.abandon()
        for connection in self._core.connections.values():
            connection.abandon()
