"""Fault tolerance: a constructor that raises."""

from __future__ import annotations

from typing import Any

EXPECTED = True


def main(ray: Any) -> Any:
    @ray.remote
    class Broken:
        def __init__(self):
            raise RuntimeError("no licence")

        def ping(self):
            return "pong"

    try:
        ray.get(Broken.remote().ping.remote())
    except ray.exceptions.ActorDiedError as error:
        return "no licence" in str(error)
