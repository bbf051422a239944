"""The two smaller examples: on real files, as a user runs them, and against one process."""

from __future__ import annotations

import importlib
import json.decoder
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import snakepit
from snakepit.examples import parameter_sweep as sweeping
from snakepit.examples import shared_passages as passages

ROOT = Path(__file__).parents[1]
JSON = Path(json.decoder.__file__).parent
DEADLINE_S = 100
LINE = "this line is long enough to say something, number {}\n"


def text(*numbers: int) -> str:
    return "".join(map(LINE.format, numbers))


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files in nested folders, of which some share lines."""
    top = tmp_path_factory.mktemp("tree")
    for name, content in {
        "a.py": text(*range(10)),
        "deep/er/b.py": text(*range(100, 105), *range(8)),
        "deep/c.py": text(*range(200, 220)),
        "deep/d.txt": text(*range(10)),
        "deep/__pycache__/e.py": text(*range(10)),
        "empty/none.py": "",
        "brackets.py": "}\n" * 50,
        "brackets2.py": "}\n" * 50,
    }.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(content)
    return top


def test_passages_are_counted_over_folders(tree: Path) -> None:
    # Eight lines in common are three passages of six.
    expected = Counter({(f"{tree}/a.py", f"{tree}/deep/er/b.py"): 3})
    assert passages.shared_passages_here([str(tree)], "*.py") == expected
    with snakepit.init(num_cpus=2):
        assert passages.shared_passages([str(tree)], "*.py") == expected
        # A folder that is given with its parent changes nothing.
        assert passages.shared_passages([str(tree), f"{tree}/deep"], "*.py") == expected
        assert passages.shared_passages([f"{tree}/empty"], "*.py") == Counter()


def test_what_many_files_have_in_common_is_nobodys_copy() -> None:
    paths = [f"{number}.py" for number in range(passages.COMMON + 1)]
    few: passages.Passages = {b"x": paths[:3]}
    assert len(passages.merge([few])) == 3
    assert passages.merge([few, {b"x": paths[3:]}]) == Counter()


def test_a_file_that_goes_away_has_no_passages(tmp_path: Path) -> None:
    assert list(passages.passages(str(tmp_path / "gone.py"))) == []


def test_a_text_is_made_of_numbers_of_the_alphabet() -> None:
    codes = sweeping.encode("A z\n\té€")
    assert codes.tolist() == [34, 1, 91, 96, 0, 32, 32]
    assert int(codes.max()) < sweeping.ALPHABET


def test_the_better_half_goes_on() -> None:
    def result(rate: float, bits: float) -> sweeping.Result:
        return sweeping.Result(sweeping.Setting(1, rate, 0.0), 10, bits)

    good, middle, bad = result(3.0, 2.0), result(1.0, 3.0), result(2.0, 4.0)
    assert sweeping.halve([bad, good, middle]) == ([good], [middle, bad])
    assert sweeping.halve([good]) == ([], [good])


def test_actors_learn_what_one_process_learns() -> None:
    learned = sweeping.read([JSON / "decoder.py", JSON / "encoder.py"], 8000)
    assert len(learned) == 8000
    settings = [sweeping.SETTINGS[number] for number in (0, 3, 9, 12, 20)]
    seen: list[sweeping.Result] = []
    with snakepit.init(num_cpus=2):
        found = sweeping.sweep(learned, settings, 5, seen.append)
    assert found == sweeping.sweep_here(learned, settings, 5)
    assert {result.setting for result in found} == set(settings)
    assert [result.steps for result in found] == [35, 15, 5, 5, 5]
    assert len(seen) == 5 + 2 + 1
    assert found[0].bits < 6.6  # log2 of the alphabet: what a model that learned nothing needs


@pytest.mark.parametrize("how", ["script", "module"])
@pytest.mark.parametrize(
    ("name", "arguments", "printed"),
    [
        ("shared_passages", ["--check", "--num-cpus", "2", str(JSON)], "one process: equal"),
        (
            "parameter_sweep",
            ["--characters", "6000", "--steps", "2", "--num-cpus", "2"],
            "24 settings",
        ),
    ],
)
def test_they_run_as_scripts(how: str, name: str, arguments: list[str], printed: str) -> None:
    if how == "script":
        target = [str(ROOT / "examples" / f"{name}.py")]
    else:
        target = ["-P", "-m", f"snakepit.examples.{name}"]
    done = subprocess.run(
        [sys.executable, "-W", "error", *target, *arguments],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
    )
    assert done.returncode == 0, done.stderr
    assert printed in done.stdout
    assert done.stderr == ""


def test_every_example_says_how_it_is_called() -> None:
    for path in sorted((ROOT / "examples").glob("*.py")):
        module = importlib.import_module(f"snakepit.examples.{path.stem}")
        if hasattr(module, "main"):
            assert f"    python {path.name} [" in (module.__doc__ or "")
            assert f"examples/{path.name}" in (ROOT / "README.md").read_text(), path.name
