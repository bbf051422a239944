"""The list of packages in setup.cfg is whole, and each way to install maps workers/."""

from __future__ import annotations

import configparser
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = {
    "snakepit": "snakepit",
    "workers": "snakepit.workers",
    "examples": "snakepit.examples",
}
PROBE = """
import importlib.metadata, importlib.util
import snakepit, snakepit.workers
assert importlib.util.find_spec("workers") is None, "workers/ is importable under its own name"
assert importlib.util.find_spec("examples") is None, "examples/ is importable under its own name"
assert importlib.util.find_spec("snakepit.examples.index_python"), "the demo's job is missing"
entry, = importlib.metadata.entry_points(group="console_scripts", name="snakepit")
assert entry.value == "snakepit.cli:main", entry
assert "snakepit/py.typed" in {str(p) for p in importlib.metadata.files("snakepit")} or editable
print(snakepit.workers.__file__)
"""


def packages(folder: str, name: str) -> set[str]:
    """The packages below a folder of the repository, under the name that it is installed as."""
    top = ROOT / folder
    return {
        ".".join([name, *init.parent.relative_to(top).parts]) for init in top.rglob("__init__.py")
    }


def test_setup_cfg_lists_every_package() -> None:
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg")
    listed = settings["options"]["packages"].split()
    found = set().union(*(packages(folder, name) for folder, name in FOLDERS.items()))
    assert listed == sorted(found)


def test_no_folder_of_modules_lacks_its_init_file() -> None:
    folders = {file.parent for top in FOLDERS for file in (ROOT / top).rglob("*.py")}
    assert [folder for folder in sorted(folders) if not (folder / "__init__.py").exists()] == []


@pytest.mark.parametrize("mode", ["wheel", "editable", "strict"])
def test_workers_are_installed_as_snakepit_workers(mode: str, tmp_path: Path) -> None:
    source = tmp_path / "source"
    for folder in FOLDERS:
        shutil.copytree(
            ROOT / folder, source / folder, ignore=shutil.ignore_patterns("__pycache__")
        )
    for name in ("pyproject.toml", "setup.cfg", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    python = venv / "bin" / "python"
    build = {
        "wheel": "build_wheel(OUT)",
        "editable": "build_editable(OUT)",
        "strict": "build_editable(OUT, {'editable_mode': 'strict'})",
    }[mode].replace("OUT", repr(str(tmp_path)))
    call = f"from setuptools import build_meta; build_meta.{build}"
    subprocess.run([sys.executable, "-c", call], cwd=source, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--quiet"]
    subprocess.run([*pip, "install", "--no-deps", "--no-index", str(wheel)], check=True)
    # What snakepit needs comes from this environment, after what the new one has of its own.
    needs = f"import sys; sys.path.append({sysconfig.get_path('purelib')!r})"
    probe = f"{needs}\neditable = {mode != 'wheel'}\n{PROBE}"
    answer = subprocess.run(
        [python, "-P", "-c", probe], cwd=tmp_path, capture_output=True, text=True
    )
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.strip().startswith(str(venv if mode == "wheel" else source))
