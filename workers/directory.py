"""Which actors have names, and which placement groups there are, as a worker asks the driver."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from snakepit.protocol import ActorRecord, GroupRecord
from snakepit.refusals import changed_pool, known_pool

if TYPE_CHECKING:
    from .client import WorkerRuntime


@final
class Directory:
    """Asks for what the driver alone knows."""

    __slots__ = ("_runtime",)

    def __init__(self, runtime: WorkerRuntime) -> None:
        self._runtime = runtime

    def find_actor(self, name: str, namespace: str | None) -> ActorRecord:
        """See `Runtime.find_actor`."""
        where = self._runtime.namespace if namespace is None else namespace
        found = self._runtime.ask("find_actor", where, name)
        if found is None:
            raise ActorRecord.missing(name, where)
        return ActorRecord(*found)

    def named_actors(self) -> list[tuple[str, str]]:
        """See `Runtime.named_actors`."""
        return [(namespace, name) for namespace, name in self._runtime.ask("named_actors")]

    def placement_groups(self) -> list[GroupRecord]:
        """See `Runtime.placement_groups`."""
        return [GroupRecord(*found) for found in self._runtime.ask("placement_groups")]

    def pool_stats(self, name: str) -> dict[str, Any]:
        """See `Runtime.pool_stats`."""
        return known_pool(self._runtime.ask("pool_stats", name))

    def change_pool(self, name: str, change: str, *arguments: int | None) -> None:
        """See `Runtime.change_pool`."""
        changed_pool(self._runtime.ask("change_pool", name, change, *arguments), change)
