"""Fault tolerance: an actor that is restarted and its call tried again."""

from __future__ import annotations

import os
from typing import Any

EXPECTED = "after a restart"


def main(ray: Any) -> Any:
    @ray.remote(max_restarts=1, max_task_retries=1)
    class Fragile:
        def __init__(self):
            self.restarted = ray.get_runtime_context().was_current_actor_reconstructed

        def work(self):
            if not self.restarted:
                os._exit(1)
            return "after a restart"

    return ray.get(Fragile.remote().work.remote())
