"""Actors: a token goes round."""

from __future__ import annotations

from typing import Any

EXPECTED = 5


def main(ray: Any) -> Any:
    @ray.remote
    class Node:
        def link(self, following):
            self.following = following

        def pass_on(self, hops):
            return "home" if hops == 0 else self.following.pass_on.remote(hops - 1)

    nodes = [Node.remote() for _ in range(3)]
    ray.get([node.link.remote(nodes[(i + 1) % 3]) for i, node in enumerate(nodes)])
    answer, hops = nodes[0].pass_on.remote(5), 0
    while True:
        value = ray.get(answer)
        if value == "home":
            return hops
        answer, hops = value, hops + 1
