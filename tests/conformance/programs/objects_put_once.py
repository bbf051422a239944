"""Objects: one array for many tasks."""

from __future__ import annotations

from typing import Any

import numpy as np

EXPECTED = [499500, 99499500]


def main(ray: Any) -> Any:
    matrix = ray.put(np.arange(100_000).reshape(100, 1000))

    @ray.remote
    def row_sum(m, i):
        return int(m[i].sum())

    return ray.get([row_sum.remote(matrix, i) for i in (0, 99)])
