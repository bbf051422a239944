"""Rounds of peers, one at a time.

Each peer's part of each round runs in a fresh process (a row that wants to be alone, in one of its
own) that ends before the next begins. Keeping the peers alive and stopping them in between was the
alternative: Ray's daemons do not stand to be stopped (they take the gap for a failure), and are not
idle when left running. A fresh process per round also averages over what is drawn once per process:
addresses, hash seeds, which core.

The harness makes itself the reaper of what the processes leave, and waits until nothing is left
before it goes on: no peer runs in another's time.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import psutil

from .host import Cell
from .peers import PEERS, Peer
from .rows import ROWS
from .runs import Round

ROOT = Path(__file__).parents[1]
HOST_TIMEOUT_S = 600.0
GONE_TIMEOUT_S = 15.0
PR_SET_CHILD_SUBREAPER = 36


class Job(NamedTuple):
    """Rows that one process measures of one peer."""

    peer: str
    rows: Sequence[str]


def absent(peer: type[Peer]) -> str | None:
    """Why a peer cannot be measured here, if it cannot."""
    for package in peer.packages[:1]:
        if importlib.util.find_spec(package) is None:
            return "not installed"
    return None


def compile_bytecode(peers: Sequence[str]) -> None:
    """Compile what will be imported, so that no peer pays for it in its first round."""
    folders = {str(ROOT / "bench")}
    for peer in peers:
        for package in PEERS[peer].packages:
            with contextlib.suppress(ModuleNotFoundError):
                spec = importlib.util.find_spec(package)
                folders |= set(spec.submodule_search_locations or ()) if spec else set()
    # In a process of its own, whose helpers end with it. A folder that cannot be written to keeps
    # what bytecode it has; quiet, and whatever the status: not ours to mend.
    argv = [sys.executable, "-m", "compileall", "-qq", "-j", str(os.cpu_count() or 1)]
    subprocess.run([*argv, *sorted(folders)], check=False)


def environment() -> dict[str, str]:
    """The environment of every peer: bytecode is kept, Ray is not niced and phones nobody."""
    ours = {"RAY_worker_niceness": "0", "RAY_USAGE_STATS_ENABLED": "0"}
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, **ours, "PYTHONWARNINGS": "ignore"}


def adopt_orphans() -> None:
    """Become the parent of what a peer leaves, so that it can be seen and waited for."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def wait_for_silence() -> int:
    """Wait until no process of a peer is left; returns how many had to be killed."""
    end = time.monotonic() + GONE_TIMEOUT_S
    while left := psutil.Process().children(recursive=True):
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if time.monotonic() > end:
            for process in left:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            psutil.wait_procs(left, timeout=5)
            return len(left)
        time.sleep(0.02)
    return 0


def plan(peers: Sequence[str], rows: Sequence[str], number: int) -> list[Job]:
    """What one round runs, in order.

    Rows that may share a process come first, peer by peer; then each of the others, peer by peer,
    so that what is compared lies close together.

    Args:
        peers: names, in the order of the round.
        rows: names of rows that have a measurement.
        number: of the round, from 1; heavy rows and slow peers are left out of the later ones.
    """

    def due(peer: str, name: str) -> bool:
        row = ROWS[name]
        able = row.peers is None or peer in row.peers
        most = PEERS[peer].heavy_rounds if row.heavy else PEERS[peer].rounds
        return able and number <= most

    shared = [row for row in rows if not ROWS[row].alone]
    jobs = [Job(peer, [row for row in shared if due(peer, row)]) for peer in peers]
    for row in rows:
        if ROWS[row].alone:
            jobs += [Job(peer, [row]) for peer in peers if due(peer, row)]
    return [job for job in jobs if job.rows]


def read_cells(out: Path) -> dict[str, Cell]:
    """The cells that a host has written, if it came that far."""
    try:
        cells: dict[str, Cell] = json.loads(out.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return cells


def run_host(job: Job, effort: str = "full", *, timeout: float = HOST_TIMEOUT_S) -> dict[str, Cell]:
    """One peer's part of a round; whatever goes wrong is a cell that says so."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        out, log = Path(folder, "cells.json"), Path(folder, "log")
        argv = [sys.executable, "-m", "bench.host", job.peer, str(out), effort, *job.rows]
        with log.open("wb") as sink:
            process = subprocess.Popen(
                argv,
                cwd=ROOT,
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                start_new_session=True,
            )
            try:
                status: int | str = process.wait(timeout)
            except subprocess.TimeoutExpired:
                status = f"no end after {timeout:.0f} s"
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        text = log.read_text(errors="replace")
        if os.environ.get("BENCH_LOG"):
            sys.stderr.write(text)
        cells = read_cells(out)
    last = (text.strip().splitlines() or ["no output"])[-1]
    lost = {"error": f"host: {status}: {last[:200]}"}
    return {**{row: dict[str, float | str](lost) for row in job.rows}, **cells}


def run(
    peers: Sequence[str],
    rows: Sequence[str],
    rounds: int,
    tell: Callable[[str], None],
    effort: str = "full",
) -> list[Round]:
    """Measure rows of peers in interleaved rounds: A B C, A B C, …

    Args:
        peers: names, present on this machine.
        rows: names.
        rounds: how many.
        tell: gets a line of progress.
        effort: `full`, or `quick` to see that rows work.

    Returns:
        The cells of each round.
    """
    adopt_orphans()
    compile_bytecode(peers)
    done: list[Round] = []
    for number in range(1, rounds + 1):
        cells: dict[str, dict[str, Cell]] = {peer: {} for peer in peers}
        for job in plan(peers, rows, number):
            start = time.monotonic()
            found = run_host(job, effort)
            cells[job.peer] |= found
            killed = wait_for_silence()
            left = f", {killed} left behind and killed" if killed else ""
            what = job.rows[0] if len(job.rows) == 1 else f"{len(job.rows)} rows"
            spent = time.monotonic() - start
            tell(f"round {number}/{rounds} {job.peer}, {what}: {spent:.1f} s{left}")
            for row, cell in found.items():
                if "error" in cell:
                    tell(f"  {row}: {cell['error']}")
        done.append(cells)
    return done
