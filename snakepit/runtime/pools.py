"""The pools of a runtime, made of its settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ..config import Config
from ..definitions import DEFAULT_POOL
from ..policy.lifespans import Lifespan
from ..policy.lines import Line
from ..policy.pools import Pool
from ..policy.restart import RestartWindow
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
        pool = Pool(asked.name, least, most, 1, window(), line, asked.idle_timeout, span)
        if asked.circuit_breaker is not None:
            from ..policy.circuit import Circuit

            pool.circuit = Circuit(*asked.circuit_breaker)
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
