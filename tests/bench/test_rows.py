from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.peers import PEERS, NotOffered
from bench.rows import GROUPS, QUICK, ROWS, Effort, curves, freethreaded, micro, parts, recovery
from bench.tasks import has_gil

ROOT = Path(__file__).parents[2]
SLOW = ("init", "import", "idle_memory", "idle_cpu")  # starts of interpreters, and idling


def test_names_are_unique_and_parts_belong_to_rows_that_are_measured() -> None:
    assert sum(len(group.rows) for group in GROUPS.values()) == len(ROWS)
    assert not set(ROWS) & set(GROUPS)
    for name, row in ROWS.items():
        parent = ROWS[name.partition(".")[0]]
        assert (row.measure is None) is ("." in name)
        assert parent.measure is not None
        assert name in parts(parent.name)


def test_rows_name_peers_that_exist() -> None:
    for row in ROWS.values():
        assert set(row.peers or ()) <= set(PEERS)


def test_what_is_left_out_has_a_reason_and_no_row() -> None:
    titles = {row.title for row in micro.ROWS}
    assert not titles & set(micro.LEFT_OUT)
    assert all(micro.LEFT_OUT.values())


def test_an_effort_cuts_sizes_down_but_not_to_nothing() -> None:
    assert Effort().count(1_000_000) == 1_000_000
    assert Effort(0.01).count(1000) == 10
    assert Effort(0.01).count(10) == 1
    assert Effort(0.01).count(10, least=4) == 4


def test_a_curve_is_the_dearest_point_over_the_cheapest() -> None:
    assert curves.curve({"2": 3.0, "8": 2.0, "32": 8.0}, 3) == {
        "": 4.0,
        "2": 3.0,
        "8": 2.0,
        "32": 8.0,
    }
    assert curves.curve({"2": 3.0}, 3) == {"2": 3.0}


def test_percentiles_are_in_milliseconds() -> None:
    found = recovery.percentiles([n / 1000 for n in range(101)])
    assert found == pytest.approx({"": 99.0, "median": 50.0, "longest": 100.0})


@pytest.mark.skipif(not has_gil(0), reason="without a GIL these rows are measured")
def test_rows_without_the_gil_are_not_measured_with_it() -> None:
    with pytest.raises(NotOffered, match="this interpreter has a GIL"):
        freethreaded.sync_task(PEERS["raw"](), QUICK)


def test_every_row_works_at_a_small_size(tmp_path: Path) -> None:
    page, data = tmp_path / "page.md", tmp_path / "data.json"
    rows = [name for name, row in ROWS.items() if row.measure and name not in SLOW]
    argv = [sys.executable, "-m", "bench", "--peers", "snakepit", "--rows", *rows, "--quick"]
    argv += ["--rounds", "1", "--json", str(data), "--out", str(page)]
    done = subprocess.run(argv, cwd=ROOT, env=dict(os.environ), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (part,) = json.loads(data.read_text())["parts"]
    cells = part["rounds"][0]["snakepit"]
    assert {name: cell for name, cell in cells.items() if "error" in cell} == {}
    absent = {name for name, cell in cells.items() if "absent" in cell}
    sizes = {"queued", "queued.100000", "queued.1000000", "workers"}
    sizes |= {f"workers.{count}" for count in (32, 128, 500)} | {"pool_queued", "pool_workers"}
    sizes |= {f"pool_workers.{count}" for count in (32, 128, 500)}
    sizes |= {f"pool_queued.{count}" for count in (10_000, 100_000)}
    without = {row.name for row in freethreaded.ROWS} if has_gil(0) else set[str]()
    assert absent == sizes | without
    assert set(cells) == {row for name in rows for row in parts(name)}
    assert "these figures show that rows work, and nothing else" in page.read_text()
