"""Patterns: a grid in parts, a step of which needs its neighbours."""

from __future__ import annotations

from typing import Any

import numpy as np

EXPECTED = True


def main(ray: Any) -> Any:
    @ray.remote
    def step(above, part, below):
        rows = np.vstack([above[-1:], part, below[:1]])
        near = sum(
            np.roll(np.roll(rows, dy, 0), dx, 1)
            for dy in (-1, 0, 1)
            for dx in (-1, 0, 1)
            if dy or dx
        )
        return ((near == 3) | ((rows == 1) & (near == 2))).astype(int)[1:-1]

    grid = np.zeros((8, 8), dtype=int)
    grid[1, 2] = grid[2, 3] = grid[3, 1] = grid[3, 2] = grid[3, 3] = 1  # a glider
    parts = [ray.put(grid[:4]), ray.put(grid[4:])]
    for _ in range(4):
        parts = [step.remote(parts[i - 1], parts[i], parts[1 - i]) for i in range(2)]
    moved = np.vstack(ray.get(parts))
    return bool((moved == np.roll(np.roll(grid, 1, 0), 1, 1)).all())
