"""The errors by the names that Ray gives them, for `import snakepit as ray` programs."""

from __future__ import annotations

from .errors import (
    ActorAlreadyExistsError,
    ActorDiedError,
    ActorError,
    ActorUnavailableError,
    ActorUnschedulableError,
    GetTimeoutError,
    ObjectLostError,
    ObjectStoreFullError,
    PendingCallsLimitExceeded,
    RuntimeEnvSetupError,
    SnakepitError,
    TaskCancelledError,
    TaskError,
    TaskUnschedulableError,
    WorkerCrashedError,
)

__all__ = [
    "RayError",
    "RayTaskError",
    "RayActorError",
    "ActorAlreadyExistsError",
    "ActorDiedError",
    "ActorUnavailableError",
    "ActorUnschedulableError",
    "GetTimeoutError",
    "ObjectLostError",
    "ObjectStoreFullError",
    "PendingCallsLimitExceeded",
    "RuntimeEnvSetupError",
    "TaskCancelledError",
    "TaskUnschedulableError",
    "WorkerCrashedError",
]

RayError = SnakepitError
RayTaskError = TaskError
RayActorError = ActorError
