"""The world's own books on heartbeats: who is stuck, how much time was its own, who is ended.

A worker that is not stuck may be slow: the dice do not pick it. That is the machine's doing, so a
look at it finds that none of the time was its own, by any of the signs that there are. Of one that
is stuck some, all or nothing of the time is. Pings and the ends of stuck workers may get lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

from snakepit.policy import actions as do
from snakepit.policy.heartbeats import Beat, Heartbeats, Reading, Thread

if TYPE_CHECKING:
    from .dice import Dice
    from .process import Worker
    from .world import World

SLACK: Final = 1e-6
MAIN, CONTROL = 1, 2


class Pulse:
    """What is true of one worker.

    Attributes:
        group: the pool whose worker it is; "" is for what actors bring with them.
        heard: the last ping that it has answered.
        looks: readings since it was last seen to act.
        own: how much of the time between them was its own.
        clock: when it was looked at last, by a clock of its own.
        threads, faults: how it was then; held: by a disk or a debugger, at least until then.
        hung: it is to end.
    """

    def __init__(self, group: str) -> None:
        self.group = group
        self.heard = 0
        self.looks = 0
        self.own = 0.0
        self.clock = 0.0
        self.threads = {MAIN: Thread("S", 1.0, 0.0), CONTROL: Thread("S", 0.1, 0.0)}
        self.faults = 0
        self.held = False
        self.seen: tuple[int, int, int] | None = None
        self.hung = False


@final
class Pulses:
    """Keeps the books of one world, and compares."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.beats: dict[str, Beat] = world.setting.heartbeats
        self.all: dict[int, Pulse] = {}
        self.armed: set[str] = set()
        self._expected = 0  # the worker that is to be found to hang
        if self.beats:
            pools = {name: beat for name, beat in self.beats.items() if name}
            made = Heartbeats(world.scheduler.actions, pools, self.beats.get(""))
            world.scheduler.placement.staff.heartbeats = made

    def _beat(self, worker: Worker) -> Beat | None:
        pulse = self.all.get(worker.number)
        return self.beats.get(pulse.group) if pulse is not None else None

    # --- what workers do ----------------------------------------------------------------------

    def sticks(self, worker: Worker, dice: Dice) -> bool:
        """Let a worker that is watched get stuck now and then."""
        world = self.world
        stuck = not world.rushed and worker.live and self._beat(worker) is not None
        return stuck and dice.chance(world.setting.stick)

    def pinged(self, worker: Worker, number: int) -> None:
        """Send a worker a ping; at the end of an episode nobody is slow."""
        if self.world.rushed:
            if not worker.stuck:
                self.answers(worker, number)
        elif not self.world.dice.chance(20):
            worker.control.append(("ping", number))

    def answers(self, worker: Worker, number: int) -> None:
        """A worker answers a ping; what it sends is there at once."""
        self.all[worker.number].heard = number

    @property
    def awaited(self) -> bool:
        """Whether somebody is stuck, and to be found."""
        return any(w.stuck and w.state != "dead" for w in self.world.crew)

    # --- looks ----------------------------------------------------------------------------------

    def look(self, action: do.Check) -> None:
        """Answer a look of the scheduler's."""
        worker = self.world.workers.get(action.worker)
        if worker is None:
            return
        pulse = self.all[worker.number]
        reading = None
        if pulse.heard < action.number:
            reading = self._read(worker, pulse)
        self.world.event("checked", worker.number, pulse.heard, worker.started, reading, defer=True)

    def _read(self, worker: Worker, pulse: Pulse) -> Reading | None:
        """Let time pass for a worker, and tell how it was: whose time that was is the dice'."""
        world = self.world
        beat = self._beat(worker)
        assert beat is not None
        seen = (pulse.heard, worker.started, self._results(worker))
        if seen != pulse.seen:
            pulse.seen, pulse.looks, pulse.own = seen, 0, 0.0
        elapsed = beat.interval
        own = elapsed if worker.stuck else 0.0
        if worker.stuck and not world.rushed:
            own *= world.dice.pick((1.0, 1.0, 0.5, 0.0))
        counts = not pulse.held
        known = self._pass(pulse, elapsed, own)
        if known is None:
            pulse.looks = 0
        elif pulse.looks and counts:
            pulse.own += own
        pulse.looks += known is not None
        return known

    @staticmethod
    def _results(worker: Worker) -> int:
        record = worker.world.scheduler.placement.workers.get(worker.number)
        return record.results if record is not None else -1

    def _pass(self, pulse: Pulse, elapsed: float, own: float) -> Reading | None:
        dice = self.world.dice
        lost = elapsed - own
        traced = False
        how = dice.below(9) if not own else 0
        runs = dice.below(2)
        main, control = pulse.threads[MAIN], pulse.threads[CONTROL]
        waits = (lost, 0.0) if dice.below(2) else (lost / 2, lost / 2)
        if how == 1:
            return None
        if how == 2:
            elapsed, waits = 3 * elapsed, (0.0, 0.0)
        elif how == 3:
            pulse.faults, waits = pulse.faults + 1, (0.0, 0.0)
        elif how == 4:
            traced, waits = True, (0.0, 0.0)
        state = "R" if runs else "S"
        ran = elapsed - waits[0] if runs else 0.0
        if how == 5:
            state, ran, waits = "D", 0.0, (0.0, 0.0)
        elif how == 6:
            state, ran, waits = "R", 0.0, (0.0, 0.0)  # it waits still, which is not counted yet
        now = {
            MAIN: Thread(state, main.ran + ran, main.waited + waits[0]),
            CONTROL: Thread("S", control.ran, control.waited + waits[1]),
        }
        others = {n: t for n, t in pulse.threads.items() if n > CONTROL}
        if how == 7:
            others = {max(pulse.threads) + 1: Thread("S", 0.0, 0.0)}
        pulse.held = traced or state == "D"
        begun = pulse.clock + elapsed
        pulse.threads, pulse.clock = {**now, **others}, begun
        return Reading(begun, begun, pulse.threads, pulse.faults, traced)

    # --- comparing ------------------------------------------------------------------------------

    def before(self, name: str, args: tuple[Any, ...]) -> None:
        """Take down what the event means."""
        self._expected = 0
        if not self.beats:
            return
        if name == "tick":
            self.armed.discard(args[0])
        elif name == "hello":
            # One of a pool's that becomes an actor's is still the pool's.
            worker = self.world.workers[args[0]]
            self.all[args[0]] = Pulse("" if worker.actor else worker.pool.partition("/")[0])
        elif name == "died":
            self.all.pop(args[0], None)
        elif name == "checked" and args[3] is not None:
            worker = self.world.workers.get(args[0])
            if worker is not None and not self.all[args[0]].hung:
                beat = self._beat(worker)
                assert beat is not None
                if self.all[args[0]].own >= beat.limit + SLACK:
                    self._expected = args[0]

    def after(self, name: str, args: tuple[Any, ...], actions: list[do.Action]) -> None:
        """Compare."""
        if not self.beats:
            return
        world = self.world
        require = world.require
        for action in actions:
            if type(action) is do.Hang:
                self._hangs(action, name, args)
        require(not self._expected, f"worker {self._expected} hangs, and goes on")
        kind, _, rest = args[0].partition(":") if name == "tick" else ("", "", "")
        if kind == "hung" and (number := int(rest)) in world.workers:
            require(do.Kill(number) in actions, f"worker {number} hangs, and is not ended")
        elif kind == "heartbeat":
            asked = {action.worker for action in actions if type(action) is do.Check}
            for number, pulse in self.all.items():
                worker = world.workers[number]
                if pulse.group == rest and not pulse.hung:
                    require(number in asked, f"nobody looks at {worker!r}")
        if not world.closed:
            self._rings(actions)

    def _hangs(self, action: do.Hang, name: str, args: tuple[Any, ...]) -> None:
        world = self.world
        worker, pulse = world.workers[action.worker], self.all[action.worker]
        beat = self._beat(worker)
        world.require(name == "checked" and args[0] == action.worker, f"{action} by {name}")
        world.require(worker.stuck, f"{worker!r} only had no time, and is said to hang")
        assert beat is not None
        world.require(
            pulse.own >= beat.limit - SLACK, f"{worker!r} hangs after {pulse.own} of {beat.limit}"
        )
        # Of calls that run side by side, those of another group may have been overtaken.
        begun = [
            task.call.name
            for task in worker.sent.values()
            if task.running == worker.number
            or (worker.groups is not None and task.call.sequence <= worker.started)
        ]
        told = [called for called, _ in action.calls]
        world.require(sorted(told) == sorted(begun), f"{action} while it runs {begun}")
        world.require(not pulse.hung, f"{action} twice")
        pulse.hung, self._expected = True, 0

    def _rings(self, actions: list[do.Action]) -> None:
        self.armed |= {each.key for each in actions if type(each) is do.Arm}
        for number, pulse in self.all.items():
            worker = self.world.workers[number]
            if pulse.group in self.beats:
                group = pulse.group
                self.world.require(
                    f"heartbeat:{group}" in self.armed, f"nothing looks at {worker!r}"
                )

    def hung(self, number: int) -> bool:
        """Whether a worker ends since it hangs."""
        return number in self.all and self.all[number].hung
