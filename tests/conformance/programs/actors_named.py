"""Actors: found by name."""

from __future__ import annotations

from typing import Any

EXPECTED = 0.5


def main(ray: Any) -> Any:
    @ray.remote
    class Settings:
        def __init__(self):
            self.values = {}

        def set(self, key, value):
            self.values[key] = value

        def get(self, key):
            return self.values.get(key)

    @ray.remote
    def use():
        return ray.get(ray.get_actor("program settings").get.remote("rate"))

    settings = Settings.options(name="program settings").remote()
    ray.get(settings.set.remote("rate", 0.5))
    return ray.get(use.remote())
