"""What must hold after each event, and what must hold when nothing moves any more.

The checker trusts only the scheduler's tables of calls, entries and resources, and holds them
against the books of the world.

Actions for workers that have died are legal: `Tell`, `Kill`, `Retire`, `AskBack` and `Interrupt`
may name a worker whose death the scheduler does not know of yet, and `Tell` one whose death it
knows; the shell drops them. `Send` names only workers that it believes alive.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from snakepit.checks import INTERPRETER
from snakepit.ids import DRIVER
from snakepit.policy import actions as do
from snakepit.policy.actors import ALIVE, DEAD, PENDING, STARTING
from snakepit.policy.calls import DONE, READY, SENT
from snakepit.policy.objects import PENDING as UNKNOWN
from snakepit.wire.messages import CREATE, TASK

from . import slots
from .books import Player, Task
from .outcomes import Outcomes, Violation
from .process import Worker
from .watch import Watch

if TYPE_CHECKING:
    from .world import World


@final
class Checker:
    """Checks one world, event by event."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.free: dict[str, int] = {}
        self.spawned: set[int] = set()
        self.watch = world.housing.watch = Watch(world)
        self.outcomes = Outcomes(world, self.watch)

    # --- before an event --------------------------------------------------------------------

    def before(self, name: str, args: tuple[Any, ...]) -> None:
        """Note what the event is measured against."""
        self.free = dict(self.world.scheduler.resources.free)
        self.watch.before(name, args)
        self.world.circuits.before(name, args)
        self.world.budgets.before(name, args)
        self.world.taints.before(name, args)
        self.world.starters.before(name, args)
        self.world.widths.before()
        self.world.pulses.before(name, args)
        self.world.ledger.before()
        self.world.turnovers.before()
        self.world.seats.before()
        self.world.ranks.before()
        if name == "cancel":
            self._cancel(args[0], recursive=args[2])

    def _cancel(self, identifier: int, recursive: bool) -> None:
        world = self.world
        task = world.producer.get(identifier)
        if task is None or task.resolved or identifier not in world.alive:
            return
        if recursive:
            for other in list(world.tasks.values()):
                if other.call.parent == task.call.id:
                    self._cancel(other.call.id, recursive=True)
        task.cancelled = True

    # --- after an event ---------------------------------------------------------------------

    def after(
        self, name: str, args: tuple[Any, ...], actions: list[do.Action],
        mentions: tuple[int, ...], result: Any,
    ) -> None:  # fmt: skip
        """Check what the scheduler did, and bring the world's books up to date."""
        world = self.world
        frees: dict[int, Any] = {}
        told: list[int] = []
        for action in actions:
            kind = type(action)
            if kind is do.Send:
                self._sent(action)  # type: ignore[arg-type]
            elif kind is do.Spawn:
                self._spawn(action)  # type: ignore[arg-type]
            elif kind is do.Free and action.id in world.discarded:  # type: ignore[union-attr]
                value = world.discarded.pop(action.id)  # type: ignore[union-attr]
                world.require(action.payload is value, f"{action!r} is not {value}")  # type: ignore[union-attr]
            elif kind is do.Free:
                world.require(action.id not in frees, f"{action!r} twice")  # type: ignore[union-attr]
                frees[action.id] = action.payload  # type: ignore[union-attr]
            elif kind is do.Resolved:
                told.append(action.id)  # type: ignore[union-attr]
            elif kind is do.Retire:
                self._retired(action.worker)  # type: ignore[union-attr]
            elif kind is do.Taken:
                world.flows.check(action)  # type: ignore[arg-type]
        world.require(not world.discarded, f"nobody frees {world.discarded}")
        world.seats.after(actions)
        world.ranks.after(name, actions)
        resolved = [t for t in world.tasks.values() if t.call.state is DONE]
        for task in resolved:
            self.outcomes.resolved(task, name, args)
            world.flows.resolved(task)
        world.clocks.after(name, args, actions)
        self._watched(told, resolved)
        self.outcomes.used_up(name, args)
        for player in list(world.players.values()):
            self._player(player)
        for identifier in mentions:
            world.unrefer(identifier)
        world.flows.deserted()
        self._gone(frees)
        self._resources(name)
        self.watch.after(name, actions)
        world.circuits.after(actions)
        world.budgets.after(actions)
        world.taints.after(actions)
        world.starters.after(actions)
        world.widths.after(actions)
        world.pulses.after(name, args, actions)
        world.ledger.after(name, args)
        world.turnovers.after()
        world.housing.after(name, args)
        if world.events % 256 == 0:
            self.audit()

    def _sent(self, action: do.Send) -> None:
        world = self.world
        call = action.call
        worker = world.workers.get(action.worker)
        if worker is None:
            raise Violation(f"{call!r} is sent to worker {action.worker}, which is gone")
        world.require(worker.live, f"{call!r} is sent to {worker!r} before it is ready")
        world.require(not worker.retired, f"{call!r} is sent to {worker!r}, which leaves")
        world.require(call.state is SENT and call.worker == action.worker, f"{call!r} is not sent")
        task = world.creations.get(call.id) if call.shape.template.kind == CREATE else None
        if call.shape.template.kind == CREATE:
            if task is None or task.call is not call:
                task = world.creations[call.id] = Task(call)
        else:
            task = world.tasks.get(call.id)
        if task is None:
            raise Violation(f"{call!r} is sent after its end")
        world.housing.sent(worker, call)
        world.require(not task.where, f"{task!r} is sent twice")
        world.require(not task.cancelled, f"{task!r} is sent although it was cancelled")
        if action.nested:
            world.require(slots.may_nest(worker), f"{task!r} is nested in {worker!r}")
        elif not worker.actor:
            world.require(slots.may_take(worker), f"{task!r} is sent to {worker!r}, which waits")
        template = call.shape.template
        asked = dict(template.env).get(INTERPRETER, "")
        python = world.setting.pythons.get(template.pool, asked)
        of_pool = not worker.actor and template.kind == TASK
        world.require(not of_pool or worker.interpreter == python, f"{task!r} is for {python}")
        world.clocks.sent(task)
        task.where = action.worker
        task.nested = action.nested
        worker.sent[call.id] = task

    def _spawn(self, action: do.Spawn) -> None:
        world = self.world
        number = action.worker
        world.require(number not in self.spawned, f"worker {number} is spawned twice")
        self.spawned.add(number)
        record = world.scheduler.placement.workers[number]
        worker = Worker(
            world, number, record.pool.name, record.actor is not None,
            world.housing.limits(record.actor), action.interpreter, record.slots,
        )  # fmt: skip
        template = record.actor.creation.shape.template if record.actor else record.pool
        wanted = dict(template.env).get(INTERPRETER, "")
        world.require(action.interpreter == wanted, f"{worker!r} is forked by {action}")
        self.watch.spawned(worker)
        world.workers[number] = worker
        world.crew.append(worker)
        pool = record.pool
        within = pool.staffed <= pool.limit or (pool.over and record.actor is not None)
        world.require(within, f"{len(pool.workers)} workers in {pool.name}")

    def _retired(self, number: int) -> None:
        worker = self.world.workers.get(number)
        self.world.require(worker is not None, f"worker {number} is retired after its death")
        assert worker is not None
        self.world.require(not worker.retired, f"worker {number} is retired twice")
        self.world.require(worker.live, f"worker {number} is retired before it is ready")
        worker.retired = True

    def _watched(self, told: list[int], resolved: list[Task]) -> None:
        world = self.world
        for identifier in told:
            world.require(identifier in world.watched, f"{identifier:x} is announced for nobody")
            world.watched.discard(identifier)
        for task in resolved:
            for identifier in task.call.returns:
                world.require(
                    identifier not in world.watched, f"{identifier:x} resolved and nobody was told"
                )

    # --- actors ---------------------------------------------------------------------------

    def _player(self, player: Player) -> None:
        world = self.world
        actor = player.actor
        state = actor.state
        if state == player.state:
            return
        pinned = state in (PENDING, STARTING) and actor.id not in world.reserve.keepers
        if pinned != player.pinned:
            player.pinned = pinned
            (world.refer if pinned else world.unrefer)(actor.id)
        if state in (PENDING, STARTING):
            player.made = False
        elif state is ALIVE:
            player.made = True
        template = actor.creation.shape.template
        if state is DEAD or (state is ALIVE and not template.max_restarts):
            world.housing.lets_go(player)
            for identifier in player.refs:
                world.unrefer(identifier)
            player.refs = ()
        player.state = state

    # --- objects --------------------------------------------------------------------------

    def _gone(self, frees: dict[int, Any]) -> None:
        world = self.world
        entries = world.scheduler.objects.entries
        gone = world.alive.difference(entries)
        for identifier in gone:
            world.alive.discard(identifier)
            world.watched.discard(identifier)
            world.outcomes.pop(identifier, None)
            for inner in world.contents.pop(identifier, ()):
                world.unrefer(inner)
            payload = world.stored.pop(identifier, None)
            world.require(
                frees.pop(identifier, None) is payload, f"{identifier:x} is gone, its value is not"
            )
            world.producer.pop(identifier, None)
        # A closed runtime lets go of what is in the hands of workers that are about to end.
        closed = world.closed or world.scheduler.closed is not None
        for identifier in () if closed else gone:
            world.require(
                identifier not in world.truth,
                f"{identifier:x} is gone, and {world.truth.get(identifier)} refer to it",
            )
        world.require(not frees, f"freed what lives: {frees}")
        world.require(len(entries) == len(world.alive), "there are entries that nobody made")

    # --- resources ------------------------------------------------------------------------

    def _resources(self, name: str) -> None:
        world = self.world
        if world.closed:
            return
        resources = world.scheduler.resources
        free = dict(resources.total)
        for record in world.scheduler.placement.workers.values():
            worker = world.workers.get(record.number)
            if record.actor is not None:
                player = world.players[record.actor.id]
                template = record.actor.creation.shape.template
                waits = worker is not None and bool(worker.blocked) and worker.groups is None
                if not waits and (template.resources or not player.made):
                    for key, amount in record.actor.creation.shape.klass.needs:
                        free[key] = free.get(key, 0) - amount
            elif worker is not None and worker.slots > 1:
                slots.take(worker, free)
            elif worker is not None and worker.sent:
                plain = None
                waits = False
                for identifier, task in worker.sent.items():
                    klass = task.call.shape.klass
                    if not task.nested:
                        world.require(
                            plain is None or plain is klass, f"{worker!r} mixes resources"
                        )
                        plain = klass
                        waits = waits or identifier in worker.blocked
                    elif identifier not in worker.blocked:
                        for key, amount in klass.needs:
                            free[key] = free.get(key, 0) - amount
                if plain is not None and not waits:
                    for key, amount in plain.needs:
                        free[key] = free.get(key, 0) - amount
        world.reserve.take(free)
        world.housing.take(free)
        now = resources.free
        if free != now:
            keys = {*free, *now}
            wrong = {k: (now.get(k, 0), free.get(k, 0)) for k in keys}
            wrong = {k: pair for k, pair in wrong.items() if pair[0] != pair[1]}
            world.require(not wrong, f"free resources (have, should be): {wrong}")
        if name != "unblocked":
            for key, amount in now.items():
                # What was a group's may be in use after its end.
                world.require(
                    key not in resources.total or amount >= 0 or amount >= self.free.get(key, 0),
                    f"{key} is oversold: {amount}",
                )

    # --- audits ---------------------------------------------------------------------------

    def audit(self) -> None:
        """Compare the tables in full."""
        world = self.world
        scheduler = world.scheduler
        for number, record in scheduler.placement.workers.items():
            worker = world.workers.get(number)
            sent = worker.sent if worker is not None else {}
            world.require(
                record.inflight.keys() == sent.keys(),
                f"worker {number} has {sent}, not {record.inflight}",
            )
            world.require(
                set(record.blocked) == (worker.blocked if worker else set()),
                f"worker {number} waits in {worker and worker.blocked}, not {record.blocked}",
            )
        world.ledger.audit()
        world.housing.audit()
        world.seats.audit()
        busy = sum(len(worker.sent) > len(worker.blocked) for worker in world.workers.values())
        world.require(scheduler.placement.busy == busy, f"{busy} workers are busy")
        for pool in scheduler.placement.pools.values():
            stay = pool.turnover.replaced.keys()
            world.require(stay <= pool.workers.keys(), f"{stay} are not in {pool.name}")
            within = len(pool.workers) - len(stay) <= pool.limit
            world.require(within or pool.over, f"too many workers in {pool.name}")
            starting = sum(record.state == "starting" for record in pool.workers.values())
            world.require(pool.starting == starting, f"{starting} workers start in {pool.name}")
            for number in pool.idle:
                world.require(
                    not scheduler.placement.workers[number].inflight, f"{number} is not idle"
                )
        for task in world.tasks.values():
            world.require(
                (task.call.state is SENT) == bool(task.where), f"{task!r} is lost or doubled"
            )
            if task.kind != CREATE:
                world.require(
                    (task.call.deaths, task.call.tries) == (task.deaths, task.tries),
                    f"{task!r} is charged {task.call.deaths} deaths and {task.call.tries} tries, "
                    f"not {task.deaths} and {task.tries}",
                )
        for identifier, entry in scheduler.objects.entries.items():
            local = world.driver.count.get(identifier, 0)
            world.require(
                entry.local == local, f"{identifier:x}: {entry.local} handles, not {local}"
            )
            task = world.producer.get(identifier)
            pending = (task is not None and not task.resolved) or identifier in world.flows.waiting
            if identifier not in world.actor_ids:
                world.require(
                    pending == (entry.outcome == UNKNOWN), f"{identifier:x} is {entry.outcome}"
                )
        for identifier, value in world.outcomes.items():
            entry = scheduler.objects.entries[identifier]
            world.require(
                entry.outcome == value[0] and entry.payload is value[1],
                f"{identifier:x} has changed its value",
            )
        for process in scheduler.objects.held:
            world.require(process != DRIVER and process in world.workers, f"{process} holds")

    def kept_from_outside(self) -> set[int]:
        """Return what exists, less the values that only mention each other in circles."""
        world = self.world
        inside: dict[int, int] = {}
        for identifier in world.alive:
            for inner in world.contents.get(identifier, ()):
                inside[inner] = inside.get(inner, 0) + 1
        for identifier, flow in world.flows.table.items():
            for item in flow.items:
                if item != identifier:
                    inside[item] = inside.get(item, 0) + 1
        return {i for i in world.alive if world.truth.get(i, 0) != inside.get(i, -1)}

    def settled(self) -> None:
        """With no message on its way, what is referred to is exactly what exists."""
        world = self.world
        self.audit()
        unsaid = set().union(*(worker.dropped for worker in world.workers.values()))
        for identifier in world.alive - unsaid:
            world.require(identifier in world.truth, f"{identifier:x} stays, referred to by nobody")
        for pool in world.scheduler.placement.pools.values():
            kept = sum(worker.pins > 0 for worker in pool.turnover.replaced.values())
            extra = len(pool.workers) - kept - pool.starting - pool.size
            idle = [worker for worker in pool.idle.values() if not worker.pins]
            world.require(extra <= 0 or not idle, f"{len(idle)} idle workers stay in {pool.name}")
        for klass in list(world.scheduler.placement.waiting):
            stuck = [c for c in klass.queue if c.state not in (DONE, READY) and not c.hastened]
            world.require(not stuck, f"queued, and not ready: {stuck}")
