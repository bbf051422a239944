"""Objects: what is one object in a value stays one."""

from __future__ import annotations

from typing import Any

EXPECTED = (2, 1)


def main(ray: Any) -> Any:
    inner = {"n": 1}
    a, b = ray.get(ray.put((inner, inner)))
    a["n"] = 2
    return b["n"], inner["n"]
