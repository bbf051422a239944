"""Calls that were never run, since something refused them: the errors that say so."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from . import errors

Fields: TypeAlias = Mapping[str, Any]


def _quantity(name: str, amount: float) -> str:
    return f"{amount / 1e9:.4g} GB of memory" if name == "memory" else f"{amount:g} {name}"


def _quantities(amounts: Any) -> str:
    if isinstance(amounts, Mapping):
        return ", ".join(_quantity(name, amounts[name]) for name in sorted(amounts))
    return str(amounts or "")


def _impossible(fields: Fields) -> str:
    wanted, total = _quantities(fields.get("needs")), _quantities(fields.get("total"))
    text = f"{fields.get('call') or 'it'} asks for {wanted or 'more than there is'}"
    return f"{text}, but this runtime has {total} in all" if total else text


def _task_unschedulable(fields: Fields) -> errors.SnakepitError:
    return errors.TaskUnschedulableError(
        f"{_impossible(fields)}. Ask for less by .options(...), or give more to init(...)"
    )


def _group_removed(fields: Fields) -> errors.SnakepitError:
    return errors.TaskUnschedulableError(
        f"{fields.get('call') or 'it'} was to run in a placement group that was removed, or that "
        "asked for more than there is"
    )


def _pool_saturated(fields: Fields) -> errors.SnakepitError:
    pool, limit = fields.get("pool") or "", fields.get("limit") or 0
    return errors.PoolSaturatedError(
        f"{fields.get('call') or 'a call'} was not taken: {limit} calls wait for the workers of "
        f"pool {pool} already, its max_queue_size. Call again when some are done, or make the "
        "pool larger, or its queue",
        pool=pool,
        limit=limit,
    )


def _pool_draining(fields: Fields) -> errors.SnakepitError:
    pool = fields.get("pool") or ""
    return errors.PoolDrainingError(
        f"{fields.get('call') or 'a call'} was not taken: pool {pool} drains. It takes calls again "
        f"after snakepit.pool({pool!r}).resume()",
        pool=pool,
    )


def _queue_timeout(fields: Fields) -> errors.SnakepitError:
    pool, timeout = fields.get("pool") or "", fields.get("timeout") or 0.0
    return errors.QueueTimeoutError(
        f"{fields.get('call') or 'a call'} has not run, and never will: no worker of pool {pool} "
        f"was free for it within {timeout:g} s, its queue_timeout",
        pool=pool,
        timeout=timeout,
    )


def _pool_deadlock(fields: Fields) -> errors.SnakepitError:
    pool = fields.get("pool") or ""
    within = fields.get("within") or "call"
    return errors.PoolDeadlockError(
        f"pool {pool} was not waited for, since that comes from its own {within}, which would "
        "have to end first: it would wait for itself, for ever. Wait for the pool "
        "somewhere else, such as in the driver",
        pool=pool,
    )


def _unknown_pool(fields: Fields) -> errors.SnakepitError:
    there = ", ".join(fields.get("pools") or ())
    return errors.UnknownPoolError(
        f"{fields.get('call') or 'a call'} is for pool {fields.get('pool') or ''!r}, which this "
        f"runtime does not have; it has: {there}. Others are made by init(pools=[...])"
    )


def _interpreter_differs(fields: Fields) -> errors.SnakepitError:
    return errors.OptionError(
        f"{fields.get('call') or 'a call'} names py_executable={fields.get('wanted') or ''!r}, but "
        f"pool {fields.get('pool') or ''!r} has interpreter={fields.get('interpreter') or ''!r}: "
        "leave py_executable out, or call it in another pool"
    )


def _worker_busy(fields: Fields) -> errors.SnakepitError:
    session = str(fields.get("session") or "")
    return errors.WorkerBusyError(
        f"{fields.get('call') or 'a call'} has not run: the worker of session {session!r} was "
        'busy. Call again, or open the session with affinity="strict_queue" to wait',
        session=session,
    )


def _session_elsewhere(fields: Fields) -> errors.SnakepitError:
    return errors.OptionError(
        f"{fields.get('call') or 'a call'} is for other workers (of pool "
        f"{fields.get('pool') or ''!r}, or with another environment or GPUs) than the one of pool "
        f"{fields.get('pinned') or ''!r} that session {fields.get('session') or ''!r} is pinned to"
    )


def _session_closed(fields: Fields) -> errors.SnakepitError:
    session = str(fields.get("session") or "")
    return errors.SessionClosedError(
        f"session {session!r} is not open: it was closed, or was out of use for as long as its "
        "ttl. Open it again by snakepit.Session(...)",
        session=session,
    )


def _session_quota(fields: Fields) -> errors.SnakepitError:
    limit = int(fields.get("limit") or 0)
    return errors.SessionQuotaExceededError(
        f"session {fields.get('session') or ''!r} cannot be opened: {limit} are open, as many as "
        "init(max_sessions=...) allows. Close some, or give them a shorter ttl",
        limit=limit,
    )


def _session_differs(fields: Fields) -> errors.SnakepitError:
    settings = ", ".join(f"{k}={v!r}" for k, v in dict(fields.get("settings") or {}).items())
    return errors.OptionError(
        f"session {fields.get('session') or ''!r} is open with other settings: {settings}. Use "
        "those, or close it first"
    )


def _actor_unschedulable(fields: Fields) -> errors.SnakepitError:
    return errors.ActorUnschedulableError(
        f"{_impossible(fields)}. Ask for less by .options(...), or give more to init(...)"
    )


def _unsendable(fields: Fields) -> errors.SnakepitError:
    return errors.SerializationError(f"the driver has no answer: {fields.get('reason') or ''}")


def _pending_calls(fields: Fields) -> errors.SnakepitError:
    limit = fields.get("limit")
    actor = f"actor {fields['actor']}" if fields.get("actor") else "the actor"
    return errors.PendingCallsLimitExceeded(
        f"{actor} has {limit if limit is not None else 'too many'} unanswered calls, "
        "as many as max_pending_calls allows. Get some results first"
    )


def known_pool(stats: dict[str, Any]) -> dict[str, Any]:
    """Return the stats of a pool, if that is what they are.

    Raises:
        UnknownPoolError: there is no such pool.
    """
    if "pools" in stats:
        raise _unknown_pool({"call": "the question", **stats})
    return stats


def changed_pool(stats: dict[str, Any], change: str) -> None:
    """Look whether a pool could be changed.

    Args:
        stats: of the pool before, as `snakepit.runtime.directory.changed` returns them.
        change: what was asked for.

    Raises:
        UnknownPoolError: there is no such pool.
        OptionError: it was not declared, or has no such worker.
        PoolDeadlockError: whoever asked would wait for itself.
    """
    known_pool(stats)
    if stats.get("within"):
        raise _pool_deadlock({"pool": stats["name"], "within": stats["within"]})
    worker = stats.get("worker")
    if worker is not None and worker not in stats["ready"]:
        there = ", ".join(map(str, stats["ready"])) or "none"
        raise errors.OptionError(
            f"worker={worker!r}: pool {stats['name']!r} has no such worker; those that are ready "
            f"have the numbers: {there}"
        )
    if change == "resize" and not stats["declared"]:
        raise errors.OptionError(
            f"pool {stats['name']!r} was not declared, and grows as calls need it, up to "
            "init(max_workers=...). Declare it by init(pools=[...]) to give it a size"
        )


REFUSALS: Final[Mapping[str, Callable[[Fields], errors.SnakepitError]]] = {
    "unschedulable": _task_unschedulable,
    "actor_unschedulable": _actor_unschedulable,
    "group_removed": _group_removed,
    "pool_saturated": _pool_saturated,
    "pool_deadlock": _pool_deadlock,
    "pool_draining": _pool_draining,
    "queue_timeout": _queue_timeout,
    "unknown_pool": _unknown_pool,
    "interpreter_differs": _interpreter_differs,
    "worker_busy": _worker_busy,
    "session_elsewhere": _session_elsewhere,
    "session_closed": _session_closed,
    "session_quota": _session_quota,
    "session_differs": _session_differs,
    "pending_calls": _pending_calls,
    "unsendable": _unsendable,
}
"""What makes the error of a failure record, by its kind."""
