"""What must be installed before CPython can be built; as root it is installed here."""

from __future__ import annotations

import os
import subprocess

from .problem import InterpreterUnavailable, run

# A compiler, and the libraries behind the modules that snakepit, pip and the tests import.
PACKAGES = (
    "gcc libc6-dev make pkg-config tar xz-utils"
    " libbz2-dev libffi-dev liblzma-dev libsqlite3-dev libssl-dev zlib1g-dev"
).split()


def missing() -> list[str]:
    """Return the packages that are not installed."""
    asked = subprocess.run(
        ["dpkg-query", "--show", "--showformat", "${Package} ${Status}\n", *PACKAGES],
        capture_output=True,
        text=True,
        env={**os.environ, "LC_ALL": "C"},
    )
    installed = {
        line.split()[0] for line in asked.stdout.splitlines() if line.endswith("ok installed")
    }
    return [package for package in PACKAGES if package not in installed]


def install() -> None:
    """Install what is missing.

    Raises:
        InterpreterUnavailable: it cannot, or only root may.
    """
    packages = missing()
    if not packages:
        return
    if os.geteuid() != 0:
        raise InterpreterUnavailable(
            f"building Python needs {' '.join(packages)}: as root, apt-get install them"
        )
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    run(["apt-get", "-q", "-y", "update"], env=env)
    run(["apt-get", "-q", "-y", "install", "--no-install-recommends", *packages], env=env)
