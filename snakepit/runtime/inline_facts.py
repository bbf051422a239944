"""What a call of an inline runtime may know of where it runs."""

from __future__ import annotations

from typing import Any

from ..config import UNITS, Config
from ..definitions import assigned, function_of, group_of
from ..policy.resources import needs_of
from .inline_calls import Here


def facts_of(here: Here, config: Config) -> dict[str, Any]:
    """Return plain facts of a call, as `Runtime.describe` tells them."""
    actor = here.actor
    holder = here.template if actor is None else actor.template
    count = -(-dict(holder.resources).get("GPU", 0) // UNITS)
    facts = {
        "task": here.call,
        "task_name": here.template.name,
        "task_function": function_of(here.template, actor and actor.template),
        "placement_group": group_of(holder),
        "assigned": assigned(holder.resources if actor else needs_of(holder, False)),
        "gpus": list(config.gpus[:count]),
    }
    if actor is not None:
        facts["actor"] = actor.id
        facts["actor_name"] = actor.template.actor_name or None
        facts["actor_methods"] = actor.methods
        facts["reconstructed"] = actor.restarts > 0
    elif here.session is not None:
        kept = here.session
        facts["session"] = {"id": kept.id, "number": kept.session.number, **kept.settings}
    return facts
