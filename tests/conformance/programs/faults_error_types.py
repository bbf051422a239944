"""Fault tolerance: errors caught by their own type."""

from __future__ import annotations

from typing import Any

EXPECTED = [("KeyError", True), ("ValueError", True), ("ZeroDivisionError", True)]


def main(ray: Any) -> Any:
    @ray.remote
    def fails(kind):
        raise {"key": KeyError, "value": ValueError, "zero": ZeroDivisionError}[kind](kind)

    caught = []
    for kind in ("key", "value", "zero"):
        try:
            ray.get(fails.remote(kind))
        except (KeyError, ValueError, ZeroDivisionError) as error:
            caught.append((type(error.cause).__name__, isinstance(error, ray.exceptions.RayError)))
    return caught
