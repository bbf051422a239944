"""What a driver hands to the zygote that it starts: settings, and descriptors by number."""

from __future__ import annotations

import signal
from typing import Final, NamedTuple

CHANNEL: Final = 3
DRIVER: Final = 4
"""Numbers of the zygote's descriptors; the latter is a pidfd of the driver, where there is one."""

STACKS: Final = signal.SIGRTMIN + 6 if hasattr(signal, "SIGRTMIN") else signal.SIGUSR2
"""The signal at which a worker writes the stacks of its threads to stderr."""

MARK: Final = "SNAKEPIT_RUN"
"""The environment variable that names a process's run and worker."""


class Settings(NamedTuple):
    """What the zygote's command line says.

    `open_files` is the soft limit that workers get back (0: leave it); `entry` names the function
    that workers run, `package.module:function`.
    """

    run: str
    open_files: int
    log_to_driver: bool
    has_pidfd: bool
    entry: str

    @classmethod
    def parse(cls, arguments: list[str]) -> Settings:
        """Return the settings that `arguments` spell."""
        run, open_files, log_to_driver, has_pidfd, entry = arguments
        return cls(run, int(open_files), log_to_driver == "1", has_pidfd == "1", entry)

    def arguments(self) -> list[str]:
        """Return what `parse` reads."""
        return [str(int(field)) if isinstance(field, bool) else str(field) for field in self]
