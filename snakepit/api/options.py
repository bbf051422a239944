"""The options of tasks, actors and methods: what is allowed, and what a runtime makes of them.

An option that Ray has and this version has not is refused, never ignored; what Ray does by
default is allowed when that is what happens here too. None means that an option is not given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, TypeAlias, TypedDict, final

from ..checks import check_seconds
from ..config import (
    check_bool,
    check_bytes,
    check_gpus,
    check_int,
    check_name,
    check_resources,
    check_units,
    wrong_type,
    wrong_value,
)
from ..errors import OptionError
from ..pools import LONGEST, check_memory, check_pool_name
from ..runtime_env import check_runtime_env
from ..wire.messages import STREAMING

MAX_RETURNS: Final = 100_000
FOREVER: Final = (1 << 31) - 1
DEFAULT_MAX_RETRIES: Final = 3
BACKPRESSURE: Final = "_generator_backpressure_num_objects"
DYNAMIC: Final = -2
"""Returns of a task whose value is the references to all that it yielded."""

LEAST_PRIORITY: Final = -10
MOST_PRIORITY: Final = 10
"""So few that to look through all classes that wait takes no time."""

MAX_CONCURRENCY: Final = 100_000
ASYNC_CONCURRENCY: Final = 1000
"""Calls that an actor with coroutine methods runs at once unless told otherwise, as in Ray."""

Exceptions: TypeAlias = list[type[Exception]] | tuple[type[Exception], ...]
RetryOn: TypeAlias = bool | tuple[type[BaseException], ...]
Check: TypeAlias = Callable[[str, Any], Any]


class CommonOptions(TypedDict, total=False):
    """Options of tasks and actors."""

    num_cpus: float | None
    num_gpus: float | None
    memory: float | None
    runtime_env: Mapping[str, Any] | None
    scheduling_strategy: object
    resources: Mapping[str, float] | None
    name: str | None
    pool: str | None


class TaskOptions(CommonOptions, total=False):
    """Options of a task, `num_returns` apart, which changes what `.remote()` returns."""

    max_retries: int | None
    retry_exceptions: bool | Exceptions | None
    session: str | None
    priority: int | None
    timeout: float | None
    memory_limit: int | None
    _generator_backpressure_num_objects: int | None


class ActorOptions(CommonOptions, total=False):
    """Options of an actor."""

    max_concurrency: int | None
    concurrency_groups: Mapping[str, int] | None

    max_restarts: int | None
    max_task_retries: int | None
    namespace: str | None
    lifetime: Literal["detached", "non_detached"] | None
    max_pending_calls: int | None
    get_if_exists: bool | None


class MethodOptions(TypedDict, total=False):
    """Options of an actor's method, `num_returns` apart, which changes what `.remote()` returns."""

    _generator_backpressure_num_objects: int | None
    max_task_retries: int | None
    retry_exceptions: bool | Exceptions | None
    concurrency_group: str | None
    timeout: float | None


class CallOptions(MethodOptions, total=False):
    """Options of one call of a method."""

    name: str | None


@final
class UnknownOptionError(OptionError, TypeError):
    """No option has this name."""


def _task_returns(option: str, value: object) -> int:
    return DYNAMIC if value == "dynamic" else _returns(option, value)


def _returns(option: str, value: object) -> int:
    if value == "streaming":
        return STREAMING
    if value == "dynamic":
        raise OptionError(f'{option}="dynamic" is for tasks; methods have "streaming"')
    if isinstance(value, str):
        raise wrong_type(option, value, 'a number or "streaming"')
    return check_int(option, value, 0, MAX_RETURNS)


def _backpressure(option: str, value: object) -> int:
    if value == -1:
        return 0
    return check_int(option, value, 1, MAX_RETURNS, " items, or -1 for no limit")


def _retries(option: str, value: object) -> int:
    return check_int(option, value, -1, FOREVER, " (-1: without end)")


def _exceptions(option: str, value: object) -> RetryOn:
    allowed = "True, False or a list of exception classes"
    if isinstance(value, bool):
        return value
    if not isinstance(value, (list, tuple)):
        raise wrong_type(option, value, allowed)
    for kind in value:
        if not isinstance(kind, type):
            raise wrong_type(f"an item of {option}", kind, "an exception class")
        if not issubclass(kind, Exception):
            raise wrong_value(f"an item of {option}", kind, "a subclass of Exception")
    return tuple(value) or False


def _lifetime(option: str, value: object) -> str:
    if value not in ("detached", "non_detached"):
        raise wrong_value(option, value, 'None, "detached" or "non_detached"')
    return str(value)


def _pending(option: str, value: object) -> int:
    if value == -1:
        return 0
    return check_int(option, value, 1, FOREVER, " calls, or -1 for no limit")


def _concurrency(option: str, value: object) -> int:
    return check_int(option, value, 1, MAX_CONCURRENCY)


def _groups(option: str, value: object) -> tuple[tuple[str, int], ...]:
    if not isinstance(value, Mapping):
        raise wrong_type(option, value, "a dictionary of names and how many calls run at once")
    return tuple(
        (check_name(f"a name in {option}", name), _concurrency(f"{option}[{name!r}]", limit))
        for name, limit in value.items()
    )


def _session(option: str, value: object) -> str:
    from ..sessions import check_session_id

    return check_session_id(option, value)


def _strategy(option: str, value: object) -> Any:
    allowed = '"DEFAULT", "SPREAD" (there is one machine) or a PlacementGroupSchedulingStrategy'
    if isinstance(value, str):
        if value not in ("DEFAULT", "SPREAD"):
            raise wrong_value(option, value, allowed)
        return None
    from .groups import PlacementGroupSchedulingStrategy

    if not isinstance(value, PlacementGroupSchedulingStrategy):
        raise wrong_type(option, value, allowed)
    return value


def _limit(option: str, value: object) -> float:
    return check_seconds(option, value, LONGEST, zero=False)


def _priority(option: str, value: object) -> int:
    return check_int(option, value, LEAST_PRIORITY, MOST_PRIORITY)


TASK_CHECKS: Final[dict[str, Check]] = {
    "num_cpus": check_units,
    "num_gpus": check_gpus,
    "memory": check_bytes,
    "runtime_env": check_runtime_env,
    "scheduling_strategy": _strategy,
    "resources": check_resources,
    "num_returns": _task_returns,
    BACKPRESSURE: _backpressure,
    "max_retries": _retries,
    "retry_exceptions": _exceptions,
    "name": check_name,
    "pool": check_pool_name,
    "session": _session,
    "priority": _priority,
    "timeout": _limit,
    "memory_limit": check_memory,
}
ACTOR_CHECKS: Final[dict[str, Check]] = {
    "num_cpus": check_units,
    "num_gpus": check_gpus,
    "memory": check_bytes,
    "runtime_env": check_runtime_env,
    "scheduling_strategy": _strategy,
    "resources": check_resources,
    "max_restarts": _retries,
    "max_task_retries": _retries,
    "name": check_name,
    "namespace": check_name,
    "lifetime": _lifetime,
    "max_concurrency": _concurrency,
    "concurrency_groups": _groups,
    "max_pending_calls": _pending,
    "get_if_exists": check_bool,
    "pool": check_pool_name,
}
METHOD_CHECKS: Final[dict[str, Check]] = {
    "num_returns": _returns,
    BACKPRESSURE: _backpressure,
    "max_task_retries": _retries,
    "retry_exceptions": _exceptions,
    "concurrency_group": check_name,
    "timeout": _limit,
}
CALL_CHECKS: Final[dict[str, Check]] = {**METHOD_CHECKS, "name": check_name}

# Ray's options that are still to come, with the value that asks for nothing (None always does).
_PLACES: Final[dict[str, Any]] = {
    "accelerator_type": None,
    "label_selector": None,
    "fallback_strategy": None,
    "enable_task_events": None,
}
TASK_LATER: Final[dict[str, Any]] = {
    **_PLACES,
    "max_calls": 0,
}
ACTOR_LATER: Final[dict[str, Any]] = {
    **_PLACES,
    "allow_out_of_order_execution": False,
}
METHOD_LATER: Final[dict[str, Any]] = {
    "enable_task_events": None,
}


def check_options(
    what: str, given: Mapping[str, Any], checks: Mapping[str, Check], later: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the options in the form that templates are made of; None stays None.

    Args:
        what: who takes the options, for the error.
        given: by name.
        checks: what is allowed.
        later: what is known and not supported, with the value that asks for nothing.

    Raises:
        TypeError: an option is unknown, or its value has a wrong type.
        OptionError: an option is unknown or not supported, or its value is not allowed.
    """
    found: dict[str, Any] = {}
    for option, value in given.items():
        check = checks.get(option)
        if check is not None:
            found[option] = None if value is None else check(option, value)
        elif option not in later:
            raise UnknownOptionError(
                f"{what} has no option {option!r}; it has: {', '.join(checks)}"
            )
        elif value is not None and value != later[option]:
            raise OptionError(
                f"{option}={value!r}: this option of {what} is not supported yet; leave it out"
            )
    return found


def merge(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Return checked options with later ones put over them; None restores a default."""
    return {option: value for option, value in {**old, **new}.items() if value is not None}


def full_name(definition: Any) -> str:
    """Return the module and name of a function or class; of an inner one without the outer."""
    name = getattr(definition, "__qualname__", type(definition).__name__)
    module = getattr(definition, "__module__", None) or "__main__"
    return f"{module}.{name.rpartition('<locals>.')[2]}"


def finds_by_name(options: Mapping[str, Any]) -> bool:
    """Tell whether an actor of the same name is taken instead of a new one."""
    wanted: bool = options.get("get_if_exists", False)
    return wanted


def group_names(options: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of an actor's concurrency groups."""
    return tuple(name for name, _ in options.get("concurrency_groups", ()))
