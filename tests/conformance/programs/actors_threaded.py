"""Actors: threads that meet."""

from __future__ import annotations

import threading
from typing import Any

EXPECTED = ["a", "b", "c", "d"]


def main(ray: Any) -> Any:
    @ray.remote(max_concurrency=4)
    class Meeting:
        def __init__(self):
            self.barrier = threading.Barrier(4)

        def join(self, name):
            self.barrier.wait(60)
            return name

    meeting = Meeting.remote()
    return ray.get([meeting.join.remote(name) for name in "abcd"])
