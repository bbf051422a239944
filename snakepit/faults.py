"""System failures as plain records: what the scheduler decides, and `get` raises.

The scheduler is pure and its messages are plain data, so it names a failure by a kind and by
fields of int, str and None. Each `get` makes a fresh exception from the record: an exception
that is raised twice would collect the frames of both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from . import errors
from .endings import advice as _advice
from .endings import how as _how
from .refusals import REFUSALS

__all__ = ["Failure", "KINDS", "to_exception", "signal_name"]

Field = int | float | str | None


class Failure(NamedTuple):
    """Why a call has no value.

    Args:
        kind: one of `KINDS`.
        fields: what is known; every field may be missing.
    """

    kind: str
    fields: dict[str, Field]


def to_exception(failure: Failure) -> errors.SnakepitError:
    """Make a new exception from a failure.

    Args:
        failure: the record; fields that its kind does not know are passed over.

    Returns:
        An exception, ready to raise.
    """
    make = _MAKERS.get(failure.kind)
    if make is None:
        return errors.ProtocolError(
            f"a failure of unknown kind {failure.kind!r} arrived: {failure.fields}"
        )
    return make(failure.fields)


def signal_name(number: int) -> str:
    """Return a signal's name, such as "SIGSEGV"; "signal 40" for one without."""
    import signal

    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


_Fields = Mapping[str, Any]
_DEATH_FIELDS: Final = ("exit_code", "signal", "pid", "attempts", "restarts", "period")
_DEATH_TEXTS: Final = ("stderr", "running", "call", "kind")


def _death(fields: _Fields) -> dict[str, Any]:
    found = {name: fields.get(name) for name in _DEATH_FIELDS}
    found["attempts"] = _attempts(fields)
    found |= {name: fields.get(name) or "" for name in _DEATH_TEXTS}
    found["running"] = _names(fields)
    return found


def _attempts(fields: _Fields) -> int | None:
    """How often a call was started; what does not say it has started it once for each death."""
    return fields.get("attempts") or fields.get("deaths")


def _names(fields: _Fields) -> str:
    running = fields.get("running") or ""
    return running if isinstance(running, str) else ", ".join(running)


def _process(fields: _Fields) -> str:
    pid = fields.get("pid")
    return f"worker process {pid}" if pid else "its worker process"


def _running(fields: _Fields) -> str:
    what = _names(fields)
    return f" while it ran {what}" if what else ""


def _no_process(fields: _Fields) -> str:
    return (
        f"no worker process can be started: {fields.get('spawn')}. "
        "End some actors, or raise the limits of processes and of open files (ulimit -u, -n)"
    )


def _text(*sentences: str, stderr: str | None = "") -> str:
    text = ". ".join(s for s in sentences if s)
    return f"{text}\nIts last lines on stderr:\n{stderr.rstrip()}" if stderr else text


def _denial(fields: _Fields) -> str:
    """Say why a call is not tried again, if that is not for want of retries of its own."""
    denied = fields.get("denied")
    if denied == "budget":
        return (
            f"It is not tried again: its pool has had as many retries as its retry_budget allows, "
            f"{fields.get('budget')} in {fields.get('window') or 0:g} s"
        )
    return "It is not tried again: the circuit breaker of its pool is open" if denied else ""


def _worker_crashed(fields: _Fields) -> errors.SnakepitError:
    attempts = _attempts(fields) or 0
    call = fields.get("call") or "a call"
    return errors.WorkerCrashedError(
        _text(
            f"{call}: {_process(fields)} {_how(fields)}{_running(fields)}",
            f"It was started {attempts} times" if attempts > 1 else "",
            _denial(fields),
            _advice(fields),
            stderr=fields.get("stderr"),
        ),
        **_death(fields),
    )


def _poisoned(fields: _Fields) -> errors.SnakepitError:
    deaths = fields.get("deaths") or "several"
    return errors.PoisonedCallError(
        _text(
            f"{fields.get('call') or 'a call'} killed {deaths} workers and is not tried again: "
            f"the last, {_process(fields)}, {_how(fields)}{_running(fields)}",
            _advice(fields),
            stderr=fields.get("stderr"),
        ),
        **_death(fields),
    )


def _again_and_again(fields: _Fields) -> str:
    count, intensity, period = map(fields.get, ("restarts", "intensity", "period"))
    if None in (count, intensity, period):
        return "again and again"
    times = "1 time" if count == 1 else f"{count} times"
    return (
        f"{times} in a row, more than restart_intensity={intensity} within "
        f"restart_period={period:g} s"
    )


def _pool_failed(fields: _Fields) -> errors.SnakepitError:
    cool_down = fields.get("cool_down") or 0.0
    last = f"The last, {_process(fields)}, {_how(fields)}"
    advice = "" if fields.get("spawn") else _advice(fields)
    return errors.PoolFailedError(
        _text(
            f"{fields.get('call') or 'a call'}: pool {fields.get('pool') or ''} has failed: its "
            f"worker processes died before they had begun a call, {_again_and_again(fields)}",
            f"The last: {_no_process(fields)}" if fields.get("spawn") else last,
            advice,
            f"Calls fail at once for {cool_down:g} s; the next one then tries one worker again",
            stderr=fields.get("stderr"),
        ),
        pool=fields.get("pool") or "",
        cool_down=cool_down,
        **_death(fields),
    )


def _circuit_open(fields: _Fields) -> errors.SnakepitError:
    from time import monotonic

    left = max(0.0, (fields.get("reset_at") or 0.0) - monotonic())
    # The one that is being tried opens it for as long again, or closes it before.
    wait = left or fields.get("reset_after") or 0.0
    count, window = fields.get("failures"), fields.get("window") or 0.0
    many = "calls have" if count is None else "1 call has" if count == 1 else f"{count} calls have"
    return errors.CircuitOpenError(
        _text(
            f"{fields.get('call') or 'a call'} has not run: the circuit breaker of pool "
            f"{fields.get('pool') or ''} is open, since {many} crashed workers within {window:g} s",
            f"The last, {_process(fields)}, {_how(fields)}",
            _advice(fields),
            f"One call is tried again in {left:.3g} s"
            if left
            else f"One call is being tried; try again in {wait:.3g} s",
            stderr=fields.get("stderr"),
        ),
        pool=fields.get("pool") or "",
        retry_after=wait,
        **_death(fields),
    )


def _no_interpreter(fields: _Fields) -> str:
    """Say why no process of an interpreter can be had, and when it is tried again."""
    said: str = fields.get("error") or ""
    if said:
        return said
    return (
        f"no worker can be had of py_executable={fields.get('interpreter') or ''!r}: the zygote, "
        f"which they are forked from, died before a call had begun, {_again_and_again(fields)}; "
        f"the last {_how(fields)}"
    )


def _interpreter_failed(fields: _Fields) -> errors.SnakepitError:
    cool_down = fields.get("cool_down") or 0.0
    return errors.RuntimeEnvSetupError(
        _text(
            f"{fields.get('call') or 'a call'}: {_no_interpreter(fields)}",
            f"Calls of this environment fail at once for {cool_down:g} s; the next one then tries "
            "again",
            stderr=fields.get("stderr"),
        )
    )


def _actor(fields: _Fields) -> str:
    return f"actor {fields['actor']}" if fields.get("actor") else "the actor"


def _actor_error(
    kind: type[errors.ActorError], fields: _Fields, *sentences: str
) -> errors.SnakepitError:
    return kind(
        _text(*sentences, stderr=fields.get("stderr")),
        actor=fields.get("actor") or "",
        error=fields.get("error") or "",
        **_death(fields),
    )


_ACTOR_ENDS: Final = {
    "killed": "kill() ended it",
    "exit_actor": "it ended itself by exit_actor()",
    "out of scope": "its last handle is gone",
    "shutdown": "the runtime was shut down",
    "group_removed": "it was to run in a placement group that was removed, or that asked for more "
    "than there is",
    "name_taken": "it was never made, since its name is another actor's",
}


_POOL_REFUSALS: Final = frozenset(("unknown_pool", "pool_failed", "circuit_open", "pool_draining"))


def _actor_died(fields: _Fields) -> errors.SnakepitError:
    reason = fields.get("reason") or "died"
    if reason == "init":
        return _actor_init_failed(fields)
    if reason == "unschedulable":
        return REFUSALS["actor_unschedulable"](fields)
    if _is_refusal(reason):
        # The pool takes nothing: the error is what its tasks get, whoever is refused.
        return _MAKERS[reason]({**fields, "call": fields.get("actor")})
    if reason == "argument":
        text = f"{_actor(fields)} was never made: an argument of its constructor has no value"
        return _actor_error(errors.ActorDiedError, fields, text, fields.get("error") or "")
    if reason == "interpreter":
        text = f"{_actor(fields)} was never made: {_no_interpreter(fields)}"
        return _actor_error(errors.ActorDiedError, {**fields, "error": ""}, text)
    if fields.get("spawn"):
        text = f"{_actor(fields)} is dead: {_no_process(fields)}"
        return _actor_error(errors.ActorDiedError, fields, text)
    if reason != "died":
        why = _ACTOR_ENDS.get(reason, reason)
        return _actor_error(errors.ActorDiedError, fields, f"{_actor(fields)} is dead: {why}")
    return _actor_error(
        errors.ActorDiedError,
        fields,
        f"{_actor(fields)} died: {_process(fields)} {_how(fields)}{_running(fields)}",
        _advice(fields),
        _no_restart(fields),
    )


def _no_restart(fields: _Fields) -> str:
    if fields.get("restarts"):
        return f"Its processes died before it was made, {_again_and_again(fields)}"
    if spent := fields.get("max_restarts"):
        return f"It was made anew as often as max_restarts={spent} allows"
    return "With max_restarts it would be made anew, with max_task_retries its calls tried again"


def _actor_init_failed(fields: _Fields) -> errors.SnakepitError:
    return _actor_error(
        errors.ActorDiedError,
        fields,
        f"{_actor(fields)} was never made: its constructor raised\n\n{fields.get('error') or ''}",
    )


def _is_refusal(reason: str) -> bool:
    return reason in _POOL_REFUSALS or reason.startswith("interpreter_")


def _actor_unavailable(fields: _Fields) -> errors.SnakepitError:
    reason = fields.get("reason") or ""
    if _is_refusal(reason):
        said = _MAKERS[reason]({**fields, "call": _actor(fields), "stderr": None})
        advice = "It is made again when its pool has workers; call again then"
        return _actor_error(errors.ActorUnavailableError, fields, str(said), advice)
    return _actor_error(
        errors.ActorUnavailableError,
        fields,
        f"{_actor(fields)} is being restarted: {_process(fields)} {_how(fields)}"
        f"{_running(fields)}, and this call may or may not have run",
        _advice(fields),
        "Call again, or set max_task_retries if running it twice does no harm",
    )


def _session_worker_unavailable(fields: _Fields) -> errors.SnakepitError:
    session = str(fields.get("session") or "")
    died = fields.get("signal") or fields.get("exit_code") is not None
    return errors.SessionWorkerUnavailableError(
        _text(
            f"{fields.get('call') or 'a call'} did not run to its end: the worker that session "
            f"{session!r} is pinned to has gone, with the state that it kept",
            f"It, {_process(fields)}, {_how(fields)}" if died else "",
            _advice(fields),
            "Session.repin() lets the next call choose another, and session.store is still there",
            stderr=fields.get("stderr"),
        ),
        session=session,
        **_death(fields),
    )


def _cancelled(fields: _Fields) -> errors.SnakepitError:
    call = fields.get("call") or ""
    return errors.TaskCancelledError(f"{call or 'the call'} was cancelled", call=call)


def _task_timeout(fields: _Fields) -> errors.SnakepitError:
    call, timeout = fields.get("call") or "", fields.get("timeout") or 0.0
    left = ". It cannot be ended alone, and may still run" if fields.get("company") else ""
    return errors.TaskTimeoutError(
        f"{call or 'the call'} ran for more than {timeout:g} s, its timeout{left}",
        call=call,
        timeout=timeout,
    )


def _nesting_depth(fields: _Fields) -> errors.SnakepitError:
    depth = fields.get("depth")
    return errors.NestingDepthError(
        f"{fields.get('call') or 'a call'} waits at the bottom of "
        f"{depth if depth is not None else 'too many'} nested calls, more than can wait for one "
        "another. Return references instead of waiting inside, or make the recursion shallower"
    )


def _object_lost(fields: _Fields) -> errors.SnakepitError:
    reference = fields.get("reference") or ""
    return errors.ObjectLostError(
        f"the value of reference {reference or '(unknown)'} is gone: "
        f"{fields.get('reason') or 'the process that held it died'}",
        reference=reference,
    )


def _store_full(fields: _Fields) -> errors.SnakepitError:
    return errors.ObjectStoreFullError(
        fields.get("needed") or 0, fields.get("available"), fields.get("limit")
    )


def _shutdown(fields: _Fields) -> errors.SnakepitError:
    call = fields.get("call")
    before = f" before {call} was done" if call else ""
    return errors.RuntimeClosedError(f"the runtime was shut down{before}")


def _runtime_failed(fields: _Fields) -> errors.SnakepitError:
    reason = fields.get("reason")
    if not fields.get("restarts"):
        why = f"the runtime has ended: {reason or 'it failed'}"
        return errors.RuntimeFailedError(_text(why, stderr=fields.get("stderr")), **_death(fields))
    return errors.RuntimeFailedError(
        _text(
            "the runtime has failed: the zygote, which all workers are forked from, died before a "
            f"call had begun, {_again_and_again(fields)}",
            f"The last: {reason}" if reason else f"The last {_how(fields)}",
            "After snakepit.shutdown(), init() starts another",
            stderr=fields.get("stderr"),
        ),
        **_death(fields),
    )


def _stale_reference(fields: _Fields) -> errors.SnakepitError:
    return errors.StaleReferenceError(
        f"reference {fields.get('reference') or ''} belongs to another runtime than the present "
        "one. References end with the runtime that made them: call again, or put again"
    )


_MAKERS: Final[Mapping[str, Callable[[_Fields], errors.SnakepitError]]] = {
    **REFUSALS,
    "worker_crashed": _worker_crashed,
    "poisoned": _poisoned,
    "pool_failed": _pool_failed,
    "circuit_open": _circuit_open,
    "session_worker_unavailable": _session_worker_unavailable,
    "interpreter_failed": _interpreter_failed,
    "actor_died": _actor_died,
    "actor_init_failed": _actor_init_failed,
    "actor_unavailable": _actor_unavailable,
    "cancelled": _cancelled,
    "task_timeout": _task_timeout,
    "nesting_depth": _nesting_depth,
    "object_lost": _object_lost,
    "store_full": _store_full,
    "shutdown": _shutdown,
    "runtime_failed": _runtime_failed,
    "stale_reference": _stale_reference,
}

KINDS: Final = frozenset(_MAKERS)
"""The kinds of failure that `to_exception` knows."""
