"""Fault tolerance: a deadline for a result."""

from __future__ import annotations

import os
import tempfile
import time
from typing import Any

EXPECTED = ("not yet", "late")


def main(ray: Any) -> Any:
    flag = os.path.join(tempfile.mkdtemp(), "go")

    @ray.remote
    def slow():
        while not os.path.exists(flag):
            time.sleep(0.005)
        return "late"

    ref = slow.remote()
    try:
        first = ray.get(ref, timeout=0.05)
    except ray.exceptions.GetTimeoutError:
        first = "not yet"
    open(flag, "w").close()
    return first, ray.get(ref)
