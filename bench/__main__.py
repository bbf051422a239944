"""The command: `python -m bench`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from . import harness, machine, report
from .peers import PEERS
from .rows import ROWS


def names(known: Mapping[str, object]) -> dict[str, object]:
    """Arguments of an option that takes some of the known names, all by default."""
    return {"nargs": "+", "choices": list(known), "default": list(known), "metavar": "NAME"}


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    rows, peers = ", ".join(ROWS), ", ".join(PEERS)
    parser.add_argument("--rows", help=f"of: {rows}", **names(ROWS))  # type: ignore[arg-type]
    parser.add_argument("--peers", help=f"of: {peers}", **names(PEERS))  # type: ignore[arg-type]
    parser.add_argument("--rounds", type=int, default=9, help="interleaved rounds (default 9)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="every round, for machines")
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="the page (default: standard output)"
    )
    parser.add_argument("--check", action="store_true", help="fail where a gate does not hold")
    options = parser.parse_args(argv)
    if options.rounds < 1:
        parser.error(f"--rounds: {options.rounds} is less than 1")
    return options


def tell(line: str) -> None:
    """Progress goes to stderr, since the page may go to stdout."""
    print(line, file=sys.stderr, flush=True)


def main(argv: Sequence[str]) -> int:
    """Measure, report, and judge.

    Returns:
        The exit status: 1 where `--check` was given and a gate does not hold.
    """
    options = parse(argv)
    chosen = [name for name in PEERS if name in options.peers]
    reasons = {name: harness.absent(PEERS[name]) for name in chosen}
    present = [name for name in chosen if reasons[name] is None]
    rows = [name for name in ROWS if name in options.rows]
    about = machine.describe()
    run = report.Run(
        command=" ".join(["python -m bench", *argv]),
        machine=about,
        rows=rows,
        versions={name: machine.version(PEERS[name]) for name in present},
        missing={name: why for name, why in reasons.items() if why is not None},
        rounds=harness.run(present, rows, options.rounds, tell),
    )
    page = report.markdown(run)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(report.as_json(run), indent=1) + "\n")
    if options.out:
        options.out.write_text(page)
    else:
        print(page, end="")
    wanting = report.short(run)
    if wanting:
        tell("does not hold: " + "; ".join(wanting))
    return int(bool(wanting) and options.check)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
