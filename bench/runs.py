"""A run as data: the parts that it was made in, what they measured, and JSON.

A part is one call of the command. Since a run of everything takes long, parts can be put together;
a row then comes from the last part that measured it, with all its peers, because figures of
different parts are not compared: the machine may have been another, or slower, by then.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from .host import Cell

FORMAT = 2
Round: TypeAlias = Mapping[str, Mapping[str, Cell]]  # by peer, by row
Values: TypeAlias = Sequence[float | None]  # one per round, None where a round has none


class Part(NamedTuple):
    """One call of the command."""

    command: str
    machine: Mapping[str, str]
    rows: Sequence[str]  # parts of rows included
    versions: Mapping[str, str]  # by peer, those measured
    missing: Mapping[str, str]  # by peer, why it is not
    rounds: Sequence[Round]

    def values(self, peer: str, row: str) -> Values:
        """What a peer showed in a row."""
        return [_value(cells, peer, row) for cells in self.rounds]

    def said(self, peer: str, row: str, what: str) -> str | None:
        """The last `error` of a cell, or what of it is `absent`."""
        cells = [cells.get(peer, {}).get(row, {}) for cells in self.rounds]
        found = [str(cell[what]) for cell in cells if what in cell]
        return found[-1] if found else None


class Run(NamedTuple):
    """Parts, in the order in which they were made."""

    parts: Sequence[Part]

    def source(self, row: str) -> Part | None:
        """The part that a row comes from."""
        return next((part for part in reversed(self.parts) if row in part.rows), None)

    def rows(self) -> list[str]:
        """All rows that some part measured, each once."""
        return list(dict.fromkeys(row for part in self.parts for row in part.rows))

    def peers(self) -> list[str]:
        """All peers that some part measured, each once."""
        return list(dict.fromkeys(peer for part in self.parts for peer in part.versions))


def _value(cells: Round, peer: str, row: str) -> float | None:
    found = cells.get(peer, {}).get(row, {}).get("value")
    return float(found) if found is not None else None


def merge(runs: Iterable[Run]) -> Run:
    """Put runs together, those made later last."""
    return Run([part for run in runs for part in run.parts])


def as_json(run: Run, **extra: Any) -> str:
    """The run with every round, and what else a reader of the file may want."""
    data = {"format": FORMAT, "parts": [part._asdict() for part in run.parts], **extra}
    return json.dumps(data, indent=1, ensure_ascii=False) + "\n"


def read(path: Path) -> Run:
    """A run from its file.

    Raises:
        ValueError: the file is no run, or one of another format.
    """
    try:
        data = json.loads(path.read_text())
    except (OSError, json.JSONDecodeError) as error:
        raise ValueError(f"{path}: {error}") from error
    found = data.get("format") if isinstance(data, dict) else None
    if found != FORMAT:
        raise ValueError(f"{path}: format {found!r}, where {FORMAT} is wanted; measure again")
    return Run([Part(**part) for part in data["parts"]])
