"""Tasks: the same function under other options."""

from __future__ import annotations

from typing import Any

EXPECTED = [{"CPU": 2.0}, {"CPU": 0.5, "widget": 1.0}]


def main(ray: Any) -> Any:
    @ray.remote(num_cpus=2)
    def where():
        return dict(ray.get_runtime_context().get_assigned_resources())

    light = where.options(num_cpus=0.5, resources={"widget": 1})
    return ray.get([where.remote(), light.remote()])
