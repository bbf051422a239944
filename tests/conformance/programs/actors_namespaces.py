"""Actors: one name in two namespaces."""

from __future__ import annotations

from typing import Any

EXPECTED = ["west", "east"]


def main(ray: Any) -> Any:
    @ray.remote
    class Place:
        def __init__(self, where):
            self.where = where

        def look(self):
            return self.where

    places = [Place.options(name="p", namespace=n).remote(n) for n in ("east", "west")]
    found = [ray.get_actor("p", namespace=n) for n in ("west", "east")]
    result = ray.get([each.look.remote() for each in found])
    del places
    return result
