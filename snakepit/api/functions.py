"""Remote functions.

What `.remote()` needs is worked out when the function is decorated. A call costs a comparison of
the number of arguments, a look at the process's slot, and one reference.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import update_wrapper
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    Final,
    Generic,
    Literal,
    NoReturn,
    ParamSpec,
    TypeVar,
    Unpack,
    final,
    overload,
)

from ..errors import OptionError
from ..protocol import Definition, Runtime, current
from ..wire.messages import STREAMING, SessionKey
from .context import running
from .generators import Dynamic, maker_of
from .options import (
    DYNAMIC,
    TASK_CHECKS,
    TASK_LATER,
    TaskOptions,
    check_options,
    full_name,
    merge,
)
from .portable import Portable
from .signature import Signature, flavour_of, parameters_of
from .templates import task_template

if TYPE_CHECKING:
    from .refs import ObjectRef

P = ParamSpec("P")
Rest = ParamSpec("Rest")
First = TypeVar("First")
Second = TypeVar("Second")
Out = TypeVar("Out", covariant=True)

MAX_VARIANTS: Final = 64
"""How many sets of options a function or class remembers: each has a definition of its own."""


class TaskCall(Portable, Generic[P, Out]):
    """A function with its options, ready to be called: what `f.options(...)` returns.

    `P` are the function's parameters, and `Out` is what `.remote()` returns: `ObjectRef[int]` for
    a function that returns an int. To type checkers each of the first two arguments by position
    may be a reference to what the function wants; with one in the third or fourth place they
    leave the call's arguments alone.
    """

    __slots__ = ("_high", "_low", "_make", "_session")

    def __init__(self, definition: Definition, signature: Signature) -> None:
        """Made by `remote` and `options`, never by users."""
        self._bind(definition, signature)

    def _bind(self, definition: Definition, signature: Signature) -> None:
        super()._bind(definition, signature)
        self._low, self._high = signature.low, signature.high
        self._make = maker_of(definition.template.returns)
        self._session = ""

    @overload
    def remote(self, *args: P.args, **kwargs: P.kwargs) -> Out: ...

    @overload
    def remote(
        self: TaskCall[Concatenate[First, Rest], Out],
        first: ObjectRef[First],
        /,
        *args: Rest.args,
        **kwargs: Rest.kwargs,
    ) -> Out: ...

    @overload
    def remote(
        self: TaskCall[Concatenate[First, Second, Rest], Out],
        first: First,
        second: ObjectRef[Second],
        /,
        *args: Rest.args,
        **kwargs: Rest.kwargs,
    ) -> Out: ...

    @overload
    def remote(
        self: TaskCall[Concatenate[First, Second, Rest], Out],
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
        """Start the function in a worker process; references among its arguments are resolved.

        Args:
            args: its arguments by position.
            kwargs: its arguments by name.

        Returns:
            A reference to what it returns; None or a list of references by `num_returns`.

        Raises:
            TypeError: the arguments do not fit the function.
            SerializationError: an argument cannot be sent.
        """
        if kwargs or not self._low <= len(args) <= self._high:
            self._signature.check(f"{self._definition.template.name}.remote", args, kwargs)
        runtime = current() or running()
        return runtime.submit(self._definition, args, kwargs, self._make, self._session)

    def start(
        self,
        runtime: Runtime,
        session: SessionKey,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Out:
        """Start it as a call of a session that was opened in `runtime`; see `remote`."""
        if kwargs or not self._low <= len(args) <= self._high:
            self._signature.check(f"{self._definition.template.name}.remote", args, kwargs)
        started: Out = runtime.submit(self._definition, args, kwargs, self._make, session)
        return started

    def in_session(self, session: str) -> TaskCall[P, Out]:
        """Return it as calls of the session with this id."""
        made: TaskCall[P, Out] = TaskCall(self._definition, self._signature)
        made._session = session
        return made

    def in_pool(self, session: str, pool: str) -> TaskCall[P, Out]:
        """Return it for the pool of a session.

        Args:
            session: the session's id, for the error.
            pool: the session's pool; "": the one that the function is for.

        Raises:
            OptionError: the function is for another pool, or another session.
        """
        own = self._definition
        template = own.template
        if self._session not in ("", session):
            raise OptionError(
                f"{template.name} is for session {self._session!r}, by its options, and is given "
                f"to session {session!r}: leave that option out"
            )
        if not pool or template.pool == pool:
            return self
        if template.pool:
            raise OptionError(
                f"{template.name} is for pool {template.pool!r}, and session {session!r} for pool "
                f"{pool!r}: give both the same"
            )
        there = Definition(own.target, template._replace(pool=pool), own.retry_on)
        return TaskCall(there, self._signature)

    def check_hook(self, option: str) -> None:
        """Look whether it can be the setup or teardown of a session.

        Raises:
            TypeError: it needs arguments.
            OptionError: it does not return one value.
        """
        template = self._definition.template
        self._signature.check(f"{option}={template.name}", (), {})
        if template.returns != 1:
            raise OptionError(
                f"{option}={template.name}: the {option} of a session is a function of one value, "
                "no generator and with no num_returns"
            )

    def __call__(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse: a remote function runs by `.remote()`.

        Raises:
            TypeError: always, and says how.
        """
        name = self._definition.template.name
        raise TypeError(
            f"a remote function cannot be called directly: write {name}.remote(...) to run it in "
            f"a worker, or {name}.__wrapped__(...) to run it here"
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._definition.template.name}>"


@final
class RemoteFunction(TaskCall[P, Out]):
    """A function that `remote` decorated; the function itself is its `__wrapped__`."""

    __name__: str
    __wrapped__: Callable[P, Any]

    def __init__(self, function: Callable[P, Any], options: Mapping[str, Any]) -> None:
        """Made by `remote`.

        Raises:
            ValueError: the function is a coroutine function.
        """
        name = getattr(function, "__name__", type(function).__name__)
        flavour = _flavour(function, name)
        # First, since it copies the function's own attributes, which must not win.
        update_wrapper(self, function)
        self._options = merge({}, check_options("a task", options, TASK_CHECKS, TASK_LATER))
        if flavour == "generator":
            self._options.setdefault("num_returns", STREAMING)
        self._function = function
        self._variants: dict[Any, TaskCall[P, Any]] = {}
        super().__init__(self._define(self._options), Signature(parameters_of(function)))
        self._session = self._options.get("session", "")

    def _define(self, options: Mapping[str, Any]) -> Definition:
        """Return the function as these options want it called."""
        dynamic = options.get("num_returns") == DYNAMIC
        target = Dynamic(self._function) if dynamic else self._function
        name = getattr(self, "__name__", type(self._function).__name__)
        asked = {**options, "num_returns": 1} if dynamic else options
        template = task_template(name, asked, full_name(self._function))
        return Definition(target, template, options.get("retry_exceptions", False))

    @overload
    def options(
        self, *, num_returns: int | Literal["streaming", "dynamic"], **options: Unpack[TaskOptions]
    ) -> TaskCall[P, Any]: ...

    @overload
    def options(self, **options: Unpack[TaskOptions]) -> TaskCall[P, Out]: ...

    def options(self, **options: Any) -> TaskCall[P, Any]:
        """Return the function with other options; those not named stay as they were decorated.

        Raises:
            TypeError: an option is unknown or of a wrong type.
            OptionError: an option has a value that is not allowed, or is not supported.
        """
        checked = check_options("a task", options, TASK_CHECKS, TASK_LATER)
        merged = merge(self._options, checked)
        session = merged.pop("session", "")
        found = self._variant(merged)
        return found.in_session(session) if session else found

    def _variant(self, merged: dict[str, Any]) -> TaskCall[P, Any]:
        definition = self._define(merged)
        key = (definition.template, definition.retry_on, merged.get("num_returns"))
        known = self._variants.get(key)
        if known is not None:
            return known
        if len(self._variants) >= MAX_VARIANTS:
            self._variants.clear()
        made: TaskCall[P, Any] = TaskCall(definition, self._signature)
        return self._variants.setdefault(key, made)


def _flavour(function: Callable[..., Any], name: str) -> str:
    flavour = flavour_of(function)
    if flavour in ("async", "async generator"):
        raise ValueError(
            f"{name} is an async function, and a task runs to its end in one process: make it a "
            "plain function, which may call asyncio.run(...), or a method of an actor"
        )
    return flavour
