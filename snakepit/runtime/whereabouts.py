"""What a worker may ask about the call and the actor that it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..definitions import assigned, function_of, group_of
from ..policy.resources import needs_of
from ..policy.scheduler import Scheduler
from ..runtime_env import Pairs
from ..wire.messages import TASK

if TYPE_CHECKING:
    from .core import Core


def whereabouts(core: Core, number: int, identifier: int) -> dict[str, Any]:
    """Return plain facts about a call of worker `number`; the lock is held.

    Args:
        core: of the runtime.
        number: the worker that asks.
        identifier: the call that asks, 0 if none does.

    Returns:
        The names of the call and of the actor, which may be in the making, the resources that they
        were given and the names of its GPUs, the call's session, the methods that a handle of the
        actor offers, and whether it was restarted.
    """
    worker = core.scheduler.placement.workers.get(number)
    if worker is None:
        return {}
    call = worker.inflight.get(identifier)
    facts: dict[str, Any] = {"task_name": call.name if call is not None else None, "actor": None}
    actor = worker.actor
    if actor is None and call is not None:
        actor = core.scheduler.placement.hosting.of(worker, call)
    creation = actor.creation.shape.template if actor is not None else None
    if call is not None:
        facts["task_function"] = function_of(call.shape.template, creation)
        facts["session"] = core.sessions.describe(call.session) if call.session else None
    facts["gpus"] = [core.config.gpus[device] for device in worker.gpus]
    if call is not None and call.shape.template.kind == TASK:
        facts["assigned"] = assigned(needs_of(call.shape.template, worker.pool.declared))
        facts["placement_group"] = group_of(call.shape.template)
    if actor is not None:
        facts["actor"] = actor.id
        facts["assigned"] = assigned(actor.creation.shape.template.resources)
        facts["placement_group"] = group_of(actor.creation.shape.template)
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
    return worker.pool.asked if actor is None else actor.creation.shape.template.env
