"""The two halves of a call, each alone."""

from __future__ import annotations

import re
import subprocess
import sys


def test_it_tells_what_each_half_costs() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench.halves"], capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr
    names = re.findall(r"^(.+): [0-9.]+ µs$", done.stdout, re.MULTILINE)
    assert names == ["driver, one at a time", "driver, 200 at once", "worker"]
