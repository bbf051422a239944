"""Anti-patterns: what a function captured stays as it was."""

from __future__ import annotations

from typing import Any

EXPECTED = (1, 1)


def main(ray: Any) -> Any:
    settings = {"rate": 1}

    @ray.remote
    def rate():
        return settings["rate"]

    first = ray.get(rate.remote())
    settings["rate"] = 2
    return first, ray.get(rate.remote())
