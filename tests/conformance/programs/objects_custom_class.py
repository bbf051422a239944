"""Objects: instances of a class of the driver's."""

from __future__ import annotations

import dataclasses
from typing import Any

EXPECTED = (2, 1)


def main(ray: Any) -> Any:
    @dataclasses.dataclass
    class Point:
        x: int
        y: int

    @ray.remote
    def mirror(p):
        return dataclasses.replace(p, x=p.y, y=p.x)

    point = ray.get(mirror.remote(Point(1, 2)))
    return point.x, point.y
