"""What user code forks in a worker: a process that is none, and ends where the call ends there.

Such a child has the worker's sockets, its status page and its arena, and the user's function still
on its stack. Whether that returns or raises in it, the call is the parent's to answer. `Executor`
and `Control` are told of the fork.
"""

from __future__ import annotations

import os
import sys
from typing import NoReturn


def leave(error: BaseException | None) -> NoReturn:
    """End the process as Python ends a program, less its `atexit` functions: not ours to run."""
    code = 1
    try:
        if isinstance(error, SystemExit):
            code = _exit_code(error.code)
        elif error is None:
            code = 0
        else:
            import traceback

            traceback.print_exception(error)
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
    except BaseException:
        code = code or 1  # Nobody reads any more, or the user closed the stream.
    finally:
        os._exit(code)


def _exit_code(code: object) -> int:
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    sys.stderr.write(f"{code}\n")
    return 1
