"""Patterns: a resource of one's own as a limit."""

from __future__ import annotations

import os
import tempfile
from typing import Any

EXPECTED = "()()()"


def main(ray: Any) -> Any:
    log = os.path.join(tempfile.mkdtemp(), "log")

    @ray.remote(num_cpus=0, resources={"widget": 2})
    def alone() -> None:
        for bracket in "()":
            with open(log, "a") as file:
                file.write(bracket)

    ray.get([alone.remote() for _ in range(3)])
    with open(log) as file:
        return file.read()
