"""Handles of actors, and their methods.

An actor lives for as long as a handle does, so a handle must die by reference count, at once: no
cycle may run through it. A `_Core` holds this process's count on the actor. The handle and the
methods that it hands out (and caches) hold the core, and no method holds the handle. So
`Counter.remote().add.remote(1)` keeps the actor until the call is made, though no handle is left.

Threads may share handles. That holds without the GIL: a core and a method never change, and the
cache of methods is a dict of values any of which will do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    Generic,
    Literal,
    NoReturn,
    ParamSpec,
    TypeVar,
    Unpack,
    final,
    overload,
)

from ..ids import hex_id
from ..protocol import Definition, Runtime, current
from .generators import maker_of
from .methods import MethodTable, check_group, table_of
from .options import (
    BACKPRESSURE,
    CALL_CHECKS,
    METHOD_LATER,
    CallOptions,
    check_options,
    merge,
)
from .refs import runtime_of_run, stale
from .signature import Signature
from .templates import method_template

if TYPE_CHECKING:
    from .refs import ObjectRef

T = TypeVar("T")
P = ParamSpec("P")
Rest = ParamSpec("Rest")
First = TypeVar("First")
Second = TypeVar("Second")
Out = TypeVar("Out", covariant=True)

CORE = "_snakepit_core"


class _Core:
    """One count of this process on an actor."""

    __slots__ = ("id", "runtime", "table")

    def __init__(self, runtime: Runtime, identifier: int, table: MethodTable) -> None:
        self.runtime = runtime
        self.id = identifier
        self.table = table

    def __del__(self) -> None:
        self.runtime.drop(self.id)

    def __repr__(self) -> str:
        return f"{self.table.kind}, {hex_id(self.runtime.run, self.id)}"


@final
class _WeakCore(_Core):
    """No count: what an actor knows itself by, which must not keep it alive."""

    __slots__ = ()

    def __del__(self) -> None:
        return


@final
class ActorMethod(Generic[P, Out]):
    """A method of an actor, to be called by `.remote(...)`.

    Type checkers know its parameters and result if `method` decorates it, and its class derives
    from `snakepit.actor.Actor`; else it is an `ActorMethod[..., Any]`. References may be
    arguments as they may of a `TaskCall`.
    """

    __slots__ = ("_core", "_definition", "_high", "_low", "_make", "_signature")

    def __init__(self, core: _Core, definition: Definition, signature: Signature) -> None:
        """Made by a handle when it is asked for the method."""
        self._core = core
        self._definition = definition
        self._signature = signature
        self._low, self._high = signature.low, signature.high
        self._make = maker_of(definition.template.returns)

    @overload
    def remote(self, *args: P.args, **kwargs: P.kwargs) -> Out: ...

    @overload
    def remote(
        self: ActorMethod[Concatenate[First, Rest], Out],
        first: ObjectRef[First],
        /,
        *args: Rest.args,
        **kwargs: Rest.kwargs,
    ) -> Out: ...

    @overload
    def remote(
        self: ActorMethod[Concatenate[First, Second, Rest], Out],
        first: First,
        second: ObjectRef[Second],
        /,
        *args: Rest.args,
        **kwargs: Rest.kwargs,
    ) -> Out: ...

    @overload
    def remote(
        self: ActorMethod[Concatenate[First, Second, Rest], Out],
        first: ObjectRef[First],
        second: ObjectRef[Second],
        /,
        *args: Rest.args,
        **kwargs: Rest.kwargs,
    ) -> Out: ...

    @overload
    def remote(
        self, first: Any, second: Any, third: ObjectRef[Any], /, *args: Any, **kwargs: Any
    ) -> Out: ...

    @overload
    def remote(
        self,
        first: Any,
        second: Any,
        third: Any,
        fourth: ObjectRef[Any],
        /,
        *args: Any,
        **kwargs: Any,
    ) -> Out: ...

    def remote(  # type: ignore[misc] # mypy does not see that it takes whatever the others do.
        self, *args: Any, **kwargs: Any
    ) -> Any:
        """Call the method; calls that one process makes run in the order that it made them.

        Args:
            args: arguments by position.
            kwargs: arguments by name.

        Returns:
            A reference to what it returns; None or a list of references by `num_returns`.

        Raises:
            TypeError: the arguments do not fit the method.
            SerializationError: an argument cannot be sent.
            PendingCallsLimitExceeded: `max_pending_calls` of this process's calls are unanswered.
        """
        core = self._core
        runtime = core.runtime
        if runtime is not current():
            raise stale(f"the actor {core}")
        if kwargs or not self._low <= len(args) <= self._high:
            self._signature.check(f"{self._definition.template.method}.remote", args, kwargs)
        limit = self._definition.template.max_pending
        if limit and runtime.pending_calls(core.id) >= limit:
            raise _too_many(self._definition.template.name, limit)
        return runtime.call(core.id, self._definition, args, kwargs, self._make)

    @overload
    def options(
        self, *, num_returns: int | Literal["streaming"], **options: Unpack[CallOptions]
    ) -> ActorMethod[P, Any]: ...

    @overload
    def options(self, **options: Unpack[CallOptions]) -> ActorMethod[P, Out]: ...

    def options(self, **options: Any) -> ActorMethod[P, Any]:
        """Return the method with other options for its calls.

        Raises:
            TypeError: an option is unknown or of a wrong type.
            OptionError: an option has a value that is not allowed, or is not supported.
        """
        old = self._definition
        given: Mapping[str, Any] = options
        changed = merge({}, check_options("a method", given, CALL_CHECKS, METHOD_LATER))
        group = changed.get("concurrency_group", old.template.group)
        check_group(group, self._core.table.kind, old.template.method, self._core.table.groups)
        template = method_template(
            changed.get("name", old.template.name),
            old.template.method,
            changed.get("num_returns", old.template.returns),
            changed.get("max_task_retries", old.template.max_retries),
            old.template.flavour,
            group,
            changed.get(BACKPRESSURE, old.template.backpressure),
            old.template.max_pending,
            changed.get("timeout", old.template.timeout),
        )
        retry_on = changed.get("retry_exceptions", old.retry_on)
        return ActorMethod(self._core, Definition(None, template, retry_on), self._signature)

    def __call__(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse: a method runs by `.remote()`.

        Raises:
            TypeError: always, and says how.
        """
        method = self._definition.template.method
        raise TypeError(
            f"an actor's method cannot be called directly: write handle.{method}.remote(...)"
        )

    def __repr__(self) -> str:
        return f"ActorMethod({self._definition.template.name} of {self._core})"


class ActorHandle(Generic[T]):
    """An actor, as its callers hold it: `handle.method.remote(...)` calls a method.

    Handles may be sent to tasks and other actors. The actor ends with its last handle.
    """

    def __init__(self, runtime: Runtime, identifier: int, table: MethodTable) -> None:
        """Take over one count on the actor; users get handles from `.remote()` and `get_actor`."""
        self.__dict__[CORE] = _Core(runtime, identifier, table)

    def __getattr__(self, name: str) -> ActorMethod[..., Any]:
        core = self.__dict__.get(CORE)
        if core is None:
            raise AttributeError(name)
        entry = core.table.find(name)
        if entry is None:
            known = ", ".join(sorted(core.table.entries)) or "none"
            raise AttributeError(
                f"the actor class {core.table.kind} has no method {name!r}; its methods: {known}",
                name=name,
                obj=self,
            )
        method: ActorMethod[..., Any] = ActorMethod(core, entry.definition, entry.signature)
        # Found without __getattr__ from now on, which is several times as fast.
        self.__dict__[name] = method
        return method

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(
            f"cannot set {name!r} on a handle: an actor's state is changed by its methods",
            name=name,
            obj=self,
        )

    def __dir__(self) -> list[str]:
        return sorted({*object.__dir__(self), *core_of(self).table.entries} - {CORE})

    def __repr__(self) -> str:
        return f"ActorHandle({core_of(self)})"

    def __hash__(self) -> int:
        return hash(core_of(self).id)

    def __eq__(self, other: object) -> bool:
        if type(other) is not ActorHandle:
            return NotImplemented
        mine, theirs = core_of(self), core_of(other)
        return mine.id == theirs.id and mine.runtime.run == theirs.runtime.run

    def __copy__(self) -> ActorHandle[T]:
        return self

    def __deepcopy__(self, memo: object) -> ActorHandle[T]:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        from ..payload import note_reference

        core = core_of(self)
        if core.runtime is not current():
            raise stale(f"the actor {core}")
        note_reference(core.id)
        return rebuild_handle, (core.runtime.run, core.id, core.table.description)


def _too_many(method: str, limit: int) -> Exception:
    from ..faults import Failure, to_exception

    return to_exception(Failure("pending_calls", {"actor": method, "limit": limit}))


def core_of(handle: ActorHandle[Any]) -> _Core:
    """Return what the handle stands for."""
    core: _Core = handle.__dict__[CORE]
    return core


def weak_handle(runtime: Runtime, identifier: int, description: Any) -> ActorHandle[Any]:
    """Make a handle that does not keep its actor alive."""
    handle: ActorHandle[Any] = ActorHandle.__new__(ActorHandle)
    handle.__dict__[CORE] = _WeakCore(runtime, identifier, table_of(description))
    return handle


def rebuild_handle(run: str, identifier: int, description: Any) -> ActorHandle[Any]:
    """Make a handle from what was pickled, and count it."""
    runtime = runtime_of_run(run, "a handle")
    table = table_of(description)
    runtime.hold(identifier)
    return ActorHandle(runtime, identifier, table)
