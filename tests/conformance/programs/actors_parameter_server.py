"""Actors: a parameter server and workers that push gradients."""

from __future__ import annotations

from typing import Any

import numpy as np

EXPECTED = [9.0, 9.0, 9.0, 9.0]


def main(ray: Any) -> Any:
    @ray.remote
    class Server:
        def __init__(self, size):
            self.weights = np.zeros(size)

        def push(self, gradient):
            self.weights += gradient

        def pull(self):
            return self.weights

    @ray.remote
    def train(server, seed, steps):
        for _ in range(steps):
            weights = ray.get(server.pull.remote())
            ray.get(server.push.remote(np.full(len(weights), float(seed))))

    server = Server.remote(4)
    ray.get([train.remote(server, seed, 3) for seed in (1, 2)])
    return ray.get(server.pull.remote()).tolist()
