"""A few actors of one kind that share a stream of work.

The pool is no actor: it lives in its caller, who drives it. While the caller takes one result the
actor that made it gets the next value, so that each actor is busy for as long as there is work.
One thread at a time may use a pool.

An actor that answers in microseconds would wait for its caller most of the time. `map` therefore
gives it values ahead, as many as the last ones say that it answers within `AHEAD_S`, and one at a
time, as Ray does, where that is longer. `submit` always gives one at a time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from time import monotonic
from typing import Any, Final, Generic, TypeVar, final, overload

from ..api.calls import get, wait
from ..api.handles import ActorHandle
from ..api.refs import ObjectRef
from ..checks import check_bool, check_timeout, wrong_type, wrong_value
from ..errors import GetTimeoutError
from .helpers import those_ready

T = TypeVar("T")
V = TypeVar("V")
R = TypeVar("R")


AHEAD_S: Final = 0.002
MOST_AHEAD: Final = 64


@final
class _Member(Generic[T]):
    """An actor of the pool, and how many values it has."""

    __slots__ = ("actor", "load")

    def __init__(self, actor: ActorHandle[T]) -> None:
        self.actor = actor
        self.load = 0


@final
class _Call(Generic[T]):
    """One value that an actor works on: what the call returned, and when it was made.

    `error` is what `fn` raised instead, for a value that had to wait for an actor: it is raised
    when its turn comes, not in place of the result that made the actor free.
    """

    __slots__ = ("error", "member", "number", "place", "result", "since")

    def __init__(
        self, number: int, member: _Member[T], result: Any, error: Exception | None = None
    ) -> None:
        self.number = number
        self.member = member
        self.result = result
        self.error = error
        self.place = member.load or 1  # in the actor's mailbox
        self.since = monotonic()

    @property
    def refs(self) -> list[ObjectRef[Any]]:
        return self.result if isinstance(self.result, list) else [self.result]


@final
class ActorPool(Generic[T]):
    """Actors that take values from a common queue, one each at a time.

    Args:
        actors: handles of actors; at least one is needed before anything can be returned.

    Raises:
        TypeError: `actors` is no iterable of handles.
        ValueError: an actor is there twice.
    """

    def __init__(self, actors: Iterable[ActorHandle[T]]) -> None:
        if not isinstance(actors, Iterable):
            raise wrong_type("actors", actors, "a list of handles of actors")
        self._idle: list[_Member[T]] = []
        self._busy: dict[int, _Call[T]] = {}  # by number
        self._come: deque[_Call[T]] = deque()  # those of them that were seen to have resolved
        self._pending: deque[tuple[Callable[[ActorHandle[T], Any], Any], Any]] = deque()
        self._next_number = 0
        self._next_return = 0
        self._mapping = False
        self._each = AHEAD_S  # seconds that a value takes, as the last ones tell
        for actor in actors:
            self.push(actor)

    # --- many values ----------------------------------------------------------------------

    @overload
    def map(
        self, fn: Callable[[ActorHandle[T], V], ObjectRef[R]], values: Iterable[V]
    ) -> Iterator[R]: ...

    @overload
    def map(
        self, fn: Callable[[ActorHandle[T], V], list[ObjectRef[R]]], values: Iterable[V]
    ) -> Iterator[list[R]]: ...

    def map(self, fn: Callable[[ActorHandle[T], V], Any], values: Iterable[V]) -> Iterator[Any]:
        """Apply `fn` to each value, with an actor that is free; results come in order.

        Results that were submitted before and not taken are dropped. The work begins at once,
        not with the first result that is taken.

        Args:
            fn: given an actor and a value, calls a method and returns its reference (or its list
                of references).
            values: what to work on.

        Returns:
            An iterator over the results; it raises what a call raised, at its place.

        Raises:
            TypeError: `fn` cannot be called, or returned no reference.
        """
        self._begin(fn, values)
        return self._results(self.get_next)

    @overload
    def map_unordered(
        self, fn: Callable[[ActorHandle[T], V], ObjectRef[R]], values: Iterable[V]
    ) -> Iterator[R]: ...

    @overload
    def map_unordered(
        self, fn: Callable[[ActorHandle[T], V], list[ObjectRef[R]]], values: Iterable[V]
    ) -> Iterator[list[R]]: ...

    def map_unordered(
        self, fn: Callable[[ActorHandle[T], V], Any], values: Iterable[V]
    ) -> Iterator[Any]:
        """Do as `map`, but yield each result as soon as it is there."""
        self._begin(fn, values)
        return self._results(self.get_next_unordered)

    def _begin(self, fn: Callable[[ActorHandle[T], V], Any], values: Iterable[V]) -> None:
        if not isinstance(values, Iterable):
            raise wrong_type("values", values, "something to iterate over")
        _check_callable(fn)
        while self.has_next():
            try:
                self.get_next_unordered(timeout=0, ignore_if_timedout=True)
            except Exception:
                continue
        self._mapping = True
        self._each = AHEAD_S
        for value in values:
            self._submit(fn, value)

    def _results(self, following: Callable[[], Any]) -> Iterator[Any]:
        while self.has_next():
            yield following()

    # --- one value ------------------------------------------------------------------------

    def submit(self, fn: Callable[[ActorHandle[T], V], Any], value: V) -> None:
        """Apply `fn` to a value as soon as an actor is free.

        Args:
            fn: as for `map`.
            value: what to work on.

        Raises:
            TypeError: `fn` cannot be called, or returned no reference.
        """
        _check_callable(fn)
        self._mapping = False
        self._submit(fn, value)

    def _submit(self, fn: Callable[[ActorHandle[T], V], Any], value: V) -> None:
        if self._pending or not self._idle:
            self._pending.append((fn, value))
        else:
            self._start(self._idle[-1], fn, value)
            self._idle.pop()

    def has_next(self) -> bool:
        """Return whether there are results that were not taken yet."""
        return bool(self._busy or self._pending)

    def get_next(self, timeout: float | None = None, ignore_if_timedout: bool = False) -> Any:
        """Return the next result in the order of submission; wait for it.

        Args:
            timeout: seconds to wait; 0 looks once; None waits for ever.
            ignore_if_timedout: after a timeout, leave this result out from now on, and give its
                actor other work.

        Raises:
            StopIteration: every result was taken.
            TimeoutError: it was not there in time.
            ValueError: results were taken out of order before; `timeout` is negative.
        """
        limit = self._checked(timeout, ignore_if_timedout)
        call = self._busy.get(self._next_return)
        if call is None:
            raise ValueError(
                "get_next() cannot follow get_next_unordered() while results are left: their "
                "order is lost. Take the rest by get_next_unordered()"
            )
        if call.error is None and limit is not None and not _ready(call.refs, limit):
            raise self._timed_out(call, timeout, ignore_if_timedout)
        return self._taken(call)

    def get_next_unordered(
        self, timeout: float | None = None, ignore_if_timedout: bool = False
    ) -> Any:
        """Return any result that is there; wait for one.

        Args:
            timeout: seconds to wait; 0 looks once; None waits for ever.
            ignore_if_timedout: after a timeout, leave out the result that was waited for longest.

        Raises:
            StopIteration: every result was taken.
            TimeoutError: none was there in time.
            ValueError: `timeout` is negative.
        """
        limit = self._checked(timeout, ignore_if_timedout)
        while self._come:
            call = self._come.popleft()
            if call.number in self._busy:
                return self._taken(call)
        calls = {call.refs[0]: call for call in self._busy.values() if call.error is None}
        ready, _ = those_ready(list(calls), limit)
        if not ready:
            raise self._timed_out(next(iter(calls.values())), timeout, ignore_if_timedout)
        self._come.extend(calls[ref] for ref in ready)
        return self._taken(self._come.popleft())

    def _checked(self, timeout: float | None, ignore: bool) -> float | None:
        limit = check_timeout(timeout)
        check_bool("ignore_if_timedout", ignore)
        if not self.has_next():
            raise StopIteration("no results are left: submit() more")
        if not self._busy:
            raise ValueError("the pool has no actors: push() one, or no result will come")
        return limit

    def _taken(self, call: _Call[T]) -> Any:
        """Give the actor other work, and return its result."""
        if call.error is not None:
            self._forget(call)
            raise call.error
        latest = (monotonic() - call.since) / call.place
        # Slower is believed at once, faster by and by: who is given too much holds others up.
        self._each = max(latest, 0.75 * self._each + 0.25 * latest)
        self._release(call)
        return get(call.result)

    def _timed_out(self, call: _Call[T], timeout: float | None, ignore: bool) -> GetTimeoutError:
        text = f"no result within {timeout} s"
        if ignore:
            self._release(call)
            text += f"; value {call.number} is left out"
        return GetTimeoutError(text, timeout=timeout)

    def _release(self, call: _Call[T]) -> None:
        self._forget(call)
        call.member.load -= 1
        self._offer(call.member)

    def _forget(self, call: _Call[T]) -> None:
        del self._busy[call.number]
        self._next_return = max(self._next_return, call.number + 1)

    def _offer(self, member: _Member[T]) -> None:
        room = 1
        if self._mapping:
            room = min(MOST_AHEAD, max(1, int(AHEAD_S / self._each)))
        while self._pending and member.load < room:
            try:
                self._start(member, *self._pending.popleft())
            except Exception as error:
                self._come.append(self._note(member, None, error))
        if not member.load:
            self._idle.append(member)

    def _start(
        self, member: _Member[T], fn: Callable[[ActorHandle[T], Any], Any], value: Any
    ) -> None:
        result = fn(member.actor, value)
        if type(result) is not ObjectRef and not _is_list_of_refs(result):
            raise wrong_type("what fn returns", result, "a reference or a list of them")
        member.load += 1
        self._note(member, result)

    def _note(self, member: _Member[T], result: Any, error: Exception | None = None) -> _Call[T]:
        call = self._busy[self._next_number] = _Call(self._next_number, member, result, error)
        self._next_number += 1
        return call

    # --- actors ---------------------------------------------------------------------------

    def has_free(self) -> bool:
        """Return whether an actor has nothing to do."""
        return bool(self._idle) and not self._pending

    def pop_idle(self) -> ActorHandle[T] | None:
        """Take an actor that has nothing to do out of the pool; None if each has."""
        return self._idle.pop().actor if self.has_free() else None

    def push(self, actor: ActorHandle[T]) -> None:
        """Put an actor into the pool.

        Raises:
            TypeError: it is no handle of an actor.
            ValueError: it is in the pool.
        """
        if type(actor) is not ActorHandle:
            raise wrong_type("actor", actor, "the handle of an actor")
        members = (*self._idle, *(call.member for call in self._busy.values()))
        if any(member.actor == actor for member in members):
            raise wrong_value("actor", actor, "one that is not in the pool")
        self._offer(_Member(actor))


def _check_callable(fn: Any) -> None:
    if not callable(fn):
        raise wrong_type("fn", fn, "a function of an actor and a value that returns a reference")


def _is_list_of_refs(result: Any) -> bool:
    return isinstance(result, list) and {type(ref) for ref in result} == {ObjectRef}


def _ready(refs: list[ObjectRef[Any]], timeout: float) -> bool:
    return len(wait(refs, num_returns=len(refs), timeout=timeout)[0]) == len(refs)
