"""The simulated runtime around one scheduler: channels, processes, and what is true of them.

The world feeds the scheduler events as the real shells do, performs its actions, and keeps its own
books: who refers to which object, which call is where, what began. `Checker` compares the two.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from snakepit.checks import INTERPRETER
from snakepit.ids import DRIVER
from snakepit.policy import actions as do
from snakepit.policy.budget import Budget
from snakepit.policy.calls import DONE, Call
from snakepit.policy.circuit import Circuit
from snakepit.policy.lifespans import UNLIMITED
from snakepit.policy.lines import Line
from snakepit.policy.placement import Pool
from snakepit.policy.restart import RestartWindow
from snakepit.policy.scheduler import Scheduler
from snakepit.policy.taint import Taint
from snakepit.wire.messages import CREATE, FAILURE, METHOD, OK, RETRYABLE, TASK

from .books import Player, Process, Task
from .budgets import Budgets
from .checks import Checker
from .circuits import Circuits
from .clocks import Clocks
from .dice import Dice
from .flows import Flows
from .housing import Housing
from .outcomes import Violation
from .process import Worker
from .program import drive, made_ids
from .pulses import Pulses
from .ranks import Ranks
from .reserve import Reserve
from .seats import Seats
from .setting import Setting
from .starters import Starters
from .taints import Taints
from .turnovers import Turnovers
from .waitlists import Waitlists
from .widths import Widths

Make = Callable[[dict[str, float], list[Pool], int, Callable[[], RestartWindow]], Scheduler]

HOME: Final = ""
"""The interpreter of what names none."""

_FOR_WORKERS: Final = (
    do.Tell, do.Retire, do.Kill, do.AskBack, do.Interrupt, do.Ping, do.Hang, do.Evict,
    do.EndDeaf,
)  # fmt: skip
"""What a worker gets, if it lives."""

INSTANT: Final = 0.001
"""Seconds from one event to the next."""


class World:
    """One episode's runtime."""

    def __init__(
        self,
        setting: Setting,
        make: Make = Scheduler,
        tracing: bool = False,
    ) -> None:
        self.setting = setting
        window = partial(RestartWindow, setting.intensity, setting.period)
        pools = [
            Pool(
                name, size, limit, setting.slots.get(name, 1), window(),
                Line(*setting.lines[name]) if name in setting.lines else None,
                lifespan=setting.lifespans.get(name, UNLIMITED),
            )
            for name, size, limit in setting.pools
        ]  # fmt: skip
        for pool in pools:
            if pool.name in setting.circuits:
                pool.circuit = Circuit(*setting.circuits[pool.name])
            if pool.name in setting.taints:
                pool.taint = Taint(setting.taints[pool.name])
            pool.width = setting.widths.get(pool.name, pool.slots)
            if pool.name in setting.pythons:
                pool.env = ((INTERPRETER, setting.pythons[pool.name]),)
            pool.eager = pool.name in setting.eager
            pool.batch = setting.batches.get(pool.name, pool.batch)
            pool.patience = setting.patience.get(pool.name, 0.0)
            if pool.name in setting.budgets:
                pool.budget = Budget(*setting.budgets[pool.name])
        self.scheduler = make(setting.resources, pools, setting.cores, window)
        self.scheduler.placement.staff.starts.most = setting.most_starting
        self.scheduler.actors.most_in_mailbox = setting.most_in_mailbox
        self.dice = Dice()
        self.tracing = tracing
        self.trace: list[str] = []
        self.events = 0
        self.budget = setting.calls
        self.rushed = False
        self.released = False
        self.closed = False
        self.zygotes = {HOME}  # interpreters whose zygote takes what is to be forked
        self.stillborn: set[str] = set()  # those that will end before they do anything
        self.mourning: set[str] = set()  # those of which not all workers are known to have ended
        self.driver = Process(self, DRIVER)
        self.workers: dict[int, Worker] = {}
        self.crew: list[Worker] = []
        self.now = 0.0
        self.timers: list[tuple[float, str]] = []
        self.deferred: list[do.Action] = []
        self.actor_ids: set[int] = set()
        self.truth: dict[int, int] = {}
        self.alive: set[int] = set()
        self.contents: dict[int, tuple[int, ...]] = {}
        self.stored: dict[int, Any] = {}
        self.discarded: dict[int, Any] = {}  # values that come when their call has been answered
        self.watched: set[int] = set()
        self.outcomes: dict[int, tuple[int, Any]] = {}
        self.tasks: dict[int, Task] = {}
        self.producer: dict[int, Task] = {}
        self.creations: dict[int, Task] = {}
        self.players: dict[int, Player] = {}
        self.lanes: dict[tuple[int, int], list[Task]] = {}
        self._payloads = 0
        self.flows = Flows(self)
        self.reserve = Reserve(self)
        self.ledger = Waitlists(self)
        self.turnovers = Turnovers(self)
        self.clocks = Clocks(self)
        self.seats = Seats(self)
        self.ranks = Ranks(self)
        self.circuits = Circuits(self)
        self.budgets = Budgets(self)
        self.taints = Taints(self)
        self.housing = Housing(self)
        self.starters = Starters(self)
        self.widths = Widths(self)
        self.pulses = Pulses(self)
        self.checker = Checker(self)

    # --- small things ---------------------------------------------------------------------

    def require(self, condition: object, what: str) -> None:
        """Report a violation unless `condition` holds."""
        if not condition:
            raise Violation(what)

    def note(self, line: str) -> None:
        """Add a line to the trace."""
        self.trace.append(f"{self.events:6} {line}")

    def payload(self, stored: bool) -> Any:
        """Return a payload like no other."""
        self._payloads += 1
        return ["stored", self._payloads] if stored else b"%d" % self._payloads

    def refer(self, identifier: int) -> None:
        """Count one more reason why an object must live."""
        self.truth[identifier] = self.truth.get(identifier, 0) + 1

    def unrefer(self, identifier: int) -> None:
        """Count one less."""
        left = self.truth[identifier] - 1
        if left:
            self.truth[identifier] = left
        else:
            del self.truth[identifier]

    def hold(self, identifier: int) -> None:
        """Give the driver one more handle."""
        self.driver.own((identifier,))
        self.event("hold", identifier)

    def drop(self, identifier: int) -> None:
        """Take one handle from the driver."""
        left = self.driver.count[identifier] - 1
        if left:
            self.driver.count[identifier] = left
        else:
            del self.driver.count[identifier]
            self.unrefer(identifier)
        self.event("drop", identifier)

    # --- steps ----------------------------------------------------------------------------

    def step(self) -> None:
        """Let one thing happen somewhere."""
        dice = self.dice
        for interpreter in sorted(self.stillborn):
            self.end_zygote(interpreter)
        kind = dice.below(100)
        if kind < 85 and self.crew:
            dice.pick(self.crew).act(dice)
        elif kind < 95:
            drive(self, dice)
        elif kind < 98:
            if self.timers:
                self.fire(dice.below(len(self.timers)))
        elif self.crew and dice.chance(self.setting.kill * 10):
            if dice.below(12):
                busy = [worker for worker in self.crew if worker.stack]
                signal = "SIGSEGV" if dice.below(2) else "SIGKILL"
                dice.pick(busy or self.crew).die({"signal": signal})
            elif self.zygotes:
                self.end_zygote(dice.pick(sorted(self.zygotes)))

    def fire(self, index: int) -> None:
        """Let a timer run out, in its time or late."""
        due, key = self.timers.pop(index)
        self.now = max(self.now, due)
        self.event("tick", key)

    def is_due(self) -> bool:
        """Tell whether a timer will run out that ends more than a pause."""
        ringing = {key.partition(":")[0] for _, key in self.timers}
        ends = {"dispatch", "queue", "shrink", "start", "taint", "timeout", "weigh"}
        return bool(ringing & ends) or self.pulses.awaited

    def deliver(self, worker: Worker, most: int) -> None:
        """Hand the driver up to `most` messages of a worker, as one read."""
        while worker.out and most:
            most -= 1
            name, args, mentions = worker.out.popleft()
            self.event(name, *args, mentions=mentions, defer=True)
        self.perform()

    def bury(self, worker: Worker) -> None:
        """Tell the scheduler that a worker has died, after all that it had sent."""
        self.event("died", worker.number, worker.cause, worker.started)
        self._end_mourning(worker.interpreter)

    def end_zygote(self, interpreter: str) -> None:
        """Kill a zygote, and its workers; another comes when they are told to be dead."""
        self.stillborn.discard(interpreter)
        if interpreter in self.zygotes and not self.closed:
            self.zygotes.discard(interpreter)
            self.mourning.add(interpreter)
            for worker in self.crew:
                if worker.interpreter == interpreter:
                    worker.die({"signal": "SIGKILL", "zygote": "was killed"})
            self.event("zygote_lost", interpreter)
            self._end_mourning(interpreter)

    def _end_mourning(self, interpreter: str) -> None:
        left = any(worker.interpreter == interpreter for worker in self.crew)
        if interpreter in self.mourning and not left:
            self.mourning.discard(interpreter)
            self.event("replace_zygote", interpreter, {"signal": "SIGKILL"})

    # --- events ---------------------------------------------------------------------------

    def event(
        self, name: str, *args: Any, mentions: tuple[int, ...] = (), defer: bool = False
    ) -> None:
        """Feed the scheduler one event, check what it did, and perform its actions."""
        self.events += 1
        self.now += INSTANT
        if self.tracing:
            self.note(f"{name} {' '.join(map(repr, args))}")
        self.checker.before(name, args)
        try:
            result = getattr(self, f"_{name}")(*args)
        except Violation:
            raise
        except Exception as error:
            raise Violation(f"{name} raised {type(error).__name__}: {error}") from error
        actions = list(self.scheduler.actions)
        self.scheduler.actions.clear()
        if self.tracing:
            for action in actions:
                self.note(f"    {action!r}")
        self.checker.after(name, args, actions, mentions, result)
        self.deferred.extend(actions)
        if not defer:
            self.perform()

    def _submit(self, call: Call) -> None:
        task = Task(call)
        self.tasks[call.id] = task
        self.ledger.submitted(task)
        self.ranks.submitted(task.call)
        for identifier in made_ids(call):
            self.alive.add(identifier)
            self.producer[identifier] = task
            self.refer(identifier)
        for identifier in call.refs:
            self.refer(identifier)
        if task.kind == METHOD:
            self.lanes.setdefault((call.actor, call.caller), []).append(task)
        self.flows.submitted(call)
        self.scheduler.submit(call)

    def _item(
        self, number: int, identifier: int, place: int, item: int, payload: Any,
        refs: tuple[int, ...],
    ) -> None:  # fmt: skip
        self.alive.add(item)
        self.remember(item, payload, refs)
        self.flows.yielded(self.tasks.get(identifier), identifier, place, item)
        self.scheduler.item(number, identifier, place, item, payload, refs)

    def _take(self, identifier: int) -> None:
        self.flows.take(identifier)

    def _expect(self, identifier: int) -> None:
        self.flows.expect(identifier)

    def _redeem(self, ticket: int) -> None:
        self.flows.redeem(ticket)

    def _create(self, call: Call) -> None:
        self.alive.add(call.id)
        for identifier in call.refs:
            self.refer(identifier)
        actor = self.scheduler.create(call, None)
        self.players[call.id] = Player(actor, call.refs)

    def _put(self, identifier: int, payload: Any, refs: tuple[int, ...], holder: int) -> None:
        self.alive.add(identifier)
        self.remember(identifier, payload, refs)
        self.scheduler.put(identifier, payload, refs, holder)

    def remember(self, identifier: int, payload: Any, refs: tuple[int, ...]) -> None:
        """Note the value of an object."""
        if refs:
            self.contents[identifier] = refs
            for inner in refs:
                self.refer(inner)
        if type(payload) is not bytes:
            self.stored[identifier] = payload

    def _hold(self, identifier: int) -> None:
        self.known(identifier)
        self.scheduler.objects.hold(DRIVER, (identifier,))

    def known(self, identifier: int) -> None:
        """A process tells of a handle: the object must exist still."""
        self.require(
            self.closed or identifier in self.alive, f"a handle came too late for {identifier:x}"
        )

    def _drop(self, identifier: int) -> None:
        self.scheduler.objects.drop(DRIVER, (identifier,))

    def _handles(self, number: int, added: list[int], dropped: list[int]) -> None:
        for identifier in added:
            self.known(identifier)
        self.scheduler.objects.hold(number, added)
        self.scheduler.objects.drop(number, dropped)

    def _find(self, number: int) -> None:
        actor = self.scheduler.find_actor("ns", "one")
        if actor is not None:
            self.require(actor.id in self.alive, f"found {actor!r}, which is gone")
        worker = self.workers.get(number)
        if worker is not None and worker.state != "dead":
            worker.inbox.append(("answer",))

    def _cancel(self, identifier: int, force: bool, recursive: bool) -> None:
        task = self.producer.get(identifier)
        force = force and not (task is not None and task.kind == METHOD)
        self.scheduler.cancel(identifier, force=force, recursive=recursive)

    def _kill(self, identifier: int, no_restart: bool) -> None:
        self.scheduler.kill(identifier, no_restart)

    def _want(self, number: int, ids: list[int], values: bool) -> None:
        self.scheduler.want(number, ids, values)

    def _blocked(
        self, number: int, identifier: int, ids: tuple[int, ...], every: bool, back: list[int]
    ) -> None:
        worker = self.workers[number]
        for returned in back:
            self._leaves(worker, returned)
        # A call in `back` that was cancelled may have been what it waits for. But what it gives up
        # while it waits may let a group come to be, and that end what it waits for: it was blocked.
        ended = {i for i in ids if i in self.producer and self._ends_by(back, self.producer[i])}
        waits = any(i not in ended and self.scheduler.pending(i) for i in ids)
        self.scheduler.blocked(number, identifier, ids, every, back)
        if identifier in worker.sent and waits:
            worker.blocked.add(identifier)

    def _ends_by(self, back: list[int], task: Task) -> bool:
        """Tell whether a call ends because of what is given back: by that, or by its argument."""
        if task.call.id in back:
            refused = task.kind == TASK and task.call.shape.klass.refuses(task.call)
            return task.cancelled or refused
        arguments = (self.producer.get(i) for _, i in task.call.deps)
        return any(self._ends_by(back, each) for each in arguments if each is not None)

    def _unblocked(self, number: int, identifier: int) -> None:
        self.workers[number].blocked.discard(identifier)
        self.scheduler.unblocked(number, identifier)

    def _given_back(self, number: int, ids: list[int]) -> None:
        for identifier in ids:
            self._leaves(self.workers[number], identifier)
        self.scheduler.given_back(number, ids)

    def _leaves(self, worker: Worker, identifier: int) -> Task | None:
        task = worker.sent.pop(identifier, None)
        worker.blocked.discard(identifier)
        if task is not None:
            task.where = task.running = 0
            self.clocks.left(task)
        return task

    def _result(
        self, number: int, identifier: int, outcome: int, values: list[Any],
        contained: list[list[int]], micros: int, kept: list[int],
    ) -> None:  # fmt: skip
        for handle in kept:
            self.known(handle)
        task = self._leaves(self.workers[number], identifier)
        if task is not None and outcome == RETRYABLE:
            task.attempts += 1
        elif task is not None:
            self.clocks.ended(task, outcome)
        if task is not None and outcome == OK and not task.resolved and task.kind != CREATE:
            for index, value in enumerate(values):
                refs = tuple(contained[index]) if contained else ()
                self.remember(identifier + index, value, refs)
        if task is not None and task.call.state is DONE and outcome != FAILURE:
            late = {identifier + index: value for index, value in enumerate(values)}
            self.discarded = {i: value for i, value in late.items() if type(value) is not bytes}
        self.scheduler.result(number, identifier, outcome, values, contained, micros, kept)

    def _began(self, number: int, identifier: int, at: float) -> None:
        self.scheduler.timeouts.began(number, identifier, at, self.now)

    def _undeliverable(self, number: int, identifier: int, reason: str) -> None:
        self._leaves(self.workers[number], identifier)
        self.scheduler.undeliverable(number, identifier, reason)

    def _forked(self, number: int) -> None:
        self.workers[number].forked = True
        staff = self.scheduler.placement.staff
        staff.forked(staff.workers[number])

    def _hello(self, number: int) -> None:
        self.workers[number].live = True
        self.scheduler.hello(number)

    def _died(self, number: int, cause: dict[str, Any], started: int) -> None:
        worker = self.workers.pop(number)
        self.crew.remove(worker)
        running = {frame.task.call.id for frame in worker.stack}
        charged = {i for i, task in worker.sent.items() if task.call.sequence <= started}
        if worker.groups is not None and running <= charged:
            # Of calls that run side by side, those of another group may have been overtaken.
            running = charged
        self.require(running == charged, f"worker {number} began {running}, not {charged}")
        self.ledger.died(worker, cause)
        suspects = {i for i in running & worker.sent.keys() if worker.sent[i].struck}
        suspects = suspects or {i for i in running if i not in worker.blocked}
        for identifier, task in list(worker.sent.items()):
            if identifier in running:
                if "zygote" in cause or identifier not in suspects:
                    task.attempts += 1
                else:
                    task.deaths += 1
            self._leaves(worker, identifier)
        self.seats.died(number)
        self.scheduler.died(number, cause, started, self.now)

    def _tick(self, key: str) -> None:
        self.scheduler.tick(key, self.now)

    def _prestart(self, pool: str, count: int) -> None:
        placement = self.scheduler.placement
        placement.sizes.prestart(placement.pools[pool], count)

    def _zygote_lost(self, interpreter: str) -> None:
        self.scheduler.zygotes.lost(interpreter)

    def _replace_zygote(self, interpreter: str, cause: dict[str, Any]) -> None:
        if not self.closed:
            self.scheduler.zygotes.replace(interpreter, cause, self.now)

    def _refuse_zygote(self, interpreter: str, cause: dict[str, Any]) -> None:
        if not self.closed:
            self.scheduler.zygotes.refused(interpreter, cause)

    def _zygote_started(self, interpreter: str) -> None:
        self.zygotes.add(interpreter)
        if not self.rushed and self.dice.chance(self.setting.zygote_dies):
            self.stillborn.add(interpreter)
        self.scheduler.zygotes.started(interpreter)

    def _resize(self, name: str, least: int, most: int) -> None:
        pool = self.scheduler.placement.pools[name]
        self.scheduler.supervision.resize(pool, least, most)

    def _open_session(self, name: str, affinity: int) -> None:
        self.seats.opened(name, affinity)

    def _close_session(self, session: Any) -> None:
        self.seats.closed(session)

    def _repin(self, session: Any) -> None:
        self.seats.repinned(session)

    def _recycle(self, name: str, number: int | None) -> None:
        self.scheduler.supervision.recycle(self.scheduler.placement.pools[name], number)

    def _drain(self, name: str) -> None:
        self.ledger.draining.add(name)
        self.scheduler.drains.drain(self.scheduler.placement.pools[name])

    def _resume(self, name: str) -> None:
        self.ledger.draining.discard(name)
        self.scheduler.drains.resume(self.scheduler.placement.pools[name])

    def _weighed(self, number: int, size: int) -> None:
        placement = self.scheduler.placement
        placement.recycling.weighed(placement.workers.get(number), size)

    def _checked(self, number: int, heard: int, started: int, reading: Any) -> None:
        heartbeats = self.scheduler.placement.staff.heartbeats
        assert heartbeats is not None
        heartbeats.checked(number, heard, started, self.now, reading)

    def _close(self) -> None:
        self.closed = True
        self.scheduler.close("shutdown", {})

    # --- what calls do in workers -----------------------------------------------------------

    def began(self, task: Task, worker: Worker, sequence: int) -> None:
        """A worker begins a call."""
        call = task.call
        self.require(task.where == worker.number, f"{task!r} begins in worker {worker.number}")
        self.require(not task.running, f"{task!r} begins twice at once")
        self.require(
            sequence > worker.started or worker.groups is not None,
            f"{task!r} is out of order in its mailbox",
        )
        ended = task.resolved and not task.unheard and not self.housing.is_ghost(call)
        self.require(self.closed or not ended, f"{task!r} begins after its end")
        if task.kind == METHOD and not task.begun and not self.housing.beside(worker, call):
            self._in_turn(task)
        self.turnovers.began(worker, task.nested or task.kind != TASK)
        task.begun = True
        task.began_at = self.now
        task.running = worker.number
        fits = worker.slots > 1 or worker.actor == (task.kind != TASK)
        self.require(fits, f"{call!r} begins in {worker!r}")

    def _in_turn(self, task: Task) -> None:
        lane = self.lanes[task.call.actor, task.call.caller]
        if task.resolved:
            return  # Its actor has gone.
        while lane and lane[0] is not task:
            earlier = lane.pop(0)
            self.require(
                earlier.begun or earlier.resolved, f"{task!r} overtakes {earlier!r}, made before"
            )

    def skip(self, task: Task) -> None:
        """A worker drops a call that was cancelled: its turn is over without a beginning."""
        task.begun = True

    # --- actions --------------------------------------------------------------------------

    def perform(self) -> None:
        """Do what the scheduler asked for."""
        while self.deferred:
            batch, self.deferred = self.deferred, []
            for action in batch:
                self._perform(action)

    def _perform(self, action: do.Action) -> None:
        kind = type(action)
        if kind is do.Arm:
            self.timers.append((self.now + action.delay, action.key))  # type: ignore[union-attr]
        elif kind is do.Weigh:
            self.event("weighed", action.worker, self.dice.below(1000), defer=True)  # type: ignore[union-attr]
        elif kind is do.Check:
            self.pulses.look(action)  # type: ignore[arg-type]
        elif kind is do.StartZygote:
            self._start_zygote(action.interpreter)  # type: ignore[union-attr]
        elif kind is do.Spawn:
            if not self.rushed and self.dice.chance(self.setting.spawn_fails):
                self.event("died", action.worker, {"spawn": "no descriptors"}, 0, defer=True)  # type: ignore[union-attr]
        elif kind is do.Send:
            self._perform_send(action)  # type: ignore[arg-type]
        elif type(action) in _FOR_WORKERS:
            worker = self.workers.get(action.worker)  # type: ignore[union-attr]
            # A message to a process that has ended is nobody's: the shell drops it.
            if worker is not None and worker.state != "dead":
                self._post(worker, action)

    def _start_zygote(self, interpreter: str) -> None:
        fails = not self.rushed and self.dice.chance(self.setting.zygote_fails)
        if fails and interpreter != HOME and self.dice.below(4) == 0:
            self.event("refuse_zygote", interpreter, {"reason": "no snakepit"}, defer=True)
        elif fails:
            self.event("replace_zygote", interpreter, {"reason": "no interpreter"}, defer=True)
        else:
            self.event("zygote_started", interpreter, defer=True)

    def _perform_send(self, action: do.Send) -> None:
        worker = self.workers.get(action.worker)
        if worker is None or worker.state == "dead":
            return
        call = action.call
        if not self.rushed and self.dice.chance(self.setting.undeliverable):
            self.event("undeliverable", worker.number, call.id, "no descriptor", defer=True)
            return
        inner: list[int] = []
        for _, identifier in call.deps:
            entry = self.scheduler.objects.entries.get(identifier)
            self.require(
                entry is not None and entry.outcome == OK, f"{call!r} lacks {identifier:x}"
            )
            inner.extend(self.contents.get(identifier, ()))
        refs = [i for i in call.refs if i != call.actor]
        task = worker.sent[call.id]
        worker.inbox.append(("execute", task, call.sequence, action.nested, refs, inner))

    def _post(self, worker: Worker, action: Any) -> None:
        kind = type(action)
        if kind is do.Tell:
            inner = self.contents.get(action.id, ())
            worker.inbox.append(("value", action.id, action.values, inner))
        elif kind is do.Evict:
            worker.inbox.append(("evict", action.actor))
        elif kind is do.Retire:
            worker.inbox.append(("exit",))
        elif kind is do.Kill:
            worker.control.append(("kill",))
        elif kind is do.AskBack:
            worker.control.append(("back",))
        elif kind is do.Ping:
            self.pulses.pinged(worker, action.number)
        elif kind is do.EndDeaf:
            if self.dice.below(2):
                worker.control.append(("kill",))
        elif kind is do.Hang:
            if self.dice.below(2):
                worker.die({"signal": "signal 40"})
        else:
            worker.control.append(("interrupt", action.call, action.force))
