"""Find files that were copied from one another, with tasks that call tasks.

    python shared_passages.py [--num-cpus N] [--pattern GLOB] [--check] [FOLDER ...]

A pipeline of three stages, over real files:

1. *Scan.* A task for each folder. It starts one for each folder below, and one for each batch of
   its own files, and returns their references: what is found does not travel through it.
2. *Read.* A task for each batch of files finds their passages, a few lines each, and splits them by
   what they say into as many shares as there will be mergers.
3. *Merge.* A task for each share takes that share of all batches, and counts the passages that two
   files have in common. Passages that say the same are in the same share, whichever files they
   come from.
"""

from __future__ import annotations

import argparse
import os
import sys
import sysconfig
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatch
from hashlib import blake2b
from itertools import combinations
from pathlib import Path
from typing import Any, TypeAlias

import snakepit

LINES = 6  # of a passage
BATCH_BYTES = 512 * 1024
SHARES = 8
COMMON = 8  # what more files than these have in common is nobody's copy: a licence, say
TOP = 10
SKIPPED = ("__pycache__", "site-packages", "dist-packages")  # unless given themselves

Passages: TypeAlias = dict[bytes, list[str]]
"""The files that each passage is in, by the passage's digest."""
Pairs: TypeAlias = Counter[tuple[str, str]]
"""How many passages two files have in common."""


# What the tasks do: plain functions


def passages(path: str) -> Iterator[bytes]:
    """Digests of all runs of lines in a file; blank lines and indentation do not count."""
    try:
        text = Path(path).read_bytes()
    except OSError:
        return  # gone, or not ours to read
    lines = [stripped for line in text.splitlines() if (stripped := line.strip())]
    for start in range(len(lines) - LINES + 1):
        run = b"\n".join(lines[start : start + LINES])
        if len(run) > 20 * LINES:  # lines of a bracket each say nothing
            yield blake2b(run, digest_size=8).digest()


def read(paths: Sequence[str], shares: int) -> list[Passages]:
    """The passages of some files, split by their digests."""
    found: list[Passages] = [{} for _ in range(shares)]
    for path in paths:
        for digest in set(passages(path)):
            found[digest[0] % shares].setdefault(digest, []).append(path)
    return found


def merge(parts: Iterable[Passages]) -> Pairs:
    """Count what pairs of files have in common, in one share of the passages."""
    everywhere: Passages = {}
    for part in parts:
        for digest, paths in part.items():
            everywhere.setdefault(digest, []).extend(paths)
    pairs: Pairs = Counter()
    for paths in everywhere.values():
        names = sorted(set(paths))  # a file may come twice, where a folder is given with its parent
        if len(names) <= COMMON:
            pairs.update(combinations(names, 2))
    return pairs


def contents(folder: str, pattern: str) -> tuple[list[str], list[list[str]]]:
    """The folders in a folder, and its files in batches of about the same size."""
    below: list[str] = []
    batches: list[list[str]] = []
    room = 0
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if entry.is_dir(follow_symlinks=False):
            if entry.name not in SKIPPED:
                below.append(entry.path)
        elif fnmatch(entry.name, pattern) and entry.is_file(follow_symlinks=False):
            if room <= 0:
                batches.append([])
                room = BATCH_BYTES
            batches[-1].append(entry.path)
            room -= entry.stat().st_size
    return below, batches


# The tasks


@snakepit.remote(num_returns=SHARES)
def read_task(paths: list[str]) -> Any:
    """One return for each share, so that a merger takes no more than its own."""
    return tuple(read(paths, SHARES))


@snakepit.remote
def scan_task(folder: str, pattern: str) -> list[list[snakepit.ObjectRef[Passages]]]:
    """The shares of each batch below a folder, as references."""
    below, batches = contents(folder, pattern)
    deeper = [scan_task.remote(path, pattern) for path in below]
    found = [read_task.remote(batch) for batch in batches]
    # While this waits, its CPU serves the tasks that it waits for.
    for rows in snakepit.get(deeper):
        found += rows
    return found


@snakepit.remote
def merge_task(*parts: Passages) -> Pairs:
    """A reference that is an argument itself has become its value here."""
    return merge(parts)


def shared_passages(folders: Sequence[str], pattern: str) -> Pairs:
    """Count the passages that pairs of files below some folders have in common."""
    scans = snakepit.get([scan_task.remote(folder, pattern) for folder in folders])
    batches = [batch for scan in scans for batch in scan]
    mergers = [merge_task.remote(*[batch[share] for batch in batches]) for share in range(SHARES)]
    return sum(snakepit.get(mergers), Counter())


def shared_passages_here(folders: Sequence[str], pattern: str) -> Pairs:
    """Do the same in this process alone."""
    parts: list[list[Passages]] = []
    left = list(folders)
    while left:
        below, batches = contents(left.pop(), pattern)
        left += below
        parts += [read(batch, SHARES) for batch in batches]
    return sum((merge(part[share] for part in parts) for share in range(SHARES)), Counter())


def main() -> int:
    """Run as a script: print the closest pairs; with --check, return 1 if one process disagrees."""
    parser = argparse.ArgumentParser(description="Find files that were copied from one another.")
    library = sysconfig.get_path("stdlib")
    parser.add_argument("folders", nargs="*", default=[library], help="(default: Python's library)")
    parser.add_argument("--pattern", default="*.py", help="names of files to read")
    parser.add_argument("--num-cpus", type=int, help="CPUs to use")
    parser.add_argument("--check", action="store_true", help="do it in one process too")
    given = parser.parse_args()
    folders = [os.path.abspath(folder) for folder in given.folders]
    started = time.perf_counter()
    with snakepit.init(num_cpus=given.num_cpus):
        pairs = shared_passages(folders, given.pattern)
    spent = time.perf_counter() - started
    print(f"{len(pairs)} pairs of files share passages of {LINES} lines; {spent:.1f} s")
    for (one, other), count in sorted(pairs.items(), key=lambda item: (-item[1], item[0]))[:TOP]:
        print(f"{count:6} {one}\n       {other}")
    if given.check:
        started = time.perf_counter()
        same = shared_passages_here(folders, given.pattern) == pairs
        spent = time.perf_counter() - started
        print(f"one process: {'equal' if same else 'WRONG'}, {spent:.1f} s")
        return 0 if same else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
