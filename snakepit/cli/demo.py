"""`snakepit demo`: runs the example `index_python` and shows what it found.

Results go to stdout, progress to stderr; neither gets escape codes unless it is a terminal.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import click
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from snakepit.examples import index_python as job
from snakepit.examples import python_sources as sources

MB: Final = 1e6
BAR: Final = 30
ALIKE: Final = 5
BAR_COLUMN: Final = ""


def run(
    paths: Sequence[Path], limit: int | None, *, num_cpus: int | None, chaos: bool, as_json: bool
) -> int:
    """Do the job both ways, and show the outcome.

    Args:
        paths: folders to index; none for those of this interpreter.
        limit: the most files; None for all.
        num_cpus: CPUs to use; None for all.
        chaos: whether to kill workers all the while.
        as_json: whether to print JSON instead of tables.

    Returns:
        The exit status: 0, or 1 where the two ways differ or nothing was there to index.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that cannot show a × gets a ?
            stream.reconfigure(errors="replace")
    news = Console(stderr=True, highlight=False)
    files, found = sources.find_sources(paths or sources.default_folders(), limit)
    if not files:
        news.print("snakepit demo: no Python source file is there", style="red")
        return 1
    batches = sources.into_batches(files)
    part = f"{len(files):,} of {found:,}" if len(files) < found else f"{found:,}"
    more = " (--limit 0 takes all)" if len(files) < found else ""
    news.print(f"{part} Python files, in {len(batches):,} batches{more}")
    sources.warm_up(files)
    with _progress(news, "tasks and an actor") as tick:
        parallel = job.run_parallel(batches, tick, num_cpus=num_cpus, chaos=chaos)
    with _progress(news, "the same in one process") as tick:
        serial = job.run_serial(batches, tick)
    wrong = job.faults(parallel, serial)
    try:
        if as_json:
            _print_json(found, parallel, serial, wrong)
        else:
            _show(Console(highlight=False), parallel, serial, wrong)
    except OSError as error:
        if error.errno == errno.EPIPE:  # the reader has seen enough; click ends it well
            raise
        news.print(f"snakepit demo: cannot write the result: {error.strerror}", style="red")
        _write_no_more()
        return 1
    return 1 if wrong else 0


def _write_no_more() -> None:
    """Send what Python still holds of stdout nowhere: it would fail again at the exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


@contextmanager
def _progress(console: Console, title: str) -> Iterator[job.Tick]:
    """Show a bar per step in a terminal, and a line for all of them elsewhere."""
    if not console.is_terminal:
        console.print(f"{title} …")
        yield lambda step, done, total: None
        return
    columns = (
        TextColumn("{task.description}", style="bold"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        bars: dict[str, Any] = {}

        def tick(step: str, done: int, total: int) -> None:
            if step not in bars:
                bars[step] = progress.add_task(f"{title}: {step}", total=total)
            progress.update(bars[step], completed=done)

        yield tick


def _speed_up(parallel: job.Outcome, serial: job.Outcome, step: str = "total") -> float:
    return serial.seconds[step] / max(parallel.seconds[step], 1e-9)


def _print_json(found: int, parallel: job.Outcome, serial: job.Outcome, wrong: list[str]) -> None:
    import json

    figures = {
        "found": found,
        "cpus": parallel.cpus,
        "equal": not wrong,
        "wrong": wrong,
        "seconds": {"parallel": parallel.seconds, "serial": serial.seconds},
        "speed_up": _speed_up(parallel, serial),
        "kills": parallel.kills,
        "sharing": parallel.sharing._asdict() if parallel.sharing is not None else None,
        "report": parallel.report._asdict(),
    }
    click.echo(json.dumps(figures, indent=2))


def _show(console: Console, parallel: job.Outcome, serial: job.Outcome, wrong: list[str]) -> None:
    report = parallel.report
    console.print(
        f"\n{report.files:,} files, {report.bytes / MB:.1f} MB, {report.lines:,} lines, "
        f"{report.classes:,} classes, {report.functions:,} functions; "
        f"{report.unparsed:,} files are not valid Python {sys.version_info[0]}"
    )
    for table in (
        _table("Largest modules", ("module", "lines", "functions"), report.largest),
        _table("Most functions", ("module", "functions"), report.busiest),
        _table("Most imported names", ("name", "files"), report.imported),
        _functions_per_file(report),
        _alike(report),
        _times(parallel, serial),
    ):
        console.print(table)
    for line in _findings(parallel, wrong):
        console.print(line)


def _table(title: str, names: Sequence[str], rows: Sequence[Sequence[object]]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for place, name in enumerate(names):
        left = not place or name == BAR_COLUMN
        table.add_column(name, justify="left" if left else "right", overflow="fold")
    for row in rows:
        table.add_row(*(f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row))
    return table


def _functions_per_file(report: sources.Report) -> Table:
    most = max((count for _, count in report.functions_per_file), default=0) or 1
    rows = [(label, n, "█" * round(BAR * n / most)) for label, n in report.functions_per_file]
    return _table("Functions per file", ("functions", "files", BAR_COLUMN), rows)


def _alike(report: sources.Report) -> Table:
    rows = [(f"{one}\n{other}", nodes, apart) for one, other, nodes, apart in report.alike[:ALIKE]]
    title = "Large functions most alike, by what their syntax trees are made of"
    return _table(title, ("functions", "nodes", "differ in"), rows)


def _times(parallel: job.Outcome, serial: job.Outcome) -> Table:
    names = ("", f"{parallel.cpus:g} CPUs", "one process", "speed-up")
    steps = {"parse": "parse and index", "compare": "compare", "total": "in all"}
    rows = [
        (
            label,
            f"{parallel.seconds[step]:.2f} s",
            f"{serial.seconds[step]:.2f} s",
            f"{_speed_up(parallel, serial, step):.2f} ×",
        )
        for step, label in steps.items()
    ]
    return _table("Times, with the start of the workers", names, rows)


def _findings(parallel: job.Outcome, wrong: list[str]) -> Iterator[str]:
    shared = parallel.sharing
    if shared is not None:
        rows, columns = shared.shape
        where = {True: "the same memory", False: "not the same memory", None: "memory not told"}
        what = "too small to be shared" if shared.small else where[shared.same_memory]
        yield (
            f"One matrix of {rows:,} × {columns} counts ({shared.bytes / MB:.1f} MB) for "
            f"{shared.tasks} tasks in {shared.processes} processes: {what}, "
            f"{'read-only' if shared.read_only else 'writable'}. Put in "
            f"{shared.put_s * 1e3:.1f} ms, got in {shared.get_s * 1e3:.2f} ms; "
            f"a copy would take {shared.copy_s * 1e3:.1f} ms."
        )
    if parallel.kills:
        yield f"Killed on the way: {parallel.kills} workers."
    if wrong:
        yield f"[bold red]WRONG: {', '.join(wrong)}.[/]"
    else:
        yield "[bold green]Both ways agree: every table, every row.[/]"
