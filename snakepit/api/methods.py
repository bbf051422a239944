"""The methods of an actor class, described so that a handle can be made without the class.

A description is plain (tuples, strings, integers, bytes), since it travels in msgpack and in
pickles: `(class, (row, ...), groups, max_pending)`, where a row is `(method, returns, retries,
retry on, parameters, flavour, group, backpressure)`; `retry on` is a bool, or the pickle of
exception classes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator
from functools import lru_cache
from types import FunctionType
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    Final,
    Literal,
    NamedTuple,
    ParamSpec,
    TypeVar,
    Unpack,
    final,
    overload,
)

from ..builtin_methods import BUILT_IN
from ..errors import OptionError
from ..protocol import Definition
from ..wire.messages import ASYNC, PLAIN, STREAMING
from .options import (
    BACKPRESSURE,
    METHOD_CHECKS,
    METHOD_LATER,
    MethodOptions,
    RetryOn,
    check_options,
    merge,
)
from .signature import Signature, flavour_of, parameters_of
from .templates import method_template

if TYPE_CHECKING:
    from .generators import ObjectRefGenerator
    from .refs import ObjectRef
    from .typed import ManyMethodDecorator, MethodDecorator, StreamMethodDecorator, TypedMethod

R = TypeVar("R")
P = ParamSpec("P")

MARK: Final = "__snakepit_method__"

# Called by Python on the instance in the worker, or on the class; never through a handle.
_NOT_CALLED: Final = frozenset(
    "__init__ __new__ __del__ __init_subclass__ __class_getitem__ __getattr__ __getattribute__"
    " __setattr__ __delattr__ __reduce__ __reduce_ex__ __getstate__ __setstate__".split()
)


class MethodEntry(NamedTuple):
    """What a call of a method needs."""

    definition: Definition
    signature: Signature


@final
class MethodTable:
    """The methods that handles of one class offer; shared by them, and never changed.

    Attributes:
        kind: the class's name.
        groups: the names of its concurrency groups.
        max_pending: how many calls of one process may be unanswered; 0 is no limit.
        flavour: ASYNC if one of its methods is a coroutine function.
        description: the plain form, which `table_of` reads.
        entries: by the method's name.
        grouped: those of them that name a concurrency group.
    """

    __slots__ = ("description", "entries", "flavour", "grouped", "groups", "kind", "max_pending")

    def __init__(self, description: Any, retry_on: dict[str, RetryOn]) -> None:
        self.description = description
        self.kind: str = description[0]
        self.groups: tuple[str, ...] = description[2]
        self.max_pending: int = description[3]
        self.flavour = PLAIN
        self.entries: dict[str, MethodEntry] = {}
        for row in description[1]:
            name, returns, retries, _, parameters, flavour, group, ahead, timeout = row
            full = f"{self.kind}.{name}"
            template = method_template(
                full, name, returns, retries, flavour, group, ahead, self.max_pending, timeout
            )
            definition = Definition(None, template, retry_on[name])
            self.entries[name] = MethodEntry(definition, Signature(parameters))
            self.flavour = max(self.flavour, flavour)
        self.grouped = {n: e for n, e in self.entries.items() if e.definition.template.group}

    def find(self, name: str) -> MethodEntry | None:
        """Return the entry of a method, one of the class or one that every actor has."""
        entry = self.entries.get(name)
        if entry is None and name in BUILT_IN:
            full = f"{self.kind}.{name}"
            template = method_template(full, name, 1, 0, max_pending=self.max_pending)
            parameters = parameters_of(BUILT_IN[name], bound=True)
            entry = MethodEntry(Definition(None, template), Signature(parameters))
        return entry

    def __reduce__(self) -> tuple[Any, ...]:
        return table_of, (self.description,)


def check_group(group: str, kind: str, method: str, groups: Iterable[str]) -> None:
    """Refuse a concurrency group that the actor does not have.

    Raises:
        OptionError: `group` names none of `groups`.
    """
    if group and group not in groups:
        known = ", ".join(map(repr, groups)) or "none"
        raise OptionError(
            f"concurrency_group={group!r} of {kind}.{method}: the actor has no such group; it has: "
            f"{known}. Name it in concurrency_groups of the class"
        )


def describe_class(
    cls: type[Any], max_task_retries: int, groups: tuple[str, ...] = (), max_pending: int = 0
) -> MethodTable:
    """Return the methods of a class.

    Args:
        cls: the class of the actor.
        max_task_retries: for methods that do not say.
        groups: the names of its concurrency groups.
        max_pending: how many calls of one process may be unanswered; 0 is no limit.

    Raises:
        OptionError: its constructor is a coroutine function or a generator function.
    """
    rows, retry_on = [], {}
    for name, raw in _methods_of(cls):
        options = getattr(raw, MARK, None) or getattr(_plain(raw), MARK, {})
        retry_on[name] = retry = options.get("retry_exceptions", False)
        flavour = flavour_of(_plain(raw))
        rows.append(
            (
                name,
                options.get("num_returns", STREAMING if flavour.endswith("generator") else 1),
                options.get("max_task_retries", max_task_retries),
                _pickled(retry) if isinstance(retry, tuple) else retry,
                _parameters(raw),
                ASYNC if flavour.startswith("async") else PLAIN,
                options.get("concurrency_group", ""),
                options.get(BACKPRESSURE, 0),
                options.get("timeout", 0.0),
            )
        )
    return MethodTable((cls.__name__, tuple(rows), groups, max_pending), retry_on)


def table_of(description: Any) -> MethodTable:
    """Return the table that a description tells of, whatever msgpack made of its tuples."""
    return _table(_frozen(description))


@lru_cache(maxsize=256)
def _table(description: Any) -> MethodTable:
    retry_on = {row[0]: row[3] for row in description[1]}
    for name, kinds in retry_on.items():
        if isinstance(kinds, bytes):
            retry_on[name] = _unpickled(kinds)
    return MethodTable(description, retry_on)


def _frozen(item: Any) -> Any:
    return tuple(map(_frozen, item)) if isinstance(item, (list, tuple)) else item


def _pickled(kinds: tuple[type[BaseException], ...]) -> bytes:
    import cloudpickle

    data: bytes = cloudpickle.dumps(kinds)
    return data


def _unpickled(data: bytes) -> RetryOn:
    import pickle

    kinds: RetryOn = pickle.loads(data)
    return kinds


def _plain(raw: Any) -> Any:
    return raw.__func__ if isinstance(raw, (staticmethod, classmethod)) else raw


def _parameters(raw: Any) -> Any:
    if isinstance(raw, staticmethod):
        return parameters_of(raw.__func__)
    # What is no plain function decides for itself what it is bound to.
    if isinstance(raw, (FunctionType, classmethod)):
        return parameters_of(_plain(raw), bound=True)
    return parameters_of(None)


def _methods_of(cls: type[Any]) -> Iterator[tuple[str, Any]]:
    found: dict[str, Any] = {}
    for base in reversed(cls.__mro__[:-1]):
        found.update(vars(base))
    for name, raw in found.items():
        target = _plain(raw)
        if name == "__init__":
            _refuse_flavours(cls, target)
        if name in _NOT_CALLED or isinstance(raw, type):
            continue
        if callable(target) and hasattr(type(raw), "__get__"):
            yield name, raw


def _refuse_flavours(cls: type[Any], target: Any) -> None:
    flavour = flavour_of(target)
    if flavour != "plain":
        article = "an" if flavour.startswith("async") else "a"
        raise OptionError(
            f"{cls.__name__}.__init__ is {article} {flavour} function, "
            "which cannot make an instance"
        )


def constructor_parameters(cls: type[Any]) -> Any:
    """Return the parameters that a call of the class takes."""
    for name in ("__init__", "__new__"):
        target = getattr(cls, name)
        if isinstance(target, FunctionType):
            return parameters_of(target, bound=True)
        if target is not getattr(object, name):
            return parameters_of(None)
    return ()


# What is annotated to return an iterator is taken for a generator function.
@overload
def method(  # type: ignore[overload-overlap]
    function: Callable[Concatenate[Any, P], Iterator[R]], /
) -> TypedMethod[P, Iterator[R], ObjectRefGenerator[R]]: ...


@overload
def method(  # type: ignore[overload-overlap]
    function: Callable[Concatenate[Any, P], AsyncIterator[R]], /
) -> TypedMethod[P, AsyncIterator[R], ObjectRefGenerator[R]]: ...


@overload
def method(
    function: Callable[Concatenate[Any, P], Coroutine[Any, Any, R]], /
) -> TypedMethod[P, Coroutine[Any, Any, R], ObjectRef[R]]: ...


@overload
def method(function: Callable[Concatenate[Any, P], R], /) -> TypedMethod[P, R, ObjectRef[R]]: ...


@overload
def method(
    *, num_returns: Literal["streaming"], **options: Unpack[MethodOptions]
) -> StreamMethodDecorator: ...


@overload
def method(*, num_returns: int, **options: Unpack[MethodOptions]) -> ManyMethodDecorator: ...


@overload
def method(**options: Unpack[MethodOptions]) -> MethodDecorator: ...


def method(*targets: Any, **options: Any) -> Any:
    """Give a method of an actor class options of its own, and types to those who call it.

    `@method` alone types the calls, if the class derives from `snakepit.actor.Actor`;
    `@method(num_returns=2)` gives options too.

    Args:
        targets: the method.
        options: `num_returns`, `max_task_retries`, `retry_exceptions`, `concurrency_group`,
            `timeout`, `_generator_backpressure_num_objects`.

    Returns:
        The method itself; with options, a decorator that returns it.

    Raises:
        TypeError: neither a method nor options are given; one is unknown or of a wrong type.
        OptionError: an option has a value that is not allowed, or is not supported.
    """
    if len(targets) == 1 and not options:
        return _marked(targets[0], {})
    if targets or not options:
        raise TypeError(
            "@method decorates a method, alone or with options by name: "
            "@method or @method(num_returns=2)"
        )
    checked = merge({}, check_options("a method", options, METHOD_CHECKS, METHOD_LATER))
    return lambda function: _marked(function, checked)


def _marked(function: Any, options: dict[str, Any]) -> Any:
    if not callable(_plain(function)):
        raise TypeError(f"@method decorates methods, not {type(function).__name__} objects")
    setattr(function, MARK, options)
    return function
