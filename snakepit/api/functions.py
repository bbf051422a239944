"""Remote functions.

What `.remote()` needs is worked out when the function is decorated. A call costs a comparison of
the number of arguments, a look at the process's slot, and one reference.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import update_wrapper
from typing import Any, Final, Generic, NoReturn, TypeVar, Unpack, final, overload

from ..errors import OptionError
from ..protocol import Definition, current
from .context import running
from .options import (
    TASK_CHECKS,
    TASK_LATER,
    RetryOn,
    TaskOptions,
    check_options,
    merge,
    task_template,
)
from .portable import Portable
from .refs import maker_of
from .signature import Signature, flavour_of, parameters_of

Out = TypeVar("Out", covariant=True)

MAX_VARIANTS: Final = 64
"""How many sets of options a function or class remembers: each has a definition of its own."""


class TaskCall(Portable, Generic[Out]):
    """A function with its options, ready to be called: what `f.options(...)` returns.

    `Out` is what `.remote()` returns: `ObjectRef[int]` for a function that returns an int.
    """

    __slots__ = ("_high", "_low", "_make")

    def __init__(self, definition: Definition, signature: Signature) -> None:
        """Made by `remote` and `options`, never by users."""
        self._bind(definition, signature)

    def _bind(self, definition: Definition, signature: Signature) -> None:
        super()._bind(definition, signature)
        self._low, self._high = signature.low, signature.high
        self._make = maker_of(definition.template.returns)

    def remote(self, *args: Any, **kwargs: Any) -> Out:
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
        made: Out = runtime.submit(self._definition, args, kwargs, self._make)
        return made

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
class RemoteFunction(TaskCall[Out]):
    """A function that `remote` decorated; the function itself is its `__wrapped__`."""

    __name__: str
    __wrapped__: Callable[..., Any]

    def __init__(self, function: Callable[..., Any], options: Mapping[str, Any]) -> None:
        """Made by `remote`.

        Raises:
            ValueError: the function is a coroutine function or a generator.
        """
        name = getattr(function, "__name__", type(function).__name__)
        _refuse_flavours(function, name)
        # First, since it copies the function's own attributes, which must not win.
        update_wrapper(self, function)
        self._options = merge({}, check_options("a task", options, TASK_CHECKS, TASK_LATER))
        self._variants: dict[Any, TaskCall[Any]] = {}
        template = task_template(name, self._options)
        definition = Definition(function, template, self._options.get("retry_exceptions", False))
        super().__init__(definition, Signature(parameters_of(function)))

    @overload
    def options(self, *, num_returns: int, **options: Unpack[TaskOptions]) -> TaskCall[Any]: ...

    @overload
    def options(self, **options: Unpack[TaskOptions]) -> TaskCall[Out]: ...

    def options(self, **options: Any) -> TaskCall[Any]:
        """Return the function with other options; those not named stay as they were decorated.

        Raises:
            TypeError: an option is unknown or of a wrong type.
            OptionError: an option has a value that is not allowed, or is not supported.
        """
        checked = check_options("a task", options, TASK_CHECKS, TASK_LATER)
        merged = merge(self._options, checked)
        own = self._definition
        template = task_template(getattr(self, "__name__", own.template.name), merged)
        retry_on: RetryOn = merged.get("retry_exceptions", False)
        known = self._variants.get((template, retry_on))
        if known is not None:
            return known
        if len(self._variants) >= MAX_VARIANTS:
            self._variants.clear()
        made: TaskCall[Any] = TaskCall(Definition(own.target, template, retry_on), self._signature)
        return self._variants.setdefault((template, retry_on), made)


def _refuse_flavours(function: Callable[..., Any], name: str) -> None:
    flavour = flavour_of(function)
    if flavour == "async":
        raise ValueError(
            f"{name} is an async function, and a task runs to its end in one process: make it a "
            "plain function, which may call asyncio.run(...)"
        )
    if flavour == "generator":
        raise OptionError(
            f"{name} is a generator, which tasks do not support yet: return a list instead"
        )
