"""`snakepit run`: a script's file, run as the program of this process."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from functools import partial

from snakepit import script as mode


def run_script(
    path: str, arguments: Sequence[str], timeout: float | None, shutdown_timeout: float | None
) -> None:
    """Run a script, and exit with its status.

    Raises:
        SystemExit: always.
    """
    sys.argv[:] = [path, *arguments]
    if not sys.flags.safe_path:
        # Where the interpreter put the folder of the command, it would have put the script's.
        sys.path[0] = os.path.dirname(os.path.realpath(path))
    mode.run_as_script(
        partial(mode.execute, path),
        timeout=timeout,
        shutdown_timeout=mode.SHUTDOWN_TIMEOUT if shutdown_timeout is None else shutdown_timeout,
        exit_mode="exit",
    )
