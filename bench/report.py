"""A run as the page bench/RESULTS.md."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Sequence

from .gates import OURS, Gate, Outcome, judge_all, ratios
from .peers import PEERS
from .rows import GROUPS, ROWS
from .rows.micro import LEFT_OUT
from .runs import Part, Run, Values
from .stats import summarise

RIVAL = "ray"
PLOTS = "plots"  # the folder beside the page
DRAWN = {"curves": ("queued", "workers")}  # by group; the others have one plot, of their name
VERDICTS = {"goal": "goal", "gate": "held", "short": "**short**", "not measured": "not measured"}
METHOD = """\
Rounds are interleaved (A B C, A B C, …). Figures are medians of the rounds; the quartiles stand in
brackets. A ratio is the median of the rounds' own ratios, since absolute figures drift with the
machine. Each peer's part of a round runs in a fresh process, which is gone, with all that it
started, before the next begins; rows about memory, faults and size have a process of their own.
Rows and peers that take long are measured in the first rounds only. Snakepit and its peers were
compiled to bytecode first and ran with PYTHONDONTWRITEBYTECODE unset, each with two workers where
the row does not say otherwise; Ray's workers ran at niceness 0, and Ray without its dashboard.

Start, import and idling are measured on interpreters that load nothing else, the start from after
the import. USS counts only pages that a single process maps; PSS counts every page once. Tasks of
the row with the busy driver sleep for a millisecond. The raw limit is a round trip of 100 bytes
between two processes that poll their socketpair before they block, and Arrow's copy with two
threads into memory that is mapped already.
"""


def number(value: float) -> str:
    """A figure with three digits that mean something."""
    if abs(value) >= 1000:
        digits = len(str(round(abs(value)))) - 3
        return f"{round(value, -digits):,.0f}"
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


def bound(gate: Gate, limit: float | None) -> str:
    """A limit in words: `≤ 4 × raw limit`."""
    if limit is None:
        return ""
    if gate.rival is None:
        return f"{gate.bound} {number(limit)} {ROWS[gate.row].unit}"
    peer, row = gate.rival
    other = f" ({ROWS[row].title})" if row != gate.row else ""
    return f"{gate.bound} {number(limit)} × {PEERS[peer].title}{other}"


def table_line(cells: Sequence[str]) -> str:
    """One line of a table."""
    return "| " + " | ".join(cells) + " |"


def gate_line(outcome: Outcome) -> str:
    """One gate of the table."""
    gate, figure = outcome.gate, outcome.measured
    unit = " ×" if gate.rival else f" {ROWS[gate.row].unit}"
    shown = "—" if figure is None else number(figure) + unit
    return table_line(
        [
            ROWS[gate.row].title,
            bound(gate, gate.limit),
            bound(gate, gate.goal),
            shown,
            VERDICTS[outcome.verdict],
        ]
    )


def cell(values: Values, error: str | None) -> str:
    """One cell of the table of peers."""
    present = [value for value in values if value is not None]
    if not present:
        return "error" if error else "—"
    summary = summarise(present)
    spread = f" ({number(summary.low)}–{number(summary.high)})" if summary.rounds > 1 else ""
    return f"{number(summary.median)}{spread}{', some failed' if error else ''}"


def made(run: Run) -> list[str]:
    """How the run was made, part by part."""
    lines = []
    for part in run.parts:
        rounds = f"{len(part.rounds)} round{'s' if len(part.rounds) > 1 else ''}"
        lines += [f"Made by `{part.command}` ({rounds}):", ""]
        lines += [f"- {key}: {value}" for key, value in part.machine.items()]
        lines += [f"- {PEERS[peer].title}: {version}" for peer, version in part.versions.items()]
        lines += [
            f"- {PEERS[peer].title}: {why}, so not measured" for peer, why in part.missing.items()
        ]
        lines.append("")
    if len(run.parts) > 1:
        lines += ["A row that several parts measured is shown as the last one has it.", ""]
    return lines


def gates(run: Run) -> list[str]:
    """The table of gates."""
    outcomes = judge_all(run)
    held = sum(outcome.verdict in ("gate", "goal") for outcome in outcomes)
    return [
        "## Gates",
        "",
        table_line(["row", "gate", "goal", "measured", "verdict"]),
        "|---|---|---|---|---|",
        *map(gate_line, outcomes),
        "",
        f"{held} of {len(outcomes)} gates hold.",
        "",
    ]


def row_line(run: Run, row: str, peers: Sequence[str]) -> str:
    """One row of a table of peers, with how many times better than the rival we are."""
    part = run.source(row)
    assert part is not None
    cells = [cell(part.values(peer, row), part.said(peer, row, "error")) for peer in peers]
    better = ratios(run, row, RIVAL)
    against = [f"{number(statistics.median(better))} ×" if better else "—"]
    return table_line([ROWS[row].title, ROWS[row].unit, *cells, *against])


def tables(run: Run, plots: Collection[str]) -> list[str]:
    """The rows, group by group, each with the peers that have a figure there, and its plots."""
    lines: list[str] = []
    measured = run.rows()
    for key, group in GROUPS.items():
        rows = [row.name for row in group.rows if row.name in measured]
        if not rows:
            continue
        peers = [peer for peer in PEERS if any(has_cell(run, peer, row) for row in rows)]
        titles = [PEERS[peer].title for peer in peers]
        heads = ["row", "unit", *titles, f"better than {PEERS[RIVAL].title}"]
        lines += [f"## {group.title}", "", table_line(heads), "|---" * len(heads) + "|"]
        lines += [row_line(run, row, peers) for row in rows]
        lines.append("")
        for plot in DRAWN.get(key, (key,)):
            if plot in plots:
                lines += [f"![{group.title}: {plot}]({PLOTS}/{plot}.svg)", ""]
        if key == "micro":
            lines += ["Ray has more rows, which are left out:", ""]
            lines += [f"- {name}: {why}." for name, why in LEFT_OUT.items()]
            lines.append("")
    return lines


def has_cell(run: Run, peer: str, row: str) -> bool:
    """Whether a peer has a figure in a row, or failed to have one."""
    part = run.source(row)
    if part is None:
        return False
    found = any(value is not None for value in part.values(peer, row))
    return found or part.said(peer, row, "error") is not None


def notes(run: Run) -> list[str]:
    """What failed, and what of ours there is nothing of."""

    def said(peer: str, what: str) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        for row in run.rows():
            part: Part | None = run.source(row)
            text = part.said(peer, row, what) if part else None
            if text:
                found.append((row, text))
        return found

    lines = []
    wrong = [(peer, *pair) for peer in run.peers() for pair in said(peer, "error")]
    if wrong:
        lines += ["## Errors", ""]
        lines += [
            f"- {PEERS[peer].title}, {ROWS[row].title}: `{text}`" for peer, row, text in wrong
        ]
        lines.append("")
    absent = said(OURS, "absent")
    if absent:
        lines += ["## Not measured of snakepit", ""]
        lines += [f"- {ROWS[row].title}: {text}" for row, text in absent]
    return lines


def markdown(run: Run, plots: Collection[str] = (), more: str = "") -> str:
    """The page.

    Args:
        run: what was measured.
        plots: names of those that lie beside it.
        more: what people have to say about the figures; stands at the end.
    """
    body = [*made(run), METHOD, *gates(run), *tables(run, plots), *notes(run)]
    lines = ["# What it costs", "", *body, "", more]
    return "\n".join(lines).rstrip("\n") + "\n"


def short(run: Run) -> list[str]:
    """The gates of the run's rows that do not hold, missing figures included."""
    return [
        f"{outcome.gate.row} {bound(outcome.gate, outcome.gate.limit)}"
        for outcome in judge_all(run)
        if outcome.verdict in ("short", "not measured")
    ]
