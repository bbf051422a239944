"""The inline runtime: calls run in the driver, in order, at once, so that a breakpoint works.

Purpose: to look into a program with a debugger, and to run one where no process can be started.

Guarantees, the same as of the runtime of processes:
* Arguments and results are copies, by way of pickle, and large buffers among them are read-only.
* What a call raises is data: it is raised, wrapped, by whoever gets the result. Only what is meant
  for the driver goes up through the call: a KeyboardInterrupt, and the end of a debugger.
* Actors keep their state, run one call at a time, and end with their last handle.

What differs: `.remote()` returns when the call has ended. Nothing runs beside the caller, so that
nothing can be cancelled while it runs, and no call may wait for a later one. What a crash takes is
the driver. What needs a process of its own is refused by `NotSupportedError`.

Threads of the driver may call at the same time: the tables are guarded, the calls run side by
side, those of one actor in turns. Nothing relies on the GIL.
"""

from __future__ import annotations

import atexit
from collections import deque
from collections.abc import Callable, Sequence
from contextvars import copy_context
from typing import Any, TypeVar, final

from ..bars import DISPLAY
from ..checks import RESERVES
from ..config import UNITS, Config
from ..definitions import complete
from ..errors import (
    ActorAlreadyExistsError,
    GetTimeoutError,
    NotSupportedError,
    RuntimeClosedError,
)
from ..ids import DRIVER, new_run
from ..payload import pack, unpack_code
from ..protocol import ActorRecord, Definition, GroupRecord, Runtime
from ..resolving import resolved
from ..wire.messages import ERROR, GATE, OK, STREAMING, SessionKey, Template
from .desk import Kept
from .inline_actors import InlineActor
from .inline_calls import HERE, Arguments, Here, InlineCalls, raise_what_is_the_drivers
from .inline_facts import facts_of
from .inline_objects import PENDING, Ended, InlineObjects, failed
from .inline_sessions import InlineSessions

T = TypeVar("T")


@final
class InlineRuntime:
    """A runtime without processes. Implements `snakepit.protocol.Runtime`."""

    def __init__(self, config: Config) -> None:
        self.run = new_run()
        self._config = config
        self._objects = InlineObjects()
        self._calls = InlineCalls(self, self._objects, config)
        self._names: dict[tuple[str, str], InlineActor] = {}
        self._actors: dict[int, InlineActor] = {}
        self._closed = False
        self.borrow = self._objects.borrow
        self.hold = self._objects.hold
        self.drop = self._objects.drop
        self.progress = DISPLAY.show_own
        self._sessions = InlineSessions(config.max_sessions, self._calls.pools)
        self.ask_session = self._sessions.ask
        self.session_state = self._sessions.state
        if config.runtime_env:
            _refuse_environment("init()")
        atexit.register(self._shutdown)

    # --- calls ----------------------------------------------------------------------------

    def submit(
        self,
        definition: Definition,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        make: Callable[[Runtime, int], T],
        session: SessionKey = "",
    ) -> T:
        """See `Runtime.submit`."""
        template, function = self._prepare(definition)
        if template.kind == GATE:
            function = _pass
        work = self._calls.work(template, args, kwargs, function)
        if not session:
            return self._run(template, None, work, make)

        def run(work: Callable[[], Ended], kept: Kept | None) -> T:
            return self._run(template, None, work, make, kept)

        return self._sessions.run(session, template.pool, work, run)

    def call(
        self,
        actor: int,
        definition: Definition,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        make: Callable[[Runtime, int], T],
    ) -> T:
        """See `Runtime.call`."""
        template, _ = self._prepare(definition)
        found = self._actors.get(actor)
        if found is None:
            reason = {"actor": template.name, "reason": "out of scope"}
            return self._run(template, None, lambda: failed("actor_died", **reason), make)
        callee = found

        def method(*args: Any, **kwargs: Any) -> Any:
            return callee.run(template, args, kwargs)

        work = self._calls.work(template, args, kwargs, method)
        return self._run(template, callee, work, make)

    def create(
        self,
        definition: Definition,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        methods: Any,
        make: Callable[[Runtime, int], T],
    ) -> T:
        """See `Runtime.create`."""
        template, kind = self._prepare(definition)
        name = (template.namespace, template.actor_name)
        if template.actor_name and name in self._names:
            raise ActorAlreadyExistsError(
                f"an actor named {template.actor_name!r} exists in namespace "
                f"{template.namespace!r}; get_actor() returns it, or choose another name"
            )
        arguments = self._calls.arguments(template, args, kwargs)
        identifier = self._objects.add(template.name, 1)

        def instance() -> Any:
            self._calls.initialize(template)
            positional, named = self._calls.fresh(arguments)
            return kind(*positional, **named)

        actor = InlineActor(identifier, template, methods, instance, self._forget)
        actor.refs = (*arguments.refs, *(found for _, found in arguments.deps))
        self._objects.pin(actor.refs, 1)
        arguments = arguments._replace(lent=())
        if template.detached:
            self._objects.pin((identifier,), 1)
        self._actors[identifier] = actor
        self._objects.entry(identifier).actor = actor
        if template.actor_name:
            self._names[name] = actor
        here = Here(identifier, template, actor)
        try:
            copy_context().run(self._construct, here, arguments)
        except BaseException:
            actor.leave("the driver was interrupted while it was made")
            self._objects.discard(identifier, 1)
            raise
        self._objects.settle(identifier, 1, Ended(OK, [[]], [()]))
        return make(self, identifier)

    def _construct(self, here: Here, arguments: Arguments) -> None:
        HERE.set(here)
        actor, template = here.actor, here.template
        assert actor is not None
        refusal = self._calls.refusal(template)
        broken = self._calls.argument_error(arguments)
        if refusal is not None:
            kind, fields = refusal.payloads[0]
            actor.leave(kind, **fields)
        elif broken is not None:
            what = "cause" if broken.outcome == ERROR else "failure"
            actor.leave("argument", **{what: broken.payloads[0]})
        else:
            try:
                actor.construct()
            except BaseException as error:
                raise_what_is_the_drivers(error)
                actor.leave("init", cause=self._calls.raised(error, template).payloads[0])

    def _run(
        self,
        template: Template,
        actor: InlineActor | None,
        work: Callable[[], Ended],
        make: Callable[[Runtime, int], T],
        session: Kept | None = None,
    ) -> T:
        """Run a call to its end, and make what stands for its results."""
        returns = abs(template.returns)
        first = self._objects.add(template.name, returns)
        if template.returns == STREAMING:
            self._objects.streams[first] = deque()
        try:
            here = Here(first, template, actor, session=session)
            ended = copy_context().run(self._within, here, work)
        except BaseException:
            self._objects.discard(first, returns)
            raise
        self._objects.settle(first, returns, ended)
        return make(self, first)

    def _within(self, here: Here, work: Callable[[], Ended]) -> Ended:
        outer, actor = HERE.get(), here.actor
        held = outer.held if outer is not None else frozenset()
        if actor is None:
            HERE.set(here._replace(held=held))
            return work()
        HERE.set(here._replace(held=held | {actor.id}))
        if actor.id in held:
            return self._turn(actor, here.template, work)
        with actor.turn:
            return self._turn(actor, here.template, work)

    def _turn(self, actor: InlineActor, template: Template, work: Callable[[], Ended]) -> Ended:
        if actor.failure is None:
            ended = work()
            # It may have been killed by its own call.
            if actor.failure is None or ended.outcome != OK:
                return ended
        return failed("actor_died", **{**actor.failure, "call": template.name})

    def _prepare(self, definition: Definition) -> tuple[Template, Any]:
        """Return the whole template of a definition, and a copy of its function or class."""
        self._objects.count()
        if self._closed:
            raise RuntimeClosedError("this runtime was shut down; snakepit.init() starts another")
        owner, prepared = definition.prepared
        if owner is not self:
            config = self._config
            template, code = complete(definition, config.namespace, config.threaded)
            if template.env:
                _refuse_environment(template.name)
            if template.timeout or template.memory_limit:
                _refuse_limits(template.name)
            # What it refers to is kept for good, as what is sent to processes is.
            copy = unpack_code(self._calls.kept(code)) if code is not None else None
            prepared = (template, copy)
            definition.prepared = (self, prepared)
        found: tuple[Template, Any] = prepared
        return found

    # --- objects --------------------------------------------------------------------------

    def put(self, value: Any, make: Callable[[Runtime, int], T]) -> T:
        """See `Runtime.put`."""
        packed = pack(value, what="the value given to put()")
        self._objects.count()
        if self._closed:
            raise RuntimeClosedError("this runtime was shut down; snakepit.init() starts another")
        identifier = self._objects.add("put()", 1)
        self._objects.settle(identifier, 1, Ended(OK, [self._calls.kept(packed)], [packed.refs]))
        return make(self, identifier)

    def lend(self, fd: int, make: Callable[[Runtime, int], T]) -> T:
        """See `Runtime.lend`."""
        return make(self, self._objects.lend(fd))

    def get_one(self, identifier: int, timeout: float | None) -> Any:
        """See `Runtime.get_one`."""
        return self.get((identifier,), timeout)[0]

    def get(self, ids: Sequence[int], timeout: float | None) -> list[Any]:
        """See `Runtime.get`."""
        wanted = list(dict.fromkeys(ids))
        places = self._objects.wait(wanted, len(wanted), timeout)
        entries = {identifier: self._objects.entry(identifier) for identifier in wanted}
        for entry in entries.values():
            if entry.outcome not in (OK, PENDING):
                entry.value()
        if len(places) < len(wanted):
            raise GetTimeoutError(
                f"{len(wanted) - len(places)} of {len(wanted)} results are not there after "
                f"{timeout} s; wait longer, or look with wait() which ones are"
            )
        return [entries[identifier].value() for identifier in ids]

    def wait(self, ids: Sequence[int], count: int, timeout: float | None) -> list[int]:
        """See `Runtime.wait`."""
        return self._objects.wait(ids, count, timeout)[:count]

    def take(self, stream: int, make: Callable[[Runtime, int], None]) -> bool:
        """See `Runtime.take`; a generator has ended when its call has been made."""
        items = self._objects.streams[stream]
        item = items.popleft() if items else 0
        if item == stream:
            self.hold(item)
        make(self, item)
        return True

    def expect(self, stream: int, make: Callable[[Runtime, int], None]) -> None:
        """See `Runtime.expect`: a ticket is the stream itself, of which all is there."""
        self.hold(stream)
        make(self, stream)

    def redeem(self, ticket: int, make: Callable[[Runtime, int], None]) -> None:
        """See `Runtime.redeem`."""
        self.take(ticket, make)

    def when_done(self, identifier: int, callback: Callable[[], None]) -> None:
        """See `Runtime.when_done`."""
        self._objects.when_done(identifier, callback)

    async def until_done(self, ids: Sequence[int]) -> None:
        """See `Runtime.until_done`."""
        await resolved(self, ids)

    async def await_many(self, ids: Sequence[int]) -> list[Any]:
        """See `Runtime.await_many`."""
        await resolved(self, ids)
        return self.get(ids, 0)

    # --- ending things --------------------------------------------------------------------

    def cancel(self, identifier: int, *, force: bool, recursive: bool) -> None:
        """See `Runtime.cancel`.

        Raises:
            NotSupportedError: the call runs at the moment.
        """
        entry = self._objects.entry(identifier)
        if entry.outcome == PENDING and entry.actor is None:
            raise NotSupportedError(
                f"cancel() of {entry.what}, which runs: in inline mode a call runs in the "
                "thread that made it, and nothing can interrupt that"
            )

    def kill(self, actor: int, *, no_restart: bool) -> None:
        """See `Runtime.kill`."""
        found = self._actors.get(actor)
        if found is not None:
            found.kill(no_restart=no_restart)

    def pending_calls(self, actor: int) -> int:
        """See `Runtime.pending_calls`: a call has ended when it has been made."""
        return 0

    def cancelled(self) -> bool:
        """See `Runtime.cancelled`: what runs here cannot be."""
        return False

    def find_actor(self, name: str, namespace: str | None) -> ActorRecord:
        """See `Runtime.find_actor`."""
        self._objects.count()
        where = self._config.namespace if namespace is None else namespace
        actor = self._names.get((where, name))
        if actor is None:
            raise ActorRecord.missing(name, where)
        return ActorRecord(actor.id, actor.template.name, actor.methods)

    def named_actors(self) -> list[tuple[str, str]]:
        """See `Runtime.named_actors`."""
        self._objects.count()
        return list(self._names)

    def placement_groups(self) -> list[GroupRecord]:
        """See `Runtime.placement_groups`: here each is there at once."""
        self._objects.count()
        return [
            GroupRecord(actor.id, actor.methods, True)
            for actor in list(self._actors.values())
            if actor.failure is None
            and any(name.startswith(RESERVES) for name, _ in actor.template.resources)
        ]

    def pool_stats(self, name: str) -> dict[str, Any]:
        """See `Runtime.pool_stats`: nothing waits here, and there are no workers."""
        raise NotSupportedError(f"stats of pool {name!r}: in inline mode there are no workers")

    def change_pool(self, name: str, change: str, *arguments: int | None) -> None:
        """See `Runtime.change_pool`."""
        raise NotSupportedError(f"{change} of pool {name!r}: in inline mode there are no workers")

    def _forget(self, actor: InlineActor) -> None:
        template = actor.template
        name = (template.namespace, template.actor_name)
        if self._names.get(name) is actor:
            del self._names[name]
        if actor.failure is not None and actor.failure["reason"] == "out of scope":
            self._actors.pop(actor.id, None)
        self._objects.pin(actor.refs, -1)
        if template.detached:
            self._objects.pin((actor.id,), -1)
        actor.refs = ()

    def describe(self) -> dict[str, Any]:
        """See `Runtime.describe`."""
        self._objects.count()
        totals = {name: amount / UNITS for name, amount in self._config.totals().items()}
        facts: dict[str, Any] = {
            "run": self.run,
            "namespace": self._config.namespace,
            "resources": totals,
            "available": dict(totals),
            "workers": 0,
            "object_store_memory": self._config.object_store_memory,
            "object_store_used": self._objects.used(),
            "worker": DRIVER,
            "task": None,
            "actor": None,
        }
        here = HERE.get()
        if here is not None:
            facts.update(facts_of(here, self._config))
        return facts

    @property
    def shutdown(self) -> Callable[[], None]:
        """What ends all actors and refuses later calls; inside a call it is not there."""
        if HERE.get() is not None:
            raise AttributeError("a call does not end the runtime that it runs in")
        return self._shutdown

    def _shutdown(self) -> None:
        self._closed = self._sessions.closed = True
        atexit.unregister(self._shutdown)
        for actor in list(self._actors.values()):
            actor.leave("shutdown")
        self._objects.close()


def _pass() -> None:
    """What a gate is here, where no pool has workers to wait for."""


def _refuse_environment(what: str) -> None:
    raise NotSupportedError(
        f"runtime_env of {what}: in inline mode all runs in the driver's own process, whose "
        "environment is what it is. Set the environment before the program starts, or leave "
        "mode='inline' out"
    )


def _refuse_limits(what: str) -> None:
    raise NotSupportedError(f"timeout or memory_limit of {what}: in inline mode nothing limits it")
