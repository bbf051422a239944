"""The command: `python -m bench`.

Measures snakepit and its peers side by side; `python -m bench compare OLD NEW` looks for rows that
got worse; `python -m bench merge PART…` puts runs together without measuring.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from . import compare, harness, machine, report, runs
from .gates import judge_all
from .peers import PEERS
from .plots import plots
from .rows import GROUPS, ROWS, parts

NOTES = "NOTES.md"  # beside the page: what was tried where a gate falls short, by those who tried


def chosen_rows(names: Sequence[str]) -> list[str]:
    """The rows with a measurement that are named, or belong to a group that is; in table order."""
    wanted = set(names)
    for name, group in GROUPS.items():
        if name in wanted:
            wanted |= {row.name for row in group.rows}
    return [name for name, row in ROWS.items() if name in wanted and row.measure is not None]


def add_outputs(parser: argparse.ArgumentParser) -> None:
    """Options on where a run goes."""
    parser.add_argument(
        "--json",
        type=Path,
        metavar="FILE",
        help="every round, for machines (FILE.json), or a folder, where it is named by its date",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="the page, its plots beside it (default: the page alone, to standard output)",
    )
    parser.add_argument("--check", action="store_true", help="fail where a gate does not hold")


def measure_parser() -> argparse.ArgumentParser:
    """The command line of a measurement."""
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    measurable = [name for name, row in ROWS.items() if row.measure is not None]
    groups, rows, peers = ", ".join(GROUPS), ", ".join(measurable), ", ".join(PEERS)
    parser.add_argument(
        "--rows",
        nargs="+",
        choices=[*GROUPS, *measurable],
        default=list(GROUPS),
        metavar="NAME",
        help=f"groups ({groups}) or rows ({rows})",
    )
    parser.add_argument(
        "--peers",
        nargs="+",
        choices=list(PEERS),
        default=list(PEERS),
        metavar="NAME",
        help=f"of: {peers}",
    )
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds (default 5)")
    parser.add_argument(
        "--python", metavar="PATH", help="measure with this interpreter, which has snakepit"
    )
    parser.add_argument(
        "--merge",
        nargs="+",
        type=Path,
        default=[],
        metavar="FILE",
        help="runs that this one is put together with; its rows replace theirs",
    )
    parser.add_argument(
        "--quick", action="store_true", help="sizes and times cut down, to see that rows work"
    )
    add_outputs(parser)
    return parser


def tell(line: str) -> None:
    """Progress goes to stderr, since the page may go to stdout."""
    print(line, file=sys.stderr, flush=True)


def publish(run: runs.Run, options: argparse.Namespace) -> int:
    """Write a run where it is wanted, and judge it.

    Returns:
        The exit status: 1 where `--check` was given and a gate does not hold.
    """
    if options.json:
        path: Path = options.json
        if path.suffix != ".json":
            path /= f"{datetime.now(UTC):%Y-%m-%d-%H%M}-{run.parts[-1].machine['commit']}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        gates = [
            {**outcome.gate._asdict(), "measured": outcome.measured, "verdict": outcome.verdict}
            for outcome in judge_all(run)
        ]
        units = {row: ROWS[row].unit for row in run.rows()}
        path.write_text(runs.as_json(run, gates=gates, units=units))
    if options.out:
        drawn = plots(run)
        folder: Path = options.out.parent / report.PLOTS
        options.out.parent.mkdir(parents=True, exist_ok=True)
        for name, page in drawn.items():
            folder.mkdir(exist_ok=True)
            (folder / f"{name}.svg").write_text(page)
        said = options.out.parent / NOTES
        more = said.read_text() if said.exists() else ""
        options.out.write_text(report.markdown(run, tuple(drawn), more))
    else:
        print(report.markdown(run), end="")
    wanting = report.short(run)
    if wanting:
        tell("does not hold: " + "; ".join(wanting))
    return int(bool(wanting) and options.check)


def read_runs(parser: argparse.ArgumentParser, paths: Sequence[Path]) -> list[runs.Run]:
    """Runs from files; a file that is none ends the command, before hours are spent."""
    try:
        return [runs.read(path) for path in paths]
    except ValueError as error:
        parser.error(str(error))


def without_option(argv: Sequence[str], name: str) -> list[str]:
    """A command line less one option and its value."""
    rest: list[str] = []
    words = iter(argv)
    for word in words:
        if word == name:
            next(words, None)
        elif not word.startswith(name + "="):
            rest.append(word)
    return rest


def measure(argv: Sequence[str]) -> int:
    """Measure, report, and judge."""
    parser = measure_parser()
    options = parser.parse_args(argv)
    if options.rounds < 1:
        parser.error(f"--rounds: {options.rounds} is less than 1")
    earlier = read_runs(parser, options.merge)
    if options.python:
        if not os.access(options.python, os.X_OK):
            parser.error(f"--python: {options.python!r} is no program")
        # All of the bench runs there, so that what it says of the interpreter is true.
        rest = without_option(argv, "--python")
        os.execv(options.python, [options.python, "-m", "bench", *rest])
    chosen = [name for name in PEERS if name in options.peers]
    reasons = {name: harness.absent(PEERS[name]) for name in chosen}
    present = [name for name in chosen if reasons[name] is None]
    rows = chosen_rows(options.rows)
    about = machine.describe()
    if options.quick:
        about["sizes"] = "cut down (--quick): these figures show that rows work, and nothing else"
    effort = "quick" if options.quick else "full"
    part = runs.Part(
        command=" ".join([f"{Path(sys.executable).name} -m bench", *argv]),
        machine=about,
        rows=[part for row in rows for part in parts(row)],
        versions={name: machine.version(PEERS[name]) for name in present},
        missing={name: why for name, why in reasons.items() if why is not None},
        rounds=harness.run(present, rows, options.rounds, tell, effort),
    )
    return publish(runs.merge([*earlier, runs.Run([part])]), options)


def put_together(argv: Sequence[str]) -> int:
    """Put runs together and report them."""
    parser = argparse.ArgumentParser(prog="python -m bench merge")
    parser.add_argument("parts", nargs="+", type=Path, metavar="FILE", help="runs, oldest first")
    add_outputs(parser)
    options = parser.parse_args(argv)
    return publish(runs.merge(read_runs(parser, options.parts)), options)


def compared(argv: Sequence[str]) -> int:
    """Compare two runs.

    Returns:
        The exit status: 1 where a row got worse.
    """
    parser = argparse.ArgumentParser(
        prog="python -m bench compare",
        description=compare.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("old", type=Path, metavar="OLD.json")
    parser.add_argument("new", type=Path, metavar="NEW.json")
    parser.add_argument(
        "--tolerance",
        type=float,
        default=compare.TOLERANCE,
        metavar="SHARE",
        help="how much worse is still the same (default %(default)s)",
    )
    options = parser.parse_args(argv)
    if options.tolerance < 0:
        parser.error(f"--tolerance: {options.tolerance} is less than 0")
    old, new = read_runs(parser, [options.old, options.new])
    changes = compare.compare(old, new, options.tolerance)
    if not changes:
        parser.error("the two runs have no row in common")
    print(compare.markdown(changes), end="")
    worse = compare.regressions(changes)
    if worse:
        tell("worse: " + ", ".join(found.row for found in worse))
    return int(bool(worse))


def main(argv: Sequence[str]) -> int:
    """Run the command.

    Returns:
        The exit status.
    """
    commands = {"compare": compared, "merge": put_together}
    command = commands.get(argv[0]) if argv else None
    return command(argv[1:]) if command else measure(argv)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
