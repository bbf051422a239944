"""One call in the worker: its arguments, its code, what it returns or raises.

Whatever a call does, `run` returns an outcome: the user's exceptions, cancels and wishes to end are
data here. Only the loss of the driver, or of the interpreter, is not.
"""

from __future__ import annotations

import os
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, NamedTuple, NoReturn, TypeAlias, final

from snakepit.builtin_methods import method_of
from snakepit.definitions import retries
from snakepit.payload import (
    NO_ARGUMENTS,
    Packed,
    pack,
    pack_exception,
    unpack,
    unpack_code,
)
from snakepit.protocol import ActorExit, TaskInterrupt, watch_forks
from snakepit.values import INLINE, Values, is_stored
from snakepit.wire import messages as wire

from .client import WorkerRuntime
from .forks import leave
from .interruption import Interruption
from .mailbox import DriverGone, Mailbox
from .producing import Producer

if TYPE_CHECKING:
    from .sharing import Shared
    from .tenants import Tenants

Load: TypeAlias = Callable[[Sequence[Any]], Any]

MOST_CODES: Final = 512
"""Definitions that a worker keeps; it asks again for one that it has let go."""

MOST_NESTED: Final = 256
"""Calls that may wait for one another on one stack."""


class Ended(NamedTuple):
    """How a call ended, as `wire.Result` wants it, and what to keep until that is sent.

    What mentions references is kept: of calls that run side by side, one may tell the driver of a
    handle that another dropped, before that one's result, which mentions it, has left.
    """

    outcome: int
    values: list[wire.Payload]
    contained: list[list[int]]
    keep: tuple[Any, ...] = ()


@final
class Known:
    """A template, with what is derived from it once."""

    __slots__ = ("item", "micros", "result", "template", "timed")

    def __init__(self, template: wire.Template) -> None:
        self.template = template
        self.timed = template.timeout > 0
        self.result = f"the result of {template.name}"
        self.item = f"an item that {template.name} yields"
        self.micros: float | None = None  # how long a call is predicted to take, in a thread pool

    def learn(self, micros: int) -> None:
        """Take one measured run time: of a thread that had to wait for a core it tells little."""
        guess = self.micros
        if guess is None:
            self.micros = float(micros)
        elif micros > guess:
            self.micros = guess + (min(micros, 2 * guess + 20) - guess) * 0.5
        else:
            self.micros = guess + (micros - guess) * 0.1


@final
class Executor:
    """The calls, definitions and the actor of one worker.

    Args:
        values: this process's part of the store.
        interruption: what runs, and what of it was cancelled.
        runtime: this process's client of the driver.
        mailbox: where its generators' items go.
        fetch_code: asks the driver for a definition and returns when `code` was called with it.
        load: turns the parts of a definition into the function or class.

    Attributes:
        actor: the actor's instance, if this worker is one.
        actor_id: its id, or 0.
        exiting: the actor asked to end.
        shared: objects that calls which run at the same time have in common, in a thread pool.
        tenants: the actors that live here among other calls, in a thread pool.
        set_up: called before each call until it has returned once.
        producer: what runs generators.
        leave: ends the process, which is a fork of the worker and answers nobody; None in a worker.
    """

    def __init__(
        self,
        values: Values,
        interruption: Interruption,
        runtime: WorkerRuntime,
        mailbox: Mailbox,
        fetch_code: Callable[[bytes], None],
        load: Load = unpack_code,
    ) -> None:
        self.actor: Any = None
        self.actor_id = 0
        self.exiting = False
        self.set_up: Callable[[], None] | None = None
        self.leave: Callable[[BaseException | None], NoReturn] | None = None
        self.known: dict[int, Known] = {}
        self._values = values
        self._interruption = interruption
        self._mailbox = mailbox
        self._fetch_code = fetch_code
        self._load = load
        self.producer = Producer(runtime, mailbox, interruption, self._encode)
        self._recursion_limit = sys.getrecursionlimit()
        self._codes: OrderedDict[bytes, Any] = OrderedDict()
        self._packed_codes: dict[bytes, wire.Payload] = {}
        self.shared: Shared | None = None
        self.tenants: Tenants | None = None
        self._once = threading.RLock()
        watch_forks(self)

    def forked_in_parent(self) -> None:
        """See `protocol.Forkable`: nothing has changed here."""

    def forked_in_child(self) -> None:
        """See `protocol.Forkable`: the call ends here without a reply."""
        self.leave = leave
        self._mailbox.abandon()

    def define(self, message: wire.Define) -> None:
        """Take a template."""
        self.known[message.number] = Known(wire.Template(*message.template))

    def code(self, message: wire.Code) -> None:
        """Take a definition; it is unpickled when a call first needs it."""
        self._packed_codes[message.digest] = message.payload

    def has_code(self, digest: bytes) -> bool:
        """Tell whether a definition has come."""
        return digest in self._packed_codes or digest in self._codes

    # --- running --------------------------------------------------------------------------

    def run(self, execute: wire.Execute, known: Known) -> Ended:
        """Run a call to its end."""
        template = known.template
        interruption = self._interruption
        try:
            if interruption.cancelled(execute.call):
                return Ended(wire.CANCELLED, [], [])
            if known.timed:
                self._mailbox.send(wire.Began(execute.call, monotonic()))
            try:
                run = self._nested if execute.flags & wire.NESTED else self._call
                ended = run(execute, known)
            finally:
                # Also after an error: what strikes while that is packed would end the worker. One
                # that strikes before this line is caught below, like any other.
                interruption.open = False
            if self.leave is not None:
                self.leave(None)
            return ended
        except DriverGone:
            raise
        except BaseException as error:
            return self._failed(error, template)

    async def run_async(self, execute: wire.Execute, known: Known) -> Ended:
        """Run a call to its end on the event loop of this thread."""
        template = known.template
        try:
            if self._interruption.cancelled(execute.call):
                return Ended(wire.CANCELLED, [], [])
            if known.timed:
                self._mailbox.send(wire.Began(execute.call, monotonic()))
            args, kwargs = self._arguments(execute)
            value = self._function(template, execute.call)(*args, **kwargs)
            del args, kwargs
            if template.returns == wire.STREAMING:
                return Ended(wire.OK, [await self._stream(value, execute, known)], [])
            if template.flavour == wire.ASYNC and template.kind == wire.METHOD:
                value = await value
            return self._outcome(value, execute, known)
        except DriverGone:
            raise
        except BaseException as error:
            if self._interruption.cancelled(execute.call) and is_cancellation(error):
                return Ended(wire.CANCELLED, [], [])
            return self._failed(error, template)

    async def _stream(self, value: Any, execute: wire.Execute, known: Known) -> wire.Payload:
        if hasattr(value, "__await__"):
            value = await value
        return await self.producer.run_async(value, execute, known)

    def _failed(self, error: BaseException, template: wire.Template) -> Ended:
        if self.leave is not None:
            self.leave(error)
        if isinstance(error, TaskInterrupt):
            return Ended(wire.CANCELLED, [], [])
        if isinstance(error, MemoryError):
            from .limits import explain

            explain(error, template.name, template.memory_limit)
        if not isinstance(error, ActorExit):
            return _raised(error, template)
        if self.tenants is not None and template.kind != wire.TASK:
            return Ended(wire.EXITED, [], [])
        if not self.actor_id:
            outside = RuntimeError("exit_actor() was called outside an actor")
            return _raised(outside, template)
        self.exiting = True
        return Ended(wire.EXITED, [], [])

    def _nested(self, execute: wire.Execute, known: Known) -> Ended:
        """Run a call above those that wait here, with as much stack as if it were alone."""
        depth = len(self._interruption.stack)
        if depth > MOST_NESTED:
            fields = {"call": known.template.name, "depth": depth}
            return Ended(wire.FAILURE, [["nesting_depth", fields]], [])
        limit = sys.getrecursionlimit()
        sys.setrecursionlimit(max(limit, self._recursion_limit + _frames()))
        try:
            return self._call(execute, known)
        finally:
            sys.setrecursionlimit(limit)

    def _call(self, execute: wire.Execute, known: Known) -> Ended:
        template = known.template
        args, kwargs = self._arguments(execute)
        function = self._function(template, execute.call)
        interruption = self._interruption
        interruption.open = True
        value = function(*args, **kwargs)
        interruption.open = False
        # What is kept of them is counted when the reply is written.
        del args, kwargs
        if template.returns == wire.STREAMING:
            return Ended(wire.OK, [self.producer.run(value, execute, known)], [])
        return self._outcome(value, execute, known)

    def _function(self, template: wire.Template, call: int) -> Callable[..., Any]:
        if template.kind == wire.METHOD:
            actor = self.actor if self.tenants is None else self.tenants.instance(call)
            return method_of(actor, template.method)
        code: Callable[..., Any] = self._codes.get(template.code) or self._load_code(template.code)
        if template.memory_limit:
            from .limits import run_within

            return partial(run_within, self._interruption, template.memory_limit, code)
        return code

    def _outcome(self, value: Any, execute: wire.Execute, known: Known) -> Ended:
        template = known.template
        if template.kind == wire.CREATE and self.tenants is not None:
            self.tenants.made(execute.call, value)
            return Ended(wire.OK, [], [])
        if template.kind == wire.CREATE:
            self.actor = value
            self.actor_id = execute.actor or execute.call
            return Ended(wire.OK, [], [])
        if template.returns == 1:
            packed = pack(value, what=known.result, root="result")
            payload = self._encode(packed, execute.call)
            if not packed.refs:
                return Ended(wire.OK, [payload], [])
            return Ended(wire.OK, [payload], [list(packed.refs)], (value, packed.lent))
        return self._several(value, execute.call, known)

    def _arguments(self, execute: wire.Execute) -> tuple[Any, dict[str, Any]]:
        if self.set_up is not None:
            self._set_up()
        payload = execute.args
        if payload == NO_ARGUMENTS and not execute.deps:
            return (), {}
        pair = unpack((payload,)) if type(payload) is bytes else self._values.decode(payload)
        args, kwargs = pair
        if execute.deps:
            args = list(args)
            for where, identifier, value in execute.deps:
                if self.shared is not None:
                    argument = self.shared.decode(identifier, value)
                else:
                    argument = self._values.decode(value)
                if type(where) is int:
                    args[where] = argument
                else:
                    kwargs[where] = argument
        return args, kwargs

    def _set_up(self) -> None:
        with self._once:
            if self.set_up is not None:
                self.set_up()
                self.set_up = None

    def _load_code(self, digest: bytes) -> Any:
        """Unpickle a definition; threads that do so at the same time get the same one."""
        while (code := self._codes.get(digest)) is None:
            payload = self._packed_codes.get(digest)
            if payload is None:
                self._fetch_code(digest)
                continue
            loaded = self._load(self._values.parts(payload))
            with self._once:
                code = self._codes.setdefault(digest, loaded)
                self._packed_codes.pop(digest, None)
                while len(self._codes) > MOST_CODES:
                    self._codes.popitem(last=False)
            break
        return code

    # --- results --------------------------------------------------------------------------

    def _several(self, value: Any, call: int, known: Known) -> Ended:
        count = known.template.returns
        if not count:
            return Ended(wire.OK, [], [])
        values = tuple(value)
        if len(values) != count:
            raise ValueError(
                f"{known.template.name} has num_returns={count} but returned {len(values)} values"
            )
        packed = [pack(item, what=known.result, root="result") for item in values]
        payloads: list[wire.Payload] = []
        try:
            for index, each in enumerate(packed):
                payloads.append(self._encode(each, call + index))
        except BaseException:
            self._values.release(payload[2] for payload in payloads if is_stored(payload))
            raise
        contained = [list(each.refs) for each in packed]
        if not any(contained):
            return Ended(wire.OK, payloads, [])
        return Ended(wire.OK, payloads, contained, (values, [each.lent for each in packed]))

    def _encode(self, packed: Packed, identifier: int) -> wire.Payload:
        if self.leave is not None:
            self.leave(None)  # Before anything is stored, or an item sent.
        parts = packed.parts
        if len(parts) == 1 and len(parts[0]) <= INLINE:
            return parts[0]
        return self._values.encode(packed, lambda: identifier)


def is_cancellation(error: BaseException) -> bool:
    """Tell whether this is what asyncio raises in a task that is cancelled."""
    import asyncio

    return isinstance(error, asyncio.CancelledError)


def _raised(error: BaseException, template: wire.Template) -> Ended:
    packed = pack_exception(error, task_name=template.name, pid=os.getpid())
    retryable = retries(template, error)
    # Whatever the frames of the traceback hold must not outlive the call.
    error.__traceback__ = None
    outcome = wire.RETRYABLE if retryable else wire.ERROR
    contained = [list(packed.refs)] if packed.refs else []
    payload = [bytes(part) for part in packed.parts]
    return Ended(outcome, [payload], contained, (error,) if contained else ())


def _frames() -> int:
    frame: Any = sys._getframe()
    depth = 0
    while frame is not None:
        depth += 1
        frame = frame.f_back
    return depth
