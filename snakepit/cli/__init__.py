"""The command line; it needs the extra `cli`, and says so where that is missing."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command that `sys.argv` names, and exit.

    Raises:
        SystemExit: always, with the command's status.
    """
    try:
        from .commands import command

        command(prog_name="snakepit")
    except ModuleNotFoundError as error:
        if error.name not in ("click", "rich"):
            raise
        sys.exit(
            f"snakepit: the command line needs {error.name}, which is not installed: "
            "pip install 'snakepit[cli]'"
        )
