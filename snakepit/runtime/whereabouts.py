"""What a worker may ask about the call and the actor that it runs."""

from __future__ import annotations

from typing import Any

from ..checks import IN_GROUP, RESERVES, UNITS
from ..policy.calls import Call
from ..policy.scheduler import Scheduler
from ..runtime_env import Pairs
from ..wire.messages import TASK


def whereabouts(
    scheduler: Scheduler, gpus: tuple[str, ...], number: int, identifier: int
) -> dict[str, Any]:
    """Return plain facts about a call of worker `number`; the lock is held.

    Args:
        scheduler: which knows the workers.
        gpus: the names of all GPUs.
        number: the worker that asks.
        identifier: the call that asks, 0 if none does.

    Returns:
        The names of the call and of the actor, which may be in the making, the resources that they
        were given and the names of its GPUs, the methods that a handle of the actor offers, and
        whether it was restarted.
    """
    worker = scheduler.placement.workers.get(number)
    if worker is None:
        return {}
    call = worker.inflight.get(identifier)
    facts: dict[str, Any] = {"task_name": call.name if call is not None else None, "actor": None}
    facts["gpus"] = [gpus[device] for device in worker.gpus]
    if call is not None and call.shape.template.kind == TASK:
        facts["assigned"] = _assigned(call)
        facts["placement_group"] = _group_of(call)
    actor = worker.actor
    if actor is not None:
        facts["actor"] = actor.id
        facts["assigned"] = _assigned(actor.creation)
        facts["placement_group"] = _group_of(actor.creation)
        facts["actor_name"] = actor.name[1] if actor.name else None
        facts["actor_methods"] = actor.methods
        facts["reconstructed"] = actor.restarts > 0
    return facts


def environment(scheduler: Scheduler, number: int) -> Pairs:
    """Return what the tasks and actors that run in worker `number` asked for in `runtime_env`.

    What they call runs in it too, as far as it names nothing else. The lock is held.
    """
    worker = scheduler.placement.workers.get(number)
    if worker is None:
        return ()
    actor = worker.actor
    return worker.pool.env if actor is None else actor.creation.shape.template.env


def _group_of(call: Call) -> str | None:
    for name, _ in call.shape.template.resources:
        if IN_GROUP in name and not name.startswith(RESERVES):
            return name.rpartition("_")[2]
    return None


def _assigned(call: Call) -> dict[str, float]:
    """Return what a call was given; of a placement group under the plain names."""
    found: dict[str, float] = {}
    for name, amount in call.shape.template.resources:
        if amount and not name.startswith(RESERVES):
            found[name.partition(IN_GROUP)[0]] = amount / UNITS
    return found
