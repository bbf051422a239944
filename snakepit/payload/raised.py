"""A user's exception as a payload: it always arrives, if need be as a description of itself."""

from __future__ import annotations

from collections.abc import Sequence
from pickle import dumps, loads
from typing import Any, Final

from ..errors import CauseUnavailableError, TaskError, task_error
from .buffers import Buffers
from .dumps import finish
from .packed import Packed, Part

MOST_LINKS: Final = 8
"""Tasks that an error which went up from one to the next names as its causes."""

LONGEST_TRACEBACK: Final = 32 << 10
"""Characters; an error that goes up through hundreds of tasks grows with each."""

# The cause is a pickle within a pickle: where it cannot be read, what is around it still can.
_Outer = tuple[str, int, str, str, str, bytes, str]


def pack_exception(exc: BaseException, *, task_name: str, pid: int) -> Packed:
    """Pack the exception that a task raised, its traceback as text; never fails.

    An exception that cannot be pickled, or not read back, is replaced by a CauseUnavailableError.

    Args:
        exc: the exception.
        task_name: name of the task or method.
        pid: the process that ran it.

    Returns:
        Parts for `unpack_exception`.
    """
    kind = f"{type(exc).__module__}.{type(exc).__qualname__}"
    text = _safely_str(exc)
    buffers = Buffers()
    refs: tuple[int, ...] = ()
    stream, reason = b"", ""
    try:
        stream, buffers, refs = _dump(_shortened(exc))
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        reason = f"{type(error).__name__}: {_safely_str(error)}"
    outer: _Outer = (task_name, pid, _safely_traceback(exc), kind, text, stream, reason)
    return finish(dumps(outer, 5), buffers, refs)


def unpack_exception(parts: Sequence[Part]) -> TaskError:
    """Make the error to raise for a task's exception.

    Args:
        parts: of `pack_exception`.

    Returns:
        A new TaskError, of the exception's type too where the two can be mixed.
    """
    outer: _Outer = loads(parts[0])
    task_name, pid, traceback, kind, text, stream, reason = outer
    cause: BaseException
    if reason:
        cause = CauseUnavailableError(kind, text, reason)
    else:
        try:
            cause = loads(stream, buffers=parts[1:])
        except Exception as error:
            reason = f"{type(error).__name__}: {_safely_str(error)}"
            cause = CauseUnavailableError(kind, text, reason)
    return task_error(cause, task_name=task_name, pid=pid, remote_traceback=traceback)


def _shortened(exc: BaseException) -> BaseException:
    """Leave links out of the middle of a long chain of tasks, in each of which it was raised."""
    chain = [exc]
    while isinstance(chain[-1], TaskError) and isinstance(chain[-1].cause, TaskError):
        chain.append(chain[-1].cause)
    if len(chain) <= MOST_LINKS or not isinstance(exc, TaskError):
        return exc
    return task_error(
        chain[1 - MOST_LINKS],
        task_name=exc.task_name,
        pid=exc.pid,
        remote_traceback=exc.remote_traceback,
    )


def _clipped(text: str) -> str:
    left_out = len(text) - LONGEST_TRACEBACK
    if left_out <= 0:
        return text
    half = LONGEST_TRACEBACK // 2
    return f"{text[:half]}\n[... {left_out} characters are left out ...]\n{text[-half:]}"


def _dump(exc: BaseException) -> tuple[bytes, Buffers, tuple[int, ...]]:
    """Pickle an exception so that it can be read back, which is tried."""
    try:
        return _dump_and_try(exc, force=False)
    except Exception:
        # A reduction of the user's own that is wrong; ours may do.
        return _dump_and_try(exc, force=True)


def _dump_and_try(exc: BaseException, *, force: bool) -> tuple[bytes, Buffers, tuple[int, ...]]:
    from .pickler import dump

    buffers = Buffers()
    stream, refs = dump(exc, buffers, force_exceptions=force)
    copy: Any = loads(stream, buffers=buffers.parts)
    if type(copy) is not type(exc):
        raise TypeError(f"it comes back as {type(copy).__qualname__}")
    return stream, buffers, refs


def _safely_str(exc: BaseException) -> str:
    try:
        return str(exc)
    except Exception as error:
        return f"<its __str__ raised {type(error).__name__}>"


def _safely_traceback(exc: BaseException) -> str:
    from .trace import remote_traceback

    try:
        return _clipped(remote_traceback(exc))
    except Exception as error:
        return f"<its traceback could not be formatted: {type(error).__name__}>"
