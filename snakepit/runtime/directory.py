"""Which actors have names, and which placement groups there are, as the driver is asked."""

from __future__ import annotations

from typing import Any, final

from ..policy.actors import ALIVE
from ..policy.scheduler import Scheduler
from ..policy.stats import stats
from ..protocol import ActorRecord, GroupRecord
from ..refusals import declared_pool, known_pool
from .core import Core


@final
class Directory:
    """Answers from the scheduler's tables, handles that were dropped meanwhile counted."""

    __slots__ = ("_core",)

    def __init__(self, core: Core) -> None:
        self._core = core

    def find_actor(self, name: str, namespace: str | None) -> ActorRecord:
        """See `Runtime.find_actor`."""
        core = self._core
        where = core.config.namespace if namespace is None else namespace
        actor = core.update(lambda: core.scheduler.find_actor(where, name))
        if actor is None:
            raise ActorRecord.missing(name, where)
        return ActorRecord(actor.id, actor.creation.name, actor.methods)

    def named_actors(self) -> list[tuple[str, str]]:
        """See `Runtime.named_actors`."""
        core = self._core
        names: list[tuple[str, str]] = core.update(lambda: [*core.scheduler.actors.names])
        return names

    def placement_groups(self) -> list[GroupRecord]:
        """See `Runtime.placement_groups`."""
        core = self._core
        found: list[GroupRecord] = core.update(lambda: living_groups(core.scheduler))
        return found

    def pool_stats(self, name: str) -> dict[str, Any]:
        """See `Runtime.pool_stats`."""
        core = self._core
        facts: dict[str, Any] = core.update(lambda: stats_of(core.scheduler, name))
        return known_pool(facts)

    def resize_pool(self, name: str, least: int, most: int) -> None:
        """See `Runtime.resize_pool`."""
        core = self._core
        declared_pool(core.update(lambda: resized(core.scheduler, name, least, most)))


def resized(scheduler: Scheduler, name: str, least: int, most: int) -> dict[str, Any]:
    """Give a pool other bounds, and return what `stats_of` does; the lock is held."""
    facts = stats_of(scheduler, name)
    if facts.get("declared"):
        scheduler.supervision.resize(scheduler.placement.pools[name], least, most)
    return facts


def stats_of(scheduler: Scheduler, name: str) -> dict[str, Any]:
    """Return what a pool does; of one that is not there its name and those of others.

    The lock is held.
    """
    pools = scheduler.placement.pools
    pool = pools.get(name)
    if pool is None or pool.base:
        return {"pool": name, "pools": [each.name for each in pools.values() if not each.base]}
    return stats(scheduler.placement, pool)


def living_groups(scheduler: Scheduler) -> list[GroupRecord]:
    """Return the placement groups that were not removed; the lock is held."""
    return [
        GroupRecord(actor.id, actor.methods, actor.state == ALIVE)
        for actor in scheduler.actors.groups.keepers.values()
        if not actor.is_going
    ]
