"""Anti-patterns: a large argument is put once, not sent each time."""

from __future__ import annotations

from typing import Any

EXPECTED = [1, 10, 19999]


def main(ray: Any) -> Any:
    words = {str(i): i for i in range(20_000)}
    ref = ray.put(words)

    @ray.remote
    def look(table, key):
        return table[key]

    return ray.get([look.remote(ref, str(i)) for i in (1, 10, 19_999)])
