"""What of a run is drawn."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from . import svg
from .gates import GATES, ratios
from .peers import PEERS
from .rows import GROUPS, ROWS
from .runs import Run

RIVAL = "ray"


def curve(run: Run, row: str) -> list[svg.Series]:
    """A line for each peer through the medians of a row's points, their names being the sizes."""
    part = run.source(row)
    if part is None:
        return []
    points = [name for name in part.rows if name.startswith(row + ".")]
    found = []
    for peer in PEERS:
        medians = [
            (float(name.partition(".")[2]), statistics.median(present))
            for name in points
            if (present := [value for value in part.values(peer, name) if value is not None])
        ]
        if medians:
            found.append(svg.Series(PEERS[peer].title, medians))
    return found


def limit(row: str) -> float | None:
    """How many times better than the rival a row has to be."""
    wanted = [gate.limit for gate in GATES if gate.row == row and gate.rival == (RIVAL, row)]
    return max(wanted, default=None)


def better(run: Run, group: str) -> list[svg.Bar]:
    """How many times better than the rival each row of a group is."""
    rows: Sequence[str] = [row.name for row in GROUPS[group].rows]
    return [
        svg.Bar(ROWS[row].title.replace("`", ""), statistics.median(found), limit(row))
        for row in rows
        if (found := ratios(run, row, RIVAL))
    ]


def plots(run: Run) -> dict[str, str]:
    """SVG pages by name; what was not measured is not drawn."""
    title = PEERS[RIVAL].title
    drawn: dict[str, str] = {}
    for group in ("calls", "micro", "envelope"):
        if bars := better(run, group):
            drawn[group] = svg.bars(
                f"{GROUPS[group].title}: snakepit against {title}",
                f"times better than {title} (the stroke: what is asked)",
                bars,
            )
    if series := curve(run, "queued"):
        drawn["queued"] = svg.lines(
            "Cost of a task by the number queued", "tasks queued", "µs per task", series
        )
    if series := curve(run, "workers"):
        drawn["workers"] = svg.lines(
            "Cost of a task by the number of workers", "workers", "µs per task", series
        )
    return drawn
