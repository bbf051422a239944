"""Fault tolerance: an actor that goes on from its checkpoint."""

from __future__ import annotations

import json
import os
import tempfile
from typing import Any

EXPECTED = [0, 1, 2, 3]


def main(ray: Any) -> Any:
    path = os.path.join(tempfile.mkdtemp(), "state.json")

    @ray.remote(max_restarts=1, max_task_retries=1)
    class Durable:
        def __init__(self):
            self.done = json.load(open(path)) if os.path.exists(path) else []

        def step(self, i):
            if i not in self.done:
                self.done.append(i)
                with open(path, "w") as file:
                    json.dump(self.done, file)
                if i == 2:
                    os._exit(1)
            return self.done

    durable = Durable.remote()
    return [ray.get(durable.step.remote(i)) for i in range(4)][-1]
