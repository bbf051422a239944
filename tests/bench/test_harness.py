from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench import harness
from bench.__main__ import measure
from bench.harness import Job
from bench.host import Cell
from bench.peers import PEERS, Peer
from bench.rows import ROWS, Row

ROOT = Path(__file__).parents[2]


def test_rounds_are_interleaved(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []

    def fake_host(job: Job, effort: str) -> dict[str, Cell]:
        order.append(job.peer)
        return {row: {"value": float(len(order))} for row in job.rows}

    monkeypatch.setattr(harness, "run_host", fake_host)
    monkeypatch.setattr(harness, "adopt_orphans", lambda: None)
    monkeypatch.setattr(harness, "wait_for_silence", lambda: 0)
    monkeypatch.setattr(harness, "compile_bytecode", lambda peers: None)
    told: list[str] = []
    rounds = harness.run(["raw", "pool"], ["sync_task"], 3, told.append)
    assert order == ["raw", "pool"] * 3
    assert [cells["pool"]["sync_task"]["value"] for cells in rounds] == [2.0, 4.0, 6.0]
    assert len(told) == 6


def test_a_round_runs_rows_where_they_can_be_and_when_they_are_due(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = {
        "plain": Row("plain", "", "s", True, lambda *_: 1.0),
        "alone": Row("alone", "", "s", True, lambda *_: 1.0, alone=True),
        "heavy": Row("heavy", "", "s", True, lambda *_: 1.0, alone=True, heavy=True),
        "ours": Row("ours", "", "s", True, lambda *_: 1.0, peers=("snakepit",)),
    }
    monkeypatch.setattr(harness, "ROWS", rows)
    peers = ["snakepit", "ray"]
    shared = [Job("snakepit", ["plain", "ours"]), Job("ray", ["plain"])]
    alone = [Job("snakepit", ["alone"]), Job("ray", ["alone"])]
    heavy = [Job("snakepit", ["heavy"]), Job("ray", ["heavy"])]
    assert harness.plan(peers, list(rows), 1) == shared + alone + heavy
    assert harness.plan(peers, list(rows), 2) == shared + alone + heavy[:1]
    assert harness.plan(["ray"], ["ours"], 1) == []
    assert harness.plan(["dask"], ["plain"], PEERS["dask"].rounds) == [Job("dask", ["plain"])]
    assert harness.plan(["dask"], ["plain"], PEERS["dask"].rounds + 1) == []


def test_every_row_is_planned_once_per_peer_that_can_have_it() -> None:
    rows = [name for name, row in ROWS.items() if row.measure is not None]
    planned = [(job.peer, row) for job in harness.plan(list(PEERS), rows, 1) for row in job.rows]
    assert len(planned) == len(set(planned))
    assert {row for _, row in planned} == set(rows)


def test_a_host_that_cannot_run_is_an_error_in_each_row() -> None:
    cells = harness.run_host(Job("nobody", ["sync_task", "get_small"]))
    assert set(cells) == {"sync_task", "get_small"}
    assert "KeyError: 'nobody'" in str(cells["sync_task"]["error"])


def test_a_host_that_hangs_is_killed() -> None:
    cells = harness.run_host(Job("raw", ["sync_task"]), timeout=0.01)
    assert "no end after" in str(cells["sync_task"]["error"])


def test_bytecode_is_kept_and_ray_not_niced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    environment = harness.environment()
    assert "PYTHONDONTWRITEBYTECODE" not in environment
    assert environment["RAY_worker_niceness"] == "0"


def test_a_missing_peer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    class Nowhere(Peer):
        name = title = "nowhere"
        packages = ("no_such_package_anywhere",)

    assert harness.absent(Nowhere) == "not installed"
    assert harness.absent(PEERS["pool"]) is None


def test_one_row_for_real(tmp_path: Path) -> None:
    page, data = tmp_path / "page.md", tmp_path / "data.json"
    argv = [sys.executable, "-m", "bench", "--peers", "raw", "pool", "--rows", "sync_task"]
    argv += ["--rounds", "1", "--json", str(data), "--out", str(page)]
    done = subprocess.run(argv, cwd=ROOT, env=dict(os.environ), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (part,) = json.loads(data.read_text())["parts"]
    (cells,) = part["rounds"]
    assert 0 < cells["raw"]["sync_task"]["value"] < cells["pool"]["sync_task"]["value"] * 10
    assert page.read_text().startswith("# What it costs\n\nMade by `python -m bench --peers raw")
    assert "not measured" in page.read_text()


@pytest.mark.parametrize("argv", [["--rounds", "0"], ["--rows", "speed"], ["--peers", "celery"]])
def test_wrong_arguments_are_refused(argv: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench", *argv], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert argv[0] in done.stderr


def test_another_interpreter_runs_the_same_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Replaced(Exception):
        pass

    def execv(path: str, argv: list[str]) -> None:
        raise Replaced(path, argv)

    monkeypatch.setattr(os, "execv", execv)
    rest = ["--rows", "free", "--rounds", "3"]
    for option in (["--python", sys.executable], [f"--python={sys.executable}"]):
        with pytest.raises(Replaced) as found:
            measure([*rest[:2], *option, *rest[2:]])
        assert found.value.args == (sys.executable, [sys.executable, "-m", "bench", *rest])
    with pytest.raises(SystemExit):
        measure(["--python", "/no/such/python"])
    assert "'/no/such/python' is no program" in capsys.readouterr().err
