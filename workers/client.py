"""The runtime inside a worker: what tasks may ask, as messages to the driver.

Guarantees:
* Messages that mention an id leave before the news that this worker dropped its last handle on it,
  and after the news of its first.
* A cancel strikes before a call or value is told to the driver, or when its reference is there to
  be dropped: nothing is made for nobody.
* A thread in `get` or `wait` reads the mailbox while it waits. The call that runs in the main
  thread frees its slot meanwhile; its worker gives back what it had not begun, and runs what the
  driver sends it to run on this stack.

Nothing relies on the GIL: ids come from a lock, the mailbox guards itself.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Container, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, final

from snakepit.deadline import Deadline
from snakepit.definitions import complete
from snakepit.errors import ActorAlreadyExistsError, GetTimeoutError
from snakepit.handles import HandleCounts, Handles
from snakepit.ids import first_id
from snakepit.payload import pack, pack_call
from snakepit.protocol import Definition, Reference, Runtime
from snakepit.values import INLINE, Values, take_references
from snakepit.wire import messages as wire
from snakepit.wire.codec import PUT, RESULT, SUBMIT

from .awaiting import Awaiting
from .callbacks import Callbacks
from .consuming import Consumer
from .control import Control
from .current import CALL
from .directory import Directory
from .interruption import Interruption
from .lending import Lending
from .mailbox import Mailbox
from .parts import Asking
from .progress import Bars
from .questions import Questions
from .sessions import Sessions
from .waiting import Loop, Waiting, warn_of_blocking
from .wants import Wants

if TYPE_CHECKING:
    from .sharing import Shared

T = TypeVar("T")


@final
class WorkerRuntime(Asking):
    """A worker's client of the driver. Implements `snakepit.protocol.Runtime`.

    Attributes:
        shared: objects that calls which run at the same time have in common, in a thread pool.
        threaded: the names of thread pools.
        lock: held from when changes of handles are taken note of until they are in the mailbox.
    """

    # Not only for their size: an object with more than thirty attributes in a dictionary of its
    # own takes several times as long to read each, and this one is read in each call.
    __slots__ = tuple(
        (
            "__weakref__ _callbacks _counts _handles _interruption _mailbox _main _next_id "
            "_sent_codes _templates _values _wants actor await_many awaiting bars borrow "
            "consumer drop expect hold lend lending lock loop namespace number progress redeem "
            "run shared take threaded until_done waiting"
        ).split()
    )

    def __init__(
        self,
        number: int,
        run: str,
        mailbox: Mailbox,
        values: Values,
        handles: Handles,
        interruption: Interruption,
        give_back: Callable[[], list[int]],
        control: Control,
    ) -> None:
        self.run = run
        self.number = number
        self.namespace = ""
        self.actor = 0
        self.hold = handles.hold
        self.drop = handles.drop
        self._mailbox = mailbox
        self._values = values
        self._handles = handles
        self._counts = HandleCounts()
        self._interruption = interruption
        self.lock = lock = threading.RLock()
        super().__init__(Questions(mailbox, interruption, lock), Directory(self), Sessions(self))
        self._next_id = first_id(number)
        self._templates: dict[wire.Template, int] = {}
        self._sent_codes: set[bytes] = set()
        self._wants = Wants()
        self._callbacks = Callbacks(mailbox)
        self.consumer = consumer = Consumer(self, mailbox, self._wants)
        self.take = consumer.take
        self.expect = consumer.expect
        self.redeem = consumer.redeem
        self.bars = Bars(mailbox, interruption)
        self.progress = self.bars.progress
        self.lending = lending = Lending(self, mailbox, control, interruption)
        self.lend = lending.lend
        self.borrow = lending.borrow
        self.awaiting = Awaiting(self, self._wants, values)
        self.until_done = self.awaiting.until_done
        self.await_many = self.awaiting.await_many
        self._main = threading.main_thread().ident
        self.loop: Loop | None = None
        self.shared: Shared | None = None
        self.threaded: Container[str] = ()
        self.waiting = Waiting(mailbox, interruption, give_back)

    # --- what the driver sends ------------------------------------------------------------

    def value(self, message: wire.Value) -> None:
        """An object that was wanted has come, or the news of it."""
        self._wants.arrived(message.id, message.outcome, message.payload)
        self._callbacks.resolved(message.id)

    # --- handles --------------------------------------------------------------------------

    def handle_changes(self) -> tuple[list[int], list[int]]:
        """Return ids with a first handle, and those whose last has gone, since the last time."""
        with self.lock:
            if not self._handles.queue:
                return [], []
            added, dropped = self._counts.changes(self._handles.drain())
        self.consumer.forget(dropped)
        self._wants.forget(dropped)
        return added, dropped

    def reply(self, result: wire.Result) -> None:
        """Answer a call, with the handles that it kept; before any message that relies on them."""
        with self.lock:
            self._mailbox.send(*self._answer(result))

    def reply_beside(self, result: wire.Result) -> None:
        """Do the same for a call beside others, whose handles may be on their way with theirs."""
        with self.lock:
            if self._handles.queue or self.bars.late:
                self._mailbox.send(*self._answer(result))
            else:
                self._mailbox.send_fields((RESULT, *result))

    def post_reply(self, result: wire.Result) -> int:
        """Answer a call likewise, by the next write; return how many messages wait for that."""
        with self.lock:
            return self._mailbox.post(*self._answer(result))

    def _answer(self, result: wire.Result) -> list[Any]:
        if self.bars.late:
            self.bars.flush()
        added, dropped = self.handle_changes()
        if added:
            result = result._replace(kept=added)
        return [result, wire.Handles([], dropped)] if dropped else [result]

    def report_handles(self) -> None:
        """Tell the driver of changed handles."""
        with self.lock:
            added, dropped = self.handle_changes()
            if added or dropped:
                self._mailbox.send(wire.Handles(added, dropped))

    def new_ids(self, count: int) -> int:
        """Return the first of `count` fresh ids."""
        with self.lock:
            first = self._next_id
            self._next_id += count
            return first

    def own_id(self) -> int:
        """Return a fresh id on which this process has one handle; the lock is held."""
        identifier = self.new_ids(1)
        self._counts.own(identifier)
        return identifier

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
        return self._call(definition, 0, args, kwargs, None, make, session)

    def call(
        self,
        actor: int,
        definition: Definition,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        make: Callable[[Runtime, int], T],
    ) -> T:
        """See `Runtime.call`."""
        return self._call(definition, actor, args, kwargs, None, make)

    def create(
        self,
        definition: Definition,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        methods: Any,
        make: Callable[[Runtime, int], T],
    ) -> T:
        """See `Runtime.create`."""
        name = definition.template.actor_name

        def checked(runtime: Runtime, actor: int) -> T:
            if name and not self.ask("has_name", actor):
                self.drop(actor)
                where = definition.template.namespace or self.namespace
                raise ActorAlreadyExistsError(
                    f"an actor named {name!r} exists in namespace {where!r}; "
                    "get_actor() returns it, or choose another name"
                )
            return make(runtime, actor)

        return self._call(definition, 0, args, kwargs, methods, checked)

    def _call(
        self,
        definition: Definition,
        actor: int,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        methods: Any,
        make: Callable[[Runtime, int], T],
        session: wire.SessionKey = "",
    ) -> T:
        number, template = self._number(definition)
        deps: tuple[tuple[wire.Where, int], ...] = ()
        for value in args:
            if isinstance(value, Reference):
                args, kwargs, deps = take_references(args, kwargs, self)
                break
        if kwargs and not deps:
            args, kwargs, deps = take_references(args, kwargs, self)
        packed = pack_call(args, kwargs, what=template.name)
        parts, refs = packed.parts, packed.refs
        handles = 1 if template.kind == wire.CREATE else abs(template.returns)
        interruption = self._interruption
        held = interruption.hold()
        try:
            payload, blob = parts[0], 0
            if len(parts) > 1 or len(payload) > INLINE:
                payload, blob = self._encode(packed)
            with self.lock:
                if self._handles.queue:
                    self.report_handles()
                identifier = self._next_id
                self._next_id = identifier + max(1, handles)
                for returned in range(identifier, identifier + handles):
                    self._counts.own(returned)
                if blob:
                    refs = (*refs, blob)
                    self._mailbox.send(wire.Put(blob, payload, []))
                parent = self._parent()
                fields = identifier, number, actor, payload, deps, refs, parent, methods, session
                self._mailbox.send_fields((SUBMIT, *fields))
            if blob:
                self.drop(blob)
            return make(self, identifier)
        finally:
            interruption.release(held)

    def report_added(self) -> None:
        """Tell the driver of handles that it does not know of; the lock is held."""
        # A first handle must be known before a message relies on it; drops may wait.
        if self._handles.queue:
            with self._interruption.held_off():
                self.report_handles()

    def _parent(self) -> int:
        stack = self._interruption.stack
        return stack[-1] if stack and threading.get_ident() == self._main else CALL.get()

    def _number(self, definition: Definition) -> tuple[int, wire.Template]:
        owner, prepared = definition.prepared
        if owner is self:
            return prepared  # type: ignore[no-any-return]
        template, code = complete(definition, self.namespace, self.threaded)
        with self._interruption.held_off(), self.lock:
            if code is not None and template.code not in self._sent_codes:
                payload, blob = self._encode(code)
                refs = list(code.refs)
                if blob:
                    refs.append(blob)
                    self._mailbox.send(wire.Put(blob, payload, []))
                self._mailbox.send(wire.Code(template.code, payload, refs))
                self._sent_codes.add(template.code)
                if blob:
                    self.drop(blob)
            number = self._templates.get(template)
            if number is None:
                number = self._templates[template] = len(self._templates) + 1
                self._mailbox.send(wire.Define(number, list(template)))
        definition.prepared = (self, (number, template))
        return number, template

    def _encode(self, packed: Any) -> tuple[wire.Payload, int]:
        blob = 0

        def identifier() -> int:
            nonlocal blob
            blob = self.own_id()
            return blob

        return self._values.encode(packed, identifier), blob

    def encode_result(self, packed: Any, identifier: int) -> wire.Payload:
        """Return the payload of a call's result, stored as the object that it is."""
        return self._values.encode(packed, lambda: identifier)

    # --- objects --------------------------------------------------------------------------

    def put(self, value: Any, make: Callable[[Runtime, int], T]) -> T:
        """See `Runtime.put`."""
        packed = pack(value, what="the value given to put()")
        interruption = self._interruption
        held = interruption.hold()
        try:
            payload, identifier = self._encode(packed)
            with self.lock:
                if self._handles.queue:
                    self.report_handles()
                if not identifier:
                    identifier = self.own_id()
                self._mailbox.send_fields((PUT, identifier, payload, packed.refs))
            return make(self, identifier)
        finally:
            interruption.release(held)

    def get_one(self, identifier: int, timeout: float | None) -> Any:
        """See `Runtime.get_one`."""
        return self.get((identifier,), timeout)[0]

    def get(self, ids: Sequence[int], timeout: float | None) -> list[Any]:
        """See `Runtime.get`."""
        wanted = list(dict.fromkeys(ids))
        self.report_added()
        wait, ask = self._wants.values(wanted)
        try:
            done = self._block(wanted, wire.Want(ask, True), wait.over, timeout)
        finally:
            arrived = self._wants.take(wait, wanted)
        for outcome, payload in arrived.values():
            if outcome != wire.OK:
                self._values.open(outcome, payload)
        if not done:
            raise GetTimeoutError(
                f"{len(wanted) - len(arrived)} of {len(wanted)} results are not there after "
                f"{timeout} s; wait longer, or look with wait() which ones are"
            )
        if self.shared is not None:
            return [self.shared.open(identifier, *arrived[identifier]) for identifier in ids]
        return [self._values.open(*arrived[identifier]) for identifier in ids]

    def wait(self, ids: Sequence[int], count: int, timeout: float | None) -> list[int]:
        """See `Runtime.wait`."""
        wanted = list(ids)
        self.report_added()
        wait, ask = self._wants.news(wanted, count)
        try:
            self._block(wanted, wire.Want(ask, False), wait.over, timeout, count == len(wanted))
        finally:
            places = self._wants.known(wait, wanted, count)
        return places

    def _block(
        self,
        ids: list[int],
        want: wire.Want,
        ready: Callable[[], bool],
        timeout: float | None,
        every: bool = True,
    ) -> bool:
        """Ask the driver and wait for it; the running call frees its slot meanwhile."""
        if ready() and not want.ids:
            return True
        if timeout == 0:
            self.send_want(want)
            # Ask something that is answered after what was wanted.
            self.ask("nothing")
            return ready()
        deadline = Deadline.after(timeout)
        call = self._parent()
        if not call:
            self.send_want(want)
            return self._mailbox.wait_for(ready, deadline)
        blocked = wire.Blocked(call, ids, every, [])
        send = partial(self.send_want, want)
        if call == CALL.get():
            if self.loop is not None and self.loop.here:
                warn_of_blocking()
            return self.waiting.beside(send, blocked, ready, deadline)
        return self.waiting.on_stack(send, blocked, ready, deadline, keeps=bool(self.actor))

    def send_want(self, want: wire.Want, *after: tuple[Any, ...]) -> None:
        """Ask the driver for what a wait needs, and send `after` behind it."""
        if want.ids:
            self._mailbox.send(want, *after)
            self._wants.asked(want.ids, want.values)
        elif after:
            self._mailbox.send(*after)

    def when_done(self, identifier: int, callback: Callable[[], None]) -> None:
        """See `Runtime.when_done`."""
        self.report_added()
        self._callbacks.add(identifier, callback)
        self._mailbox.send(wire.Want([identifier], False))

    # --- the running call -----------------------------------------------------------------

    def cancelled(self) -> bool:
        """See `Runtime.cancelled`."""
        return self._interruption.cancelled(self._parent())

    def describe(self) -> dict[str, Any]:
        """See `Runtime.describe`."""
        facts: dict[str, Any] = self.ask("describe", self._parent())
        return {
            **facts,
            "worker": self.number,
            "task": self._parent() or None,
        }
