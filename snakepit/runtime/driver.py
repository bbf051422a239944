"""The driver's runtime: what the API calls, put together from core, pump and processes."""

from __future__ import annotations

import atexit
import os
import pickle
import threading
import weakref
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, TypeVar, final

from ..bars import DISPLAY
from ..config import UNITS, Config
from ..deadline import Deadline
from ..definitions import complete
from ..errors import ActorAlreadyExistsError, SnakepitError
from ..ids import DRIVER
from ..payload import pack, pack_call
from ..policy.calls import Call, Shape
from ..policy.placement import Pool
from ..policy.restart import RestartWindow
from ..policy.scheduler import Scheduler
from ..protocol import Definition, Reference, Runtime, watch_forks
from ..resolving import resolved
from ..values import INLINE, take_references
from ..wire import messages as wire
from .core import Core
from .directory import Directory
from .host import StartZygote
from .interpreter import home_interpreter
from .interrupts import Interrupts
from .pools import at_start, pools_of
from .processes import Processes
from .registration import Registration
from .requests import Inbox
from .streams import StreamReader
from .waiting import Everything, Waiting, unknown

SHUTDOWN: Final = 5.0
"""Seconds after which a shutdown kills what has not ended by itself."""

T = TypeVar("T")

_loads = pickle.loads


@final
class DriverRuntime:
    """The runtime that owns the scheduler. Implements `snakepit.protocol.Runtime`."""

    # Not only for their size: an object with more than thirty attributes in a dictionary of its
    # own takes several times as long to read each, and this one is read in each call.
    __slots__ = tuple(
        (
            "__weakref__ _core _down _entries _handles _interrupts _lock _pid _prepared "
            "_processes _register _scheduler _values _waiting ask_session at_end borrow "
            "change_pool drop expect find_actor hold lend named_actors placement_groups pool_stats "
            "progress redeem run take until_done wait when_done"
        ).split()
    )

    def __init__(
        self, config: Config, run: str, interrupts: Interrupts, start_zygote: StartZygote
    ) -> None:
        """Put a runtime together; `start` is who calls this, in a section of `interrupts`."""
        self.run = run
        window = partial(RestartWindow, config.restart_intensity, config.restart_period)
        pools = pools_of(config, window)
        totals = {name: amount / UNITS for name, amount in config.totals().items()}
        self._interrupts = interrupts
        cores = max(1, len(os.sched_getaffinity(0)))
        scheduler = Scheduler(totals, pools, cores, window, home_interpreter(config.runtime_env))
        self._core = core = Core(config, run, scheduler, interrupts)
        self._lock = core.lock
        self._handles = core.handles
        self._entries = core.entries
        self._scheduler = core.scheduler
        self._values = core.memory.values
        self.drop = core.handles.drop
        self.hold = core.handles.hold
        self._waiting = waiting = Waiting(core)
        self.wait = waiting.for_some
        self.when_done = waiting.when_done
        self.until_done = partial(resolved, self)
        directory = Directory(core)
        self.find_actor = directory.find_actor
        self.named_actors = directory.named_actors
        self.placement_groups = directory.placement_groups
        self.pool_stats = directory.pool_stats
        self.change_pool = directory.change_pool
        self.ask_session = directory.ask_session
        self.progress = DISPLAY.show_own
        self.lend = partial(core.memory.descriptors.lend, self)
        self.borrow = core.memory.descriptors.borrow
        streams = StreamReader(core, self)
        self.take = streams.take
        self.expect = streams.expect
        self.redeem = streams.redeem
        self.at_end: Callable[[], None] = lambda: None
        self._pid = os.getpid()
        self._down = threading.Lock()
        self._prepared: weakref.WeakSet[Definition] = weakref.WeakSet()
        self._register = Registration(self.run)
        try:
            self._processes = Processes(core, Inbox(core), self._register.noting(start_zygote))
        except BaseException:
            self._register.end()
            core.close()
            raise
        self._begin(pools, scheduler)

    def _begin(self, pools: list[Pool], scheduler: Scheduler) -> None:
        core = self._core
        for pool in pools:
            core.update(partial(scheduler.placement.sizes.prestart, pool, at_start(pool, core)))
        core.pump.start()
        self._register.clean()
        atexit.register(self.shutdown)
        watch_forks(self)

    # --- calls ----------------------------------------------------------------------------

    def submit(
        self,
        definition: Definition,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        make: Callable[[Runtime, int], T],
        session: wire.SessionKey = "",
    ) -> T:
        """See `Runtime.submit`."""
        owner, shape = definition.prepared
        shape = shape if owner is self else self._prepare(definition)
        return self._call(shape, 0, args, kwargs, make, None, session)

    def call(
        self,
        actor: int,
        definition: Definition,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        make: Callable[[Runtime, int], T],
    ) -> T:
        """See `Runtime.call`."""
        owner, shape = definition.prepared
        shape = shape if owner is self else self._prepare(definition)
        return self._call(shape, actor, args, kwargs, make)

    def _prepare(self, definition: Definition) -> Shape:
        config = self._core.config
        template, code = complete(definition, config.namespace, config.threaded)
        core = self._core
        if code is not None and template.code not in core.codes:
            token = self._interrupts.enter()
            try:
                self._add_code(template.code, code)
            finally:
                self._interrupts.leave(token)
        with self._lock:
            shape = self._scheduler.shape(template)
            if not core.closed:
                definition.prepared = (self, shape)
                self._prepared.add(definition)
        return shape

    def _add_code(self, digest: bytes, code: Any) -> None:
        core = self._core
        payload, blob = self._encode(code)
        with self._lock:
            core.check_open()
            refs = [*code.refs, *self._add_blob(blob, payload)]
            if digest not in core.codes:  # Another thread may have been faster.
                core.scheduler.objects.pin(refs)
                core.codes[digest] = wire.Code(digest, payload, refs)
            core.scheduler.objects.drop(DRIVER, (blob,) if blob else ())

    def _call(
        self,
        shape: Shape,
        actor: int,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        make: Callable[[Runtime, int], T],
        methods: Any = None,
        session: wire.SessionKey = "",
    ) -> T:
        deps: tuple[tuple[wire.Where, int], ...] = ()
        for value in args:
            if isinstance(value, Reference):
                args, kwargs, deps = take_references(args, kwargs, self)
                break
        if kwargs and not deps:
            args, kwargs, deps = take_references(args, kwargs, self)
        packed = pack_call(args, kwargs, what=shape.template.name)
        refs = packed.refs
        if deps:
            refs = (*refs, *(identifier for _, identifier in deps))
        if actor:
            refs = (*refs, actor)
        if packed.uses_numpy:
            self._processes.preload("numpy")
        if methods is not None and shape.template.flavour == wire.ASYNC:
            self._processes.preload("asyncio")
        core = self._core
        token = self._interrupts.enter()
        try:
            parts = packed.parts
            payload, blob = parts[0], 0
            if len(parts) > 1 or len(payload) > INLINE:
                payload, blob = self._encode(packed)
            with self._lock:
                if core.closed:
                    core.check_open()
                if self._handles.queue:
                    core.drain_handles()
                core.note_imports()
                identifier = core.new_ids(shape.entries)
                if blob:
                    refs = (*refs, *self._add_blob(blob, payload))
                call = Call(identifier, shape, actor, payload, deps, refs, DRIVER)
                if session:
                    core.sessions.submit(call, session)
                elif shape.template.kind == wire.CREATE:
                    self._create(call, methods)
                else:
                    self._scheduler.submit(call)
                if blob:
                    self._scheduler.objects.drop(DRIVER, (blob,))
                touched = core.perform()
            made = make(self, identifier)
            core.flush_lazily(touched)
            core.pump.called()
        except BaseException:
            self._interrupts.leave(token)
            raise
        try:
            self._interrupts.leave(token)
        except BaseException:
            del made  # Its traceback would keep what nobody can use.
            raise
        return made

    def create(
        self,
        definition: Definition,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        methods: Any,
        make: Callable[[Runtime, int], T],
    ) -> T:
        """See `Runtime.create`."""
        return self._call(self._prepare(definition), 0, args, kwargs, make, methods)

    def _create(self, call: Call, methods: Any) -> None:
        template = call.shape.template
        if template.actor_name:
            key = (template.namespace, template.actor_name)
            if key in self._scheduler.actors.names:
                raise ActorAlreadyExistsError(
                    f"an actor named {template.actor_name!r} exists in namespace "
                    f"{template.namespace!r}; get_actor() returns it, or choose another name"
                )
        self._scheduler.create(call, methods)

    def _encode(self, packed: Any) -> tuple[wire.Payload, int]:
        """Return a payload and the id that it is stored as, or 0 when it is not."""
        parts = packed.parts
        if len(parts) == 1 and len(parts[0]) <= INLINE and type(parts[0]) is bytes:
            return parts[0], 0
        blob = 0

        def identifier() -> int:
            nonlocal blob
            blob = self._core.new_id()
            return blob

        self._core.memory.wrote()
        return self._values.encode(packed, identifier), blob

    def _add_blob(self, blob: int, payload: wire.Payload) -> tuple[int, ...]:
        # A stored argument is an object that nobody names; a worker's lease may outlive the call.
        if not blob:
            return ()
        self._scheduler.put(blob, payload, (), DRIVER)
        return (blob,)

    # --- objects --------------------------------------------------------------------------

    def put(self, value: Any, make: Callable[[Runtime, int], T]) -> T:
        """See `Runtime.put`."""
        packed = pack(value, what="the value given to put()")
        core = self._core
        token = self._interrupts.enter()
        try:
            payload, identifier = self._encode(packed)
            with self._lock:
                if core.closed:
                    core.check_open()
                if self._handles.queue:
                    core.drain_handles()
                if not identifier:
                    identifier = core.new_ids(1)
                self._scheduler.put(identifier, payload, packed.refs, DRIVER)
                touched = core.perform() if self._scheduler.actions else ()
            made = make(self, identifier)
            core.flush(touched)
            core.pump.called()
        except BaseException:
            self._interrupts.leave(token)
            raise
        try:
            self._interrupts.leave(token)
        except BaseException:
            del made
            raise
        return made

    def get_one(self, identifier: int, timeout: float | None) -> Any:
        """See `Runtime.get_one`."""
        entry = self._entries.get(identifier)
        if entry is None:
            raise unknown(identifier)
        if entry.outcome < 0:
            self._waiting.for_one(entry, timeout)
        payload = entry.payload
        if entry.outcome == wire.OK and type(payload) is bytes:
            try:
                return _loads(payload)
            except Exception:
                # Once more, for the error that says what is missing.
                return self._values.decode(payload)
        return self._values.open(entry.outcome, payload)

    def get(self, ids: Sequence[int], timeout: float | None) -> list[Any]:
        """See `Runtime.get`."""
        entries = self._waiting.entries(ids)
        everything = Everything(entries, self._scheduler.completion)
        if everything.outcome < 0:
            self._waiting.for_all(everything, entries, timeout)
        opened = self._values.open
        if everything.failed:
            for entry in entries:
                if entry.outcome > 0:
                    opened(entry.outcome, entry.payload)
        try:
            return [
                opened(entry.outcome, entry.payload)
                if entry.outcome != wire.OK or type(entry.payload) is not bytes
                else _loads(entry.payload)
                for entry in entries
            ]
        except SnakepitError:
            raise
        except Exception:
            # Once more, for the error that says what is missing.
            return [opened(entry.outcome, entry.payload) for entry in entries]

    async def await_many(self, ids: Sequence[int]) -> list[Any]:
        """See `Runtime.await_many`."""
        await resolved(self, ids)
        return self.get(ids, 0)

    # --- ending things --------------------------------------------------------------------

    def cancel(self, identifier: int, *, force: bool, recursive: bool) -> None:
        """See `Runtime.cancel`."""
        self._core.update(
            lambda: self._scheduler.cancel(identifier, force=force, recursive=recursive)
        )

    def kill(self, actor: int, *, no_restart: bool) -> None:
        """See `Runtime.kill`."""
        self._core.update(lambda: self._scheduler.kill(actor, no_restart))

    def pending_calls(self, actor: int) -> int:
        """See `Runtime.pending_calls`."""
        self._core.pump.step()  # Some may have been answered.
        return self._scheduler.completion.pending.get((actor, DRIVER), 0)

    def cancelled(self) -> bool:
        """See `Runtime.cancelled`: nothing runs here that could be."""
        return False

    def session_state(self, number: int) -> dict[str, Any]:
        """See `Runtime.session_state`: no call runs here that has a session."""
        raise RuntimeError("what a session keeps is with its workers")

    def describe(self) -> dict[str, Any]:
        """See `Runtime.describe`."""
        with self._lock:
            return {**self._core.facts(), "worker": DRIVER, "task": None, "actor": None}

    def shutdown(self) -> None:
        """End every process of this runtime; calls that wait raise `RuntimeClosedError`."""
        if os.getpid() != self._pid or not self._down.acquire(blocking=False):
            return
        core = self._core
        token = self._interrupts.enter()
        try:
            atexit.unregister(self.shutdown)

            def close() -> None:
                core.scheduler.close("shutdown", {})
                core.closed = True
                # Functions live on, and would keep this runtime's tables.
                for definition in self._prepared:
                    definition.prepared = (None, None)
                self._prepared.clear()

            core.update(close)
            core.pump.close()
            self._processes.stop(Deadline.after(SHUTDOWN))
            self._register.end()
            core.close()
        finally:
            try:
                self._interrupts.leave(token)
            finally:
                self._interrupts.uninstall()
                self.at_end()

    def forked_in_parent(self) -> None:
        """Nothing: the child has no part in this runtime."""

    def forked_in_child(self) -> None:
        """This runtime is the parent's."""
        if not self._core.closed:
            self.abandon()

    def abandon(self) -> None:
        """In a forked child: this runtime is the parent's; close what it has open here."""
        atexit.unregister(self.shutdown)
        self._processes.abandon()
        self._core.abandon()
