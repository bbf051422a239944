"""Actors: one that leaves by itself."""

from __future__ import annotations

from typing import Any

EXPECTED = "left"


def main(ray: Any) -> Any:
    @ray.remote
    class Leaves:
        def leave(self):
            ray.actor.exit_actor()

    leaves = Leaves.remote()
    try:
        ray.get(leaves.leave.remote())
    except ray.exceptions.RayActorError:
        return "left"
