"""Patterns: tasks that pass a state along."""

from __future__ import annotations

from typing import Any

EXPECTED = {"a": 0, "b": 1, "c": 2}


def main(ray: Any) -> Any:
    @ray.remote
    def step(state, x):
        return {**state, x: len(state)}

    state = ray.put({})
    for letter in "abc":
        state = step.remote(state, letter)
    return ray.get(state)
