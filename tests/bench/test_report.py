from __future__ import annotations

import pytest

from bench.report import markdown, number, short
from bench.runs import Part, Round, Run

ROUNDS: list[Round] = [
    {
        "raw": {"sync_task": {"value": 10.0}, "sync_actor": {}},
        "snakepit": {"sync_task": {"value": 25.0}, "sync_actor": {"value": 50.0}},
        "pool": {"sync_task": {"value": 250.0}, "sync_actor": {}},
    },
    {
        "raw": {"sync_task": {"value": 20.0}, "sync_actor": {}},
        "snakepit": {"sync_task": {"value": 50.0}, "sync_actor": {"error": "OSError: gone"}},
        "pool": {"sync_task": {"error": "host: 1: killed"}, "sync_actor": {}},
    },
]


@pytest.fixture
def run() -> Run:
    part = Part(
        command="python -m bench --rounds 2",
        machine={"processor": "abacus, 2 cores"},
        rows=["sync_task", "sync_actor"],
        versions={"raw": "pyarrow 1", "snakepit": "snakepit 0", "pool": "Python 3"},
        missing={"ray": "not installed"},
        rounds=ROUNDS,
    )
    return Run([part])


def test_the_page_names_its_command_and_who_was_missing(run: Run) -> None:
    page = markdown(run)
    assert "Made by `python -m bench --rounds 2` (2 rounds):" in page
    assert "abacus, 2 cores" in page
    assert "- Ray: not installed, so not measured" in page


def test_the_page_judges_gates(run: Run) -> None:
    lines = markdown(run).splitlines()
    assert "| task, one at a time | ≤ 4 × raw limit | ≤ 3 × raw limit | 2.5 × | goal |" in lines
    assert "| task, one at a time | ≥ 6 × mp.Pool |  | 10 × | held |" in lines
    assert any("| ≤ 4 × raw limit (task, one at a time) |" in line for line in lines)
    assert "2 of 4 gates hold." in lines


def test_the_page_shows_spread_failures_and_gaps(run: Run) -> None:
    page = markdown(run)
    assert (
        "| task, one at a time | µs | 15 (12.5–17.5) | 37.5 (31.2–43.8) | 250, some failed | — |"
        in page
    )
    assert "| actor call, one at a time | µs | — | 50, some failed | — | — |" in page
    assert "- snakepit, actor call, one at a time: `OSError: gone`" in page


def test_the_page_says_what_there_is_nothing_of(run: Run) -> None:
    cells: Round = {"snakepit": {"client_get": {"absent": "no object store"}}}
    part = run.parts[0]._replace(rows=["client_get"], rounds=[cells])
    page = markdown(Run([*run.parts, part]))
    assert "- single client get calls: no object store" in page
    assert "- client: …: there is no gateway" in page
    assert page.count("Made by") == 2
    assert "A row that several parts measured is shown as the last one has it." in page


def test_the_page_compares_with_ray(run: Run) -> None:
    cells: Round = {
        "snakepit": {"sync_task": {"value": 50.0}},
        "ray": {"sync_task": {"value": 2000.0}},
    }
    part = run.parts[0]._replace(
        rows=["sync_task"], rounds=[cells], versions={"snakepit": "0", "ray": "2"}
    )
    page = markdown(Run([*run.parts, part]))
    # Each row stands with the peers of its own part: the pool's older figure is not shown.
    assert "| task, one at a time | µs | 50 | 2,000 | 40 × |" in page


def test_gates_that_fall_short_are_named(run: Run) -> None:
    other = "(task, one at a time)"
    assert short(run) == [
        f"sync_actor ≤ 4 × raw limit {other}",
        f"sync_actor ≥ 6 × mp.Pool {other}",
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.01234, "0.0123"),
        (2.5, "2.5"),
        (99.96, "100"),
        (250.4, "250"),
        (1234.0, "1,230"),
        (66_543.0, "66,500"),
        (0.0, "0"),
    ],
)
def test_numbers_have_three_digits(value: float, text: str) -> None:
    assert number(value) == text
