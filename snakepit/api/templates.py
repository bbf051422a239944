"""Templates: the static part of calls, made of checked options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ..checks import UNITS
from ..errors import OptionError
from ..runtime_env import Pairs
from ..wire.messages import ASYNC, CREATE, GATE, METHOD, PLAIN, TASK, Template
from .options import ASYNC_CONCURRENCY, BACKPRESSURE, DEFAULT_MAX_RETRIES

_OTHER_NEEDS: Final = ("num_gpus", "memory", "resources")


def task_template(name: str, options: Mapping[str, Any], function: str = "") -> Template:
    """Return the static part of a task's calls; it takes one CPU unless told otherwise."""
    return _template(
        TASK,
        options.get("name", name),
        function=function,
        returns=options.get("num_returns", 1),
        resources=_task_resources(options),
        max_retries=options.get("max_retries", DEFAULT_MAX_RETRIES),
        backpressure=options.get(BACKPRESSURE, 0),
        env=options.get("runtime_env", ()),
        pool=options.get("pool", ""),
        priority=options.get("priority", 0),
        timeout=options.get("timeout", 0.0),
        memory_limit=_memory_limit(options),
    )


def _memory_limit(options: Mapping[str, Any]) -> int:
    limit: int = options.get("memory_limit", 0)
    if limit and options.get("num_returns", 1) < 0:
        raise OptionError(
            f"memory_limit={limit}: a generator runs a step at a time, and cannot have one; give "
            "its pool a memory_limit"
        )
    return limit


def actor_template(
    kind: str, options: Mapping[str, Any], flavour: int = PLAIN, function: str = ""
) -> Template:
    """Return the static part of an actor's creation.

    Its resources are what it holds while it lives. None given: the scheduler wants one CPU to
    place it, and it holds nothing; one with a pool wants a place there instead. Others given: one
    CPU comes with them, but in a pool. An explicit `num_cpus=0` is kept as an entry of 0, since it
    wants no CPU to be placed either.
    """
    if not any(map(options.get, _OTHER_NEEDS)) and "num_cpus" not in options:
        # In a group nothing but what it has set aside may be asked for.
        grouped = "scheduling_strategy" in options
        resources = _resources(options, 0) if grouped else ()
    else:
        resources = _resources(options, 0 if options.get("pool") else UNITS) or (("CPU", 0),)
    return _template(
        CREATE,
        kind,
        function=function,
        resources=resources,
        max_restarts=options.get("max_restarts", 0),
        max_task_retries=options.get("max_task_retries", 0),
        actor_name=options.get("name", ""),
        namespace=options.get("namespace", ""),
        flavour=flavour,
        groups=_concurrency_of(options, flavour),
        env=options.get("runtime_env", ()),
        detached=int(options.get("lifetime") == "detached"),
        max_pending=options.get("max_pending_calls", 0),
        pool=options.get("pool", ""),
        pooled=int("pool" in options),
    )


def _concurrency_of(options: Mapping[str, Any], flavour: int) -> tuple[tuple[str, int], ...]:
    """Return the groups of an actor's methods, () if it runs one at a time."""
    named: tuple[tuple[str, int], ...] = options.get("concurrency_groups", ())
    limit = options.get("max_concurrency", ASYNC_CONCURRENCY if flavour == ASYNC else 1)
    if limit == 1 and not named and flavour == PLAIN:
        return ()
    return (("", limit), *named)


def method_template(
    name: str,
    method: str,
    returns: int,
    retries: int,
    flavour: int = PLAIN,
    group: str = "",
    backpressure: int = 0,
    max_pending: int = 0,
    timeout: float = 0.0,
) -> Template:
    """Return the static part of a method's calls."""
    return _template(
        METHOD,
        name,
        method=method,
        returns=returns,
        max_retries=retries,
        max_task_retries=retries,
        flavour=flavour,
        group=group,
        backpressure=backpressure,
        max_pending=max_pending,
        timeout=timeout,
    )


def gate_template(pool: str, method: str = "") -> Template:
    """Return the template of what ends when a pool has its workers, or with `EMPTY` no calls."""
    return _template(GATE, f"pool {pool}", pool=pool, method=method)


def _template(
    kind: int,
    name: str,
    *,
    method: str = "",
    returns: int = 1,
    resources: tuple[tuple[str, int], ...] = (),
    max_retries: int = 0,
    max_restarts: int = 0,
    max_task_retries: int = 0,
    actor_name: str = "",
    namespace: str = "",
    flavour: int = PLAIN,
    groups: tuple[tuple[str, int], ...] = (),
    group: str = "",
    backpressure: int = 0,
    env: Pairs = (),
    detached: int = 0,
    max_pending: int = 0,
    function: str = "",
    pool: str = "",
    priority: int = 0,
    timeout: float = 0.0,
    memory_limit: int = 0,
    pooled: int = 0,
) -> Template:
    return Template(
        kind=kind,
        name=name,
        function=function,
        code=b"",
        method=method,
        returns=returns,
        resources=resources,
        pool=pool,
        max_retries=max_retries,
        retry_exceptions=b"",
        priority=priority,
        max_restarts=max_restarts,
        max_task_retries=max_task_retries,
        actor_name=actor_name,
        namespace=namespace,
        env=env,
        flavour=flavour,
        groups=groups,
        group=group,
        backpressure=backpressure,
        detached=detached,
        max_pending=max_pending,
        timeout=timeout,
        memory_limit=memory_limit,
        pooled=pooled,
    )


def _task_resources(options: Mapping[str, Any]) -> tuple[tuple[str, int], ...]:
    """Return what a task takes; () leaves that to its pool, and an entry of 0 is nothing."""
    usual = "num_cpus" not in options and not any(map(options.get, _OTHER_NEEDS))
    if usual and "scheduling_strategy" not in options:
        return ()
    return _resources(options, 0 if options.get("pool") else UNITS) or (("CPU", 0),)


def _resources(options: Mapping[str, Any], default_cpus: int) -> tuple[tuple[str, int], ...]:
    wanted = {
        "CPU": options.get("num_cpus", default_cpus),
        "GPU": options.get("num_gpus", 0),
        "memory": options.get("memory", 0),
        **dict(options.get("resources", ())),
    }
    found = tuple(sorted((name, units) for name, units in wanted.items() if units))
    strategy = options.get("scheduling_strategy")
    if strategy is None:
        return found
    placed: tuple[tuple[str, int], ...] = strategy.take(found)
    return placed
