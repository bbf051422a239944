"""Tasks: one that waits for a CPU is cancelled."""

from __future__ import annotations

import os
import tempfile
import time
from typing import Any

EXPECTED = ("cancelled", "held")


def main(ray: Any) -> Any:
    flag = os.path.join(tempfile.mkdtemp(), "go")

    @ray.remote(num_cpus=4)
    def hold() -> str:
        while not os.path.exists(flag):
            time.sleep(0.005)
        return "held"

    held = hold.remote()
    ray.wait([held], timeout=0.2)
    follower = hold.remote()
    ray.cancel(follower)
    try:
        ray.get(follower)
        outcome = "ran"
    except ray.exceptions.TaskCancelledError:
        outcome = "cancelled"
    open(flag, "w").close()
    return outcome, ray.get(held)
