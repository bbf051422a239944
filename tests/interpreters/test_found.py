"""Finding interpreters: by what they answer, not by what they are called."""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path

import pytest

from tests.interpreters import build, found
from tests.interpreters.__main__ import locate
from tests.interpreters.found import Version
from tests.interpreters.problem import InterpreterUnavailable

RUNNING = Version(*sys.version_info[:2], bool(sysconfig.get_config_var("Py_GIL_DISABLED")))
NEVER = Version(3, 3, False)


def fake(path: Path, answer: str) -> Path:
    """Make a program that answers whatever it is asked."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{answer}'\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("text", ["3.12", "3.13", "3.13t"])
def test_a_version_is_read_and_written(text: str) -> None:
    assert str(Version.parse(text)) == text


@pytest.mark.parametrize("text", ["", "3", "three", "3.t", "3.13tt"])
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no version"):
        Version.parse(text)


def test_the_running_interpreter_is_found() -> None:
    assert found.find(RUNNING) == Path(sys.executable)


def test_an_interpreter_is_known_by_its_answer(tmp_path: Path) -> None:
    three = fake(tmp_path / "three", "3 3 0")
    assert found.is_version(three, NEVER)
    assert not found.is_version(three, NEVER._replace(free_threaded=True))
    assert not found.is_version(tmp_path / "absent", NEVER)


def test_pyenvs_versions_are_searched_behind_a_shim_that_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake(tmp_path / "shims/python3.3", "no such version")
    real = fake(tmp_path / "versions/3.3.7/bin/python3.3", "3 3 0")
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path / "shims"))
    assert found.find(NEVER) == real


def test_a_cached_build_is_used_and_a_missing_one_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    with pytest.raises(InterpreterUnavailable, match=r"no Python 3\.3 on PATH"):
        locate(NEVER, may_build=True)  # not one of those that are built
    cached = fake(build.cache() / "3.3/bin/python3.3", "3 3 0")
    assert locate(NEVER, may_build=False) == cached
