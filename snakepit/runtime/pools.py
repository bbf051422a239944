"""The pools of a runtime, made of its settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ..checks import INTERPRETER
from ..config import Config
from ..definitions import DEFAULT_POOL
from ..errors import OptionError
from ..policy.lifespans import Lifespan
from ..policy.lines import Line
from ..policy.pools import Pool
from ..policy.restart import RestartWindow
from ..pools import HYBRID, PROFILE
from .core import Core

LEAST_LIMIT: Final = 64
"""Workers that the pool for calls that name none may have at least: those that wait count too."""


def pools_of(config: Config, window: Callable[[], RestartWindow]) -> list[Pool]:
    """Return those that were asked for, and the one for calls that name none."""
    pools: list[Pool] = []
    for asked in config.pools:
        least, most = asked.sizes(config.num_cpus)
        line = Line(asked.max_queue_size, asked.queue_timeout)
        span = Lifespan(asked.worker_ttl, asked.worker_max_requests, asked.worker_max_memory)
        slots = asked.slots(config.num_cpus)
        pool = Pool(asked.name, least, most, slots, window(), line, asked.idle_timeout, span)
        if asked.interpreter is not None:
            pool.env = ((INTERPRETER, asked.interpreter),)
        pool.width = 1 if asked.capacity == PROFILE else slots
        pool.eager = asked.capacity == HYBRID
        pool.batch, pool.patience = asked.start_batch, asked.start_timeout or 0.0
        if asked.circuit_breaker is not None:
            from ..policy.circuit import Circuit

            pool.circuit = Circuit(*asked.circuit_breaker)
        if asked.taint:
            from ..policy.taint import Taint

            pool.taint = Taint(asked.taint)
        if asked.retry_budget is not None:
            from ..policy.budget import Budget

            pool.budget = Budget(asked.retry_budget, asked.retry_period)
        pools.append(pool)
    if all(pool.name != DEFAULT_POOL for pool in pools):
        limit = config.max_workers or max(LEAST_LIMIT, 4 * config.num_cpus)
        pools.append(Pool(DEFAULT_POOL, max(1, config.num_cpus), limit, 1, window()))
    return pools


def at_start(pool: Pool, core: Core) -> int:
    """Return how many workers a pool is to have before anything needs them.

    Of the one that was not asked for as many as can run at once here; more are forked when calls
    wait for them.
    """
    if pool.declared:
        return pool.size
    return min(pool.size, core.cores, pool.limit) if core.config.num_cpus else 0


def initializers_of(config: Config) -> dict[str, list[bytes]]:
    """Return the pickled parts of what workers do before their first call, by their pool's name.

    Raises:
        SerializationError: an initializer cannot be pickled.
        OptionError: it refers to an object, of which no runtime can know before it has begun.
    """
    found: dict[str, list[bytes]] = {}
    for pool in config.pools:
        if pool.initializer is not None:
            from ..payload import pack_code

            packed = pack_code(pool.initializer).packed
            if packed.refs:
                raise OptionError(
                    f"initializer: that of pool {pool.name!r} refers to objects of a runtime, and "
                    "is run before any exist; load what it needs inside of it"
                )
            found[pool.name] = [bytes(part) for part in packed.parts]
    return found
