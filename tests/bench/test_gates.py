from __future__ import annotations

import pytest

from bench.gates import GATES, Gate, Outcome, judge, judge_all, measured, ratios
from bench.host import Cell
from bench.peers import PEERS
from bench.rows import ROWS
from bench.runs import Part, Round, Run


def part(**peers: dict[str, list[float | None]]) -> Part:
    """What some peers showed in some rows, round by round."""

    def cell(value: float | None) -> Cell:
        return {} if value is None else {"value": value}

    count = max(len(values) for rows in peers.values() for values in rows.values())
    rounds: list[Round] = [
        {
            peer: {row: cell(values[number]) for row, values in rows.items()}
            for peer, rows in peers.items()
        }
        for number in range(count)
    ]
    rows = list(dict.fromkeys(row for found in peers.values() for row in found))
    return Part("python -m bench", {"commit": "1"}, rows, dict.fromkeys(peers, "1"), {}, rounds)


def figures(**peers: dict[str, list[float | None]]) -> Run:
    return Run([part(**peers)])


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ([0.2, 0.2, 0.1], "short"),
        ([0.15, 0.15, 0.9], "gate"),
        ([0.1, 0.05, 0.9], "goal"),
        ([None, None, None], "not measured"),
        ([None, 0.12, None], "gate"),
    ],
)
def test_absolute_gate(values: list[float | None], verdict: str) -> None:
    gate = Gate("init", "≤", 0.15, 0.1)
    assert judge(gate, figures(snakepit={"init": values})).verdict == verdict


def test_times_their_time() -> None:
    gate = Gate("sync_task", "≤", 4, 3, ("raw", "sync_task"))
    run = figures(snakepit={"sync_task": [20.0, 35.0]}, raw={"sync_task": [10.0, 10.0]})
    assert judge(gate, run) == Outcome(gate, 2.75, "goal")


def test_times_faster_where_less_is_better() -> None:
    gate = Gate("sync_task", "≥", 6, None, ("pool", "sync_task"))
    run = figures(snakepit={"sync_task": [20.0]}, pool={"sync_task": [100.0]})
    assert judge(gate, run) == Outcome(gate, 5.0, "short")


def test_times_faster_where_more_is_better() -> None:
    gate = Gate("burst_actor", "≥", 2.5, 3.5, ("pool", "burst_task"))
    run = figures(snakepit={"burst_actor": [60_000.0]}, pool={"burst_task": [20_000.0]})
    assert judge(gate, run) == Outcome(gate, 3.0, "gate")


def test_a_drifting_machine_does_not_move_a_ratio() -> None:
    gate = Gate("sync_task", "≤", 4, None, ("raw", "sync_task"))
    run = figures(snakepit={"sync_task": [30.0, 60.0, 90.0]}, raw={"sync_task": [10.0, 20.0, 30.0]})
    assert measured(gate, run) == 3.0


def test_a_missing_rival_is_never_a_pass() -> None:
    gate = Gate("init", "≥", 35, None, ("ray", "init"))
    run = figures(snakepit={"init": [0.1]})
    assert judge(gate, run) == Outcome(gate, None, "not measured")


def test_only_gates_of_measured_rows_are_judged() -> None:
    run = figures(snakepit={"init": [0.1], "get_small": [None]})
    assert {outcome.gate.row for outcome in judge_all(run)} == {"init", "get_small"}


def test_a_ratio_says_how_many_times_better_we_are() -> None:
    run = figures(
        snakepit={"init": [0.5, 0.5], "get_small": [30.0, 40.0]},
        ray={"init": [5.0, 2.0], "get_small": [10.0, 10.0]},
    )
    assert ratios(run, "init", "ray") == [10.0, 4.0]
    assert ratios(run, "get_small", "ray") == [3.0, 4.0]
    assert ratios(run, "put_small", "ray") == []


def test_figures_of_different_parts_are_not_compared() -> None:
    gate = Gate("init", "≥", 2, None, ("ray", "init"))
    with_ray = part(snakepit={"init": [1.0]}, ray={"init": [5.0]})
    alone = part(snakepit={"init": [0.1]})
    assert measured(gate, Run([alone, with_ray])) == 5.0
    assert measured(gate, Run([with_ray, alone])) is None
    assert measured(Gate("init", "≤", 1), Run([with_ray, alone])) == 0.1


def test_gates_name_rows_and_peers_that_exist() -> None:
    assert {gate.row for gate in GATES} <= set(ROWS)
    rivals = [gate.rival for gate in GATES if gate.rival]
    assert {peer for peer, _ in rivals} <= set(PEERS)
    assert {row for _, row in rivals} <= set(ROWS)


def test_a_goal_lies_beyond_its_gate() -> None:
    for gate in GATES:
        if gate.goal is not None:
            assert (gate.goal < gate.limit) is (gate.bound == "≤")
