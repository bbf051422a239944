"""Two runs, and which rows got worse between them.

Machines differ, and one machine differs from hour to hour; so a row is compared by its ratio to a
peer of the same run. Where there are several such peers the median of their changes counts, since
one of them may have had a bad day. A row that no peer shares is compared by its own figure if that
is a size or a ratio, and otherwise only shown: its times would tell of the machine.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeAlias

from .gates import OURS, ratios
from .report import number, table_line
from .rows import ROWS
from .runs import Run

TOLERANCE = 0.3
SAME_EVERYWHERE = ("MB", "kB", "×")  # units that tell nothing of how fast a machine is
Verdict: TypeAlias = Literal["better", "same", "worse", "failed", "not comparable"]


class Change(NamedTuple):
    """How a row of ours has changed."""

    row: str
    verdict: Verdict
    change: float | None = None  # over 1: better
    against: tuple[str, ...] = ()  # peers; none: by its own figure


def median(run: Run, row: str) -> float | None:
    """Our own figure of a row."""
    part = run.source(row)
    values = part.values(OURS, row) if part else ()
    return statistics.median(present) if (present := [v for v in values if v is not None]) else None


def own_change(row: str, old: float, new: float) -> float | None:
    """How a figure of ours has changed, over 1 where it is better now.

    Returns:
        None where there is no saying: the unit is a time's, or something is zero.
    """
    if ROWS[row].unit not in SAME_EVERYWHERE or not old or not new:
        return None
    return old / new if ROWS[row].lower_is_better else new / old


def change(old: Run, new: Run, row: str, tolerance: float) -> Change:
    """How a row has changed.

    Args:
        old: the run to compare with.
        new: the run to judge.
        row: one that both runs have, and that has a figure of ours in the old one.
        tolerance: 0.3: worse is what is less than 1/1.3 of what it was.
    """
    before, now = median(old, row), median(new, row)
    if before is None or now is None:
        return Change(row, "failed")
    changes = {
        peer: statistics.median(after) / statistics.median(first)
        for peer in old.peers()
        if peer != OURS
        if (first := ratios(old, row, peer)) and (after := ratios(new, row, peer))
    }
    found = statistics.median(changes.values()) if changes else own_change(row, before, now)
    if found is None:
        return Change(row, "not comparable")
    verdict: Verdict = "same"
    if found < 1 / (1 + tolerance):
        verdict = "worse"
    elif found > 1 + tolerance:
        verdict = "better"
    return Change(row, verdict, found, tuple(changes))


def compare(old: Run, new: Run, tolerance: float = TOLERANCE) -> list[Change]:
    """How each row has changed that both runs have and the old one has a figure of ours for."""
    both = [row for row in old.rows() if row in new.rows() and row in ROWS]
    return [change(old, new, row, tolerance) for row in both if median(old, row) is not None]


def markdown(changes: Sequence[Change]) -> str:
    """The changes as a table, the worst first."""

    def order(found: Change) -> float:
        return 0 if found.verdict == "failed" else found.change or float("inf")

    lines = [table_line(["row", "now over before", "by the ratio to", "verdict"]), "|---" * 4 + "|"]
    for found in sorted(changes, key=order):
        shown = f"{number(found.change)} ×" if found.change is not None else "—"
        by = ", ".join(found.against) or ("itself" if found.change is not None else "—")
        verdict = f"**{found.verdict}**" if found in regressions(changes) else found.verdict
        lines.append(table_line([ROWS[found.row].title, shown, by, verdict]))
    return "\n".join(lines) + "\n"


def regressions(changes: Sequence[Change]) -> list[Change]:
    """What got worse, or has no figure any more."""
    return [found for found in changes if found.verdict in ("worse", "failed")]
