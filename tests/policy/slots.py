"""Workers with several slots: how they behave, and what the driver may believe of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .outcomes import Violation

if TYPE_CHECKING:
    from snakepit.policy.pools import Pool

    from .books import Task
    from .dice import Dice
    from .process import Worker
    from .world import World


# --- the process --------------------------------------------------------------------------------


def take_in(worker: Worker, message: tuple[Any, ...]) -> None:
    """Take a call: a nested one begins, one that would wait behind calls that wait goes back."""
    _, task, _, nested, *_ = message
    if nested:
        worker.give_back()
        worker.begin(message)
    elif _taken(worker) >= worker.slots and any(frame.told for frame in worker.stack):
        worker.send("given_back", worker.number, [task.call.id])
    else:
        worker.queue.append(message)


def run(worker: Worker, dice: Dice) -> bool:
    """Begin a call if a slot is free, or take one that runs a step further."""
    if worker.asks:
        return False
    if not worker.stack:
        return worker.idle(dice)
    if worker.queue and _plain(worker) < worker.slots:
        worker.begin(worker.queue.popleft())
        return True
    first = dice.below(len(worker.stack))
    return any(worker.step(f, dice) for f in worker.stack[first:] + worker.stack[:first])


def _plain(worker: Worker) -> int:
    return sum(not frame.task.nested for frame in worker.stack)


def _taken(worker: Worker) -> int:
    return _plain(worker) + len(worker.queue)


# --- what the driver may believe ------------------------------------------------------------------


def _sent(worker: Worker) -> list[Task]:
    return [task for task in worker.sent.values() if not task.nested]


def may_take(worker: Worker) -> bool:
    """Tell whether a call that is not nested may be sent: nobody waits, or a slot is free."""
    width = worker.world.widths.of(worker)
    if width < worker.slots:
        return len(_sent(worker)) < width
    return not worker.blocked or (worker.slots > 1 and len(_sent(worker)) < worker.slots)


def may_nest(worker: Worker) -> bool:
    """Tell whether a call may be sent to be run for one that waits."""
    waits = any if worker.slots > 1 else all
    return (
        bool(worker.sent) and not worker.actor and waits(i in worker.blocked for i in worker.sent)
    )


def take(worker: Worker, free: dict[str, int]) -> None:
    """Take what a worker with several slots uses out of what is free.

    Of calls beyond its slots nobody knows here which run; so all must use the same.
    """
    plain = _sent(worker)
    runs = [t.call for t in worker.sent.values() if t.call.id not in worker.blocked]
    if len(plain) > worker.slots:
        classes = {task.call.shape.klass for task in plain}
        worker.world.require(len(classes) == 1, f"{worker!r} has different calls ahead")
        waiting = sum(task.call.id in worker.blocked for task in plain)
        runs = [t.call for t in worker.sent.values() if t.nested and t.call in runs]
        runs += [plain[0].call] * (worker.slots - waiting)
    for call in runs:
        for key, amount in call.shape.klass.uses:
            free[key] = free.get(key, 0) - amount


# --- when nothing moves ---------------------------------------------------------------------------


def has_spare(world: World, pool: Pool) -> bool:
    """Tell whether a worker of the pool has a slot for a call, and may be given one."""
    if pool.over and pool.staffed > pool.limit:
        return False
    workers = [world.workers[number] for number in pool.workers]
    return any(
        w.slots > 1 and w.live and not w.retired and len(_sent(w)) < world.widths.of(w)
        and len(w.sent) < pool.workers[w.number].room
        for w in workers
    )  # fmt: skip


def check_unbegun(worker: Worker, task: Task) -> None:
    """Report a call that a worker has and could begin, or should have given back."""
    if _plain(worker) < worker.slots:
        raise Violation(f"{task!r} is not begun by {worker!r}, which has a free slot")
    if any(frame.told for frame in worker.stack):
        raise Violation(f"{task!r} waits behind calls that wait, in {worker!r}")
