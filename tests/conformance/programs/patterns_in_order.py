"""Anti-patterns: results in order cost waiting; by completion they do not."""

from __future__ import annotations

import os
import tempfile
import time
from typing import Any

EXPECTED = (0, [0, 1, 2])


def main(ray: Any) -> Any:
    flag = os.path.join(tempfile.mkdtemp(), "go")

    @ray.remote
    def work(i):
        while i == 0 and not os.path.exists(flag):
            time.sleep(0.005)
        return i

    pending, order = [work.remote(i) for i in range(3)], []
    while pending:
        (ready,), pending = ray.wait(pending)
        order.append(ray.get(ready))
        if len(order) == 2:
            open(flag, "w").close()
    return order[-1], sorted(order)
