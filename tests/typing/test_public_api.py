"""Type checkers agree with `public_api.py`, strictly."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
FIXTURE = Path(__file__).with_name("public_api.py")


def check(command: list[str], folder: Path) -> None:
    # A type checker follows no import hook, which an editable install is.
    environment = {**os.environ, "MYPYPATH": str(ROOT)}
    run = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr


def test_mypy_strict(tmp_path: Path) -> None:
    options = ["--strict", "--follow-imports=silent", f"--cache-dir={ROOT / '.mypy_cache/typing'}"]
    check([sys.executable, "-m", "mypy", *options, str(FIXTURE)], tmp_path)


def test_basedpyright(tmp_path: Path) -> None:
    settings = {
        "include": [str(FIXTURE)],
        "extraPaths": [str(ROOT)],
        "typeCheckingMode": "standard",
        "pythonVersion": "3.11",
        "reportMissingModuleSource": False,
        "reportMissingTypeStubs": False,
    }
    project = tmp_path / "pyrightconfig.json"
    project.write_text(json.dumps(settings))
    check([sys.executable, "-m", "basedpyright", "--project", str(project)], tmp_path)
