"""The errors that snakepit raises: one tree, named by what failed, with fields to act on.

Each error survives pickle and copy with its fields. This module is loaded by `import snakepit`,
so it imports nothing that costs.
"""

from __future__ import annotations

from typing import Any, final

from .carried import SnakepitError
from .task_errors import TaskError
from .task_errors import task_error as task_error

__all__ = [
    "SnakepitError",
    "TaskError",
    "CauseUnavailableError",
    "WorkerCrashedError",
    "PoisonedCallError",
    "PoolFailedError",
    "CircuitOpenError",
    "PoolSaturatedError",
    "PoolDeadlockError",
    "PoolDrainingError",
    "QueueTimeoutError",
    "UnknownPoolError",
    "WorkerBusyError",
    "SessionWorkerUnavailableError",
    "SessionClosedError",
    "SessionQuotaExceededError",
    "ActorError",
    "ActorDiedError",
    "ActorUnavailableError",
    "ActorAlreadyExistsError",
    "PendingCallsLimitExceeded",
    "TaskCancelledError",
    "TaskTimeoutError",
    "GetTimeoutError",
    "ScriptTimeoutError",
    "ObjectLostError",
    "ObjectStoreFullError",
    "StaleReferenceError",
    "NestingDepthError",
    "TaskUnschedulableError",
    "ActorUnschedulableError",
    "SerializationError",
    "OptionError",
    "NotSupportedError",
    "RuntimeEnvSetupError",
    "RuntimeStartError",
    "RuntimeClosedError",
    "RuntimeFailedError",
    "ForkedRuntimeError",
    "ProtocolError",
]


class _DeathError(SnakepitError):
    """What is known of a process that died.

    Args:
        message: what died, how, and what the user can do.
        exit_code: the process's exit code; None when a signal ended it.
        signal: name of the signal that ended it, such as "SIGSEGV"; None when none did.
        kind: "segfault" (a fault of native code), "abort" (it gave up), "oom" (for lack of memory:
            the kernel killed it, or it said so), "gpu" (after an error of a GPU), "hang" (it did
            not answer: see `Heartbeat`), "killed" (another signal), "exit"; "" when unknown.
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
        kind: str = "",
    ) -> None:
        super().__init__(message)
        self.kind = kind
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


class CircuitOpenError(_DeathError):
    """The circuit breaker of a pool is open: calls have crashed its workers; this one has not run.

    `retry_after` seconds after the error was made the `pool` tries one call again; while it tries
    one that is the breaker's `reset_after`. The other fields are those of the last process that
    crashed.
    """

    def __init__(
        self, message: str = "", *, pool: str = "", retry_after: float = 0.0, **death: Any
    ) -> None:
        super().__init__(message, **death)
        self.pool = pool
        self.retry_after = retry_after


class PoolSaturatedError(SnakepitError):
    """As many calls wait for the workers of a pool as may; this one was not taken.

    Attributes:
        pool: the pool's name.
        limit: how many may wait, its `max_queue_size`.
    """

    def __init__(self, message: str = "", *, pool: str = "", limit: int = 0) -> None:
        super().__init__(message)
        self.pool = pool
        self.limit = limit


class PoolDeadlockError(SnakepitError, RuntimeError):
    """What was to wait for a pool is a part of what it would wait for.

    Attributes:
        pool: its name.
    """

    def __init__(self, message: str = "", *, pool: str = "") -> None:
        super().__init__(message)
        self.pool = pool


class PoolDrainingError(SnakepitError):
    """The pool takes no calls, since `drain` was called; this one has not run.

    Attributes:
        pool: its name.
    """

    def __init__(self, message: str = "", *, pool: str = "") -> None:
        super().__init__(message)
        self.pool = pool


class QueueTimeoutError(SnakepitError, TimeoutError):
    """The call waited for a worker of its pool for too long; it has not run, and never will.

    Attributes:
        pool: the pool's name.
        timeout: seconds that a call may wait, its `queue_timeout`.
    """

    def __init__(self, message: str = "", *, pool: str = "", timeout: float = 0.0) -> None:
        super().__init__(message)
        self.pool = pool
        self.timeout = timeout


class TaskTimeoutError(SnakepitError, TimeoutError):
    """The call ran for longer than its options allow.

    Attributes:
        call: its name.
        timeout: seconds that it may run.
    """

    def __init__(self, message: str = "", *, call: str = "", timeout: float = 0.0) -> None:
        super().__init__(message)
        self.call = call
        self.timeout = timeout


class _SessionError(SnakepitError):
    """A call of a session has not run to its end because of the session.

    Attributes:
        session: the session's id.
    """

    def __init__(self, message: str = "", *, session: str = "") -> None:
        super().__init__(message)
        self.session = session


class WorkerBusyError(_SessionError):
    """The worker of the session had something to do, and the session does not wait."""


class SessionWorkerUnavailableError(_SessionError, _DeathError):
    """The worker that the session is pinned to has gone, with what it kept; how, if it has died."""

    def __init__(self, message: str = "", *, session: str = "", **death: Any) -> None:
        _DeathError.__init__(self, message, **death)
        self.session = session


class SessionClosedError(_SessionError):
    """No session of this id is open: it was closed, or nothing used it for too long."""


class SessionQuotaExceededError(SnakepitError):
    """As many sessions are open as may be.

    Attributes:
        limit: how many may be, `init(max_sessions=...)`.
    """

    def __init__(self, message: str = "", *, limit: int = 0) -> None:
        super().__init__(message)
        self.limit = limit


class UnknownPoolError(SnakepitError, ValueError):
    """The runtime has no pool of that name."""


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


class ScriptTimeoutError(SnakepitError, TimeoutError):
    """A script's main function has not ended in time; raised in it."""

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


class DescriptorLimitError(SnakepitError):
    """A process may open no more files, and a socket or connection was to be carried through it."""


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


class NotSupportedError(SnakepitError, NotImplementedError):
    """What was asked for is not built, or cannot be done in the way in which this runtime runs."""


class RuntimeEnvSetupError(SnakepitError):
    """The environment that a task or actor asked for could not be set up in its process."""


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
