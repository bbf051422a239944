"""Actors: one is killed, the other goes on."""

from __future__ import annotations

from typing import Any

EXPECTED = ("dead", "pong")


def main(ray: Any) -> Any:
    @ray.remote
    class Worker:
        def ping(self):
            return "pong"

    a, b = Worker.remote(), Worker.remote()
    ray.get([a.ping.remote(), b.ping.remote()])
    ray.kill(a)
    first = "pong"
    while first == "pong":  # a kill comes when it comes
        try:
            first = ray.get(a.ping.remote())
        except ray.exceptions.ActorDiedError:
            first = "dead"
    return first, ray.get(b.ping.remote())
