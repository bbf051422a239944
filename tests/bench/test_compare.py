from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bench.compare import Change, compare, markdown, regressions
from bench.runs import Part, Run, as_json

ROOT = Path(__file__).parents[2]


def run(**peers: dict[str, float | None]) -> Run:
    rows = list(dict.fromkeys(row for found in peers.values() for row in found))
    cells = {
        peer: {row: {} if value is None else {"value": value} for row, value in found.items()}
        for peer, found in peers.items()
    }
    return Run([Part("bench", {"commit": "1"}, rows, dict.fromkeys(peers, "1"), {}, [cells])])


def test_a_slower_machine_is_no_regression() -> None:
    old = run(snakepit={"sync_task": 20.0}, ray={"sync_task": 1000.0})
    new = run(snakepit={"sync_task": 40.0}, ray={"sync_task": 2000.0})
    assert compare(old, new) == [Change("sync_task", "same", 1.0, ("ray",))]


@pytest.mark.parametrize(
    ("ours", "verdict"), [(20.0, "same"), (25.9, "same"), (26.1, "worse"), (15.0, "better")]
)
def test_times_that_grow_beyond_tolerance_are_worse(ours: float, verdict: str) -> None:
    old = run(snakepit={"sync_task": 20.0}, ray={"sync_task": 1000.0})
    new = run(snakepit={"sync_task": ours}, ray={"sync_task": 1000.0})
    assert compare(old, new)[0].verdict == verdict


def test_rates_that_fall_beyond_tolerance_are_worse() -> None:
    old = run(snakepit={"put_small": 200.0}, ray={"put_small": 1.0})
    new = run(snakepit={"put_small": 150.0}, ray={"put_small": 1.0})
    assert compare(old, new)[0].verdict == "worse"
    assert compare(old, new, 0.5)[0].verdict == "same"


def test_the_median_of_peers_counts() -> None:
    old = run(snakepit={"init": 1.0}, ray={"init": 5.0}, pool={"init": 1.0}, loky={"init": 2.0})
    new = run(snakepit={"init": 1.0}, ray={"init": 1.0}, pool={"init": 1.0}, loky={"init": 2.0})
    assert compare(old, new) == [Change("init", "same", 1.0, ("ray", "pool", "loky"))]


def test_a_row_without_peers_is_compared_where_the_machine_does_not_matter() -> None:
    old = run(snakepit={"million.memory": 0.8, "thousand_actors": 5.0, "get_small": 7.0})
    new = run(snakepit={"million.memory": 1.6, "thousand_actors": 50.0, "put_small": 1.0})
    assert compare(old, new) == [
        Change("million.memory", "worse", 0.5),
        Change("thousand_actors", "not comparable"),
    ]


def test_a_row_that_fails_now_is_a_regression_and_one_that_always_did_is_not() -> None:
    old = run(snakepit={"init": 1.0, "gets": None}, ray={"init": 5.0})
    new = run(snakepit={"init": None, "gets": None}, ray={"init": 5.0})
    changes = compare(old, new)
    assert changes == [Change("init", "failed")]
    assert regressions(changes) == changes


def test_the_table_has_the_worst_first() -> None:
    changes = [
        Change("init", "same", 1.1, ("ray", "pool")),
        Change("gets", "not comparable"),
        Change("args", "worse", 0.5, ("ray",)),
        Change("import", "failed"),
        Change("million.memory", "better", 2.0),
    ]
    assert [line.split("|")[2:5] for line in markdown(changes).splitlines()[2:]] == [
        [" — ", " — ", " **failed** "],
        [" 0.5 × ", " ray ", " **worse** "],
        [" 1.1 × ", " ray, pool ", " same "],
        [" 2 × ", " itself ", " better "],
        [" — ", " — ", " not comparable "],
    ]


def command(*argv: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bench", *map(str, argv)], cwd=ROOT, capture_output=True, text=True
    )


def test_the_command_ends_with_1_where_something_got_worse(tmp_path: Path) -> None:
    old, new, other = (tmp_path / f"{name}.json" for name in ("old", "new", "other"))
    old.write_text(as_json(run(snakepit={"init": 1.0}, ray={"init": 5.0})))
    new.write_text(as_json(run(snakepit={"init": 2.0}, ray={"init": 5.0})))
    other.write_text(as_json(run(snakepit={"gets": 2.0})))
    assert command("compare", old, old).returncode == 0
    done = command("compare", old, new)
    assert (done.returncode, done.stderr) == (1, "worse: init\n")
    assert "| `init` to first result | 0.5 × | ray | **worse** |" in done.stdout
    assert command("compare", old, new, "--tolerance", "1.5").returncode == 0
    for wrong in (("compare", old, other), ("compare", old, tmp_path / "none.json")):
        assert command(*wrong).returncode == 2


def test_runs_are_put_together_without_measuring(tmp_path: Path) -> None:
    first, second, both = (tmp_path / f"{name}.json" for name in ("first", "second", "both"))
    figures: dict[str, float | None] = {"init": 1.0, "queued": None, "queued.10": 4.0}
    first.write_text(as_json(run(snakepit=figures, ray={"init": 5.0})))
    second.write_text(as_json(run(snakepit={"client_get": 2.0}, ray={"client_get": 1.0})))
    page = tmp_path / "pages" / "page.md"
    done = command("merge", first, second, "--json", both, "--out", page)
    assert done.returncode == 0, done.stderr
    assert "| single client get calls | 1/s | 2 | 1 | 2 × |" in page.read_text()
    assert "(plots/queued.svg)" in page.read_text()
    assert (page.parent / "plots" / "queued.svg").read_text().startswith("<svg ")
    assert command("compare", first, both).returncode == 0
