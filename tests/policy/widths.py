"""The world's own books on how many calls each worker is given, and who starts another for that."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, final

from snakepit.policy import actions as do

from .starters import root

if TYPE_CHECKING:
    from .process import Worker
    from .world import World


@final
class Widths:
    """Keeps the books of one world, and compares."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._before: set[int] = set()

    def of(self, worker: Worker) -> int:
        """Return how many calls a worker is given at once, without nested ones and any ahead."""
        width = self.world.setting.widths.get(root(worker.pool), worker.slots)
        return min(width, worker.slots)

    def before(self) -> None:
        """Note who there is."""
        if self.world.setting.eager:
            self._before = {*self.world.scheduler.placement.workers}

    def after(self, actions: list[do.Action]) -> None:
        """Compare: who was put beside another has one more started, if there may be one."""
        world = self.world
        if not world.setting.eager:
            return
        placement = world.scheduler.placement
        for place, action in enumerate(actions):
            worker = world.workers.get(action.worker) if type(action) is do.Send else None
            if worker is None or worker.actor or root(worker.pool) not in world.setting.eager:
                continue
            plain = [task for task in worker.sent.values() if not task.nested]
            pool = placement.pools[worker.pool]
            if len(plain) < 2 or worker.slots < 2 or pool.full or pool.idle or action.nested:
                continue
            if self._idled(worker.pool, actions[place + 1 :]):
                continue
            new = pool.workers.keys() - self._before
            world.require(new, f"{action} puts it beside another, and nobody starts")

    def _idled(self, pool: str, later: list[do.Action]) -> bool:
        """Tell whether somebody of a pool had nothing to do before these actions."""
        given = Counter(action.worker for action in later if type(action) is do.Send)
        workers = {number: self.world.workers.get(number) for number in given}
        return any(
            worker is not None and worker.pool == pool and len(worker.sent) == given[number]
            for number, worker in workers.items()
        )
