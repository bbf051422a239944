"""Where and with what a run was made, as far as a reader needs to judge its figures."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

import psutil

from .peers import Peer
from .tasks import has_gil


def processor() -> str:
    """The processor's name as the kernel gives it."""
    info = Path("/proc/cpuinfo")
    for line in info.read_text().splitlines() if info.exists() else ():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def commit() -> str:
    """The commit that was measured, marked where the tree had changes."""
    argv = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()


def interpreter() -> str:
    """The interpreter's name and version, and whether it does without the GIL."""
    name = f"{platform.python_implementation()} {platform.python_version()}"
    return name if has_gil(0) else f"{name}, without the GIL"


def describe() -> dict[str, str]:
    """The machine, the interpreter and the code, in words."""
    load = os.getloadavg()[0]
    return {
        "processor": f"{processor()}, {os.cpu_count()} cores",
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "python": interpreter(),
        "load before": f"{load:.2f}" + (" (not quiet)" if load > 0.5 else ""),
        "commit": commit(),
    }


def version(peer: type[Peer]) -> str:
    """The installed version of a peer."""
    if peer.distribution is None:
        return f"Python {platform.python_version()}"
    try:
        return f"{peer.distribution} {importlib.metadata.version(peer.distribution)}"
    except importlib.metadata.PackageNotFoundError:  # importable, but never installed
        return f"{peer.distribution}, version unknown"
