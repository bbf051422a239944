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
from functools import cached_property, partial
from time import monotonic, perf_counter
from typing import TYPE_CHECKING, Any, Final, final

from ..checks import IN_GROUP, UNITS
from ..config import Config
from ..errors import RuntimeClosedError, SnakepitError
from ..handles import Handles
from ..policy import actions as do
from ..policy.calls import AFTER, Call
from ..policy.scheduler import Scheduler
from ..runtime_env import told
from ..wire import messages as wire
from ..wire.codec import EXECUTE, Encoder
from .connection import Connection
from .interpreter import path_for_others
from .interrupts import Interrupts
from .memory import Memory
from .pump import Pump
from .role import Waiter

if TYPE_CHECKING:
    from .sessions import Sessions

SLOTS: Final = 4096
"""Worker processes at one time; each has a line of the status area and of the ledger."""

AGAIN: Final = 0.001
"""Seconds until a Ctrl-C that came in a finalizer comes again."""

LOOK: Final = 0.01
"""Seconds between looks at the driver's working directory while calls are made."""

BATCH: Final = 32
"""Calls that are written together at the most while a worker is busy."""


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
        interrupts.again = lambda: self.pump.arm(AGAIN, interrupts.strike)
        self.pump.broken = self._broken
        self.pump.before_poll = self._flush_lazy
        self.pump.before_block = self._before_block
        self.pump.after_block = self._after_block
        self.connections: dict[int, Connection] = {}
        try:
            self.memory = Memory(self, SLOTS, config.object_store_memory)
        except BaseException:
            self.pump.close()
            raise
        self.codes: dict[bytes, wire.Code] = {}
        self.waiters: dict[int, list[Waiter | Callable[[], None]]] = {}
        self.closed = False
        self.cores = scheduler.placement.cores
        self.progress: Callable[[Connection, wire.Progress], None] = lambda worker, bar: None
        self.spawn: Callable[[do.Spawn], None] = lambda spawn: None
        self.kill: Callable[[int], None] = lambda number: None
        self.start_zygote: Callable[[str], None] = lambda interpreter: None
        self._encode = Encoder()
        self._touched: list[Connection] = []
        self._lazy: list[Connection] = []
        self._imports = wire.Imports([], "")
        self._imports_version = 0
        self._looked = 0.0
        self._next_id = 1
        self._failures = 0
        self.performers: dict[type[Any], Callable[[Any], None]] = {
            do.Send: self._send,
            do.Resolved: self._resolved,
            do.Tell: self._tell,
            do.Free: self.memory.free,
            do.Spawn: lambda action: self.spawn(action),
            do.StartZygote: lambda action: self.start_zygote(action.interpreter),
            do.Kill: lambda action: self.kill(action.worker),
            do.Retire: lambda action: self._say(action.worker, wire.Exit()),
            do.Evict: lambda action: self._say(action.worker, wire.Evict(action.actor)),
            do.Leave: lambda action: self._say(action.worker, wire.Leave(action.session)),
            do.AskBack: self._ask_back,
            do.Interrupt: self._interrupt,
            do.Taken: lambda action: self._say(
                action.worker, wire.Taken(action.call, action.total)
            ),
            do.Arm: self._arm,
        }

    # --- under the lock -------------------------------------------------------------------

    @cached_property
    def sessions(self) -> Sessions:
        """The sessions, from the first on; the lock is held."""
        from .sessions import Sessions

        return Sessions(self)

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
            raise RuntimeClosedError("this runtime was shut down; snakepit.init() starts another")

    def drain_handles(self) -> None:
        """Count what finalizers noted; the lock is held."""
        self.scheduler.objects.count_own(self.handles.queue)

    def perform(self) -> Sequence[Connection]:
        """Perform the scheduler's actions; return the connections to flush. The lock is held."""
        if self.scheduler.actions:
            self.act()
        if self._failures != self.scheduler.completion.failures:
            # Values come by way of the thread that pumps; a failure may come from another.
            self._failures = self.scheduler.completion.failures
            if self.pump.blocking:
                self.pump.poke()
        if not self._touched:
            return ()
        touched, self._touched = self._touched, []
        for connection in touched:
            connection.touched = False
        return touched

    def act(self) -> None:
        """Perform the scheduler's actions, of which some write to mailboxes. The lock is held."""
        actions = self.scheduler.actions
        perform = self.performers
        # What an action leads to is appended, and performed after all that were before it.
        while actions:
            action = actions.popleft()
            try:
                perform[type(action)](action)
            except (OSError, SnakepitError) as error:
                self._undeliverable(action, error)

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
                if self.pump.blocking:  # Since just now: nobody may look until a worker answers.
                    self._flush_lazy()

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
        self.memory.close()

    def abandon(self) -> None:
        """Close in a forked child what it inherited; what it has mapped stays readable."""
        self.closed = True
        self.pump.abandon()
        self.interrupts.abandon()
        self.memory.abandon()

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
            self.send_imports(connection)
        args = call.args
        if type(args) is not bytes:
            self.memory.share(connection, args)
        deps = self._arguments(connection, call) if call.deps else ()
        # At most one worker less than there are cores spins: the driver may too.
        flags = wire.SPIN if self.scheduler.placement.busy < self.cores else 0
        if nested:
            flags |= wire.NESTED
        connection.outbox.append(
            self._encode.fields(
                (EXECUTE, call.sequence, call.id, shape.number, call.actor, args, deps, flags)
            )
        )
        connection.ahead += 1
        connection.unsent += 1
        if not connection.touched:
            connection.touched = True
            self._touched.append(connection)

    def _arguments(self, connection: Connection, call: Call) -> list[Any]:
        entries = self.entries
        deps = [(where, each, entries[each].payload) for where, each in call.deps if where != AFTER]
        for _, _, payload in deps:
            if type(payload) is not bytes:
                self.memory.share(connection, payload)
        return deps

    def _define(self, connection: Connection, number: int, template: wire.Template) -> None:
        if template.code and template.code not in connection.codes:
            self.send_code(connection, template.code)
        self.post(connection, wire.Define(number, list(template)))
        connection.templates.add(number)

    def send_code(self, connection: Connection, digest: bytes) -> None:
        """Send a worker a definition; the lock is held."""
        code = self.codes[digest]
        if type(code.payload) is not bytes:
            self.memory.share(connection, code.payload)
        self.post(connection, code)
        connection.codes.add(digest)

    def _resolved(self, action: do.Resolved) -> None:
        for waiter in self.waiters.pop(action.id, ()):
            if isinstance(waiter, Waiter):
                entry = self.entries.get(action.id)
                waiter.arrived(entry.outcome if entry is not None else wire.FAILURE)
            else:
                self.pump.later(waiter)

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
                self.memory.share(connection, entry.payload)
            value = wire.Value(action.id, entry.outcome, entry.payload)
        self.post(connection, value)

    def _say(self, number: int, message: tuple[Any, ...]) -> None:
        connection = self.connections.get(number)
        if connection is not None:
            self.post(connection, message)

    def _ask_back(self, action: do.AskBack) -> None:
        self.tell(action.worker, wire.GiveBack())

    def _interrupt(self, action: do.Interrupt) -> None:
        connection = self.connections.get(action.worker)
        if connection is not None:
            # The call first: a busy worker gives up what it has already, and no more.
            connection.outbox.flush()
            self.control(connection, wire.Cancel(*action[1:]))

    def _arm(self, action: do.Arm) -> None:
        self.pump.arm(action.delay, partial(self.update, partial(self._tick, action.key)))

    def _tick(self, key: str) -> None:
        if not self.closed:
            self.scheduler.tick(key, monotonic())

    def tell(self, worker: int, message: tuple[Any, ...]) -> None:
        """Send a worker a control message, if it lives."""
        connection = self.connections.get(worker)
        if connection is not None:
            self.control(connection, message)

    def control(
        self, connection: Connection, message: tuple[Any, ...], fds: tuple[int, ...] = ()
    ) -> None:
        """Send a message on a worker's control socket, with descriptors that it then owns."""
        if not connection.tell(message, fds):
            self.pump.want_write(connection.control_fd, True)

    def facts(self) -> dict[str, Any]:
        """Return plain facts about the runtime; the lock is held."""
        resources = self.scheduler.resources
        return {
            "run": self.run,
            "namespace": self.config.namespace,
            "runtime_env": told(self.config.runtime_env),
            "resources": _plain(resources.total),
            "available": _plain(resources.free),
            "workers": len(self.connections),
            "object_store_memory": self.memory.ledger.limit,
            "object_store_used": self.memory.ledger.used(),
        }

    # --- the state of the machine -----------------------------------------------------------

    def note_imports(self) -> None:
        """Take up changes of sys.path and, each `LOOK` seconds, of the working directory.

        To ask for the directory costs as much as a tenth of a call. The lock is held.
        """
        now = perf_counter()
        if now - self._looked > LOOK or sys.path != self._imports.path:
            self._looked = now
            imports = wire.Imports(list(sys.path), _directory())
            if imports != self._imports:
                self._imports = imports
                self._imports_version += 1

    def send_imports(self, connection: Connection) -> None:
        """Tell a worker where the driver imports from; the lock is held."""
        path = (path_for_others if connection.foreign else list)(self._imports.path)
        self.post(connection, self._imports._replace(path=path))
        connection.imports = self._imports_version

    def _cores_are_busy(self) -> bool:
        return self.scheduler.placement.busy >= self.cores

    def _broken(self, error: Exception) -> None:
        import logging

        logging.getLogger("snakepit").critical("the runtime ends by a bug", exc_info=error)
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


def _plain(amounts: dict[str, int]) -> dict[str, float]:
    """Return quantities by name, without those under the names of placement groups."""
    return {name: n / UNITS for name, n in amounts.items() if IN_GROUP not in name}


def _directory() -> str:
    try:
        return os.getcwd()
    except OSError:
        return ""
