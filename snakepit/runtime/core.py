"""The shared middle of a driver's runtime: one lock, the scheduler, and its actions performed.

Purpose: every event goes through `with core.lock: ... core.perform()`, then `core.flush()`.

Guarantees:
* Frames reach a worker in the order in which the scheduler decided them: they are encoded and
  appended under the lock, and written after it.
* Nothing blocks under the lock: sockets are non-blocking, and callbacks run later.

Assumptions: `perform` is called with the lock held by whoever caused the actions. Nothing relies
on the GIL.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, final

from ..config import UNITS, Config
from ..errors import ObjectLostError, RuntimeClosedError, SnakepitError
from ..handles import Handles
from ..ids import DRIVER
from ..policy import actions as do
from ..policy.calls import Call
from ..policy.scheduler import Scheduler
from ..store import AdoptedArena, Ledger, reopen_read_only
from ..values import Values, is_stored
from ..wire import messages as wire
from .connection import Connection
from .interrupts import Interrupts
from .pump import Pump, Waiter

SLOTS: Final = 4096
"""Worker processes at one time; each has a line of the status area and of the ledger."""

BATCH: Final = 32
"""Calls that are written together at the most while a worker is busy."""

TRIM_AFTER: Final = 10.0
"""Seconds that freed memory of the store stays warm."""


@final
class Core:
    """State that all parts of the driver's runtime share, guarded by `lock`."""

    def __init__(
        self, config: Config, run: str, scheduler: Scheduler, interrupts: Interrupts
    ) -> None:
        self.config = config
        self.run = run
        self.lock = threading.Lock()
        self.scheduler = scheduler
        self.entries = scheduler.objects.entries
        self.interrupts = interrupts
        self.pump = Pump(self.interrupts, self._cores_are_busy)
        self.handles = Handles(self.pump.poke)
        self.pump.broken = self._broken
        self.pump.before_poll = self._flush_lazy
        self.pump.before_block = self._before_block
        self.pump.after_block = self._after_block
        try:
            self.ledger = Ledger.create(SLOTS, config.object_store_memory)
        except BaseException:
            self.pump.close()
            raise
        self.values = Values(
            DRIVER,
            self.ledger,
            0,
            config.object_store_memory,
            self.handles,
            publish=self._publish,
            fetch=self.map_segment,
            relieve=self._relieve,
        )
        self.connections: dict[int, Connection] = {}
        self.segments: dict[int, tuple[int, int]] = {}
        self.adopted: dict[int, AdoptedArena] = {}
        self.codes: dict[bytes, wire.Code] = {}
        self.waiters: dict[int, list[Waiter | Callable[[], None]]] = {}
        self.closed = False
        self.cores = max(1, len(os.sched_getaffinity(0)))
        self.spawn: Callable[[do.Spawn], None] = lambda spawn: None
        self.kill: Callable[[int], None] = lambda number: None
        self._encode = wire.Encoder()
        self._touched: list[Connection] = []
        self._lazy: list[Connection] = []
        self._imports = wire.Imports(list(sys.path), _directory())
        self._imports_version = 0
        self._next_id = 1
        self._trim_armed = False
        self._wrote = False
        self._perform: dict[type[Any], Callable[[Any], None]] = {
            do.Send: self._send,
            do.Resolved: self._resolved,
            do.Tell: self._tell,
            do.Free: self._free,
            do.Spawn: self._spawn,
            do.Kill: self._kill,
            do.Retire: self._retire,
            do.AskBack: self._ask_back,
            do.Interrupt: self._interrupt,
            do.Arm: self._arm,
        }

    # --- under the lock -------------------------------------------------------------------

    def new_ids(self, count: int) -> int:
        """Return the first of `count` fresh ids; the lock is held."""
        first = self._next_id
        self._next_id = first + count
        return first

    def new_id(self) -> int:
        """Return a fresh id; the lock is not held."""
        with self.lock:
            return self.new_ids(1)

    def check_open(self) -> None:
        """Refuse what comes after the shutdown; the lock is held."""
        if self.closed:
            raise RuntimeClosedError(
                "this runtime was shut down; snakepit.init() starts another"
            )

    def drain_handles(self) -> None:
        """Count what finalizers noted; the lock is held."""
        objects = self.scheduler.objects
        for item in self.handles.drain():
            if item > 0:
                objects.drop(DRIVER, (item,))
            else:
                objects.hold(DRIVER, (-item,))

    def perform(self) -> Sequence[Connection]:
        """Perform the scheduler's actions; return the connections to flush. The lock is held."""
        actions = self.scheduler.actions
        if not actions and not self._touched:
            return ()
        perform = self._perform
        while actions:
            batch = actions[:]
            actions.clear()
            for action in batch:
                try:
                    perform[type(action)](action)
                except (OSError, SnakepitError) as error:
                    self._undeliverable(action, error)
        touched, self._touched = self._touched, []
        for connection in touched:
            connection.touched = False
        return touched

    def post(self, connection: Connection, message: tuple[Any, ...]) -> None:
        """Append a message to a worker's mailbox; the lock is held."""
        connection.outbox.append(self._encode(message))
        if not connection.touched:
            connection.touched = True
            self._touched.append(connection)

    # --- without the lock -----------------------------------------------------------------

    @staticmethod
    def flush(touched: Iterable[Connection]) -> None:
        """Write what `perform` appended."""
        for connection in touched:
            connection.outbox.flush()

    def flush_lazily(self, touched: Iterable[Connection]) -> None:
        """Write what `perform` appended, or leave it to join more.

        A worker that has calls to work on gets the next ones in batches, up to as many as it has:
        it never starves, and a send costs as much as the rest of a call. Not while somebody
        blocks, who would not see them.
        """
        for connection in touched:
            behind = connection.unsent
            if 2 * behind >= connection.ahead or behind >= BATCH or self.pump.blocking:
                connection.unsent = 0
                connection.outbox.flush()
            else:
                self._lazy.append(connection)

    def _flush_lazy(self) -> None:
        while self._lazy:
            try:
                connection = self._lazy.pop()
            except IndexError:
                return
            connection.unsent = 0
            connection.outbox.flush()

    def update(self, event: Callable[[], Any]) -> Any:
        """Run one event under the lock, perform what follows, and write it."""
        token = self.interrupts.enter()
        try:
            with self.lock:
                if self.handles.queue:
                    self.drain_handles()
                result = event()
                touched = self.perform()
            self.flush(touched)
        finally:
            self.interrupts.leave(token)
        return result

    def close(self) -> None:
        """Give up everything but the processes; nobody pumps, calls or reads any more."""
        self.closed = True
        self.pump.close()
        self.values.close()
        for number, arena in self.adopted.items():
            del self.segments[number]  # its descriptor is the arena's
            arena.close()
        self.adopted.clear()
        for fd, _ in self.segments.values():
            os.close(fd)
        self.segments.clear()
        self.ledger.close()

    def abandon(self) -> None:
        """Close in a forked child what it inherited; what it has mapped stays readable."""
        self.closed = True
        self.pump.abandon()
        self.interrupts.abandon()
        for fd, _ in self.segments.values():
            os.close(fd)
        self.segments.clear()
        self.ledger.close()

    # --- actions --------------------------------------------------------------------------

    def _undeliverable(self, action: Any, error: Exception) -> None:
        # No descriptor is left to share a segment, or a message is too large for a frame.
        if type(action) is do.Send:
            self.scheduler.undeliverable(action.worker, action.call.id, str(error))
        elif type(action) is do.Tell:
            failure = ["object_lost", {"reason": str(error)}]
            connection = self.connections[action.worker]
            self.post(connection, wire.Value(action.id, wire.FAILURE, failure))
        else:
            raise error

    def _send(self, action: do.Send) -> None:
        number, call, nested = action
        connection = self.connections.get(number)
        if connection is None:
            return
        shape = call.shape
        if shape.number not in connection.templates:
            self._define(connection, shape.number, shape.template)
        if connection.imports != self._imports_version:
            connection.imports = self._imports_version
            self.post(connection, self._imports)
        args = call.args
        if type(args) is not bytes:
            self.share(connection, args)
        deps = self._arguments(connection, call) if call.deps else ()
        # At most one worker less than there are cores spins: the driver may too.
        flags = wire.SPIN if self.scheduler.placement.busy < self.cores else 0
        if nested:
            flags |= wire.NESTED
        connection.ahead += 1
        connection.unsent += 1
        self.post(
            connection,
            wire.Execute(call.sequence, call.id, shape.number, call.actor, args, deps, flags),
        )

    def _arguments(self, connection: Connection, call: Call) -> list[Any]:
        deps: list[Any] = []
        for where, identifier in call.deps:
            payload = self.entries[identifier].payload
            if type(payload) is not bytes:
                self.share(connection, payload)
            deps.append((where, identifier, payload))
        return deps

    def _define(self, connection: Connection, number: int, template: wire.Template) -> None:
        connection.templates.add(number)
        if template.code and template.code not in connection.codes:
            self.send_code(connection, template.code)
        self.post(connection, wire.Define(number, list(template)))

    def send_code(self, connection: Connection, digest: bytes) -> None:
        """Send a worker a definition; the lock is held."""
        code = self.codes[digest]
        connection.codes.add(digest)
        if type(code.payload) is not bytes:
            self.share(connection, code.payload)
        self.post(connection, code)

    def _resolved(self, action: do.Resolved) -> None:
        for waiter in self.waiters.pop(action.id, ()):
            if type(waiter) is Waiter:
                entry = self.entries.get(action.id)
                waiter.arrived(entry.outcome if entry is not None else wire.FAILURE)
            else:
                self.pump.later(waiter)  # type: ignore[arg-type]

    def _tell(self, action: do.Tell) -> None:
        connection = self.connections.get(action.worker)
        if connection is None:
            return
        entry = self.entries.get(action.id)
        if entry is None:
            value = wire.Value(action.id, wire.FAILURE, ["object_lost", {}])
        elif not action.values:
            value = wire.Value(action.id, entry.outcome, b"")
        else:
            if type(entry.payload) is not bytes and entry.outcome == wire.OK:
                self.share(connection, entry.payload)
            value = wire.Value(action.id, entry.outcome, entry.payload)
        self.post(connection, value)

    def _free(self, action: do.Free) -> None:
        if not is_stored(action.payload):
            return
        _, segment, offset, _ = action.payload
        if segment == DRIVER:
            self.values.release((offset,))
        elif segment in self.connections:
            self.post(self.connections[segment], wire.Release([offset]))
        elif segment in self.adopted:
            arena = self.adopted[segment]
            arena.release(offset)
            if arena.closed:
                self.forget_segment(segment)
        if not self._trim_armed:
            self._trim_armed = True
            self._wrote = False
            self.pump.arm(TRIM_AFTER, self._trim)

    def forget_segment(self, segment: int) -> None:
        self.adopted.pop(segment, None)
        self.segments.pop(segment, None)
        self.values.mappings.discard(segment)
        for connection in self.connections.values():
            if segment in connection.segments:
                connection.segments.remove(segment)
                self.post(connection, wire.Forget([segment]))

    def _spawn(self, action: do.Spawn) -> None:
        self.spawn(action)

    def _kill(self, action: do.Kill) -> None:
        self.kill(action.worker)

    def _retire(self, action: do.Retire) -> None:
        connection = self.connections.get(action.worker)
        if connection is not None:
            self.post(connection, wire.Exit())

    def _ask_back(self, action: do.AskBack) -> None:
        self.tell(action.worker, wire.GiveBack())

    def _interrupt(self, action: do.Interrupt) -> None:
        self.tell(action.worker, wire.Cancel(action.call, action.force))

    def _arm(self, action: do.Arm) -> None:
        self.pump.arm(action.delay, lambda: self.update(lambda: self._tick(action.key)))

    def _tick(self, key: str) -> None:
        if not self.closed:
            self.scheduler.tick(key)

    def tell(self, worker: int, message: tuple[Any, ...]) -> None:
        """Send a worker a control message, if it lives."""
        connection = self.connections.get(worker)
        if connection is not None:
            self._control(connection, message, ())

    def _control(
        self, connection: Connection, message: tuple[Any, ...], fds: tuple[int, ...]
    ) -> None:
        if not connection.tell(message, fds):
            self.pump.want_write(connection.control_fd, True)

    # --- segments -------------------------------------------------------------------------

    def share(self, connection: Connection, payload: wire.Payload) -> None:
        """See to it that the worker can map what a payload names; the lock is held."""
        if not is_stored(payload):
            return
        number = payload[1]
        if number in connection.segments:
            return
        fd, size = self._segment(number)
        connection.segments.add(number)
        self._control(connection, wire.Segment(number, size), (reopen_read_only(fd),))

    def map_segment(self, number: int) -> None:
        """Map a segment into this process.

        Raises:
            ObjectLostError: it is gone.
        """
        fd, size = self._segment(number)
        try:
            self.values.mappings.add(number, reopen_read_only(fd), size)
        except ValueError:
            if number not in self.values.mappings:
                raise
            # Another thread was faster.

    def _segment(self, number: int) -> tuple[int, int]:
        if number not in self.segments:
            # It was sent before the message that names it, on the other socket.
            connection = self.connections.get(number)
            if connection is not None:
                connection.read_control(self.take_control)
        try:
            return self.segments[number]
        except KeyError:
            raise ObjectLostError(f"segment {number} of the store is gone") from None

    def take_control(self, message: Any, fds: tuple[int, ...]) -> None:
        """Take one control message of a worker."""
        if type(message) is wire.Segment and fds:
            self.segments[message.number] = (fds[0], message.size)

    def _publish(self, fd: int, size: int) -> None:
        self.segments[DRIVER] = (os.dup(fd), size)

    # --- memory ---------------------------------------------------------------------------

    def _relieve(self, needed: int) -> bool:
        from ..deadline import Deadline

        self.update(lambda: None)
        self.trim_all()
        deadline = Deadline.after(2.0)
        while not deadline.expired:
            if self.ledger.limit - self.ledger.used() >= needed:
                return True
            if not any(number in self.connections for number in self.segments):
                return False
            # Workers trim in their control threads; the ledger is how it shows.
            threading.Event().wait(0.002)
        return False

    def trim_all(self) -> None:
        """Give free memory of the store back, here and in every worker that has an arena."""
        self.values.trim()
        with self.lock:
            for number in self.segments:
                if number in self.connections:
                    self.tell(number, wire.Trim())

    def _trim(self) -> None:
        self._trim_armed = False
        if self._wrote:
            with self.lock:
                self._trim_armed = True
                self._wrote = False
            self.pump.arm(TRIM_AFTER, self._trim)
        else:
            self.trim_all()

    def wrote(self) -> None:
        """Something was written to the store: what is free may be of use soon."""
        self._wrote = True

    def facts(self) -> dict[str, Any]:
        """Return plain facts about the runtime; the lock is held."""
        resources = self.scheduler.resources
        return {
            "run": self.run,
            "namespace": self.config.namespace,
            "resources": {k: v / UNITS for k, v in resources.total.items()},
            "available": {k: v / UNITS for k, v in resources.free.items()},
            "workers": len(self.connections),
            "object_store_memory": self.ledger.limit,
            "object_store_used": self.ledger.used(),
        }

    # --- the state of the machine -----------------------------------------------------------

    def note_imports(self) -> None:
        """Take up changes of sys.path and of the working directory; the lock is held."""
        known = self._imports
        if sys.path != known.path or _directory() != known.directory:
            self._imports = wire.Imports(list(sys.path), _directory())
            self._imports_version += 1

    def _cores_are_busy(self) -> bool:
        return self.scheduler.placement.busy >= self.cores

    def _broken(self, error: Exception) -> None:
        reason = f"an internal error: {error!r}. Please report it with its traceback"
        with self.lock:
            if self.closed:
                return
            self.closed = True
            try:
                self.scheduler.close("runtime_failed", {"reason": reason})
                self.perform()
            finally:
                # The bug may have swallowed the news of what had a value already.
                for identifier in list(self.waiters):
                    self._resolved(do.Resolved(identifier))

    def _before_block(self) -> None:
        self._flush_lazy()
        self.handles.sleeping = True
        if self.handles.queue:
            self.update(lambda: None)

    def _after_block(self) -> None:
        self.handles.sleeping = False


def _directory() -> str:
    try:
        return os.getcwd()
    except OSError:
        return ""
