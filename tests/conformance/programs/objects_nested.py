"""Objects: references within a value stay references."""

from __future__ import annotations

from typing import Any

EXPECTED = ("int", True, 5)


def main(ray: Any) -> Any:
    @ray.remote
    def kinds(direct, boxed):
        return type(direct).__name__, isinstance(boxed[0], ray.ObjectRef), ray.get(boxed[0])

    ref = ray.put(5)
    return ray.get(kinds.remote(ref, [ref]))
