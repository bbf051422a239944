"""The world's own books on workers that start: how many at one time, and for how long each may."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from snakepit.policy import actions as do

if TYPE_CHECKING:
    from .process import Worker
    from .world import World

GRACE = 1.0


@final
class Starters:
    """Keeps the books of one world, and compares."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.warned: set[int] = set()  # workers whose time is over
        self._due = 0

    def patience(self, worker: Worker) -> float:
        """Return in how many seconds a worker must be ready; 0: in any time."""
        return 0.0 if worker.actor else self.world.setting.patience.get(root(worker.pool), 0.0)

    def was_late(self, worker: Worker) -> bool:
        """Tell whether a worker has died that was not ready in its time."""
        return worker.number in self.warned and not worker.live

    def before(self, name: str, args: tuple[Any, ...]) -> None:
        """Take down what the event means."""
        self._due = int(args[0][6:]) if name == "tick" and args[0].startswith("start:") else 0

    def after(self, actions: list[do.Action]) -> None:
        """Compare."""
        world = self.world
        arms = [a for a in actions if type(a) is do.Arm and a.key.startswith("start:")]
        expected = []
        for action in actions:
            if type(action) is do.Spawn:
                patience = self.patience(world.workers[action.worker])
                world.require(action.patience == patience, f"{action} in a pool with {patience}")
                if patience:
                    expected.append((f"start:{action.worker}", patience))
        due = world.workers.get(self._due)
        if due is not None and not due.live:
            expected += self._overdue(due, actions)
        found = [(arm.key, arm.delay) for arm in arms]
        world.require(found == expected, f"timers {found} instead of {expected}")
        for action in actions:
            if type(action) is do.Kill and action.worker != self._due:
                worker = world.workers.get(action.worker)
                kept = worker is not None and not (worker.live or worker.actor)
                world.require(not kept, f"{worker!r} is ended before its time to start is over")
        self._batches()
        self._forks()

    def _overdue(self, worker: Worker, actions: list[do.Action]) -> list[tuple[str, float]]:
        first = worker.number not in self.warned
        self.warned.add(worker.number)
        wanted = do.Dump(worker.number) if first else do.Kill(worker.number)
        said = [a for a in actions if type(a) in (do.Dump, do.Kill) and a.worker == worker.number]
        self.world.require(said == [wanted], f"{worker!r} is late: {said}, not {wanted}")
        return [(f"start:{worker.number}", GRACE)] if first else []

    def _batches(self) -> None:
        counts: dict[str, int] = {}
        for worker in self.world.crew:
            if not (worker.live or worker.actor):
                counts[worker.pool] = counts.get(worker.pool, 0) + 1
        for pool, count in counts.items():
            most = self.world.setting.batches.get(root(pool), count)
            self.world.require(count <= most, f"{count} workers of {pool} start, not {most}")

    def _forks(self) -> None:
        """Compare how many are being forked with how many may be, when others wait for that."""
        world = self.world
        starts = world.scheduler.placement.staff.starts
        forking = sum(not (worker.live or worker.forked) for worker in world.crew)
        world.require(forking <= starts.most, f"{forking} are being forked")
        if forking < starts.most:
            waiting = [s for s in starts.queued() if s.interpreter in world.zygotes]
            ready = [s for s in waiting if not starts.has_parked(s.interpreter)]
            world.require(not ready, f"{ready} wait, and {forking} are being forked")


def root(pool: str) -> str:
    """Return the name of the pool that this is a variant of, or its own."""
    return pool.partition("/")[0]
