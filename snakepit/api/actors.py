"""Actor classes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import WRAPPER_ASSIGNMENTS, update_wrapper
from typing import Any, Generic, NoReturn, TypeVar, Unpack, final

from ..errors import SnakepitError
from ..protocol import Definition, current
from .context import running
from .functions import MAX_VARIANTS
from .handles import ActorHandle
from .methods import MethodTable, constructor_parameters, describe_class
from .options import ACTOR_CHECKS, ACTOR_LATER, ActorOptions, actor_template, check_options, merge
from .portable import Portable
from .signature import Signature

T = TypeVar("T")


@final
class ActorClassInheritanceError(SnakepitError, TypeError):
    """An actor class cannot be a base class."""


class ActorFactory(Portable, Generic[T]):
    """A class with its options, ready to make actors: what `A.options(...)` returns."""

    def __init__(self, definition: Definition, signature: Signature, table: MethodTable) -> None:
        """Made by `remote` and `options`, never by users."""
        self._bind(definition, signature)
        self._table = table

    def remote(self, *args: Any, **kwargs: Any) -> ActorHandle[T]:
        """Start an actor: an instance of the class in a process of its own.

        Args:
            args: the constructor's arguments by position.
            kwargs: the constructor's arguments by name.

        Returns:
            Its handle, at once; what its constructor raises, its first call reports.

        Raises:
            TypeError: the arguments do not fit the constructor.
            ActorAlreadyExistsError: its name is taken.
            SerializationError: an argument cannot be sent.
        """
        signature = self._signature
        if kwargs or not signature.low <= len(args) <= signature.high:
            signature.check(f"{self._definition.template.name}.remote", args, kwargs)
        runtime = current() or running()
        identifier = runtime.create(self._definition, args, kwargs, self._table.description)
        return ActorHandle(runtime, identifier, self._table)

    def __call__(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse: an actor is made by `.remote()`.

        Raises:
            TypeError: always, and says how.
        """
        name = self._definition.template.name
        raise TypeError(
            f"an actor class cannot be called directly: write {name}.remote(...) to start an "
            f"actor, or {name}.__wrapped__(...) for a plain instance here"
        )

    def __mro_entries__(self, bases: tuple[Any, ...]) -> NoReturn:
        """Refuse: an actor class is no base class.

        Raises:
            ActorClassInheritanceError: always, and says how.
        """
        name = self._definition.template.name
        raise ActorClassInheritanceError(
            f"an actor class cannot be a base class: derive from the plain class, which is "
            f"{name}.__wrapped__, and decorate what you derived"
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._definition.template.name}>"


@final
class ActorClass(ActorFactory[T]):
    """A class that `remote` decorated; the class itself is its `__wrapped__`."""

    __name__: str
    __wrapped__: type[T]

    def __init__(self, cls: type[T], options: Mapping[str, Any]) -> None:
        """Made by `remote`.

        Raises:
            TypeError: an option is unknown or of a wrong type.
            OptionError: an option has a value that is not allowed, or is not supported; or the
                class has methods that are not supported yet.
        """
        update_wrapper(self, cls, WRAPPER_ASSIGNMENTS, updated=())
        self._options = merge({}, check_options("an actor", options, ACTOR_CHECKS, ACTOR_LATER))
        self._variants: dict[Any, ActorFactory[T]] = {}
        template = actor_template(cls.__name__, self._options)
        super().__init__(
            Definition(cls, template),
            Signature(constructor_parameters(cls)),
            describe_class(cls, template.max_task_retries),
        )

    def options(self, **options: Unpack[ActorOptions]) -> ActorFactory[T]:
        """Return the class with other options; those not named stay as they were decorated.

        Raises:
            TypeError: an option is unknown or of a wrong type.
            OptionError: an option has a value that is not allowed, or is not supported.
        """
        given: Mapping[str, Any] = options
        checked = check_options("an actor", given, ACTOR_CHECKS, ACTOR_LATER)
        own = self._definition
        template = actor_template(own.template.name, merge(self._options, checked))
        known = self._variants.get(template)
        if known is not None:
            return known
        table = self._table
        if template.max_task_retries != own.template.max_task_retries:
            table = describe_class(own.target, template.max_task_retries)
        if len(self._variants) >= MAX_VARIANTS:
            self._variants.clear()
        made: ActorFactory[T] = ActorFactory(
            Definition(own.target, template), self._signature, table
        )
        return self._variants.setdefault(template, made)
