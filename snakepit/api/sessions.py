"""Sessions: calls that find their worker, and what it keeps for them, again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import suppress
from types import FunctionType, TracebackType
from typing import Any, Final, Literal, NoReturn, ParamSpec, TypeVar, final, overload

from ..checks import check_text
from ..errors import (
    ForkedRuntimeError,
    RuntimeClosedError,
    SerializationError,
    SessionClosedError,
)
from ..payload import pack, unpack
from ..pools import check_pool_name
from ..protocol import Runtime, current
from ..sessions import (
    TTL,
    check_affinity,
    check_metadata,
    check_session_id,
    check_ttl,
)
from ..wire.messages import SessionKey
from .context import running
from .functions import MAX_VARIANTS, TaskCall
from .refs import ObjectRef
from .remote import remote

P = ParamSpec("P")
T = TypeVar("T")
Out = TypeVar("Out")

Affinity = Literal["hint", "strict_queue", "strict_fail_fast"]

LARGEST_VALUE: Final = 255 << 20
"""Bytes of a key and the pickle of its value: with what goes with them they fill one message."""

_NOTHING: Final = object()


@final
class SessionStore(MutableMapping[str, Any]):
    """What the driver keeps for a session, whatever becomes of its workers.

    Each value is a copy, pickled, which goes to the driver and back: for small things. One key is
    read or written as a whole; `pop` too is one step.
    """

    __slots__ = ("_runtime", "_session")

    def __init__(self, runtime: Runtime, session: SessionKey | int) -> None:
        """Made by `Session` and `get_runtime_context`."""
        self._runtime = runtime
        self._session = session

    def _ask(self, operation: str, key: str, *arguments: Any) -> Any:
        _check_key(key)
        return self._runtime.ask_session(operation, self._session, key, *arguments)

    def __getitem__(self, key: str) -> Any:
        parts = self._ask("get", key)
        if parts is None:
            raise KeyError(key)
        return unpack(parts)

    def __setitem__(self, key: str, value: Any) -> None:
        _check_key(key)
        packed = pack(value, what=f"the value for {key!r} in a session's store")
        if packed.refs:
            raise SerializationError(
                f"the value for {key!r} contains references, which would not be kept alive in a "
                "session's store: get() them first"
            )
        size = sum(memoryview(part).nbytes for part in packed.parts) + len(key)
        if size > LARGEST_VALUE:
            raise SerializationError(
                f"the value for {key[:64]!r} takes {size} bytes with its key, and a session's "
                f"store takes at most {LARGEST_VALUE} for one: keep large data in a file, or "
                "store it in parts"
            )
        self._ask("set", key, [bytes(part) for part in packed.parts])

    def __delitem__(self, key: str) -> None:
        if self._ask("pop", key) is None:
            raise KeyError(key)

    def pop(self, key: str, default: Any = _NOTHING) -> Any:
        """Take a value out; of several that try at the same time one gets it."""
        parts = self._ask("pop", key)
        if parts is not None:
            return unpack(parts)
        if default is _NOTHING:
            raise KeyError(key)
        return default

    def _keys(self) -> list[str]:
        keys: list[str] = self._runtime.ask_session("keys", self._session)
        return keys

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys())

    def __len__(self) -> int:
        return len(self._keys())

    def __reduce__(self) -> NoReturn:
        raise _is_of_its_process(self)

    def __repr__(self) -> str:
        return f"<store of session {self._session!r}>"


@final
class SessionState(MutableMapping[str, Any]):
    """The session of the call that runs here, and a dictionary that lives with its worker.

    What a call leaves in it the next call of the session finds, if it runs in the same worker:
    with a strict affinity it does. Each worker has one of its own, until the session is closed.

    Attributes:
        id: the session's id.
        metadata: as it was opened with.
        store: what the driver keeps for it, which survives the worker.
    """

    __slots__ = ("_state", "id", "metadata", "store")

    def __init__(self, runtime: Runtime, facts: Mapping[str, Any]) -> None:
        """Made by `get_runtime_context`."""
        self.id: str = facts["id"]
        self.metadata: dict[str, str] = dict(facts["metadata"])
        self.store = SessionStore(runtime, facts["number"])
        self._state = runtime.session_state(facts["number"])

    def __getitem__(self, key: str) -> Any:
        return self._state[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._state[key] = value

    def __delitem__(self, key: str) -> None:
        del self._state[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._state)

    def __len__(self) -> int:
        return len(self._state)

    def __reduce__(self) -> NoReturn:
        raise _is_of_its_process(self)

    def __repr__(self) -> str:
        return f"<session {self.id!r}: {self._state!r}>"


@final
class Session:
    """An open session of the present runtime. As a context manager it is closed at the end.

    It cannot be sent: a task opens the session by its id. When the session was closed, by any
    handle or by its ttl, calls of this handle fail with `SessionClosedError`, also after another
    was opened under the same id.

    Args:
        id: 1 to 256 characters. If a session of this id is open already, with the same settings,
            this is that one.
        pool: the pool whose workers its calls run in; default: that of each function, which is the
            one named "default" unless it names another. A strict session has but one.
        ttl: after so many seconds without a call or a question it is closed, or up to half as
            many later, without teardown; None: never; default: an hour.
        affinity: "hint" (default): the worker that had its last call gets the next, if it is idle,
            and any other worker else. "strict_queue": all its calls run in the worker that got the
            first, one after the other as they become ready. "strict_fail_fast": likewise, and a
            call that finds it busy fails with `WorkerBusyError`. Strict calls whose worker has died
            fail with `SessionWorkerUnavailableError`, until `repin`.
        metadata: up to 32 strings by name, 4,096 characters in all, for the calls to read.
        setup: a remote function that needs no arguments and runs as its first call, if this opens
            it. All other calls of the session wait for it, and fail with its error if it fails.
        teardown: likewise the last call, when this handle's `close` closes the session; not when
            the ttl or `shutdown` does, and not if the setup has failed.

    Raises:
        TypeError: an argument has a wrong type; setup or teardown need arguments.
        OptionError: an argument has a value that is not allowed, or the session is open with other
            settings; setup or teardown are for another pool, or generators.
        SessionQuotaExceededError: as many sessions are open as `init(max_sessions=...)` allows.
        UnknownPoolError: the runtime has no such pool.
    """

    __slots__ = ("_calls", "_closing", "_end", "_key", "_runtime", "_teardown", "id", "pool")

    def __init__(
        self,
        id: str,
        *,
        pool: str | None = None,
        ttl: float | None = TTL,
        affinity: Affinity = "hint",
        metadata: Mapping[str, str] | None = None,
        setup: TaskCall[[], Any] | None = None,
        teardown: TaskCall[[], Any] | None = None,
    ) -> None:
        self.id = check_session_id("id", id)
        self.pool = "" if pool is None else check_pool_name("pool", pool)
        settings = (
            self.pool,
            check_affinity("affinity", affinity),
            check_ttl("ttl", ttl),
            check_metadata("metadata", metadata),
        )
        self._calls: dict[Any, TaskCall[..., Any]] = {}
        begin = self._hook("setup", setup)
        self._teardown = self._hook("teardown", teardown)
        self._end: ObjectRef[Any] | None = None
        self._closing = threading.RLock()  # several threads may close it, and a signal handler
        self._runtime = runtime = current() or running()
        number = runtime.ask_session("open", self.id, *settings, begin is None)
        while begin is not None and not number:  # again, if another handle closes it meanwhile
            begin.start(runtime, (self.id, 0, "setup", *settings), (), {})
            number = runtime.ask_session("open", self.id, *settings, False)
        self._key: SessionKey = (self.id, number)

    def _hook(self, option: str, function: object) -> TaskCall[..., Any] | None:
        if function is None:
            return None
        if not isinstance(function, TaskCall):
            raise TypeError(f"{option}={function!r}: give a function made by @remote, or None")
        call = self._bound(function)
        call.check_hook(option)
        return call

    @overload
    def remote(  # type: ignore[overload-overlap]  # One can be called too, to be refused.
        self, function: TaskCall[P, Out], *args: P.args, **kwargs: P.kwargs
    ) -> Out: ...

    @overload
    def remote(
        self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> ObjectRef[T]: ...

    def remote(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        """Start a function as a call of this session; references among its arguments are resolved.

        Args:
            function: a remote function, with options or without, or a plain one.
            args: its arguments by position.
            kwargs: its arguments by name.

        Returns:
            What `function.remote(...)` returns. If the session is not open any more the call has
            failed, with `SessionClosedError`.

        Raises:
            TypeError: the arguments do not fit the function, or it is no function.
            OptionError: it is for another pool, or its options name another session.
            RuntimeClosedError: the runtime of the session was shut down.
        """
        call = (self._calls.get(function) if _stays(function) else None) or self._bound(function)
        if current() is not self._runtime:
            raise self._of_another_runtime()
        return call.start(self._runtime, self._key, args, kwargs)

    def _bound(self, function: Any) -> TaskCall[..., Any]:
        call = function if isinstance(function, TaskCall) else remote(function)
        if not isinstance(call, TaskCall):
            raise TypeError(f"{function!r} is no function: a session runs functions, no actors")
        bound: TaskCall[..., Any] = call.in_pool(self.id, self.pool)
        if _stays(function):
            if len(self._calls) >= MAX_VARIANTS:
                self._calls.clear()
            self._calls[function] = bound
        return bound

    @property
    def store(self) -> SessionStore:
        """What the driver keeps for it, whatever becomes of its workers."""
        return SessionStore(self._runtime, self._key)

    def describe(self) -> dict[str, Any]:
        """Return its id and settings, and whether it is `busy`: has calls that have not ended.

        Raises:
            SessionClosedError: it is not open any more.
        """
        facts: dict[str, Any] = self._runtime.ask_session("describe", self._key)
        return facts

    def repin(self) -> None:
        """Let the next call choose the worker anew, with an empty state.

        For strict sessions whose worker has gone, or is to be another one. Calls that wait for the
        old one wait for the new one. What runs goes on where it is, beside the next call; should
        that come to the same worker, it finds the state that is there.

        Raises:
            SessionClosedError: it is not open any more.
        """
        self._runtime.ask_session("repin", self._key)

    def close(self) -> ObjectRef[Any] | None:
        """Take no more calls; those that were made go on, and with the last its state goes.

        After the last one the teardown runs, if there is one. Nothing happens if the session is
        closed already, or its runtime was shut down.

        Returns:
            A reference to what the teardown returns, or fails with: it is a call, and all that
            calls may fail with it may too, if the worker is gone or the pool drains, say. None if
            none was started. Who gets it in a call of this session waits for himself.

        Raises:
            NotSupportedError: in inline mode, with a teardown, within a call of this session.
        """
        with self._closing, suppress(SessionClosedError, RuntimeClosedError, ForkedRuntimeError):
            if self._end is not None or current() is not self._runtime:
                pass
            elif self._teardown is None:
                self._runtime.ask_session("close", self._key)
            else:
                self._runtime.ask_session("describe", self._key)
                key = (*self._key, "teardown")
                self._end = self._teardown.start(self._runtime, key, (), {})
        return self._end

    def _of_another_runtime(self) -> RuntimeClosedError:
        return RuntimeClosedError(
            f"the runtime of session {self.id!r} was shut down: open it anew by "
            "snakepit.Session(...)"
        )

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __reduce__(self) -> NoReturn:
        raise _is_of_its_process(self)

    def __repr__(self) -> str:
        return f"<snakepit session {self.id!r}>"


def _stays(function: Any) -> bool:
    """Tell whether each pickle of it is the same: no state is bound to it that may change."""
    return isinstance(function, TaskCall) or (
        type(function) is FunctionType and not function.__closure__
    )


def _check_key(key: object) -> None:
    if not isinstance(key, str):
        raise TypeError(f"a key of a session's store is a string, not {key!r}")
    check_text("a key of a session's store", key)


def _is_of_its_process(what: object) -> SerializationError:
    return SerializationError(
        f"{what!r} cannot be sent to another process. Open the session there by its id: "
        "snakepit.Session(...) with the same settings; a call of the session has it as "
        "get_runtime_context().session"
    )
