"""What the API may ask of a runtime, and the process's one slot for it.

The driver's runtime and the client inside a worker both implement `Runtime`, so that a task may do
whatever the driver may. The slot is the only state of a process that is global: it is guarded by a
lock, emptied in forked children, and overridden by a context variable where one is set.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar, final, runtime_checkable

from .errors import ForkedRuntimeError
from .wire.messages import SessionKey, Template

if TYPE_CHECKING:
    from .bars import Bar

T = TypeVar("T")


@final
class Definition:
    """A remote function, class or method with its options: what a runtime needs to call it.

    Attributes:
        target: the function or class itself; None for an actor's method.
        template: the static part of its calls; `code` is filled in by the runtime.
        retry_on: exception types that are retried, True for all, or False.
        prepared: (runtime, whatever it derived), replaced whole, so that threads may race.
    """

    __slots__ = ("__weakref__", "prepared", "retry_on", "target", "template")

    def __init__(
        self,
        target: Any,
        template: Template,
        retry_on: bool | tuple[type[BaseException], ...] = False,
    ) -> None:
        self.target = target
        self.template = template
        self.retry_on = retry_on
        self.prepared: tuple[Runtime | None, Any] = (None, None)


class Reference:
    """What `ObjectRef` adds its methods to; here so that runtimes know one when they see it."""

    __slots__ = ("_id", "_runtime")

    _id: int
    _runtime: Runtime


class ActorRecord(NamedTuple):
    """What `find_actor` tells: enough to make a handle.

    `methods` is the plain description that was given at creation (see `create`).
    """

    id: int
    name: str
    methods: Any

    @staticmethod
    def missing(name: str, namespace: str) -> ValueError:
        """Return the error for a name that no living actor has."""
        return ValueError(
            f"no actor named {name!r} lives in namespace {namespace!r}; it was never made, or its "
            "last handle is gone"
        )


class GroupRecord(NamedTuple):
    """What `placement_groups` tells of one: the actor that keeps it, the description that was given
    at its creation, and whether its resources are set aside by now."""

    id: int
    methods: Any
    created: bool


@runtime_checkable
class Runtime(Protocol):
    """A place where calls can be made. Ids are those of `snakepit.ids`; times are seconds.

    What is made comes with one handle of this process. `make`, given the runtime and the id, takes
    it over, in the same step: no Ctrl-C comes between.
    """

    run: str

    def submit(
        self,
        definition: Definition,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        make: Callable[[Runtime, int], T],
        session: SessionKey = "",
    ) -> T:
        """Start a task; `make` is given the id of its first return; the others follow it.

        There is one handle on each return. With `session` it is a call of that session: of
        the one with that id, opened if need be, or of one that was opened.
        """
        ...

    def create(
        self,
        definition: Definition,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        methods: Any,
        make: Callable[[Runtime, int], T],
    ) -> T:
        """Start an actor.

        Args:
            methods: a plain (msgpack) description of its methods, given back by `find_actor`.
        """
        ...

    def call(
        self,
        actor: int,
        definition: Definition,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        make: Callable[[Runtime, int], T],
    ) -> T:
        """Call a method of an actor; the rest is as for `submit`."""
        ...

    def put(self, value: Any, make: Callable[[Runtime, int], T]) -> T:
        """Store a value."""
        ...

    def get(self, ids: Sequence[int], timeout: float | None) -> list[Any]:
        """Return the values in order; raise the first error found, or `GetTimeoutError`."""
        ...

    def get_one(self, identifier: int, timeout: float | None) -> Any:
        """Return one value: the hot path of `get`."""
        ...

    def wait(self, ids: Sequence[int], count: int, timeout: float | None) -> list[int]:
        """Wait until `count` of `ids` are resolved; return the places in `ids` of the first that
        are, in order, `count` at the most."""
        ...

    def cancel(self, identifier: int, *, force: bool, recursive: bool) -> None:
        """Cancel the call that makes this object; nothing happens when it has ended."""
        ...

    def kill(self, actor: int, *, no_restart: bool) -> None:
        """End an actor's process at once."""
        ...

    def pending_calls(self, actor: int) -> int:
        """Return how many of this process's calls to an actor are not answered.

        Counted for actors that have a `max_pending` alone.
        """
        ...

    def cancelled(self) -> bool:
        """Tell whether the call that runs here has been cancelled."""
        ...

    def find_actor(self, name: str, namespace: str | None) -> ActorRecord:
        """Return the living actor of that name, with one handle on it for the caller.

        Raises:
            ValueError: there is none.
        """
        ...

    def named_actors(self) -> list[tuple[str, str]]:
        """Return the namespace and name of each living actor that has a name."""
        ...

    def placement_groups(self) -> list[GroupRecord]:
        """Return the placement groups that live."""
        ...

    def pool_stats(self, name: str) -> dict[str, Any]:
        """Return what a pool does at the moment; see `snakepit.api.pools.PoolStats`.

        Raises:
            UnknownPoolError: there is no such pool.
        """
        ...

    def change_pool(self, name: str, change: str, *arguments: int | None) -> None:
        """Have a pool changed: see `snakepit.runtime.directory.changed`.

        Raises:
            UnknownPoolError: there is no such pool.
            OptionError: it cannot be changed like that.
        """
        ...

    def ask_session(self, operation: str, session: SessionKey | int, *arguments: Any) -> Any:
        """Ask about a session, or open one: see `snakepit.runtime.desk`.

        Raises:
            SessionClosedError: it is not open.
            SessionQuotaExceededError: it cannot be opened, since too many are.
            UnknownPoolError: it is to be opened for a pool that is not there.
            OptionError: it is open with other settings.
        """
        ...

    def session_state(self, number: int) -> dict[str, Any]:
        """Return what this process keeps for a session, by the number that `describe` tells."""
        ...

    def progress(self, bar: Bar, *, late: bool) -> None:
        """Show a progress bar of this process, at the driver, as it is now.

        Args:
            bar: one that has its `id` already is replaced.
            late: it has time until the next bar or the end of the call; finalizers want that.
        """
        ...

    def hold(self, identifier: int) -> None:
        """Count one more handle of this process on an object or actor."""
        ...

    def drop(self, identifier: int) -> None:
        """Count one less. Called by finalizers: takes no lock, never raises."""
        ...

    def lend(self, fd: int, make: Callable[[Runtime, int], T]) -> T:
        """Keep a duplicate of a descriptor as the value of a new object, inside other values.

        Raises:
            DescriptorLimitError: there may be no more descriptors.
        """
        ...

    def borrow(self, identifier: int) -> int:
        """Return a duplicate of a lent descriptor, which is the caller's.

        Raises:
            DescriptorLimitError: there may be no more descriptors.
            ObjectLostError: nobody keeps it any more.
        """
        ...

    def take(self, stream: int, make: Callable[[Runtime, int], None]) -> bool:
        """Take the next item of a generator call that this process made, if it is there.

        Args:
            stream: the id of the call.
            make: is given the item's id, or 0 at the end of the stream.

        Returns:
            False if there is neither yet; then `expect` tells when there is.
        """
        ...

    def expect(self, stream: int, make: Callable[[Runtime, int], None]) -> None:
        """Make a ticket for the next item: an object that resolves when the item, or the end, is
        there. `make` is given its id, with which one can wait for it, and `redeem` it."""
        ...

    def redeem(self, ticket: int, make: Callable[[Runtime, int], None]) -> None:
        """Take, once, the item or the end (0) to which a ticket has resolved."""
        ...

    def when_done(self, identifier: int, callback: Callable[[], None]) -> None:
        """Call `callback` once, from any thread, without locks held, when the object resolves.

        At once, in this thread, if it has. Callbacks are short and do not raise.
        """
        ...

    async def until_done(self, ids: Sequence[int]) -> None:
        """Wait in the running asyncio loop until objects have resolved, to whatever it is."""
        ...

    def await_many(self, ids: Sequence[int]) -> Any:
        """Return an awaitable of the list of values, for the running asyncio loop."""
        ...

    def describe(self) -> dict[str, Any]:
        """Return plain facts of this runtime: resources, workers, store, where this code runs."""
        ...


class Forkable(Protocol):
    """What has something to do when user code forks this process."""

    def forked_in_parent(self) -> None:
        """A child has been made; this is the process that made it."""
        ...

    def forked_in_child(self) -> None:
        """This is the child."""
        ...


@final
class _Slot:
    """The runtime of this process, and what `os.fork` does to it.

    `os.register_at_fork` is for ever. Called for each runtime it would keep something of each, so
    that it is called once, and who wants to be told is in `forkables`: a tuple that is replaced
    whole, since a fork may come in any thread at any time.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.runtime: Runtime | None = None
        self.forked = False
        self.forkables: tuple[weakref.ref[Forkable], ...] = ()

    def after_fork_in_child(self) -> None:
        self.lock = threading.RLock()
        self.forked = self.forked or self.runtime is not None
        self.runtime = None
        for alive in self._alive():
            alive.forked_in_child()

    def after_fork_in_parent(self) -> None:
        for alive in self._alive():
            alive.forked_in_parent()

    def _alive(self) -> list[Forkable]:
        return [alive for each in self.forkables if (alive := each()) is not None]


_slot = _Slot()
_override: ContextVar[Runtime | None] = ContextVar("snakepit_runtime", default=None)
os.register_at_fork(
    after_in_child=_slot.after_fork_in_child, after_in_parent=_slot.after_fork_in_parent
)


def watch_forks(forkable: Forkable) -> None:
    """Tell `forkable`, as long as it lives, when this process is forked."""
    with _slot.lock:
        living = tuple(each for each in _slot.forkables if each() is not None)
        _slot.forkables = (*living, weakref.ref(forkable))


def current() -> Runtime | None:
    """Return the runtime that calls made here go to, or None before `init`.

    Raises:
        ForkedRuntimeError: this process was forked from one that has a runtime.
    """
    override = _override.get()
    if override is not None:
        return override
    runtime = _slot.runtime
    if runtime is None and _slot.forked:
        raise ForkedRuntimeError(
            "this process was forked from one that runs snakepit; a runtime does not survive "
            "os.fork(). Call snakepit.init() here for a runtime of its own, or do the work in "
            "tasks instead of forked processes"
        )
    return runtime


def ensure(start: Callable[[], Runtime]) -> Runtime:
    """Return the current runtime; make it with `start` if there is none, once."""
    runtime = current()
    if runtime is not None:
        return runtime
    with _slot.lock:
        if _slot.runtime is None:
            _slot.runtime = start()
        return _slot.runtime


def install(runtime: Runtime | None) -> None:
    """Put `runtime` into the process's slot, or empty it; an explicit init forgives a fork."""
    with _slot.lock:
        _slot.runtime = runtime
        _slot.forked = False


def override(runtime: Runtime | None) -> Any:
    """Set the runtime of the current context alone; return the token that resets it."""
    return _override.set(runtime)


def reset(token: Any) -> None:
    """Undo `override`."""
    _override.reset(token)


def begin(start: Callable[[], Runtime]) -> tuple[Runtime, bool]:
    """Return the current runtime and False, or one that `start` has just made and True.

    Unlike `ensure`, it is the explicit way to begin: in a forked child it starts anew.
    """
    with _slot.lock:
        runtime = _override.get() or _slot.runtime
        if runtime is not None:
            return runtime, False
        runtime = _slot.runtime = start()
        _slot.forked = False
        return runtime, True


def retire(runtime: Runtime) -> None:
    """Empty the process's slot if `runtime` is in it; a later one stays."""
    with _slot.lock:
        if _slot.runtime is runtime:
            _slot.runtime = None


class ActorExit(BaseException):
    """Raised by `exit_actor` in a method; the worker ends the actor and answers the call."""


class TaskInterrupt(KeyboardInterrupt):
    """Raised inside a running call that was cancelled; user code may clean up, then it ends."""
