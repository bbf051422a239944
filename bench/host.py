"""One peer's part of one round, in a process of its own: `python -m bench.host PEER OUT ROW…`."""

from __future__ import annotations

import json
import sys
import traceback
from pathlib import Path
from typing import TypeAlias

from .peers import PEERS, NotOffered, Peer
from .rows import ROWS

Cell: TypeAlias = dict[str, float | str]
START_FREE = ("init", "import", "idle_memory", "idle_cpu")  # rows that run programs of their own


def measure(peer: Peer, name: str) -> Cell:
    """One row: its value, or why there is none."""
    try:
        return {"value": ROWS[name].measure(peer)}
    except NotOffered:
        return {}
    except Exception as error:
        traceback.print_exc()
        return {"error": f"{type(error).__name__}: {error}"}


def run(peer: Peer, names: list[str]) -> dict[str, Cell]:
    """Measure rows of one peer, those first that run programs of their own."""
    cells = {name: measure(peer, name) for name in names if name in START_FREE}
    rest = [name for name in names if name not in START_FREE]
    if rest:
        peer.start()
        try:
            cells |= {name: measure(peer, name) for name in rest}
        finally:
            peer.stop()
    return cells


def main(argv: list[str]) -> None:
    """Measure, and write the cells as JSON where the harness looks for them."""
    name, out, *names = argv
    Path(out).write_text(json.dumps(run(PEERS[name](), names)))


if __name__ == "__main__":
    main(sys.argv[1:])
