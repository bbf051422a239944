"""The decorator that makes functions and classes remote."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, Protocol, TypeVar, Unpack, overload

from .actors import ActorClass, ActorFactory
from .functions import RemoteFunction, TaskCall
from .generators import ObjectRefGenerator
from .handles import ActorHandle, ActorMethod
from .options import ActorOptions, CommonOptions, TaskOptions
from .refs import ObjectRef

if TYPE_CHECKING:
    from .typed import Actor

T = TypeVar("T")
R = TypeVar("R")
P = ParamSpec("P")
A = TypeVar("A", bound="Actor")


class _Free:
    """What no function says that it returns, so that it stands for `Any` and type variables.

    Checkers would else take these for iterators, and their functions for generator functions.
    """


class _Decorator(Protocol):
    """What `remote` with options returns, if they fit both functions and classes."""

    # A class is callable too; the order of the overloads decides, as it is meant to.
    @overload
    def __call__(self, target: type[A], /) -> type[A]: ...  # type: ignore[overload-overlap]

    @overload
    def __call__(  # type: ignore[overload-overlap]
        self, target: type[T], /
    ) -> ActorClass[T]: ...

    @overload
    def __call__(self, target: Callable[..., _Free], /) -> RemoteFunction[..., Any]: ...

    @overload
    def __call__(  # type: ignore[overload-overlap]
        self, target: Callable[P, Iterator[R]], /
    ) -> RemoteFunction[P, ObjectRefGenerator[R]]: ...

    @overload
    def __call__(self, target: Callable[P, R], /) -> RemoteFunction[P, ObjectRef[R]]: ...


class _TaskDecorator(Protocol):
    """What `remote` with options for functions returns."""

    @overload
    def __call__(self, target: Callable[..., _Free], /) -> RemoteFunction[..., Any]: ...

    @overload
    def __call__(  # type: ignore[overload-overlap]
        self, target: Callable[P, Iterator[R]], /
    ) -> RemoteFunction[P, ObjectRefGenerator[R]]: ...

    @overload
    def __call__(self, target: Callable[P, R], /) -> RemoteFunction[P, ObjectRef[R]]: ...


class _StreamDecorator(Protocol):
    """What `remote(num_returns="streaming")` returns."""

    def __call__(
        self, target: Callable[P, Iterable[R]], /
    ) -> RemoteFunction[P, ObjectRefGenerator[R]]: ...


class _ManyDecorator(Protocol):
    """What `remote` with a number of returns returns."""

    def __call__(self, target: Callable[P, Any], /) -> RemoteFunction[P, Any]: ...


class _ActorDecorator(Protocol):
    """What `remote` with options for actors returns."""

    @overload
    def __call__(self, target: type[A], /) -> type[A]: ...  # type: ignore[overload-overlap]

    @overload
    def __call__(self, target: type[T], /) -> ActorClass[T]: ...


@overload
def remote(target: type[A], /) -> type[A]: ...  # type: ignore[overload-overlap]


@overload
def remote(target: type[T], /) -> ActorClass[T]: ...  # type: ignore[overload-overlap]


@overload
def remote(target: Callable[..., _Free], /) -> RemoteFunction[..., Any]: ...


# A function that is annotated to return an iterator is taken for a generator function.
@overload
def remote(  # type: ignore[overload-overlap]
    target: Callable[P, Iterator[R]], /
) -> RemoteFunction[P, ObjectRefGenerator[R]]: ...


@overload
def remote(target: Callable[P, R], /) -> RemoteFunction[P, ObjectRef[R]]: ...


@overload
def remote(
    *, num_returns: Literal["streaming"], **options: Unpack[TaskOptions]
) -> _StreamDecorator: ...


@overload
def remote(
    *, num_returns: Literal["dynamic"], **options: Unpack[TaskOptions]
) -> _ManyDecorator: ...


@overload
def remote(*, num_returns: int, **options: Unpack[TaskOptions]) -> _ManyDecorator: ...


# Of a type variable pyright cannot say that the one decorator takes what the other takes.
@overload
def remote(  # pyright: ignore[reportOverlappingOverload]
    **options: Unpack[CommonOptions],
) -> _Decorator: ...


@overload
def remote(**options: Unpack[TaskOptions]) -> _TaskDecorator: ...


@overload
def remote(**options: Unpack[ActorOptions]) -> _ActorDecorator: ...


def remote(*targets: Any, **options: Any) -> Any:
    """Make a function a remote function, or a class an actor class.

    `@remote` alone, or with options: `@remote(num_cpus=2)`.

    Args:
        targets: the function or class.
        options: for functions `num_cpus` (1), `resources`, `num_returns` (1), `max_retries` (3,
            after a worker's death; -1: without end), `retry_exceptions` (False; True, or a list
            of classes) and `name`; for classes `num_cpus` (1 to be placed, then 0), `resources`,
            `max_restarts` (0), `max_task_retries` (0), `name`, `namespace`, `get_if_exists`
            (False) and `lifetime`; for both `pool`, whose workers they run or live in.

    Returns:
        A RemoteFunction or an ActorClass; with options, a decorator that returns one.

    Raises:
        TypeError: the target is neither; an option is unknown or of a wrong type.
        OptionError: an option has a value that is not allowed, or is not supported.
        ValueError: the target is an async function.
    """
    if len(targets) == 1 and not options:
        return _made(targets[0], {})
    if targets or not options:
        raise TypeError(
            "@remote decorates a function or a class, alone or with options by name: "
            "@remote or @remote(num_cpus=2)"
        )
    return lambda target: _made(target, options)


def _made(target: Any, options: dict[str, Any]) -> Any:
    if isinstance(target, type):
        return ActorClass(target, options)
    if isinstance(target, (TaskCall, ActorFactory, ActorHandle, ActorMethod)):
        raise TypeError(f"{target!r} is remote already; options() gives it other options")
    if not callable(target):
        raise TypeError(f"@remote decorates a function or a class, not {type(target).__name__}")
    return RemoteFunction(target, options)
