"""`snakepit ps` and `snakepit cleanup`: the register of runs, shown and swept."""

from __future__ import annotations

import json
import os
import re
from datetime import datetime
from typing import Any, Final

import click

from ..ids import start_time
from ..registry import ALIVE, Process, Record, records
from ..transport.sweep import sweep

_WORKER: Final = re.compile(r"snakepit-\d+")
"""What worker processes are called."""


def show_runs(*, as_json: bool) -> None:
    """Print the runs that live, a line each, or as JSON."""
    workers = _workers_by_zygote()
    runs = [_facts(record, workers) for record in records() if record.state() == ALIVE]
    if as_json:
        click.echo(json.dumps(runs, indent=2))
        return
    if not runs:
        click.echo("no snakepit runs here")
        return
    rows = [("RUN", "PID", "SINCE", "WORKERS", "SCRIPT")]
    rows += [
        (run["run"], str(run["pid"]), _moment(run["since"]), str(run["workers"]), run["script"])
        for run in runs
    ]
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths))
        click.echo(_printable(line.rstrip()))


def clean_up(*, dry_run: bool) -> None:
    """Sweep, and print what was done, or would be."""
    swept = sweep(dry_run=dry_run)
    ended, removed = ("would end", "would remove") if dry_run else ("ended", "removed")
    for orphan in swept.orphans:
        click.echo(_printable(f"{ended} process {orphan.pid} ({orphan.name}) of run {orphan.run}"))
    for name in swept.files:
        click.echo(_printable(f"{removed} file {name}"))
    if not (swept.orphans or swept.files):
        click.echo("nothing to clean up")


def _facts(record: Record, workers: dict[Process, int]) -> dict[str, Any]:
    return {
        "run": record.run,
        "pid": record.pid,
        "script": record.script,
        "since": record.since,
        "workers": sum(workers.get(zygote, 0) for zygote in record.zygotes),
        "zygotes": [zygote.pid for zygote in record.zygotes if zygote.lives()],
    }


def _workers_by_zygote() -> dict[Process, int]:
    """Count each process's children that are called as workers are."""
    counts: dict[int, int] = {}
    try:
        pids = [name for name in os.listdir("/proc") if name.isdecimal()]
    except OSError:
        return {}
    for pid in pids:
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
                head, _, rest = file.read().rpartition(")")
        except OSError:
            continue
        if _WORKER.fullmatch(head.partition("(")[2]):
            parent = int(rest.split()[1])
            counts[parent] = counts.get(parent, 0) + 1
    return {Process(pid, start_time(pid)): count for pid, count in counts.items()}


def _moment(since: float) -> str:
    # 0: its file was torn or is not there yet.
    if not since:
        return "?"
    return datetime.fromtimestamp(since).isoformat(sep=" ", timespec="seconds")


def _printable(text: str) -> str:
    # A file's name may hold anything; a terminal must not obey it.
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)
