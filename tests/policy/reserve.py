"""Groups of the simulated programs: actors that set resources aside, and what asks for those."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from snakepit.policy.actors import ALIVE, DEAD, PENDING
from snakepit.policy.calls import Call
from snakepit.policy.resources import UNIT, Needs
from snakepit.wire.messages import CREATE, METHOD, NONE, OK, Template

from .setting import template

if TYPE_CHECKING:
    from .books import Process, Task
    from .dice import Dice
    from .world import World

GATE = template(METHOD, "gate")


class Reserve:
    """The groups of one world, and which calls are theirs."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.keepers: dict[int, Needs] = {}  # by the actor's id: what it sets aside

    def keeper(self, dice: Dice, process: Process) -> Call:
        """Make the constructor call of a group."""
        amount = (1 + dice.below(3)) * UNIT // 2
        name = f"CPU_group_{len(self.keepers)}"
        shape = self.world.scheduler.shape(
            template(CREATE, name, resources=(("CPU", amount), ("+" + name, amount)))
        )
        identifier = process.new_ids(1)
        self.keepers[identifier] = ((name, amount),)
        return Call(identifier, shape, 0, b"", (), (), process.number)

    def gate(self, actor: int, process: Process, parent: int) -> Call:
        """Make a call that waits for the group."""
        shape = self.world.scheduler.shape(GATE)
        return Call(process.new_ids(1), shape, actor, b"", (), (actor,), process.number, parent)

    def within(self, dice: Dice, outside: Template) -> Template:
        """Let a task or actor run in one of the last groups, perhaps in one that has ended."""
        made = [
            needs for identifier, needs in self.keepers.items() if identifier in self.world.players
        ]
        if not made:
            return outside
        ((name, amount),) = dice.pick(made[-4:])
        wanted = amount if dice.below(4) else amount * 2
        return outside._replace(resources=((name, wanted),))

    def is_answer(self, task: Task, outcome: int, payload: Any) -> bool:
        """Tell whether a call was answered by a group: no worker has done so."""
        if task.call.actor not in self.keepers or outcome != OK:
            return False
        player = self.world.players[task.call.actor]
        actor = player.actor
        # What waited may have been the last that kept it.
        there = actor.state is ALIVE or actor.failure[1]["reason"] == "out of scope"
        self.world.require(there, f"{task!r} went on without its group")
        self.world.require(payload is NONE, f"{task!r} returned {payload}")
        return True

    def has_ended(self, call: Call) -> bool:
        """Tell whether a call's group has ended."""
        ended = {
            name
            for identifier, needs in self.keepers.items()
            for name, _ in needs
            if (player := self.world.players.get(identifier)) and player.actor.state is DEAD
        }
        return any(name in ended for name, _ in call.shape.klass.needs)

    def take(self, free: dict[str, int]) -> None:
        """Take what living groups hold from what is there, and what is not set aside yet."""
        for identifier, needs in self.keepers.items():
            player = self.world.players.get(identifier)
            if player is None:
                continue  # Its creation is on its way.
            actor = player.actor
            if actor.state is PENDING:
                taken = needs
            elif actor.state is ALIVE:
                taken = actor.creation.shape.klass.needs
            else:
                continue
            for name, amount in taken:
                free[name] = free.get(name, 0) - amount
