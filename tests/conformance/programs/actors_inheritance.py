"""Actors: a plain base class, and a remote child."""

from __future__ import annotations

from typing import Any

EXPECTED = "square of 9"


def main(ray: Any) -> Any:
    class Shape:
        def name(self):
            return type(self).__name__.lower()

        def area(self):
            raise NotImplementedError

        def describe(self):
            return f"{self.name()} of {self.area()}"

    class Square(Shape):
        def __init__(self, side):
            self.side = side

        def area(self):
            return self.side**2

    return ray.get(ray.remote(Square).remote(3).describe.remote())
