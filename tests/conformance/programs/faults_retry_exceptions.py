"""Fault tolerance: exceptions that are worth a retry."""

from __future__ import annotations

import os
import tempfile
from typing import Any

EXPECTED = 3


def main(ray: Any) -> Any:
    path = os.path.join(tempfile.mkdtemp(), "tries")

    @ray.remote(max_retries=5, retry_exceptions=[ConnectionError])
    def flaky():
        with open(path, "a") as file:
            file.write("x")
        if os.path.getsize(path) < 3:
            raise ConnectionError("try again")
        raise ValueError("give up")

    try:
        ray.get(flaky.remote())
    except ValueError:
        return os.path.getsize(path)
