"""The errors that snakepit raises: one tree, named by what failed, with fields to act on.

Each error survives pickle and copy with its fields. This module is loaded by `import snakepit`,
so it imports nothing that costs.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple, cast, final

from .carried import (
    State,
    bare_exception,
    constructor_args,
    members,
    rebuild_exception,
    reduce_exception,
    set_state,
)

__all__ = [
    "SnakepitError",
    "TaskError",
    "CauseUnavailableError",
    "WorkerCrashedError",
    "PoisonedCallError",
    "PoolFailedError",
    "ActorError",
    "ActorDiedError",
    "ActorUnavailableError",
    "ActorAlreadyExistsError",
    "PendingCallsLimitExceeded",
    "TaskCancelledError",
    "GetTimeoutError",
    "ObjectLostError",
    "ObjectStoreFullError",
    "StaleReferenceError",
    "NestingDepthError",
    "TaskUnschedulableError",
    "ActorUnschedulableError",
    "SerializationError",
    "OptionError",
    "RuntimeStartError",
    "RuntimeClosedError",
    "RuntimeFailedError",
    "ForkedRuntimeError",
    "ProtocolError",
]


class SnakepitError(Exception):
    """Base of every error of snakepit."""


class _DeathError(SnakepitError):
    """What is known of a process that died.

    Args:
        message: what died, how, and what the user can do.
        exit_code: the process's exit code; None when a signal ended it.
        signal: name of the signal that ended it, such as "SIGSEGV"; None when none did.
        stderr: the last lines that it wrote to its standard error.
        running: what it was running.
        pid: its process id; None when unknown.
        call: name of the call that gets this error.
        attempts: how often that call was started; None when unknown.
        restarts: how many died in a row, where that is why; period: too many in so many seconds.
    """

    def __init__(
        self,
        message: str = "",
        *,
        exit_code: int | None = None,
        signal: str | None = None,
        stderr: str = "",
        running: str = "",
        pid: int | None = None,
        call: str = "",
        attempts: int | None = None,
        restarts: int | None = None,
        period: float | None = None,
    ) -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.signal = signal
        self.stderr = stderr
        self.running = running
        self.pid = pid
        self.call = call
        self.attempts = attempts
        self.restarts = restarts
        self.period = period


class WorkerCrashedError(_DeathError):
    """The worker process died while it ran the call."""


class PoisonedCallError(WorkerCrashedError):
    """The call killed so many workers that it is not tried again, whatever retries remain."""


class PoolFailedError(WorkerCrashedError):
    """No worker can be had: they die again and again before they have begun a call.

    `cool_down` seconds after its failure the `pool` takes calls again, and tries one worker.
    """

    def __init__(
        self, message: str = "", *, pool: str = "", cool_down: float = 0.0, **death: Any
    ) -> None:
        super().__init__(message, **death)
        self.pool = pool
        self.cool_down = cool_down


class ActorError(_DeathError):
    """A call to an actor failed because of the actor, not of the method.

    Args:
        message: what happened, and what the user can do.
        actor: the actor's class or name.
        error: text of the error that its constructor raised, if that is what ended it.
        death: the fields of a dead process (see WorkerCrashedError).
    """

    def __init__(
        self, message: str = "", *, actor: str = "", error: str = "", **death: Any
    ) -> None:
        super().__init__(message, **death)
        self.actor = actor
        self.error = error


class ActorDiedError(ActorError):
    """The actor is dead and will not come back."""


class ActorUnavailableError(ActorError):
    """The actor cannot be reached now, being restarted; the call may or may not have run."""


class ActorAlreadyExistsError(SnakepitError, ValueError):
    """An actor of that name lives in the namespace."""


class PendingCallsLimitExceeded(SnakepitError):
    """The actor handle has as many unanswered calls as `max_pending_calls` allows."""


class TaskCancelledError(SnakepitError):
    """The call was cancelled."""

    def __init__(self, message: str = "the call was cancelled", *, call: str = "") -> None:
        super().__init__(message)
        self.call = call


class GetTimeoutError(SnakepitError, TimeoutError):
    """`get` found no result in time; the call goes on."""

    def __init__(self, message: str = "", *, timeout: float | None = None) -> None:
        super().__init__(message)
        self.timeout = timeout


class ObjectLostError(SnakepitError):
    """A stored value is gone, and cannot be made again."""

    def __init__(self, message: str = "", *, reference: str = "") -> None:
        super().__init__(message)
        self.reference = reference


@final
class ObjectStoreFullError(SnakepitError):
    """The object store has no room for a value.

    Args:
        needed: bytes that the value takes.
        available: bytes free in the store; None when unknown.
        limit: the store's capacity in bytes; None when unknown.
    """

    def __init__(
        self, needed: int = 0, available: int | None = None, limit: int | None = None
    ) -> None:
        super().__init__(needed, available, limit)
        self.needed = needed
        self.available = available
        self.limit = limit

    def __str__(self) -> str:
        room = "there is less"
        if self.available is not None:
            room = f"{_size(self.available)} are free"
        if self.limit is not None:
            room += f" of {_size(self.limit)}"
        return (
            f"the object store cannot take {_size(self.needed)}: {room}. "
            "Drop references and arrays that are no longer needed, "
            "or give it more by init(object_store_memory=...)"
        )


class StaleReferenceError(SnakepitError):
    """The reference belongs to a runtime that was shut down, or to another one."""


class NestingDepthError(SnakepitError):
    """Calls that wait for calls are nested more deeply than the stack allows."""


class TaskUnschedulableError(SnakepitError):
    """The task asks for more than this machine can ever give."""


class ActorUnschedulableError(SnakepitError):
    """The actor asks for more than this machine can ever give."""


class SerializationError(SnakepitError, TypeError):
    """A value cannot be sent, or cannot be read back.

    Args:
        message: what cannot be sent, why, and what to do.
        path: where it sits, such as `args[0].model._lock`; empty when unknown.
    """

    def __init__(self, message: str = "", *, path: str = "") -> None:
        super().__init__(message)
        self.path = path


class OptionError(SnakepitError, ValueError):
    """An option has a value that is not allowed, or is not known."""


class RuntimeStartError(SnakepitError):
    """The runtime could not be started."""


class RuntimeClosedError(SnakepitError):
    """The runtime is shut down, or was while the call waited."""


class RuntimeFailedError(_DeathError, RuntimeClosedError):
    """The runtime has ended by itself: what workers are forked from died again and again."""


class ForkedRuntimeError(SnakepitError):
    """The process is a fork of the one that runs the runtime, and cannot use it."""


class ProtocolError(SnakepitError):
    """Two parts of the runtime disagree: a defect, or mixed versions."""


@final
class CauseUnavailableError(SnakepitError):
    """Stands in for a user's exception that could not travel.

    Args:
        kind: the exception's type, as `module.Name`.
        text: its message.
        reason: why it could not travel.
    """

    def __init__(self, kind: str = "", text: str = "", reason: str = "") -> None:
        super().__init__(kind, text, reason)
        self.kind = kind
        self.text = text
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.kind}: {self.text} (the exception itself could not travel: {self.reason})"


def _size(count: int) -> str:
    for unit, name in ((10**9, "GB"), (10**6, "MB"), (1000, "kB")):
        if count >= unit:
            return f"{count / unit:.4g} {name}"
    return f"{count} bytes"


# --- A user's exception, raised again elsewhere ---------------------------------------------


class _Remote(NamedTuple):
    task_name: str
    pid: int
    traceback: str
    cause: BaseException | None


_REMOTE = "_snakepit_remote"
_FIELDS = ("task_name", "pid", "remote_traceback")

# Types whose raising steers the interpreter: TaskError must not be caught, or change meaning, as
# one of them. (What is no Exception, such as KeyboardInterrupt, never mixes either.)
_CONTROL_FLOW = (StopIteration, StopAsyncIteration)


class TaskError(SnakepitError):
    """A task or method raised: this error is also of the type that the user's exception had.

    `except ValueError` catches it if the task raised a ValueError. Attributes of the user's
    exception are found on it. Types that cannot be mixed in give a plain TaskError.

    Args:
        task_name: name of the task or method.
        pid: the worker process that ran it.
        remote_traceback: the traceback there, as text.
        cause: the user's exception.
    """

    # Written to the instance's dictionary before the user's own attributes, which therefore win.
    task_name: str
    pid: int
    remote_traceback: str

    def __init__(
        self,
        task_name: str = "",
        pid: int = 0,
        remote_traceback: str = "",
        cause: BaseException | None = None,
    ) -> None:
        super().__init__(task_name, pid, remote_traceback, cause)
        _dress(self, _Remote(task_name, pid, remote_traceback, cause))

    def __init_subclass__(cls, **kwargs: Any) -> None:
        # Ends here: a user's hook would register the mixed class, or demand arguments.
        return None

    @property
    def cause(self) -> BaseException | None:
        """The user's exception, without its traceback."""
        return _remote(self).cause

    def __str__(self) -> str:
        remote = _remote(self)
        text = remote.traceback.rstrip("\n")
        if not text:
            text = f"{type(remote.cause).__name__}: {remote.cause}"
        return f"{remote.task_name} failed in worker process {remote.pid}\n\n{text}"

    # Both, since a user's type may define either.
    def __reduce__(self) -> tuple[Any, ...]:
        remote = _remote(self)
        carried = None if remote.cause is None else reduce_exception(remote.cause)
        cause = remote.cause if carried is None else None
        return _rebuild_task_error, (*remote[:3], cause, carried and carried[1:3], _own(self))

    def __reduce_ex__(self, protocol: object) -> tuple[Any, ...]:
        return TaskError.__reduce__(self)


def _remote(error: TaskError) -> _Remote:
    return cast(_Remote, error.__dict__[_REMOTE])


def _own(exc: BaseException) -> dict[str, Any]:
    """Attributes of an exception, without what a TaskError adds."""
    own = dict(vars(exc))
    remote = own.pop(_REMOTE, None)
    if remote is not None:
        for name, value in zip(_FIELDS, remote):
            if own.get(name) is value:
                del own[name]
    return own


def _dress(error: TaskError, remote: _Remote) -> None:
    own = error.__dict__
    own[_REMOTE] = remote
    own.update(zip(_FIELDS, remote))
    # Past the user's __setattr__, which may refuse, as a frozen dataclass does.
    BaseException.__setattr__(error, "__cause__", remote.cause)


def task_error(
    cause: BaseException, *, task_name: str, pid: int, remote_traceback: str
) -> TaskError:
    """Make the error to raise for a user's exception.

    Args:
        cause: the exception that the task raised; itself a TaskError if the task got it from
            another.
        task_name: name of the task or method.
        pid: the worker process that ran it.
        remote_traceback: the traceback there, as text.

    Returns:
        A new error that is an instance of the cause's type too, where the two can be mixed.
    """
    remote = _Remote(task_name, pid, remote_traceback, cause)
    if type(cause) is TaskError or not isinstance(cause, Exception):
        return TaskError(*remote)
    if isinstance(cause, _CONTROL_FLOW):
        return TaskError(*remote)
    try:
        mixed = type(cause) if isinstance(cause, TaskError) else _mixed_type(cast(Any, type(cause)))
        error = cast(TaskError, bare_exception(mixed, constructor_args(cause)))
        _dress(error, remote)
        own = _own(cause)
        own.pop("__notes__", None)  # the traceback's text ends with them
        set_state(error, (cause.args, members(cause), own))
    except Exception:
        # A type that refuses to be mixed, in one of the many ways there are.
        return TaskError(*remote)
    return error


@lru_cache(maxsize=256)
def _mixed_type(kind: type[Exception]) -> type[TaskError]:
    name = f"TaskError({kind.__name__})"
    body = {"__module__": __name__, "__qualname__": name, "__doc__": TaskError.__doc__}
    return cast(type[TaskError], type(name, (TaskError, kind), body))


def _rebuild_task_error(
    task_name: str,
    pid: int,
    remote_traceback: str,
    cause: BaseException | None,
    carried: tuple[tuple[Any, ...], State] | None,
    extra: dict[str, Any],
) -> TaskError:
    if carried is not None:
        cause = rebuild_exception(*carried[0])
        set_state(cause, carried[1])
    if cause is None:
        return TaskError(task_name, pid, remote_traceback)
    error = task_error(cause, task_name=task_name, pid=pid, remote_traceback=remote_traceback)
    error.__dict__.update(extra)
    return error
