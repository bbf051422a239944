"""The books on recycling: who has served how much, and whom a pool has left when one goes."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from snakepit.policy.lifespans import UNLIMITED, Lifespan

if TYPE_CHECKING:
    from .process import Worker
    from .world import World


@final
class Turnovers:
    """What is true of the workers that come and go in one world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.served: dict[int, int] = {}
        self.crews: dict[str, set[int]] = {}
        self.recycled: dict[str, int] = {}

    def lifespan(self, pool: str) -> Lifespan:
        """Return what a worker of the pool may have; one of a variant as much as one of its own."""
        found = self.world.scheduler.placement.pools[pool]
        return self.world.setting.lifespans.get(found.root, UNLIMITED)

    def began(self, worker: Worker, nested: bool) -> None:
        """A worker begins a call; one that another call waits for there is not its fault."""
        if worker.actor or nested:
            return
        served = self.served[worker.number] = self.served.get(worker.number, 0) + 1
        most = self.lifespan(worker.pool).requests
        self.world.require(
            most is None
            or served <= most
            or worker.number in self.world.seats.ever | self.world.housing.ever,
            f"{worker!r} begins call {served}, of {most}",
        )

    def before(self) -> None:
        """Note who is there."""
        pools = self.world.scheduler.placement.pools
        self.crews = {name: set(pool.workers) for name, pool in pools.items()}
        self.recycled = {n: sum(p.tally.recycled.values()) for n, p in pools.items()}

    def after(self) -> None:
        """Whoever is recycled leaves as many ready as its pool is to have, if that was declared."""
        world = self.world
        records = world.scheduler.placement.workers
        for name, crew in self.crews.items():
            pool = world.scheduler.placement.pools[name]
            gone = [records[n] for n in crew - pool.workers.keys() if n in records]
            pinned = [record for record in gone if record.pins and record.reason]
            recycled = sum(pool.tally.recycled.values()) > self.recycled.get(name, 0)
            well = not (pinned and recycled)
            world.require(well, f"{pinned} are recycled, and sessions rely on them")
            # One made smaller lets go of whoever idles, though others have just begun to start.
            if pool.over or not any(record.reason for record in gone):
                continue
            there = [world.workers.get(number) for number in pool.workers]
            ready = sum(worker is not None and worker.live for worker in there)
            least = pool.size if pool.declared else 0
            world.require(ready >= least, f"{ready} of {least} are left in {name}")

    def _outgoing(self, worker: Worker) -> bool:
        record = self.world.scheduler.placement.workers[worker.number]
        return not worker.actor and worker.live and worker.number not in record.pool.workers

    def settled(self) -> None:
        """Nothing moves any more: nobody waits to be replaced where others can be started."""
        for worker in filter(self._outgoing, self.world.workers.values()):
            busy = worker.retired or worker.stack
            self.world.require(busy, f"{worker!r} was to go, and has nothing to do")
        for pool in self.world.scheduler.placement.pools.values():
            turnover = pool.turnover
            both = {**turnover.due, **turnover.replaced} if pool.state == "running" else {}
            stay = [number for number, record in both.items() if not record.pins]
            self.world.require(not stay, f"{stay} are not replaced in {pool.name}")
            for number in () if pool.state != "running" else pool.workers:
                record = self.world.scheduler.placement.workers[number]
                self.world.require(record.room, f"{record!r} is of no use and stays")
