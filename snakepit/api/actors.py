"""Actor classes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import WRAPPER_ASSIGNMENTS, update_wrapper
from typing import Any, Generic, NoReturn, TypeVar, Unpack, final

from ..errors import ActorAlreadyExistsError, OptionError, SnakepitError
from ..protocol import Definition, Runtime, current
from .calls import get_actor
from .context import running
from .functions import MAX_VARIANTS
from .handles import ActorHandle
from .methods import MethodTable, check_group, constructor_parameters, describe_class
from .options import (
    ACTOR_CHECKS,
    ACTOR_LATER,
    ActorOptions,
    check_options,
    finds_by_name,
    full_name,
    group_names,
    merge,
)
from .portable import Portable
from .signature import Signature
from .templates import actor_template

T = TypeVar("T")


@final
class ActorClassInheritanceError(SnakepitError, TypeError):
    """An actor class cannot be a base class."""


class ActorFactory(Portable, Generic[T]):
    """A class with its options, ready to make actors: what `A.options(...)` returns."""

    def __init__(
        self,
        definition: Definition,
        signature: Signature,
        table: MethodTable,
        get_if_exists: bool = False,
    ) -> None:
        """Made by `remote` and `options`, never by users."""
        self._bind(definition, signature)
        self._table = table
        self._get_if_exists = get_if_exists

    def remote(self, *args: Any, **kwargs: Any) -> ActorHandle[T]:
        """Start an actor: an instance of the class in a process of its own.

        Args:
            args: the constructor's arguments by position.
            kwargs: the constructor's arguments by name.

        Returns:
            Its handle, at once; what its constructor raises, its first call reports. With
            `get_if_exists` the handle of the actor that has the name, if there is one.

        Raises:
            TypeError: the arguments do not fit the constructor.
            ActorAlreadyExistsError: its name is taken, and `get_if_exists` not given.
            OptionError: `get_if_exists` is given, and no name.
            SerializationError: an argument cannot be sent.
        """
        self._check_groups()
        signature = self._signature
        if kwargs or not signature.low <= len(args) <= signature.high:
            signature.check(f"{self._definition.template.name}.remote", args, kwargs)
        runtime = current() or running()
        if self._get_if_exists:
            return self._found_or_made(runtime, args, kwargs)
        return self._made(runtime, args, kwargs)

    def _made(
        self, runtime: Runtime, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> ActorHandle[T]:
        made: ActorHandle[T] = runtime.create(
            self._definition, args, kwargs, self._table.description, self._make
        )
        return made

    def _found_or_made(
        self, runtime: Runtime, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> ActorHandle[T]:
        template = self._definition.template
        if not template.actor_name:
            raise OptionError(
                "get_if_exists=True needs a name: options(name=..., get_if_exists=True)"
            )
        while True:
            try:
                return get_actor(template.actor_name, template.namespace or None)
            except ValueError:
                try:
                    return self._made(runtime, args, kwargs)
                except ActorAlreadyExistsError:
                    continue  # Another was faster, and may be gone by now.

    def _make(self, runtime: Runtime, identifier: int) -> ActorHandle[T]:
        return ActorHandle(runtime, identifier, self._table)

    def _check_groups(self) -> None:
        # Here and not when the class is decorated: options() may name the groups later.
        for name, entry in self._table.grouped.items():
            group = entry.definition.template.group
            check_group(group, self._table.kind, name, self._table.groups)

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
        retries = self._options.get("max_task_retries", 0)
        pending = self._options.get("max_pending_calls", 0)
        table = describe_class(cls, retries, group_names(self._options), pending)
        template = actor_template(cls.__name__, self._options, table.flavour, full_name(cls))
        super().__init__(
            Definition(cls, template),
            Signature(constructor_parameters(cls)),
            table,
            finds_by_name(self._options),
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
        merged = merge(self._options, checked)
        template = actor_template(
            own.template.name, merged, self._table.flavour, own.template.function
        )
        finds = finds_by_name(merged)
        known = self._variants.get((template, finds))
        if known is not None:
            return known
        table = self._table
        described = (template.max_task_retries, group_names(merged), template.max_pending)
        if described != (own.template.max_task_retries, table.groups, table.max_pending):
            table = describe_class(own.target, *described)
        if len(self._variants) >= MAX_VARIANTS:
            self._variants.clear()
        made: ActorFactory[T] = ActorFactory(
            Definition(own.target, template), self._signature, table, finds
        )
        return self._variants.setdefault((template, finds), made)
