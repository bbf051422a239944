"""The rows of the table: what is measured, in which unit, and how, once for all peers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from . import calls, curves, ecosystem, envelope, freethreaded, micro, pools, recovery, start
from .base import FULL, QUICK, Effort, Reading, Row

__all__ = ["FULL", "GROUPS", "QUICK", "ROWS", "Effort", "Group", "Reading", "Row", "parts"]


class Group(NamedTuple):
    """Rows that stand together in the report."""

    title: str
    rows: Sequence[Row]


GROUPS: dict[str, Group] = {
    "start": Group("Start and idling", start.ROWS),
    "calls": Group("Calls, objects, actors", calls.ROWS),
    "micro": Group("Ray's microbenchmark", micro.ROWS),
    "ecosystem": Group("In the place of other libraries", ecosystem.ROWS),
    "envelope": Group("The envelope of one machine", envelope.ROWS),
    "curves": Group("Cost by size", curves.ROWS),
    "pools": Group("Pools and sessions", pools.ROWS),
    "recovery": Group("Recovery", recovery.ROWS),
    "free": Group("Without the GIL", freethreaded.ROWS),
}
ROWS: dict[str, Row] = {row.name: row for group in GROUPS.values() for row in group.rows}


def parts(name: str) -> list[str]:
    """A row's name and those of the rows that the same measurement fills."""
    return [row for row in ROWS if row == name or row.startswith(name + ".")]
