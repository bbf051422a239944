"""Actors: stages that hand on references."""

from __future__ import annotations

from typing import Any

EXPECTED = ["0abc", "1abc", "2abc"]


def main(ray: Any) -> Any:
    @ray.remote
    class Stage:
        def __init__(self, letter):
            self.letter = letter

        def run(self, text):
            return text + self.letter

    stages = [Stage.remote(letter) for letter in "abc"]
    results = []
    for i in range(3):
        ref = str(i)
        for stage in stages:
            ref = stage.run.remote(ref)
        results.append(ref)
    return ray.get(results)
