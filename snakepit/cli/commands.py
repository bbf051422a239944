"""The commands and their options; each loads what it needs when it runs."""

from __future__ import annotations

from pathlib import Path

import click

DEFAULT_LIMIT = 4000


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="snakepit", message="snakepit %(version)s")
def command() -> None:
    """Ray-style tasks, actors and shared objects on one machine."""


@command.command()
@click.option("--chaos", is_flag=True, help="Kill a worker now and then.")
@click.option(
    "--paths",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Index this folder instead; may be given several times.",
)
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=DEFAULT_LIMIT,
    show_default=True,
    help="The most files to index, taken evenly from all; 0 for no limit.",
)
@click.option("--num-cpus", type=click.IntRange(1, 1024), help="CPUs to use; default: all.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def demo(
    chaos: bool, paths: tuple[Path, ...], limit: int, num_cpus: int | None, as_json: bool
) -> None:
    """Index the Python sources of this interpreter, in parallel and in one process.

    The job is examples/index_python.py. The exit status is 1 if the two ways do not agree.
    """
    from .demo import run

    raise SystemExit(run(paths, limit or None, num_cpus=num_cpus, chaos=chaos, as_json=as_json))


@command.command(context_settings={"allow_interspersed_args": False})
@click.option("--timeout", type=click.FloatRange(min=0), help="Seconds that it may take.")
@click.option(
    "--shutdown-timeout",
    type=click.FloatRange(min=0),
    help="Seconds from a signal, the timeout or its end until it is ended by force; default: 10.",
)
@click.argument("script", type=click.Path(exists=True, dir_okay=False, readable=True))
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def run(
    timeout: float | None, shutdown_timeout: float | None, script: str, arguments: tuple[str, ...]
) -> None:
    """Run a Python script as `python` does, and leave nothing behind however it ends.

    The exit status is the script's own: 0, 1 after an error, what it gave to sys.exit, or 128 + N
    after signal N. The first Ctrl-C ends it in order, a second one at once. See
    snakepit.run_as_script.
    """
    from .run import run_script

    run_script(script, arguments, timeout, shutdown_timeout)


@command.command()
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
def ps(as_json: bool) -> None:
    """List the runs of yours that live: id, driver, script, since when, worker processes."""
    from .runs import show_runs

    show_runs(as_json=as_json)


@command.command()
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
def cleanup(dry_run: bool) -> None:
    """End the processes that dead runs of yours left, and remove their files.

    Each start does the same. Runs that live are not touched, nor is any process that none started.
    """
    from .runs import clean_up

    clean_up(dry_run=dry_run)
