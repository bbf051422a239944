"""Results in the order in which they come."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, Literal, TypeVar, overload

from ..api.calls import get, wait
from ..api.functions import TaskCall
from ..api.handles import ActorMethod
from ..api.refs import ObjectRef
from ..checks import check_bool, check_int, wrong_type, wrong_value

T = TypeVar("T")

MOST: Final = (1 << 31) - 1


@overload
def as_completed(
    refs: Sequence[ObjectRef[T]], *, chunk_size: int = 10, yield_obj_refs: Literal[False] = False
) -> Iterator[T]: ...


@overload
def as_completed(
    refs: Sequence[ObjectRef[T]], *, chunk_size: int = 10, yield_obj_refs: Literal[True]
) -> Iterator[ObjectRef[T]]: ...


def as_completed(
    refs: Sequence[ObjectRef[Any]], *, chunk_size: int = 10, yield_obj_refs: bool = False
) -> Iterator[Any]:
    """Yield the values of references as they come; of those that are there, the first first.

    Args:
        refs: different references.
        chunk_size: for Ray's programs, where so many are waited for at a time. Here the first
            that comes is yielded as soon as it has come, whatever the size.
        yield_obj_refs: yield the references, each of which has resolved, instead of values. Then
            a task that failed does not end the iteration: `get` of its reference raises.

    Returns:
        An iterator, which raises what a task raised when its turn comes, and then ends.

    Raises:
        TypeError: `refs` is no sequence of references.
        ValueError: a reference is there twice; `chunk_size` is less than 1.
    """
    if isinstance(refs, ObjectRef) or not isinstance(refs, Iterable):
        raise wrong_type("refs", refs, "a list of references")
    check_int("chunk_size", chunk_size, 1, MOST)
    check_bool("yield_obj_refs", yield_obj_refs)
    listed = list(refs)
    wait(listed, timeout=0)  # refuses what is no reference, or is there twice, now and not later
    return _resolved(listed) if yield_obj_refs else map(get, _resolved(listed))


def _resolved(refs: list[ObjectRef[Any]]) -> Iterator[ObjectRef[Any]]:
    while refs:
        ready, refs = those_ready(refs)
        yield from ready


def those_ready(
    refs: list[ObjectRef[Any]], timeout: float | None = None
) -> tuple[list[ObjectRef[Any]], list[ObjectRef[Any]]]:
    """Wait for one reference, and return all that have resolved by then, and the others.

    All, because a look at the whole list takes as long as the list: one for each result would
    take the square of that.
    """
    first, rest = wait(refs, timeout=timeout)
    if not first or not rest:
        return first, rest
    more, rest = wait(rest, num_returns=len(rest), timeout=0)
    return first + more, rest


@overload
def map_unordered(
    fn: TaskCall[..., ObjectRef[T]],
    items: Iterable[Any],
    *,
    backpressure_size: int | None = 100,
    chunk_size: int = 10,
    yield_obj_refs: Literal[False] = False,
) -> Iterator[T]: ...


@overload
def map_unordered(
    fn: TaskCall[..., ObjectRef[T]],
    items: Iterable[Any],
    *,
    backpressure_size: int | None = 100,
    chunk_size: int = 10,
    yield_obj_refs: Literal[True],
) -> Iterator[ObjectRef[T]]: ...


@overload
def map_unordered(
    fn: ActorMethod[..., Any],
    items: Iterable[Any],
    *,
    backpressure_size: int | None = 100,
    chunk_size: int = 10,
    yield_obj_refs: bool = False,
) -> Iterator[Any]: ...


def map_unordered(
    fn: TaskCall[..., Any] | ActorMethod[..., Any],
    items: Iterable[Any],
    *,
    backpressure_size: int | None = 100,
    chunk_size: int = 10,
    yield_obj_refs: bool = False,
) -> Iterator[Any]:
    """Call a remote function with each item, and yield the results as they come.

    Items are taken, and calls made, as results are: an iterator without end is no problem.

    Args:
        fn: a remote function or an actor's method of one argument and one result.
        items: what to call it with.
        backpressure_size: how many calls may be under way at a time; None: without limit, which
            calls it with every item before the first result is yielded.
        chunk_size: for Ray's programs; see `as_completed`.
        yield_obj_refs: as for `as_completed`.

    Returns:
        An iterator, which raises what a call raised when its turn comes, and then ends.

    Raises:
        TypeError: `fn` is not remote; `items` cannot be iterated over.
        ValueError: a size is less than 1.
    """
    if not isinstance(fn, (TaskCall, ActorMethod)):
        raise wrong_type("fn", fn, "a remote function or an actor's method")
    if not isinstance(items, Iterable):
        raise wrong_type("items", items, "something to iterate over")
    limit = MOST
    if backpressure_size is not None:
        limit = check_int("backpressure_size", backpressure_size, 1, MOST, ", or None")
    check_int("chunk_size", chunk_size, 1, MOST)
    check_bool("yield_obj_refs", yield_obj_refs)
    refs = _under_way(fn.remote, iter(items), limit)
    return refs if yield_obj_refs else map(get, refs)


def _under_way(
    call: Callable[[Any], ObjectRef[Any]], items: Iterator[Any], limit: int
) -> Iterator[ObjectRef[Any]]:
    refs: list[ObjectRef[Any]] = []
    while True:
        for item in items:
            ref = call(item)
            if type(ref) is not ObjectRef:
                raise wrong_value("what fn.remote(item) returns", ref, "one reference")
            refs.append(ref)
            if len(refs) >= limit:
                break
        if not refs:
            return
        ready, refs = those_ready(refs)
        yield from ready
