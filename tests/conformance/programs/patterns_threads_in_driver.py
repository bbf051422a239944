"""Patterns: threads of the driver that call tasks."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

EXPECTED = [0, 2, 4, 6, 8, 10, 12, 14]


def main(ray: Any) -> Any:
    @ray.remote
    def double(x):
        return 2 * x

    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(lambda i: ray.get(double.remote(i)), range(8)))
