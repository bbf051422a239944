"""Schedulers that spread the calls of pools with one bug each, which the simulator must find."""

from __future__ import annotations

from typing import Any

from .planted import Plant


def fill_all_threads(scheduler: Any) -> None:
    """A narrow pool's workers are given as many calls as they have threads."""
    for pool in scheduler.placement.pools.values():
        pool.width = pool.slots


def start_nobody_for_those_beside(scheduler: Any) -> None:
    """An eager pool waits until no thread is free."""
    scheduler.placement.growth.beside = lambda worker: None


PLANTED: tuple[Plant, ...] = (
    fill_all_threads,
    start_nobody_for_those_beside,
)
