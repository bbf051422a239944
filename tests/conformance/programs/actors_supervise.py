"""Actors: a parent that starts its workers again."""

from __future__ import annotations

import os
from typing import Any

EXPECTED = (["A", None, "B"], 1)


def main(ray: Any) -> Any:
    @ray.remote
    class Worker:
        def run(self, job):
            if job == "bad":
                os._exit(1)
            return job.upper()

    @ray.remote
    class Supervisor:
        def __init__(self):
            self.worker, self.restarts = Worker.remote(), 0

        def run(self, job):
            try:
                return ray.get(self.worker.run.remote(job))
            except ray.exceptions.RayActorError:
                self.worker = Worker.remote()
                self.restarts += 1
                return None

        def count(self):
            return self.restarts

    boss = Supervisor.remote()
    jobs = [boss.run.remote(job) for job in ("a", "bad", "b")]
    return ray.get(jobs), ray.get(boss.count.remote())
