"""A worker that hangs: it writes where each of its threads is, and dies of the same signal.

The handler is C code, which runs while other C code holds the GIL, as long as the process runs at
all. When it has written it raises the signal again for the handler that was there before: the
default one, which ends the process. So nothing runs on that the signal has woken from a sleep. The
zygote installs it once: its children inherit it, and none has a byte of its own for that.
"""

from __future__ import annotations

import signal
from typing import Final

SIGNAL: Final = signal.SIGRTMIN + 7 if hasattr(signal, "SIGRTMIN") else signal.SIGXCPU

HEADLINE: Final = "snakepit: this process hangs: "
"""What the line above the stacks begins with."""

STACK_BYTES: Final = 1 << 20
"""More than the stacks of all threads that faulthandler writes, a hundred of a hundred frames."""

BEFORE: Final = 10
"""Lines that are kept of what came before them."""

LINES: Final = 60
LEAST: Final = 4
"""Lines that are kept of the stacks, and those of each thread at least."""


def die_with_stacks_on_signal() -> None:
    """Have this process, and those forked from it, write their stacks and die of `SIGNAL`."""
    import faulthandler

    faulthandler.register(SIGNAL, file=2, all_threads=True, chain=True)


def shortened(lines: list[str]) -> list[str]:
    """Return of the lines of stacks the innermost frames of each thread, as many as there is room.

    Args:
        lines: as faulthandler writes them: for each thread a line that says so, then its frames.
    """
    threads: list[list[str]] = [[]]
    for line in lines:
        if line.startswith(("Thread 0x", "Current thread 0x")):
            threads.append([])
        if line.strip():
            threads[-1].append(line)
    threads = [thread for thread in threads if thread]
    most = max(LEAST, LINES // max(1, len(threads)))
    found: list[str] = []
    # The main thread is the last.
    for thread in threads[-(LINES // LEAST) :]:
        left_out = len(thread) - most
        found += thread[:most]
        if left_out > 0:
            found.append(f"  [... {left_out} frames are left out ...]\n")
    return found
