"""CPython built once from source, and kept outside the tree."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from . import needs, source
from .found import Version, is_version
from .problem import InterpreterUnavailable, run

BUILDABLE = (Version(3, 13, False), Version(3, 13, True))
SCRATCH_PREFIX = "building-"


def cache() -> Path:
    """Return the folder in which the built interpreters are kept."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base, "snakepit", "interpreters")


def built(version: Version) -> Path | None:
    """Return the interpreter of that version which an earlier build left, or None."""
    python = cache() / str(version) / "bin" / f"python{version}"
    # One that no longer runs (another machine's, a library that went) is built anew.
    return python if python.exists() and is_version(python, version) else None


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let one build at a time into the cache; the lock ends with its process, however that ends."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for scratch in folder.glob(f"{SCRATCH_PREFIX}*"):  # of a build that was killed
            shutil.rmtree(scratch)
        yield


def _compile(tree: Path, version: Version, prefix: Path, staging: Path) -> None:
    options = [f"--prefix={prefix}", "--with-ensurepip=install", "--disable-test-modules"]
    if version.free_threaded:
        options.append("--disable-gil")
    # No profile-guided build: it takes ten times as long, and the tests ask what is right.
    run(["./configure", "--quiet", *options, "CFLAGS=-O2 -g0"], cwd=tree)
    jobs = len(os.sched_getaffinity(0))
    run(["make", "--silent", f"--jobs={jobs}"], cwd=tree)
    run(["make", "--silent", "install", f"DESTDIR={staging}"], cwd=tree)


def build(version: Version) -> Path:
    """Return an interpreter of that version from the cache, after building it if need be.

    What appears in the cache is whole: it is installed aside and renamed.

    Args:
        version: one of `BUILDABLE`.

    Returns:
        The interpreter.

    Raises:
        InterpreterUnavailable: it cannot be built here.
    """
    if version not in BUILDABLE:
        can = " and ".join(map(str, BUILDABLE))
        raise InterpreterUnavailable(f"Python {version} is not built here, only {can}")
    folder = cache()
    with _alone(folder):
        python = built(version)
        if python is not None:  # a build that we waited for
            return python
        needs.install()
        prefix = folder / str(version)
        scratch = Path(tempfile.mkdtemp(prefix=SCRATCH_PREFIX, dir=folder))
        try:
            tree = source.fetch(scratch)
            _compile(tree, version, prefix, scratch / "staging")
            if prefix.exists():
                prefix.rename(scratch / "stale")
            (scratch / "staging" / prefix.relative_to("/")).rename(prefix)
        finally:
            shutil.rmtree(scratch)
        python = built(version)
    if python is None:
        raise InterpreterUnavailable(f"the Python {version} built in {prefix} does not run")
    return python
