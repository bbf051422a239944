"""Tasks: one that waits for another is cancelled."""

from __future__ import annotations

import os
import tempfile
import time
from typing import Any

EXPECTED = ("cancelled", "held")


def main(ray: Any) -> Any:
    flag = os.path.join(tempfile.mkdtemp(), "go")

    @ray.remote
    def hold():
        while not os.path.exists(flag):
            time.sleep(0.005)
        return "held"

    @ray.remote
    def after(value):
        return value + "!"

    held = hold.remote()
    follower = after.remote(held)
    ray.cancel(follower)
    try:
        ray.get(follower)
        outcome = "ran"
    except ray.exceptions.TaskCancelledError:
        outcome = "cancelled"
    open(flag, "w").close()
    return outcome, ray.get(held)
