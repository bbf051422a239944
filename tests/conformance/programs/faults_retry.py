"""Fault tolerance: a task whose worker dies is tried again."""

from __future__ import annotations

import os
import tempfile
from typing import Any

EXPECTED = 3


def main(ray: Any) -> Any:
    path = os.path.join(tempfile.mkdtemp(), "tries")

    @ray.remote(max_retries=2)
    def fragile():
        with open(path, "a") as file:
            file.write("x")
        if os.path.getsize(path) < 3:
            os._exit(1)
        return os.path.getsize(path)

    return ray.get(fragile.remote())
