"""The world's own books on actors that live in pools: where each lives, and that it may."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from snakepit.policy.actors import DEAD, Actor
from snakepit.policy.calls import READY, Call
from snakepit.policy.stats import stats
from snakepit.wire.messages import CREATE

if TYPE_CHECKING:
    from .process import Worker
    from .world import World


@final
class Housing:
    """Keeps the books of one world, and compares."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.homes: dict[int, int] = {}  # an actor's id: the number of the worker that it has

    def limits(self, actor: Actor | None) -> dict[str, int] | None:
        """Return how many calls of which group an actor's process runs side by side."""
        groups = actor.groups if actor is not None else None
        return {name: group.limit for name, group in groups.items()} if groups else None

    def sent(self, worker: Worker, call: Call) -> None:
        """A call is sent to a worker: with a constructor it may become an actor's."""
        if call.shape.template.kind != CREATE or worker.actor:
            return
        require = self.world.require
        record = self.world.scheduler.placement.workers[worker.number]
        actor = self.world.players[call.id].actor
        require(actor.pooled, f"{actor!r} is made in {worker!r}, which is a pool's")
        require(record.pool is actor.pool, f"{actor!r} is made in {worker!r}, of another pool")
        require(not worker.sent and not worker.stack, f"{actor!r} is made in {worker!r}, at work")
        require(not record.pins, f"{actor!r} is made in {record!r}, which sessions rely on")
        replaced = record.number in record.pool.turnover.replaced
        require(not replaced, f"{actor!r} is made in {record!r}, which is replaced")
        refusal = call.shape.klass.refusal
        require(refusal is None, f"{actor!r} is made, and refused by {refusal}")
        worker.actor = True
        worker.groups = self.limits(actor)

    def after(self, name: str, args: tuple[Any, ...]) -> None:
        """Compare, after each event."""
        world = self.world
        if world.closed or world.scheduler.closed is not None:
            return
        if name == "create":
            self._made(args[0])
        for player in world.players.values():
            actor = player.actor
            if actor.pooled:
                self._look_at(actor)

    def _made(self, call: Call) -> None:
        actor = self.world.players[call.id].actor
        taken = actor.pooled and actor.state is not DEAD and self.world.ledger.is_drained(call)
        self.world.require(not taken, f"{actor!r} is taken by a pool that drains")

    def _look_at(self, actor: Actor) -> None:
        require, pool = self.world.require, actor.pool
        assert pool is not None
        require((actor.id in pool.actors) == (actor.state is not DEAD), f"{actor!r} is not counted")
        creation = actor.creation
        if creation.state is READY:
            refusal = creation.shape.klass.refusal
            require(refusal is None, f"{actor!r} waits, and is refused by {refusal}")
        worker = actor.worker
        if worker is None or worker.number not in self.world.scheduler.placement.workers:
            return
        require(worker.number in pool.workers, f"{actor!r} has no place in {pool!r}")
        require(worker.number not in pool.idle, f"{actor!r} lives in {worker!r}, which is idle")
        turnover = pool.turnover
        going = worker.number in turnover.due or worker.number in turnover.replaced
        require(not going, f"{worker!r} is recycled, and {actor!r} lives there")

    def has_place(self, actor: Actor) -> bool:
        """Tell whether there is a worker for an actor that waits, or could be."""
        pool = actor.pool
        assert pool is not None
        idle = any(not worker.pins for worker in pool.idle.values())
        return idle or pool.staffed + pool.held < pool.limit

    def audit(self) -> None:
        """Compare what people are told."""
        placement = self.world.scheduler.placement
        for name, _, _ in self.world.setting.pools:
            told: dict[str, Any] = stats(placement, placement.pools[name])["actors"]
            states = [
                player.actor.state
                for player in self.world.players.values()
                if player.actor.pool is not None and player.actor.pool.root == name
            ]
            true = {state: states.count(state) for state in told}
            self.world.require(told == true, f"{name} has {true} actors, not {told}")
