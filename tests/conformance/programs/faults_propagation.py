"""Fault tolerance: an error reaches all that depend on it."""

from __future__ import annotations

from typing import Any

EXPECTED = ("failed", "well")


def main(ray: Any) -> Any:
    @ray.remote
    def source():
        raise OSError("disk")

    @ray.remote
    def step(x):
        return x

    @ray.remote
    def other():
        return "well"

    bad, good = step.remote(step.remote(source.remote())), other.remote()
    try:
        ray.get(bad)
    except OSError:
        return "failed", ray.get(good)
