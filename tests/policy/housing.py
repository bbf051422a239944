"""The world's own books on actors that live in pools: where each lives, and that it may."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from snakepit.policy.actors import DEAD, Actor
from snakepit.policy.calls import READY, Call
from snakepit.policy.classes import GROUP_REMOVED
from snakepit.policy.stats import stats
from snakepit.wire.messages import CREATE, METHOD, TASK

if TYPE_CHECKING:
    from .books import Player, Task
    from .process import Worker
    from .watch import Watch
    from .world import World


@final
class Housing:
    """Keeps the books of one world, and compares."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.watch: Watch  # which comes later
        self._left: set[Task] = set()  # constructors that run on though others are to run again
        self._taken: set[int] = set()  # actors whose constructors have been sent
        self.ever: set[int] = set()  # workers that actors have lived in among others

    def limits(self, actor: Actor | None) -> dict[str, int] | None:
        """Return how many calls of which group an actor's process runs side by side."""
        groups = actor.groups if actor is not None else None
        return {name: group.limit for name, group in groups.items()} if groups else None

    # --- among others -----------------------------------------------------------------------

    def is_ghost(self, call: Call) -> bool:
        """Tell whether a call has outlived its actor: it was answered, and may go on."""
        return call in self.world.scheduler.placement.hosting.ghosts

    def beside(self, worker: Worker, call: Call) -> bool:
        """Tell whether a method may overtake others of its actor."""
        if worker.slots == 1:
            return worker.groups is not None
        return self.world.players[call.actor].actor.groups is not None

    def came(self, worker: Worker, task: Task) -> None:
        """A worker with slots reads a call: of an actor that lives there, or is made there now."""
        call = task.call
        if task.kind == CREATE:
            worker.homes.add(call.id)
        elif task.kind == METHOD:
            there = call.actor in worker.homes or self.is_ghost(call) or self.world.closed
            self.world.require(there, f"{call!r} comes to {worker!r}, where its actor is not")

    def lets_go(self, player: Player) -> None:
        """An actor lets its arguments go, but for those of a constructor that runs still."""
        task = self.world.creations.get(player.actor.id)
        if task is None or player.actor.state is not DEAD or self.world.closed:
            return
        if task.where and self.is_ghost(task.call) and task.call is player.actor.creation:
            task.kept, player.refs = list(player.refs), ()

    def take(self, free: dict[str, int]) -> None:
        """Take what actors that live among others hold out of what is free."""
        for player in self.world.players.values():
            actor = player.actor
            if not actor.hosted or actor.worker is None or actor.state is DEAD:
                continue
            worker = self.world.workers.get(actor.worker.number)
            waits = actor.groups is None and any(
                self._is_of(task, actor) and identifier in worker.blocked
                for identifier, task in (worker.sent.items() if worker is not None else ())
            )
            if not waits and (actor.creation.shape.template.resources or not player.made):
                for key, amount in actor.creation.shape.klass.needs:
                    free[key] = free.get(key, 0) - amount

    def _is_of(self, task: Task, actor: Actor) -> bool:
        call = task.call
        return actor.id in (call.id, call.actor) and not self.is_ghost(call)

    def _running(self, actor: Actor, group: str | None) -> int:
        """Count the methods of an actor's present life, of one group or all, that a worker has."""
        assert actor.worker is not None
        worker = self.world.workers.get(actor.worker.number)
        return sum(
            task.kind == METHOD
            and self._is_of(task, actor)
            and group in (None, task.call.shape.template.group)
            for task in (worker.sent.values() if worker is not None else ())
        )

    def must_wait(self, task: Task, actor: Actor) -> bool:
        """Tell whether a method of an actor that is there cannot be sent now."""
        if actor.groups is not None:
            group = task.call.shape.template.group
            full = self._running(actor, group) >= actor.groups[group].limit
        else:
            lane = self.world.lanes[task.call.actor, task.call.caller]
            ahead = lane[: lane.index(task)] if task in lane else []
            full = self._running(actor, None) > 0 or any(not t.resolved for t in ahead)
        assert actor.worker is not None
        return full or not self._has_way(self.world.workers[actor.worker.number])

    def _has_way(self, worker: Worker) -> bool:
        """Tell whether a call could begin: in a slot, or beside calls that wait."""
        plain = sum(not task.nested for task in worker.sent.values())
        width = self.world.scheduler.placement.pools[worker.pool].width
        waiting = len(worker.blocked)
        return plain < width or (bool(waiting) and len(worker.sent) - waiting < width)

    def _method_sent(self, worker: Worker, call: Call) -> None:
        require = self.world.require
        actor = self.world.players[call.actor].actor
        there = actor.worker is not None and actor.worker.number == worker.number
        require(there, f"{call!r} is sent to {worker!r}, where {actor!r} is not")
        group = call.shape.template.group if actor.groups is not None else None
        limit = actor.groups[group].limit if actor.groups is not None and group is not None else 1
        require(self._running(actor, group) < limit, f"{call!r} is sent beside others of {actor!r}")

    # --- where a call is sent ---------------------------------------------------------------

    def sent(self, worker: Worker, call: Call) -> None:
        """A call is sent to a worker: with a constructor it may become an actor's."""
        if worker.actor or call.shape.template.kind == TASK:
            return
        require = self.world.require
        if worker.slots > 1:
            require(self._has_way(worker), f"{call!r} is sent to {worker!r}, which is full")
        if call.shape.template.kind == METHOD:
            self._method_sent(worker, call)
            return
        record = self.world.scheduler.placement.workers[worker.number]
        actor = self.world.players[call.id].actor
        require(actor.pooled, f"{actor!r} is made in {worker!r}, which is a pool's")
        require(record.pool is actor.pool, f"{actor!r} is made in {worker!r}, of another pool")
        replaced = record.number in record.pool.turnover.replaced
        require(not replaced, f"{actor!r} is made in {record!r}, which is replaced")
        require(not self._is_refused(actor), f"{actor!r} is made, and refused")
        self._taken.add(actor.id)
        if worker.slots > 1:
            self.ever.add(worker.number)
            return
        require(not worker.sent and not worker.stack, f"{actor!r} is made in {worker!r}, at work")
        require(not record.pins, f"{actor!r} is made in {record!r}, which sessions rely on")
        worker.actor = True
        worker.groups = self.limits(actor)

    # --- after an event -----------------------------------------------------------------------

    def after(self, name: str, args: tuple[Any, ...]) -> None:
        """Compare, after each event."""
        world = self.world
        if world.closed or world.scheduler.closed is not None:
            return
        if name == "create":
            self._made(args[0])
        elif name == "kill":
            self._leave_constructors()
        for player in world.players.values():
            actor = player.actor
            if actor.pooled:
                self._look_at(actor)
        for task in world.tasks.values():
            if task.kind == METHOD:
                player = world.players.get(task.call.actor)
                dead = player is not None and player.actor.state is DEAD
                world.require(not dead, f"{task!r} is left of an actor that is dead")

    def _made(self, call: Call) -> None:
        actor = self.world.players[call.id].actor
        taken = actor.pooled and actor.state is not DEAD and self.world.ledger.is_drained(call)
        self.world.require(not taken, f"{actor!r} is taken by a pool that drains")

    def _leave_constructors(self) -> None:
        for worker in self.world.workers.values():
            for task in worker.sent.values():
                if task.kind != CREATE or task in self._left or not self.is_ghost(task.call):
                    continue
                self._left.add(task)
                player = self.world.players[task.call.id]
                if player.actor.creation is not task.call:
                    task.kept = list(player.refs)
                    for identifier in task.kept:
                        self.world.refer(identifier)

    def _look_at(self, actor: Actor) -> None:
        require, pool = self.world.require, actor.pool
        assert pool is not None
        require((actor.id in pool.actors) == (actor.state is not DEAD), f"{actor!r} is not counted")
        creation = actor.creation
        if creation.state is READY:
            require(not self._is_refused(actor), f"{actor!r} waits, and is refused")
        worker = actor.worker
        if worker is None:
            return
        there = worker.number in self.world.scheduler.placement.workers
        require(there, f"{actor!r} lives in {worker!r}, which has ended")
        require(worker.number in pool.workers, f"{actor!r} has no place in {pool!r}")
        if actor.hosted:
            require(actor.id in (worker.tenants or ()), f"{worker!r} knows nothing of {actor!r}")
        else:
            require(worker.number not in pool.idle, f"{actor!r} lives in {worker!r}, which idles")
        turnover = pool.turnover
        going = worker.number in turnover.due or worker.number in turnover.replaced
        require(not going, f"{worker!r} is recycled, and {actor!r} lives there")

    def _has_lived(self, actor: Actor) -> bool:
        book = self.watch.actors.get(actor.id)
        return book is not None and book.restarts > 0

    def _circuit(self, actor: Actor) -> str:
        template = actor.creation.shape.template
        book = self.world.circuits.books.get(template.pool)
        return book.state if book is not None else "closed"

    def _is_refused(self, actor: Actor) -> bool:
        """Tell whether nobody may make it now: a circuit that is tried lets what is made anew."""
        refusal = actor.creation.shape.klass.refusal
        if refusal in (None, GROUP_REMOVED):  # a group may end as soon as it is there
            return False
        tried = refusal[0] == "circuit_open" and self._circuit(actor) == "half-open"
        return not (tried and actor.id in self._taken)

    def is_put_off(self, actor: Actor) -> bool:
        """Tell whether an actor that has lived may wait for its pool, which takes nothing now."""
        if not actor.pooled or not self._has_lived(actor):
            return False
        pool = self.watch.pool(actor.creation.shape.klass.pool.name)
        return pool.state == "failed" or self._circuit(actor) == "open"

    def has_place(self, actor: Actor) -> bool:
        """Tell whether there is a worker for an actor that waits, or could be."""
        pool = actor.pool
        assert pool is not None
        idle = any(not worker.pins for worker in pool.idle.values())
        if actor.hosted:
            idle = any(
                self._has_way(self.world.workers[number])
                and worker.room
                and worker.state == "live"
                and number not in pool.turnover.replaced
                and actor.id not in worker.inflight
                for number, worker in pool.workers.items()
            )
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
