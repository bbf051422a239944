"""The examples of docs/testing.md run as they are written, and its table has every point."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from snakepit.testing import KillPoint

TEXT = (Path(__file__).parents[2] / "docs" / "testing.md").read_text()


@pytest.mark.parametrize("block", re.findall(r"^```python\n(.*?)^```$", TEXT, re.M | re.S))
def test_each_example_runs(block: str, tmp_path: Path) -> None:
    script = tmp_path / "example.py"
    script.write_text(block)
    done = subprocess.run(
        [sys.executable, "-W", "error", script], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_every_point_is_in_the_table() -> None:
    assert re.findall(r"^\| `([A-Z_]+)` \|", TEXT, re.M) == [point.name for point in KillPoint]
