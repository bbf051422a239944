"""What simulated user code does: in a worker's call, step by step, and in the driver."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from snakepit.ids import DRIVER
from snakepit.policy.calls import SENT, Call
from snakepit.policy.objects import PENDING
from snakepit.policy.timeouts import stands_behind
from snakepit.wire.messages import CREATE, ERROR, EXITED, FAILURE, METHOD, OK, RETRYABLE, TASK

if TYPE_CHECKING:
    from .books import Process
    from .dice import Dice
    from .process import Frame, Worker
    from .world import World


def make_call(world: World, process: Process, known: Sequence[int], parent: int) -> Call:
    """Make a task, an actor or a method call out of the references that the caller has."""
    dice = world.dice
    setting = world.setting
    actors = [i for i in known if i in world.actor_ids]
    objects = [i for i in known if i not in world.actor_ids]
    actor = 0
    kind = dice.below(10)
    reserve = world.reserve
    if actors and kind < 5:
        template = dice.pick(setting.methods)
        actor = dice.pick(actors)
        if actor in reserve.keepers:
            return reserve.gate(actor, process, parent)
    elif dice.below(10) < setting.groups:
        call = reserve.keeper(dice, process)
        world.actor_ids.add(call.id)
        return call
    elif kind == 9:
        template = dice.pick(setting.actors)
    else:
        template = dice.pick(setting.tasks)
    if template.kind != METHOD and reserve.keepers and dice.below(10) < setting.groups * 2:
        template = reserve.within(dice, template)
    deps = tuple((n, i) for n, i in enumerate(dice.some(objects, 2)))
    nested = dice.some(known, 2)
    refs = (*nested, *(i for _, i in deps))
    if actor:
        refs = (*refs, actor)
    identifier = process.new_ids(max(1, template.returns))
    shape = world.scheduler.shape(template)
    if template.kind == CREATE:
        world.actor_ids.add(identifier)
    call = Call(identifier, shape, actor, b"", deps, refs, process.number, parent)
    if template.kind == TASK:
        world.seats.join(call, dice)
    return call


def made_ids(call: Call) -> list[int]:
    """Return the ids of a call's entries; one without returns has one that nobody holds."""
    return list(range(call.id, call.id + max(1, call.shape.template.returns)))


def held_ids(call: Call) -> list[int]:
    """Return the ids on which the caller of a call gets handles."""
    template = call.shape.template
    count = 1 if template.kind == CREATE else abs(template.returns)
    return list(range(call.id, call.id + count))


def values_of(world: World, call: Call, known: Sequence[int]) -> tuple[list[Any], list[list[int]]]:
    """Return payloads for all returns of a call, and what is inside them."""
    count = call.shape.template.returns
    if count < 0:
        return [world.payload(False)], []  # That it has ended: nothing.
    values = [world.payload(world.dice.below(3) == 0) for _ in range(count)]
    contained = [world.dice.some(known, 2) for _ in range(count)]
    return values, contained if any(contained) else []


# --- in a worker ------------------------------------------------------------------------------


def advance(worker: Worker, frame: Frame, dice: Dice) -> None:
    """Let the running call do one thing."""
    world = worker.world
    if world.rushed:
        _finish(worker, frame, dice, 99)
        return
    kind = dice.below(20)
    known = frame.refs + worker.stash
    if kind < 5 and world.budget > 0:
        world.budget -= 1
        call = make_call(world, worker, known, frame.task.call.id)
        made = held_ids(call)
        worker.own(made)
        frame.refs.extend(made)
        name = "create" if call.shape.template.kind == CREATE else "submit"
        worker.send(name, call, mentions=(*call.refs, *made))
    elif kind == 5:
        identifier = worker.new_ids(1)
        inside = tuple(dice.some(known, 2))
        worker.own((identifier,))
        frame.refs.append(identifier)
        worker.send(
            "put", identifier, world.payload(dice.below(2) == 0), inside, worker.number,
            mentions=(identifier, *inside),
        )  # fmt: skip
        worker.ready.add(identifier)
        worker.have[identifier] = inside
    elif kind < 12:
        _wait(worker, frame, dice)
    elif kind == 12 and frame.refs:
        worker.lose(frame.refs.pop(dice.below(len(frame.refs))))
    elif kind == 13 and frame.refs:
        worker.stash.append(frame.refs.pop(dice.below(len(frame.refs))))
    elif kind == 14:
        _meddle(worker, frame, known, dice)
    elif kind < 18 and frame.task.call.shape.template.returns < 0:
        _yield(worker, frame, known, dice)
    else:
        _finish(worker, frame, dice, dice.below(40))


def _yield(worker: Worker, frame: Frame, known: Sequence[int], dice: Dice) -> None:
    identifier = worker.new_ids(1)
    inside = tuple(dice.some(known, 2))
    payload = worker.world.payload(dice.below(2) == 0)
    call = frame.task.call.id
    worker.send(
        "item", worker.number, call, frame.place, identifier, payload, inside, mentions=inside
    )
    frame.place += 1


def _wait(worker: Worker, frame: Frame, dice: Dice) -> None:
    recent = frame.refs[-4:] if dice.below(3) else frame.refs
    objects = [i for i in dict.fromkeys(recent) if i not in worker.world.actor_ids]
    ids = dice.some(objects, 3)
    if not ids:
        return
    frame.soft = dice.chance(worker.world.setting.soft)
    frame.values = not frame.soft or dice.below(2) == 0
    there = worker.have if frame.values else worker.ready
    frame.watched = tuple(ids)
    frame.waits = {i for i in ids if i not in there}
    frame.slack = dice.below(len(ids)) if not frame.values else 0
    frame.told = False
    if frame.waits:
        worker.send("want", worker.number, sorted(frame.waits), frame.values)


def _meddle(worker: Worker, frame: Frame, known: Sequence[int], dice: Dice) -> None:
    kind = dice.below(3)
    if kind == 0:
        frame.asking = True
        worker.send("find", worker.number)
    elif kind == 1 and known and dice.chance(worker.world.setting.cancel * 10):
        worker.send("cancel", dice.pick(known), dice.below(4) == 0, dice.below(2) == 0)
    elif kind == 2 and known and dice.below(3) == 0:
        worker.send("kill", dice.pick(known), dice.below(2) == 0)


def _finish(worker: Worker, frame: Frame, dice: Dice, kind: int) -> None:
    world = worker.world
    call = frame.task.call
    creates = call.shape.template.kind == CREATE
    error = world.payload(False)
    if kind == 0:
        worker.finish(frame, ERROR, [error], [])
    elif kind == 1 and not creates:
        worker.finish(frame, RETRYABLE, [error], [])
    elif kind == 2 and not creates:
        worker.finish(frame, FAILURE, [["nesting_depth", {}]], [])
    elif kind == 3 and call.shape.template.kind == METHOD:
        worker.finish(frame, EXITED, [], [], exits=worker.slots == 1)
    elif creates:
        worker.finish(frame, OK, [], [])
    else:
        values, contained = values_of(world, call, frame.refs + worker.stash)
        worker.finish(frame, OK, values, contained)


# --- in the driver ----------------------------------------------------------------------------


def drive(world: World, dice: Dice) -> None:
    """Let the driver's user code do one thing."""
    held = [i for i in world.driver.count if i not in world.flows.tickets]
    kind = dice.below(32)
    if kind < 16 and world.budget > 0:
        world.budget -= 1
        submit(world, held)
    elif kind == 16:
        identifier = world.driver.new_ids(1)
        inside = tuple(dice.some(held, 2))
        world.driver.own((identifier,))
        world.event("put", identifier, world.payload(dice.below(2) == 0), inside, DRIVER)
    elif kind < 21 and held:
        look(world, dice.pick(held))
    elif kind < 26 and held:
        world.drop(dice.pick(held))
    elif kind == 26 and held and dice.chance(world.setting.cancel * 20):
        waiting = [i for i in held if i in world.producer and not world.producer[i].resolved]
        force, recursive = dice.below(4) == 0, dice.below(2) == 0
        world.event("cancel", dice.pick(_behind(world, held) or waiting or held), force, recursive)
    elif kind == 27 and held and dice.below(8) == 0:
        world.event("kill", dice.pick(held), dice.below(2) == 0)
    elif kind == 28 and dice.below(4) == 0:
        world.event("find", DRIVER)
    elif kind == 28 and world.setting.lines:
        most = dice.below(4)
        name = dice.pick(sorted(world.setting.lines))
        world.event("resize", name, dice.below(most + 1), most)
    elif kind == 30 and dice.chance(world.setting.recycle):
        name = dice.pick(sorted(p[0] for p in world.setting.pools))
        world.event("drain" if dice.below(3) == 0 else "resume", name)
    elif kind == 29 and dice.chance(world.setting.recycle):
        workers = [*world.scheduler.placement.workers]
        number = dice.pick(workers) if workers and dice.below(2) else None
        world.event("recycle", dice.pick(sorted(p[0] for p in world.setting.pools)), number)
    elif kind == 29 and world.setting.sessions:
        world.seats.drive(dice)
    elif kind > 28:
        world.flows.drive(held, dice)


def submit(world: World, held: Sequence[int]) -> None:
    """Let the driver make a call."""
    call = make_call(world, world.driver, held, 0)
    world.driver.own(held_ids(call))
    world.event("create" if call.shape.template.kind == CREATE else "submit", call)


def look(world: World, identifier: int) -> None:
    """Let the driver ask for a value: what is there is read, what is not is watched."""
    if identifier in world.actor_ids:
        return
    entry = world.scheduler.objects.entries.get(identifier)
    world.require(entry is not None, f"the driver holds {identifier:x}, which is gone")
    assert entry is not None
    if entry.outcome == PENDING:
        entry.waited = True
        world.watched.add(identifier)
    else:
        for inner in world.contents.get(identifier, ()):
            if world.dice.below(4) == 0:
                world.hold(inner)


def _behind(world: World, held: list[int]) -> list[int]:
    """Return what calls make that a worker has behind another one, if it runs one by one."""
    calls = ((i, world.producer[i].call) for i in held if i in world.producer)
    crew = world.scheduler.placement.workers
    return [i for i, call in calls if call.state is SENT and stands_behind(crew[call.worker], call)]
