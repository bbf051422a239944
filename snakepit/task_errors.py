"""A user's exception, raised again elsewhere: an error that is also of the exception's type."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple, cast

from .carried import (
    SnakepitError,
    State,
    bare_exception,
    constructor_args,
    members,
    rebuild_exception,
    reduce_exception,
    set_state,
)


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

    # Found, and pickled, by the name that users know.
    __module__ = "snakepit.errors"

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
    if remote.traceback:
        from .sources import with_sources

        remote = remote._replace(traceback=with_sources(remote.traceback))
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
    body = {"__module__": TaskError.__module__, "__qualname__": name, "__doc__": TaskError.__doc__}
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
