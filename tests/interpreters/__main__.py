"""Prints the path of an interpreter to test on: found on this machine, cached, or built.

    python -m tests.interpreters 3.12
    python -m tests.interpreters 3.13t              built from Debian's source if need be
    python -m tests.interpreters 3.13t --no-build   only what is there already

Progress goes to standard error. The exit status is 1 when there is none, with the reason.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .build import BUILDABLE, build, built, cache
from .found import Version, find
from .problem import InterpreterUnavailable


def locate(version: Version, *, may_build: bool) -> Path:
    """Return an interpreter of that version.

    Raises:
        InterpreterUnavailable: there is none, and none may or can be built.
    """
    python = find(version) or built(version)
    if python is not None:
        return python
    looked = f"no Python {version} on PATH or among pyenv's versions"
    if version not in BUILDABLE:
        raise InterpreterUnavailable(looked)
    if not may_build:
        raise InterpreterUnavailable(f"{looked}, and none built in {cache()}")
    print(f"{looked}: building it, for some minutes", file=sys.stderr)
    return build(version)


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.interpreters", description=__doc__)
    parser.add_argument("version")
    parser.add_argument("--no-build", action="store_true")
    options = parser.parse_args()
    try:
        print(locate(Version.parse(options.version), may_build=not options.no_build))
    except (InterpreterUnavailable, ValueError) as reason:
        print(f"Python {options.version} is not available: {reason}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
