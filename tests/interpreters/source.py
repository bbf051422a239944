"""Python's source, from Debian: downloaded and verified by apt, from the machine's own mirror."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from pathlib import Path

from .problem import InterpreterUnavailable, run

# The release of Debian whose source package is built, and the keys that sign its index.
SUITE = "trixie"
PACKAGE = "python3.13"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
DPKG_STATUS = Path("/var/lib/dpkg/status")


def mirrors() -> list[str]:
    """Return the archives that this machine's apt is configured to use, its own release's first.

    Raises:
        InterpreterUnavailable: there is no apt here, or it has no archive.
    """
    text = run(["apt-get", "indextargets", "--format", "$(RELEASE) $(COMPONENT) $(REPO_URI)"])
    rows = [line.split() for line in text.splitlines()]
    archives = [(row[0], row[2]) for row in rows if len(row) == 3 and row[1] == "main"]
    release = platform.freedesktop_os_release().get("VERSION_CODENAME")
    archives.sort(key=lambda archive: archive[0] != release)
    found = list(dict.fromkeys(uri for _, uri in archives if not uri.startswith("cdrom:")))
    if not found:
        raise InterpreterUnavailable("apt on this machine knows no archive to download from")
    return found


def _private(folder: Path, mirror: str) -> Iterator[str]:
    """Yield the options that give apt lists and sources of its own, and the machine's rest.

    Proxies, credentials and checks stay as the machine has them; its package lists stay untouched.
    """
    (folder / "state/lists/partial").mkdir(parents=True, exist_ok=True)
    (folder / "cache/archives/partial").mkdir(parents=True, exist_ok=True)
    sources = folder / "source.list"
    sources.write_text(f"deb-src [signed-by={KEYRING}] {mirror} {SUITE} main\n")
    settings = {
        "Dir::Etc::sourcelist": sources,
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::State": folder / "state",
        "Dir::State::status": DPKG_STATUS,
        "Dir::Cache": folder / "cache",
        # Else an index that cannot be had, or whose signature is wrong, is only a warning.
        "APT::Update::Error-Mode": "any",
    }
    for name, value in settings.items():
        yield from ("-o", f"{name}={value}")


def _download(folder: Path, mirror: str) -> Path:
    options = list(_private(folder, mirror))
    run(["apt-get", "-q", "-y", *options, "update"])
    run(["apt-get", "-q", "-y", *options, "source", "--download-only", PACKAGE], cwd=folder)
    return next(folder.glob(f"{PACKAGE}_*.orig.tar.xz"))


def fetch(folder: Path) -> Path:
    """Download the source and unpack it.

    Upstream's tarball alone, without Debian's patches: those make it the system's interpreter,
    which has no ensurepip and installs elsewhere.

    Args:
        folder: an empty one, for this alone.

    Returns:
        Where `configure` is.

    Raises:
        InterpreterUnavailable: no mirror has it, or what came is not what Debian signed.
    """
    if not KEYRING.exists():
        raise InterpreterUnavailable(f"{KEYRING} is missing: install debian-archive-keyring")
    refusals = []
    for mirror in mirrors():
        try:
            tarball = _download(folder, mirror)
        except InterpreterUnavailable as refusal:
            refusals.append(str(refusal))
            continue
        run(["tar", "--extract", "--file", tarball], cwd=folder)
        return next(folder.glob("Python-*/configure")).parent
    raise InterpreterUnavailable("\n".join(refusals))
