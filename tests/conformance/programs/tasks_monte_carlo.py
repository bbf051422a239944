"""Tasks: an estimate from samples, seeded."""

from __future__ import annotations

import random
from typing import Any

EXPECTED = True


def main(ray: Any) -> Any:
    @ray.remote
    def inside(seed, count):
        dice = random.Random(seed)
        return sum(dice.random() ** 2 + dice.random() ** 2 < 1 for _ in range(count))

    hits = sum(ray.get([inside.remote(seed, 1000) for seed in range(8)]))
    return abs(4 * hits / 8000 - 3.14159) < 0.1
