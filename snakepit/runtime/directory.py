"""Which actors have names, and which placement groups there are, as the driver is asked."""

from __future__ import annotations

from typing import final

from ..policy.actors import ALIVE
from ..policy.scheduler import Scheduler
from ..protocol import ActorRecord, GroupRecord
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


def living_groups(scheduler: Scheduler) -> list[GroupRecord]:
    """Return the placement groups that were not removed; the lock is held."""
    return [
        GroupRecord(actor.id, actor.methods, actor.state == ALIVE)
        for actor in scheduler.actors.groups.keepers.values()
        if not actor.is_going
    ]
