"""Objects: one actor makes what another reads."""

from __future__ import annotations

from typing import Any

import numpy as np

EXPECTED = 50000.0


def main(ray: Any) -> Any:
    @ray.remote
    class Maker:
        def make(self):
            return ray.put(np.ones(50_000))

    @ray.remote
    class Reader:
        def read(self, box):
            return float(ray.get(box[0]).sum())

    maker = Maker.remote()
    ref = ray.get(maker.make.remote())
    return ray.get(Reader.remote().read.remote([ref]))
