"""A run as JSON and as the page bench/RESULTS.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from .gates import Figures, Gate, Outcome, judge_all
from .harness import Round
from .peers import PEERS
from .rows import ROWS
from .stats import summarise

VERDICTS = {"goal": "goal", "gate": "held", "short": "**short**", "not measured": "not measured"}
METHOD = """\
Rounds: {rounds}, interleaved (A B C, A B C, …). Figures are medians of the rounds; in the second
table the quartiles stand in brackets. A ratio is the median of the rounds' own ratios, since
absolute figures drift with the machine. Each peer's part of a round runs in a fresh process, which
is gone, with all that it started, before the next begins. Snakepit and its peers were compiled to
bytecode first and ran with PYTHONDONTWRITEBYTECODE unset, each with two workers; Ray's workers ran
at niceness 0, and Ray without its dashboard.

Start, import and idling are measured on interpreters that load nothing else, the start from after
the import. USS counts only pages that a single process maps; PSS counts every page once. Tasks of
the row with the busy driver sleep for a millisecond. The raw limit is a round trip of 100 bytes
between two processes that poll their socketpair before they block, and Arrow's copy with two
threads into memory that is mapped already.
"""


class Run(NamedTuple):
    """All that a report needs."""

    command: str
    machine: Mapping[str, str]
    rows: Sequence[str]
    versions: Mapping[str, str]  # by peer, those measured
    missing: Mapping[str, str]  # by peer, why it is not
    rounds: Sequence[Round]


def figures(run: Run) -> Figures:
    """The values by peer and row, one per round, None where a round has none."""

    def value(cells: Round, peer: str, row: str) -> float | None:
        found = cells.get(peer, {}).get(row, {}).get("value")
        return float(found) if found is not None else None

    return {
        peer: {row: [value(cells, peer, row) for cells in run.rounds] for row in run.rows}
        for peer in run.versions
    }


def errors(run: Run) -> dict[tuple[str, str], str]:
    """The last error of each cell that had one."""
    return {
        (peer, row): str(cell["error"])
        for cells in run.rounds
        for peer, by_row in cells.items()
        for row, cell in by_row.items()
        if "error" in cell
    }


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


def gate_line(outcome: Outcome) -> str:
    """One gate of the table."""
    gate, figure = outcome.gate, outcome.measured
    unit = " ×" if gate.rival else f" {ROWS[gate.row].unit}"
    shown = "—" if figure is None else number(figure) + unit
    cells = (
        ROWS[gate.row].title,
        bound(gate, gate.limit),
        bound(gate, gate.goal),
        shown,
        VERDICTS[outcome.verdict],
    )
    return "| " + " | ".join(cells) + " |"


def cell(values: Sequence[float | None], error: str | None) -> str:
    """One cell of the table of peers."""
    present = [value for value in values if value is not None]
    if not present:
        return "error" if error else "—"
    summary = summarise(present)
    spread = f" ({number(summary.low)}–{number(summary.high)})" if summary.rounds > 1 else ""
    failed = f", {len(values) - len(present)} failed" if error else ""
    return f"{number(summary.median)}{spread}{failed}"


def markdown(run: Run) -> str:
    """The page."""
    table, wrong = figures(run), errors(run)
    outcomes = judge_all(table, run.rows)
    lines = ["# What it costs", "", f"Made by `{run.command}`.", ""]
    lines += [f"- {key}: {value}" for key, value in run.machine.items()]
    lines += [f"- {PEERS[peer].title}: {version}" for peer, version in run.versions.items()]
    lines += [f"- {PEERS[peer].title}: {why}, so not measured" for peer, why in run.missing.items()]
    lines += ["", METHOD.format(rounds=len(run.rounds)), "## Gates", ""]
    lines += ["| row | gate | goal | measured | verdict |", "|---|---|---|---|---|"]
    lines += [gate_line(outcome) for outcome in outcomes]
    held = sum(outcome.verdict in ("gate", "goal") for outcome in outcomes)
    lines += ["", f"{held} of {len(outcomes)} gates hold.", "", "## Rows", ""]
    titles = [f"{PEERS[peer].title}" for peer in run.versions]
    lines += ["| row | unit | " + " | ".join(titles) + " |", "|---|---|" + "---|" * len(titles)]
    for name in run.rows:
        cells = [cell(table[peer][name], wrong.get((peer, name))) for peer in run.versions]
        lines.append(f"| {ROWS[name].title} | {ROWS[name].unit} | " + " | ".join(cells) + " |")
    if wrong:
        lines += ["", "## Errors", ""]
        lines += [
            f"- {PEERS[peer].title}, {ROWS[row].title}: `{error}`"
            for (peer, row), error in wrong.items()
        ]
    return "\n".join(lines) + "\n"


def as_json(run: Run) -> dict[str, Any]:
    """The run with every round, and the gates as judged."""
    outcomes = judge_all(figures(run), run.rows)
    return {
        **run._asdict(),
        "units": {name: ROWS[name].unit for name in run.rows},
        "gates": [
            {**outcome.gate._asdict(), "measured": outcome.measured, "verdict": outcome.verdict}
            for outcome in outcomes
        ],
    }


def short(run: Run) -> list[str]:
    """The gates of the run's rows that do not hold, missing figures included."""
    return [
        f"{outcome.gate.row} {bound(outcome.gate, outcome.gate.limit)}"
        for outcome in judge_all(figures(run), run.rows)
        if outcome.verdict in ("short", "not measured")
    ]
