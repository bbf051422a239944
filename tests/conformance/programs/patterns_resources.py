"""Patterns: a resource of one's own as a limit."""

from __future__ import annotations

from typing import Any

EXPECTED = [(0, 0.0), (1, 0.0), (2, 0.0)]


def main(ray: Any) -> Any:
    @ray.remote(num_cpus=0, resources={"widget": 2})
    def alone(i):
        return i, ray.available_resources().get("widget", 0.0)

    return ray.get([alone.remote(i) for i in range(3)])
