"""What workers send: each message becomes an event of the scheduler, in order, under one lock."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any, final

from ..errors import ProtocolError, SnakepitError
from ..policy.calls import Call
from ..runtime_env import merged, told
from ..wire import messages as wire
from .connection import Connection
from .core import Core
from .descriptors import is_descriptor
from .directory import changed, living_groups, stats_of
from .whereabouts import environment, whereabouts


@final
class Inbox:
    """Takes the messages of all workers."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._scheduler = core.scheduler
        self._take: dict[type[Any], Callable[[Connection, Any], None]] = {
            wire.Handles: self._handles,
            wire.Submit: self._submit,
            wire.Expect: self._expect,
            wire.Put: self._put,
            wire.Want: self._want,
            wire.Blocked: self._blocked,
            wire.Unblocked: self._unblocked,
            wire.GivenBack: self._given_back,
            wire.Define: self._define,
            wire.Code: self._code,
            wire.NeedCode: self._need_code,
            wire.Progress: self._progress,
            wire.Request: self._request,
            wire.Hello: self._hello,
            wire.Ready: self._ready,
            wire.Began: self._began,
        }

    def take(self, connection: Connection, messages: list[Any]) -> None:
        """Handle what one read brought, perform what follows, and write it.

        Raises:
            ProtocolError: a message that no worker may send.
            UnknownCall: an answer to no question.
            ObjectLostError: a value whose memory never came.
        """
        core = self._core
        take = self._take
        touched: Sequence[Connection] = ()
        try:
            with core.lock:
                if core.handles.queue:
                    core.drain_handles()
                try:
                    for message in messages:
                        if type(message) is wire.Result:
                            connection.ahead -= 1
                            for value in message.values:
                                if type(value) is not bytes:
                                    core.memory.require(value)
                            self._scheduler.result(connection.number, *message)
                            continue
                        if type(message) is wire.Yield:
                            core.memory.require(message.payload)
                            self._scheduler.item(connection.number, *message)
                            continue
                        handler = take.get(type(message))
                        if handler is None:
                            raise ProtocolError(f"a worker sent {type(message).__name__}")
                        handler(connection, message)
                finally:
                    touched = core.perform()
        finally:
            # Also after a message that is refused: what came before it has consequences.
            core.flush(touched)

    def _handles(self, connection: Connection, message: wire.Handles) -> None:
        self._scheduler.objects.hold(connection.number, message.added)
        self._scheduler.objects.drop(connection.number, message.dropped)

    def _submit(self, connection: Connection, message: wire.Submit) -> None:
        shape = connection.theirs.get(message.template)
        if shape is None:
            raise ProtocolError(f"a call names template {message.template}, which is unknown")
        deps: tuple[tuple[wire.Where, int], ...] = ()
        refs = message.refs
        if message.deps:
            deps = tuple((where, identifier) for where, identifier in message.deps)
            refs = [*refs, *(identifier for _, identifier in deps)]
        if message.actor:
            refs = [*refs, message.actor]
        call = Call(
            message.call,
            shape,
            message.actor,
            message.args,
            deps,
            tuple(refs),
            connection.number,
            message.parent,
        )
        if message.session:
            self._core.sessions.submit(call, message.session)
        elif shape.template.kind == wire.CREATE:
            self._scheduler.create(call, message.methods)
        else:
            self._scheduler.submit(call)

    def _expect(self, connection: Connection, message: wire.Expect) -> None:
        number, ticket = connection.number, message.ticket
        self._scheduler.streams.expect(message.stream, ticket, number)
        self._scheduler.want(number, (ticket,), values=True)

    def _put(self, connection: Connection, message: wire.Put) -> None:
        if is_descriptor(message.payload):
            self._core.memory.descriptors.require(connection, message.id)
        else:
            self._core.memory.require(message.payload)
        self._scheduler.put(message.id, message.payload, message.refs, connection.number)

    def _want(self, connection: Connection, message: wire.Want) -> None:
        self._scheduler.want(connection.number, message.ids, message.values)

    def _blocked(self, connection: Connection, message: wire.Blocked) -> None:
        connection.ahead -= len(message.back)
        self._scheduler.blocked(
            connection.number, message.call, message.ids, message.every, message.back
        )

    def _unblocked(self, connection: Connection, message: wire.Unblocked) -> None:
        self._scheduler.unblocked(connection.number, message.call)

    def _given_back(self, connection: Connection, message: wire.GivenBack) -> None:
        connection.ahead -= len(message.calls)
        self._scheduler.given_back(connection.number, message.calls)

    def _began(self, connection: Connection, message: wire.Began) -> None:
        self._scheduler.timeouts.began(connection.number, message.call, message.at, monotonic())

    def _define(self, connection: Connection, message: wire.Define) -> None:
        from ..wire.templates import read_template  # which a run without nested calls never needs

        template = read_template(message.template)
        if template.kind != wire.METHOD:
            env = merged(environment(self._scheduler, connection.number), template.env)
            template = template._replace(env=env)
        connection.theirs[message.number] = self._scheduler.shape(template)

    def _code(self, connection: Connection, message: wire.Code) -> None:
        connection.codes.add(message.digest)
        if message.digest not in self._core.codes:
            self._core.codes[message.digest] = message
            self._scheduler.objects.pin(message.refs)

    def _need_code(self, connection: Connection, message: wire.NeedCode) -> None:
        self._core.send_code(connection, message.digest)

    def _progress(self, connection: Connection, message: wire.Progress) -> None:
        self._core.progress(connection, message)

    def _hello(self, connection: Connection, message: wire.Hello) -> None:
        if message.version != wire.VERSION:
            raise ProtocolError(
                f"worker {connection.number} speaks version {message.version} of the protocol, "
                f"not {wire.VERSION}"
            )
        if connection.greeted:
            raise ProtocolError("it said hello before")
        connection.greeted = True
        connection.pid = message.pid
        if connection.initializes:
            # It may call and put already.
            self._scheduler.objects.held[connection.number] = set()
            staff = self._scheduler.placement.staff
            staff.forked(staff.workers[connection.number])
        else:
            self._scheduler.hello(connection.number)

    def _ready(self, connection: Connection, message: wire.Ready) -> None:
        if not (connection.greeted and connection.initializes):
            raise ProtocolError("it is ready, and was to do nothing before")
        connection.initializes = False
        self._scheduler.hello(connection.number)

    # --- questions ------------------------------------------------------------------------

    def _request(self, connection: Connection, message: wire.Request) -> None:
        answer = getattr(self, f"_answer_{message.operation}", None)
        if answer is None:
            raise ProtocolError(f"a worker asked for {message.operation!r}")
        outcome, body = answer(connection, *message.arguments)
        # What was asked before is answered before: a get() that does not wait relies on it.
        self._core.act()
        try:
            self._core.post(connection, wire.Answer(message.request, outcome, body))
        except SnakepitError as error:
            failure = ["unsendable", {"reason": str(error)}]
            self._core.post(connection, wire.Answer(message.request, wire.FAILURE, failure))

    def _answer_find_actor(
        self, connection: Connection, namespace: str, name: str
    ) -> tuple[int, Any]:
        actor = self._scheduler.find_actor(namespace, name)
        if actor is None:
            return wire.OK, None
        return wire.OK, [actor.id, actor.creation.name, actor.methods]

    def _answer_named_actors(self, connection: Connection) -> tuple[int, Any]:
        return wire.OK, list(self._scheduler.actors.names)

    def _answer_placement_groups(self, connection: Connection) -> tuple[int, Any]:
        return wire.OK, living_groups(self._scheduler)

    def _answer_pool_stats(self, connection: Connection, name: str) -> tuple[int, Any]:
        return wire.OK, stats_of(self._scheduler, name)

    def _answer_change_pool(
        self, connection: Connection, name: str, change: str, *arguments: Any
    ) -> tuple[int, Any]:
        return wire.OK, changed(self._scheduler, name, change, *arguments, asker=connection.number)

    def _answer_session(
        self, connection: Connection, operation: str, session: Any, *arguments: Any
    ) -> tuple[int, Any]:
        return wire.OK, self._core.sessions.answer(operation, session, *arguments)

    def _answer_has_name(self, connection: Connection, actor: int) -> tuple[int, Any]:
        entry = self._core.entries.get(actor)
        found = entry.actor if entry is not None else None
        return wire.OK, found is not None and (
            found.failure is None or found.failure[1].get("reason") != "name_taken"
        )

    def _answer_pending_calls(self, connection: Connection, actor: int) -> tuple[int, Any]:
        return wire.OK, self._scheduler.completion.pending.get((actor, connection.number), 0)

    def _answer_cancel(
        self, connection: Connection, identifier: int, force: bool, recursive: bool
    ) -> tuple[int, Any]:
        try:
            self._scheduler.cancel(identifier, force=force, recursive=recursive)
        except ValueError as error:
            return wire.OK, str(error)
        return wire.OK, None

    def _answer_kill(self, connection: Connection, actor: int, no_restart: bool) -> tuple[int, Any]:
        self._scheduler.kill(actor, no_restart)
        return wire.OK, None

    def _answer_relieve(self, connection: Connection, needed: int) -> tuple[int, Any]:
        # What was dropped is freed first, then trimmed.
        self._core.act()
        self._core.memory.trim(asking=connection.number)
        return wire.OK, None

    def _answer_descriptor(
        self, connection: Connection, identifier: int, key: int
    ) -> tuple[int, Any]:
        return wire.OK, self._core.memory.descriptors.share(connection, identifier, key)

    def _answer_nothing(self, connection: Connection) -> tuple[int, Any]:
        return wire.OK, None

    def _answer_describe(self, connection: Connection, call: int = 0) -> tuple[int, Any]:
        where = whereabouts(self._core, connection.number, call)
        env = environment(self._scheduler, connection.number)
        where["runtime_env"] = told(merged(self._core.config.runtime_env, env))
        return wire.OK, {**self._core.facts(), **where}
