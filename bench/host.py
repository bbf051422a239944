"""One peer's part of one round, in a process of its own.

python -m bench.host PEER OUT full|quick ROW…
"""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from .peers import PEERS, NotOffered, Peer
from .rows import FULL, QUICK, ROWS, Effort, parts

Cell: TypeAlias = dict[str, float | str]
"""A row's `value`; or why there is none: an `error`, or what of its kind is `absent`."""

EFFORTS = {"full": FULL, "quick": QUICK}


def measure(peer: Peer, name: str, effort: Effort) -> dict[str, Cell]:
    """One row and its parts: their values, or why there are none."""
    measurement = ROWS[name].measure
    if measurement is None:
        raise ValueError(f"{name!r} is filled by another row's measurement; ask for that row")
    try:
        reading = measurement(peer, effort)
    except NotOffered as missing:
        return {row: {"absent": str(missing)} for row in parts(name)}
    except Exception as error:
        traceback.print_exc()
        return {row: {"error": f"{type(error).__name__}: {error}"} for row in parts(name)}
    if isinstance(reading, (int, float)):
        reading = {"": reading}
    found = {f"{name}.{part}" if part else name: value for part, value in reading.items()}
    return {
        row: {"value": found[row]} if row in found else {"absent": "not at this size"}
        for row in parts(name)
    }


def run(
    peer: Peer,
    names: Sequence[str],
    effort: Effort = FULL,
    keep: Callable[[dict[str, Cell]], Any] = lambda cells: None,
) -> dict[str, Cell]:
    """Measure rows of one peer, those first that start it themselves.

    Args:
        peer: not started yet.
        names: rows that have a measurement.
        effort: how much of each.
        keep: told of all cells so far after each row, so that a row that hangs loses itself only.
    """
    cells: dict[str, Cell] = {}

    def add(names: Sequence[str]) -> None:
        for name in names:
            cells.update(measure(peer, name, effort))
            keep(cells)

    add([name for name in names if ROWS[name].starts])
    rest = [name for name in names if not ROWS[name].starts]
    if rest:
        peer.start()
        try:
            add(rest)
        finally:
            peer.stop()
    return cells


def main(argv: Sequence[str]) -> None:
    """Measure, and write the cells as JSON where the harness looks for them."""
    peer, out, effort, *names = argv

    def keep(cells: dict[str, Cell]) -> None:
        Path(out).write_text(json.dumps(cells))

    run(PEERS[peer](), names, EFFORTS[effort], keep)


if __name__ == "__main__":
    main(sys.argv[1:])
