"""What type checkers see of actors whose methods are typed; at run time there is next to nothing.

No checker can look through `ActorHandle[Counter]` at the methods of `Counter`, and mypy ignores
what a decorator makes of a class. Both look up attributes on `type[Counter]`, though, and there a
descriptor can say what it is. So a class that derives from `Actor` is for checkers its own actor
class, `.remote()` returns `ActorProxy[Counter]`, a union with `type[Counter]`, and what `method`
decorated is a descriptor: an `ActorMethod` through a handle, and a plain method on an instance.
The other half of the union, whose attributes are all `Never`, adds nothing to them.

That a class is a callable with the parameters of its constructor both see where it is named, and
mypy not of a parameter `kind: type[Counter]`: there `kind.remote(1)` is an error to it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    Generic,
    ParamSpec,
    Protocol,
    TypeVar,
    Union,
    overload,
)

from .handles import ActorHandle

if TYPE_CHECKING:
    from typing import Never, Unpack

    from .functions import TaskCall
    from .generators import ObjectRefGenerator
    from .handles import ActorMethod
    from .options import ActorOptions
    from .refs import ObjectRef

T = TypeVar("T")
R = TypeVar("R")
P = ParamSpec("P")
Rest = ParamSpec("Rest")
First = TypeVar("First")
Second = TypeVar("Second")
Out = TypeVar("Out", covariant=True)


class Actor:
    """A base for classes of actors, by which type checkers know the methods of their handles.

    It is empty: nothing about the actor changes, and the class is decorated as any other. Methods
    are typed that `method` decorates.
    """

    if TYPE_CHECKING:

        @classmethod
        @overload
        def remote(
            cls: Callable[P, T], *args: P.args, **kwargs: P.kwargs
        ) -> TypedHandle[T] | type[T]: ...

        @classmethod
        @overload
        def remote(
            cls: Callable[Concatenate[First, Rest], T],
            first: ObjectRef[First],
            /,
            *args: Rest.args,
            **kwargs: Rest.kwargs,
        ) -> TypedHandle[T] | type[T]: ...

        @classmethod
        @overload
        def remote(
            cls: Callable[Concatenate[First, Second, Rest], T],
            first: First,
            second: ObjectRef[Second],
            /,
            *args: Rest.args,
            **kwargs: Rest.kwargs,
        ) -> TypedHandle[T] | type[T]: ...

        @classmethod
        @overload
        def remote(
            cls: Callable[Concatenate[First, Second, Rest], T],
            first: ObjectRef[First],
            second: ObjectRef[Second],
            /,
            *args: Rest.args,
            **kwargs: Rest.kwargs,
        ) -> TypedHandle[T] | type[T]: ...

        @classmethod
        @overload
        def remote(
            cls: Callable[..., T],
            first: Any,
            second: Any,
            third: ObjectRef[Any],
            /,
            *args: Any,
            **kwargs: Any,
        ) -> TypedHandle[T] | type[T]: ...

        @classmethod  # type: ignore[misc] # As of `TaskCall.remote`.
        def remote(cls, *args: Any, **kwargs: Any) -> Any:
            """Start an actor: see `ActorClass.remote`."""
            raise NotImplementedError

        @classmethod
        def options(
            cls: Callable[P, T], **options: Unpack[ActorOptions]
        ) -> TypedFactory[P, TypedHandle[T] | type[T]]:
            """Return the class with other options: see `ActorClass.options`."""
            raise NotImplementedError


if TYPE_CHECKING:

    class TypedFactory(TaskCall[P, Out]):
        """A class with its options, whose `.remote()` takes what its constructor takes."""

    class TypedHandle(ActorHandle[T]):
        """A handle by whose side stands the class, which knows the methods."""

        def __getattr__(self, name: str) -> Never: ...

else:
    TypedHandle = ActorHandle

ActorProxy = Union[TypedHandle[T], type[T]]  # noqa: UP007 - `|` of these two is no type here.
"""The handle of an actor whose class derives from `Actor`, in annotations."""


class TypedMethod(Generic[P, R, Out]):
    """A method that `method` decorated, for type checkers; at run time it is the function."""

    @overload
    def __get__(self, instance: None, owner: Any, /) -> ActorMethod[P, Out]: ...

    @overload
    def __get__(self, instance: object, owner: Any, /) -> Callable[P, R]: ...

    def __get__(self, instance: object, owner: Any, /) -> Any:
        """Give what the class or the instance makes of the method."""


class MethodDecorator(Protocol):
    """What `method` with options returns, `num_returns` not being one of them."""

    # What is annotated to return an iterator is taken for a generator function.
    @overload
    def __call__(  # type: ignore[overload-overlap]
        self, function: Callable[Concatenate[Any, P], Iterator[R]], /
    ) -> TypedMethod[P, Iterator[R], ObjectRefGenerator[R]]: ...

    @overload
    def __call__(  # type: ignore[overload-overlap]
        self, function: Callable[Concatenate[Any, P], AsyncIterator[R]], /
    ) -> TypedMethod[P, AsyncIterator[R], ObjectRefGenerator[R]]: ...

    @overload
    def __call__(
        self, function: Callable[Concatenate[Any, P], Coroutine[Any, Any, R]], /
    ) -> TypedMethod[P, Coroutine[Any, Any, R], ObjectRef[R]]: ...

    @overload
    def __call__(
        self, function: Callable[Concatenate[Any, P], R], /
    ) -> TypedMethod[P, R, ObjectRef[R]]: ...


class StreamMethodDecorator(Protocol):
    """What `method(num_returns="streaming")` returns."""

    def __call__(
        self, function: Callable[Concatenate[Any, P], Iterable[R]], /
    ) -> TypedMethod[P, Iterable[R], ObjectRefGenerator[R]]: ...


class ManyMethodDecorator(Protocol):
    """What `method` with a number of returns returns."""

    def __call__(self, function: Callable[Concatenate[Any, P], R], /) -> TypedMethod[P, R, Any]: ...
