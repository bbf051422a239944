"""Which actors have names, and which placement groups there are, as the driver is asked."""

from __future__ import annotations

from typing import Any, final

from ..ids import DRIVER
from ..policy.actors import ALIVE
from ..policy.scheduler import Scheduler
from ..policy.stats import stats
from ..protocol import ActorRecord, GroupRecord
from ..refusals import changed_pool, known_pool
from ..wire.messages import SessionKey
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

    def ask_session(self, operation: str, session: SessionKey | int, *arguments: Any) -> Any:
        """See `Runtime.ask_session`."""
        from ..sessions import plain

        core = self._core

        def answer() -> Any:
            core.check_open()
            return core.sessions.answer(operation, session, *arguments)

        return plain(core.update(answer))

    def pool_stats(self, name: str) -> dict[str, Any]:
        """See `Runtime.pool_stats`."""
        core = self._core
        facts: dict[str, Any] = core.update(lambda: stats_of(core.scheduler, name))
        return known_pool(facts)

    def change_pool(self, name: str, change: str, *arguments: int | None) -> None:
        """See `Runtime.change_pool`."""
        core = self._core
        facts = core.update(lambda: changed(core.scheduler, name, change, *arguments))
        changed_pool(facts, change)


def changed(
    scheduler: Scheduler, name: str, change: str, *arguments: Any, asker: int = DRIVER
) -> dict[str, Any]:
    """Change a pool, if it can be, and return what `stats_of` did before; the lock is held.

    Args:
        scheduler: which has the pool.
        name: the pool.
        change: "resize", to a least and a greatest number of workers; "recycle", all workers (None)
            or the one with a number; "drain", for the call with a number, or None; or "resume".
        arguments: the numbers.
        asker: the process that asks.
    """
    facts = stats_of(scheduler, name)
    pool = scheduler.placement.pools.get(name)
    if pool is None or "pools" in facts:
        return facts
    supervision = scheduler.supervision
    if change == "resize" and pool.declared:
        supervision.resize(pool, *arguments)
    elif change == "recycle":
        facts["worker"] = arguments[0]
        supervision.recycle(pool, arguments[0])
    elif change == "drain":
        facts["within"] = scheduler.drains.within(pool, asker, arguments[0] or 0)
        if not facts["within"]:
            scheduler.drains.drain(pool)
    elif change == "resume":
        scheduler.drains.resume(pool)
    return facts


def stats_of(scheduler: Scheduler, name: str) -> dict[str, Any]:
    """Return what a pool does; of one that is not there its name and those of others.

    The lock is held.
    """
    pools = scheduler.placement.pools
    pool = pools.get(name)
    if pool is None or pool.base:
        return {"pool": name, "pools": [each.name for each in pools.values() if not each.base]}
    return {**stats(scheduler.placement, pool), "draining": name in scheduler.drains.pools}


def living_groups(scheduler: Scheduler) -> list[GroupRecord]:
    """Return the placement groups that were not removed; the lock is held."""
    return [
        GroupRecord(actor.id, actor.methods, actor.state == ALIVE)
        for actor in scheduler.actors.groups.keepers.values()
        if not actor.is_going
    ]
