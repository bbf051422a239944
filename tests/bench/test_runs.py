from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.runs import Part, Run, as_json, merge, read

PART = Part(
    command="python -m bench",
    machine={"commit": "abc"},
    rows=["init", "import"],
    versions={"snakepit": "1"},
    missing={"ray": "not installed"},
    rounds=[
        {"snakepit": {"init": {"value": 1.0}, "import": {"absent": "no"}}},
        {"snakepit": {"init": {"error": "OSError: gone"}}},
    ],
)


def test_a_round_without_a_figure_is_a_gap() -> None:
    assert PART.values("snakepit", "init") == [1.0, None]
    assert PART.values("ray", "init") == [None, None]


def test_a_part_says_why_there_is_no_figure() -> None:
    assert PART.said("snakepit", "init", "error") == "OSError: gone"
    assert PART.said("snakepit", "import", "absent") == "no"
    assert PART.said("snakepit", "import", "error") is None


def test_a_row_comes_from_the_last_part_that_measured_it() -> None:
    later = PART._replace(rows=["init"], versions={"pool": "3"}, command="later")
    run = merge([Run([PART]), Run([later])])
    assert run.source("init") is later
    assert run.source("import") is PART
    assert run.source("sync_task") is None
    assert run.rows() == ["init", "import"]
    assert run.peers() == ["snakepit", "pool"]


def test_a_run_comes_back_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    path.write_text(as_json(Run([PART, PART]), units={"init": "s"}))
    assert read(path) == Run([PART, PART])
    assert json.loads(path.read_text())["units"] == {"init": "s"}


@pytest.mark.parametrize(
    ("text", "why"),
    [("", "Expecting value"), ("[]", "format None"), ('{"rounds": []}', "format None")],
)
def test_what_is_no_run_is_refused_by_name(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "run.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=rf"run\.json: {why}"):
        read(path)
    with pytest.raises(ValueError, match="No such file"):
        read(tmp_path / "none.json")
