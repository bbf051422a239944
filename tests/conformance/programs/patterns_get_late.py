"""Patterns: start everything, then get."""

from __future__ import annotations

from typing import Any

EXPECTED = ([0, 1, 2, 3, 4, 5, 6, 7], 8)


def main(ray: Any) -> Any:
    @ray.remote
    class Log:
        def __init__(self):
            self.started = 0

        def start(self):
            self.started += 1

        def count(self):
            return self.started

    @ray.remote
    def work(log, i):
        ray.get(log.start.remote())
        return i

    log = Log.remote()
    refs = [work.remote(log, i) for i in range(8)]
    return ray.get(refs), ray.get(log.count.remote())
