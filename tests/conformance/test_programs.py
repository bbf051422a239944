"""Whole programs, one for each topic of a user's guide, with the result that they must have."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

PROGRAMS = sorted(path.stem for path in (Path(__file__).parent / "programs").glob("*.py"))


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_has_its_result(ray: Any, name: str) -> None:
    program = importlib.import_module(f"tests.conformance.programs.{name}")
    assert program.main(ray) == program.EXPECTED
