"""Simulated processes: who holds which handles, and a worker as the protocol wants it to be.

What a worker has to keep to, because the scheduler's promises rest on it:

* It begins calls in the order of its mailbox, and has begun, returned or answered every earlier
  call when it begins one (its status page then tells which calls had begun when it died).
* `Blocked` returns every call that it has not begun; while it is blocked it returns what comes
  without the NESTED flag, and begins at once what comes with it; back in a blocked call it returns
  what is left.  An actor's worker returns nothing.
* With several slots it runs as many calls side by side, which it begins in that order too, and
  nested ones at once, beyond its slots, when it has given back what it had not begun (see `slots`).
* An actor with groups runs calls side by side, of each group up to its limit, in the order they
  came; to the driver all have begun that were sent before one that has.
* `Unblocked` precedes the result of a call that was blocked, whatever ended the wait.
* New handles are reported before any later message; lost ones never before a message that mentions
  them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, final

from snakepit.wire.messages import CANCELLED, CREATE

from . import program, slots
from .books import Process, Task
from .starters import root

if TYPE_CHECKING:
    from .dice import Dice
    from .world import World


@final
class Frame:
    """A call on a worker's stack: what it refers to, and what it waits for."""

    __slots__ = (
        "asking",
        "borrowed",
        "hung",
        "interrupted",
        "place",
        "refs",
        "slack",
        "soft",
        "task",
        "told",
        "values",
        "waits",
        "watched",
    )

    def __init__(self, task: Task) -> None:
        self.task = task
        self.refs: list[int] = []
        self.borrowed: set[int] = set()
        self.waits: set[int] | None = None
        self.watched: tuple[int, ...] = ()
        self.slack = 0
        self.values = False
        self.soft = False
        self.told = False
        self.asking = False
        self.hung = False
        self.interrupted = False
        self.place = 0

    @property
    def waiting(self) -> bool:
        """Whether something that it waits for is missing."""
        return self.waits is not None and len(self.waits) > self.slack

    def __repr__(self) -> str:
        return f"<Frame {self.task.call.id:x} waits={self.waits}>"


@final
class Worker(Process):
    """One worker process with its channels to the driver."""

    def __init__(
        self, world: World, number: int, pool: str, actor: bool,
        groups: dict[str, int] | None = None, interpreter: str = "", slots: int = 1,
    ) -> None:  # fmt: skip
        super().__init__(world, number)
        self.pool = pool
        self.interpreter = interpreter
        self.actor = actor
        self.groups = groups
        self.slots = slots
        self.state = "new"
        self.inbox: deque[tuple[Any, ...]] = deque()
        self.control: deque[tuple[Any, ...]] = deque()
        self.out: deque[tuple[str, tuple[Any, ...], tuple[int, ...]]] = deque()
        self.queue: deque[tuple[Any, ...]] = deque()
        self.stack: list[Frame] = []
        self.stash: list[int] = []
        self.reported: set[int] = set()
        self.added: set[int] = set()
        self.dropped: set[int] = set()
        self.ready: set[int] = set()
        self.have: dict[int, tuple[int, ...]] = {}
        self.homes: set[int] = set()  # the actors that live here among others
        self.early: set[int] = set()
        self.started = 0
        self.retiring = False
        self.cause: dict[str, Any] = {}
        # What the driver should believe of it, by the events that it was given.
        self.sent: dict[int, Task] = {}
        self.blocked: set[int] = set()
        self.forked = False
        self.live = False
        self.retired = False
        self.answered = False
        self.stuck = False  # it does nothing any more, but for what it has sent

    # --- handles --------------------------------------------------------------------------

    def own(self, ids: Iterable[int]) -> None:
        for identifier in ids:
            super().own((identifier,))
            self.reported.add(identifier)
            self.dropped.discard(identifier)

    def gain(self, identifier: int, frame: Frame | None = None) -> None:
        """Take a handle out of a call's arguments (`frame`) or out of a value."""
        super().own((identifier,))
        self.dropped.discard(identifier)
        if identifier not in self.reported:
            if frame is None:
                self.added.add(identifier)
            else:
                frame.borrowed.add(identifier)

    def lose(self, identifier: int) -> None:
        """Let one handle go."""
        left = self.count[identifier] - 1
        if left:
            self.count[identifier] = left
            return
        del self.count[identifier]
        self.world.unrefer(identifier)
        self.added.discard(identifier)
        self.ready.discard(identifier)
        self.have.pop(identifier, None)
        if identifier in self.reported:
            self.dropped.add(identifier)

    def report(self, drops: bool) -> bool:
        """Tell of new handles, and with `drops` of lost ones."""
        added = sorted(self.added)
        dropped = sorted(self.dropped) if drops else []
        if not added and not dropped:
            return False
        self.reported.update(added)
        self.added.clear()
        self.reported.difference_update(dropped)
        self.dropped.difference_update(dropped)
        self.emit("handles", self.number, added, dropped, mentions=tuple(added))
        return True

    @property
    def asks(self) -> bool:
        """Whether a question for a name is open."""
        return any(frame.asking for frame in self.stack)

    # --- messages out ---------------------------------------------------------------------

    def emit(self, name: str, *args: Any, mentions: tuple[int, ...] = ()) -> None:
        """Put a message on the way to the driver."""
        for identifier in mentions:
            self.world.refer(identifier)
        self.out.append((name, args, mentions))
        if self.world.tracing:
            self.world.note(f"worker {self.number} sends {name} {_plain(args)}")

    def send(self, name: str, *args: Any, mentions: tuple[int, ...] = ()) -> None:
        """Put a message on the way, after the news of handles that it may rely on."""
        self.report(drops=self.world.dice.chance(300))
        self.emit(name, *args, mentions=mentions)

    # --- what happens to it ---------------------------------------------------------------

    def die(self, cause: dict[str, Any]) -> None:
        """The process ends; what it has sent stays on its way."""
        if self.state == "dead":
            return
        self.state = "dead"
        self.cause = cause
        self.inbox.clear()
        self.control.clear()
        self.queue.clear()
        for identifier in self.count:
            self.world.unrefer(identifier)
        self.count.clear()
        if self.world.tracing:
            self.world.note(f"worker {self.number} ends: {cause}, started {self.started}")

    def act(self, dice: Dice) -> bool:
        """Do one thing; tell whether there was any."""
        if self.state in ("new", "begun", "stuck"):
            return self._start(dice)
        if self.state == "dead":
            if self.out:
                self.world.deliver(self, 1 + dice.below(3))
            else:
                self.world.bury(self)
            return True
        if self.stuck or self.world.pulses.sticks(self, dice):
            self.stuck = True
            return self._is_stuck(dice)
        first = dice.below(7)
        for turn in (first, first + 1, first + 2, first + 3):
            kind = turn % 4
            if kind == 0 and self.out:
                self.world.deliver(self, 1 + dice.below(3))
                return True
            if kind == 1 and self.inbox:
                self.read()
                return True
            if kind == 2 and self.run(dice):
                return True
            if kind == 3 and self.control:
                self._obey(dice)
                return True
        return False

    def _is_stuck(self, dice: Dice) -> bool:
        if self.out:
            self.world.deliver(self, 1 + dice.below(3))
        elif ("kill",) in self.control:
            self.die({"signal": "SIGKILL"})
        else:
            return False
        return True

    def _start(self, dice: Dice) -> bool:
        setting = self.world.setting
        if self.control and self.control.popleft()[0] == "kill":
            self.die({"signal": "SIGKILL"})
        elif self.out:
            self.world.deliver(self, 1)
        elif self.state == "stuck":
            return False
        elif self.state == "new" and not self.actor and root(self.pool) in setting.initializers:
            self.state = "begun"
            self.emit("forked", self.number)
        elif (
            not self.world.rushed
            and self.world.starters.patience(self)
            and dice.chance(setting.stuck)
        ):
            self.state = "stuck"
        elif not self.world.rushed and dice.chance(setting.start_fails):
            self.die({"exit_code": 1} if dice.below(2) else {"spawn": "no memory"})
        else:
            self.state = "live"
            self.emit("hello", self.number)
        return True

    def _obey(self, dice: Dice) -> None:
        kind, *args = self.control.popleft()
        if kind == "kill":
            self.die({"signal": "SIGKILL"})
        elif kind == "ping":
            self.world.pulses.answers(self, args[0])
        elif kind == "back":
            if self.world.setting.asks_unread:
                while self.inbox:
                    self.read()
            self.give_back()
        else:
            self._interrupt(args[0], args[1], dice)

    def _interrupt(self, identifier: int, force: bool, dice: Dice) -> None:
        for frame in self.stack:
            if frame.task.call.id == identifier:
                if force and dice.below(2):
                    self.die({"exit_code": 70})
                elif dice.below(4):
                    frame.interrupted = True
                return
        for item in self.queue:
            if item[1].call.id == identifier:
                self.queue.remove(item)
                self.drop_unbegun(item[1])
                return
        self.early.add(identifier)

    def drop_unbegun(self, task: Task) -> None:
        """Answer for a call that was cancelled before it began."""
        self.world.skip(task)
        self.send("result", self.number, task.call.id, CANCELLED, [], [], 0, [])

    def give_back(self) -> None:
        """Return every call that has not begun; an actor's calls stay."""
        if self.queue and not self.actor:
            ids = [item[1].call.id for item in self.queue]
            self.queue.clear()
            self.send("given_back", self.number, ids)

    def read(self) -> None:
        """Take one message of the driver."""
        message = self.inbox.popleft()
        kind = message[0]
        if kind == "execute":
            self._take(message)
        elif kind == "value":
            _, identifier, values, inner = message
            if identifier in self.count:
                self.ready.add(identifier)
                if values:
                    self.have[identifier] = inner
            for frame in self.stack:
                if frame.waits is not None and (values or not frame.values):
                    frame.waits.discard(identifier)
        elif kind == "answer":
            frame = next(frame for frame in self.stack if frame.asking)
            frame.asking = False
        elif kind == "evict":
            self.homes.discard(message[1])
        else:
            self.retiring = True

    def _take(self, message: tuple[Any, ...]) -> None:
        task = message[1]
        if task.call.id in self.early:
            self.early.discard(task.call.id)
            self.drop_unbegun(task)
            return
        if self.slots > 1:
            self.world.housing.came(self, task)
            slots.take_in(self, message)
            return
        top = self.stack[-1] if self.stack else None
        if top is not None and top.told and not self.actor:
            if message[3]:
                self.begin(message)
            else:
                self.send("given_back", self.number, [task.call.id])
            return
        self.queue.append(message)

    def begin(self, message: tuple[Any, ...]) -> None:
        """Begin a call: on an empty stack, or on top of one that waits."""
        _, task, sequence, _, refs, inner = message
        self.world.began(task, self, sequence)
        self.started = max(self.started, sequence)
        frame = Frame(task)
        if task.call.shape.template.timeout:
            self.send("began", self.number, task.call.id, self.world.now)
        self.stack.append(frame)
        for identifier in (*refs, *inner):
            self.gain(identifier, frame)
            frame.refs.append(identifier)
        frame.hung = not self.world.rushed and self.world.dice.chance(self.world.setting.hang)
        if self.world.tracing:
            self.world.note(f"worker {self.number} begins {task.call!r}")

    def finish(
        self, frame: Frame, outcome: int, values: list[Any], contained: list[list[int]],
        exits: bool = False,
    ) -> None:  # fmt: skip
        """End the call on top, or one of those that run side by side."""
        self.report(drops=False)
        mentions = tuple(i for ids in contained for i in ids)
        for identifier in mentions:
            self.world.refer(identifier)
        self.stack.remove(frame)
        for identifier in frame.refs:
            self.lose(identifier)
        kept = [i for i in sorted(frame.borrowed) if i in self.count and i not in self.reported]
        self.reported.update(kept)
        self.emit(
            "result", self.number, frame.task.call.id, outcome, values, contained,
            self.world.dice.pick((50, 500, 5000, 50000)), kept, mentions=(*mentions, *kept),
        )  # fmt: skip
        for identifier in mentions:
            self.world.unrefer(identifier)
        if exits:
            self.die({"exit_code": 0})
        elif self.stack and self.slots == 1:
            self.give_back()

    # --- running --------------------------------------------------------------------------

    def run(self, dice: Dice) -> bool:
        """Take the call on top one step further; tell whether there was anything to do."""
        if self.groups is not None and self.stack:
            return self._run_beside(dice)
        if self.slots > 1:
            return slots.run(self, dice)
        if not self.stack:
            return self.idle(dice)
        return self.step(self.stack[-1], dice)

    def _run_beside(self, dice: Dice) -> bool:
        """Begin a call whose group has room, or take one that runs a step further."""
        if self.asks:
            return False
        made = self.stack[0].task.kind != CREATE
        if made and self._begin_beside():
            return True
        first = dice.below(len(self.stack))
        return any(self.step(f, dice) for f in self.stack[first:] + self.stack[:first])

    def _begin_beside(self) -> bool:
        for item in self.queue:
            if self.room(item[1].call.shape.template.group) > 0:
                self.queue.remove(item)
                self.begin(item)
                return True
        return False

    def room(self, group: str) -> int:
        """Return how many more calls of a group may begin."""
        assert self.groups is not None
        running = sum(f.task.call.shape.template.group == group for f in self.stack)
        return self.groups[group] - running

    def step(self, frame: Frame, dice: Dice) -> bool:
        """Take a call one step further; tell whether there was anything to do."""
        if frame.asking:
            return False
        if frame.waits is not None:
            return self._wait(frame, dice)
        if frame.interrupted:
            self.finish(frame, CANCELLED, [], [])
        elif frame.hung and not self.world.released:
            return False
        else:
            program.advance(self, frame, dice)
        return True

    def idle(self, dice: Dice) -> bool:
        """Do one thing without a call."""
        if self.queue:
            self.begin(self.queue.popleft())
        elif self.retiring and not self.inbox:
            self.die({"exit_code": 0})
        elif self.stash and dice.below(2):
            self.lose(self.stash.pop(dice.below(len(self.stash))))
        else:
            return self.report(drops=True)
        return True

    def _wait(self, frame: Frame, dice: Dice) -> bool:
        timed_out = frame.soft and not self.world.rushed and dice.chance(50)
        if frame.interrupted or timed_out or not frame.waiting:
            if frame.told:
                self.send("unblocked", self.number, frame.task.call.id)
            frame.told = False
            if not frame.waiting and frame.values:
                for identifier in frame.watched:
                    for inner in self.have.get(identifier, ()):
                        if dice.below(2):
                            self.gain(inner)
                            frame.refs.append(inner)
            frame.waits = None
            return True
        if frame.told:
            return False
        frame.told = True
        back = []
        if not self.actor:
            back = [item[1].call.id for item in self.queue]
            self.queue.clear()
        self.send("blocked", self.number, frame.task.call.id, frame.watched, not frame.slack, back)
        return True

    def __repr__(self) -> str:
        return f"<{'actor' if self.actor else 'pool'} worker {self.number} {self.state}>"


def _plain(args: tuple[Any, ...]) -> str:
    return " ".join(repr(a) for a in args)
