"""One call of an inline runtime: its arguments, its tries, what it returns or raises."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Final, NamedTuple, final

from ..checks import IN_GROUP
from ..config import Config
from ..definitions import DEFAULT_POOL, retries
from ..payload import Packed, pack, pack_call, pack_exception, unpack, unpack_code
from ..policy.resources import Resources, needs_of
from ..policy.restart import after_exception
from ..protocol import ActorExit, Runtime
from ..values import take_references
from ..wire.messages import CREATE, ERROR, METHOD, OK, STREAMING, TASK, Template, Where
from .desk import Kept
from .inline_actors import InlineActor
from .inline_objects import Ended, InlineObjects, failed, stored


class Here(NamedTuple):
    """The call that runs in this context."""

    call: int
    template: Template
    actor: InlineActor | None
    held: frozenset[int] = frozenset()  # the actors whose turn it is in this context
    session: Kept | None = None


HERE: Final[ContextVar[Here | None]] = ContextVar("snakepit_inline", default=None)


class Arguments(NamedTuple):
    """A call's arguments as bytes, the ids inside them, and the references among them.

    `lent` are handles that keep the descriptors inside, for as long as this lives.
    """

    parts: list[bytes]
    refs: tuple[int, ...]
    deps: tuple[tuple[Where, int], ...]
    lent: tuple[Any, ...]


@final
class InlineCalls:
    """What all calls of one runtime are run by."""

    def __init__(self, runtime: Runtime, objects: InlineObjects, config: Config) -> None:
        self._runtime = runtime
        self._objects = objects
        self._resources = Resources(config.totals())
        self._declared = frozenset(pool.name for pool in config.pools)
        self.pools = [pool.name for pool in config.pools]
        if DEFAULT_POOL not in self.pools:
            self.pools.append(DEFAULT_POOL)
        self._initializers: dict[str, Any] = {}
        if any(pool.initializer for pool in config.pools):
            from .pools import initializers_of

            self._initializers = dict(initializers_of(config))

    def work(
        self,
        template: Template,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        function: Callable[..., Any],
    ) -> Callable[[], Ended]:
        """Return what runs a call, as often as its options allow, and says how it ended."""
        arguments = self.arguments(template, args, kwargs)

        def work() -> Ended:
            ended = self.refusal(template) or self.argument_error(arguments)
            tries = 0
            while ended is None:
                try:
                    self.initialize(template)
                    positional, named = self.fresh(arguments)
                    ended = self._returned(function(*positional, **named), template)
                except BaseException as error:
                    raise_what_is_the_drivers(error)
                    tries += 1
                    if retries(template, error) and after_exception(tries, template.max_retries):
                        continue
                    ended = self.raised(error, template)
            return ended

        return work

    def initialize(self, template: Template) -> None:
        """Run the initializer of a pool, before the first call or constructor that it is for.

        There is no worker that could fail to start: what it raises is the call's error, and the
        next call tries it again.
        """
        runs = template.kind == TASK or template.pooled
        parts = self._initializers.get(template.pool) if runs else None
        if parts is not None:
            unpack_code(parts)()
            self._initializers.pop(template.pool, None)

    def kept(self, packed: Packed) -> list[bytes]:
        """Return a packed value's parts, and count what they mention."""
        parts = stored(packed)
        self._objects.pin(packed.refs, 1)
        return parts

    def arguments(
        self, template: Template, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Arguments:
        left, named, deps = take_references(args, kwargs, self._runtime)
        packed = pack_call(left, named, what=template.name)
        return Arguments(stored(packed), packed.refs, deps, packed.lent)

    def argument_error(self, arguments: Arguments) -> Ended | None:
        """Return the end of a call one of whose arguments is an error."""
        for _, identifier in arguments.deps:
            self._objects.wait((identifier,), 1, None)
            entry = self._objects.entry(identifier)
            if entry.outcome != OK:
                self._objects.pin(entry.refs, 1)
                return Ended(entry.outcome, [entry.payload], [entry.refs])
        return None

    def fresh(self, arguments: Arguments) -> tuple[list[Any], dict[str, Any]]:
        """Return a copy of the arguments, references among them replaced by their values."""
        args, kwargs = unpack(arguments.parts)
        positional = list(args)
        for where, identifier in arguments.deps:
            value = self._objects.entry(identifier).value()
            if isinstance(where, int):
                positional[where] = value
            else:
                kwargs[where] = value
        return positional, kwargs

    def refusal(self, template: Template) -> Ended | None:
        """Return the end of a call that asks for more than there is."""
        if template.kind == METHOD:
            return None
        if template.pool not in self.pools:
            fields = {"pool": template.pool, "pools": self.pools}
            return failed("unknown_pool", **fields, call=template.name)
        needs = needs_of(template, declared=template.pool in self._declared)
        # Nothing runs beside it, so a placement group has nothing to keep from others.
        refusal = self._resources.refusal(
            tuple((name, n) for name, n in needs if n and IN_GROUP not in name)
        )
        if refusal is None:
            return None
        kind, fields = refusal
        return failed(kind, **fields, call=template.name)

    def _returned(self, value: Any, template: Template) -> Ended:
        if template.returns == STREAMING:
            return self._streamed(value, template)
        if template.returns == 0:
            return Ended(OK, [], [])
        values = (value,) if template.returns == 1 else tuple(value)
        if len(values) != template.returns:
            raise ValueError(
                f"{template.name} has num_returns={template.returns} but returned {len(values)} "
                "values"
            )
        what = f"the result of {template.name}"
        packed = [pack(each, what=what, root="result") for each in values]
        return Ended(OK, [self.kept(each) for each in packed], [each.refs for each in packed])

    def _streamed(self, value: Any, template: Template) -> Ended:
        """Run a generator to its end; each item becomes an object of its own."""
        if not hasattr(value, "__next__"):
            raise TypeError(
                f'{template.name} has num_returns="streaming" and must be a generator function or '
                f"return an iterator; it returned {type(value).__name__}"
            )
        here = HERE.get()
        assert here is not None
        stream = self._objects.streams[here.call]
        known = len(stream)  # by an earlier try
        what = f"an item that {template.name} yields"
        for place, item in enumerate(value):
            packed = pack(item, what=what, root="item")
            if place >= known:
                identifier = self._objects.add(what, 1)
                kept = Ended(OK, [self.kept(packed)], [packed.refs])
                self._objects.settle(identifier, 1, kept)
                stream.append(identifier)
        return Ended(OK, [stored(pack(None, what=template.name))], [()])

    def raised(self, error: BaseException, template: Template) -> Ended:
        if isinstance(error, ActorExit):
            here = HERE.get()
            actor = here.actor if here is not None else None
            if actor is not None and template.kind != CREATE:
                actor.leave("exit_actor")
                return failed("actor_died", **{**(actor.failure or {}), "call": template.name})
            error = RuntimeError("exit_actor() was called outside a method of an actor")
        packed = pack_exception(error, task_name=template.name, pid=os.getpid())
        error.__traceback__ = None
        return Ended(ERROR, [self.kept(packed)], [packed.refs])


def raise_what_is_the_drivers(error: BaseException) -> None:
    """Let go up what is meant for whoever sits before the driver."""
    if isinstance(error, KeyboardInterrupt) or type(error).__name__ == "BdbQuit":
        raise error
