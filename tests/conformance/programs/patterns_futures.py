"""Patterns: references as futures of the standard library."""

from __future__ import annotations

import concurrent.futures
from typing import Any

EXPECTED = [(0, 0), (1, 2), (2, 4), (3, 6)]


def main(ray: Any) -> Any:
    @ray.remote
    def double(x):
        return 2 * x

    futures = {double.remote(i).future(): i for i in range(4)}
    done = concurrent.futures.as_completed(futures, timeout=60)
    return sorted((futures[each], each.result()) for each in done)
