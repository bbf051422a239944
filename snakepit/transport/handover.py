"""What a driver hands to the zygote that it starts: settings, descriptors, a status area."""

from __future__ import annotations

import ctypes
from typing import Final, NamedTuple

CHANNEL: Final = 3
STATUS: Final = 4
LEDGER: Final = 5
DRIVER: Final = 6
"""Numbers of the zygote's descriptors; the last is a pidfd of the driver, where there is one."""

STATUS_BYTES: Final = 64
"""What each slot of the status area has: one cache line, so that slots do not disturb another."""


class Settings(NamedTuple):
    """What the zygote's command line says.

    `open_files` is the soft limit that workers get back (0: leave it); `entry` names the function
    that workers run, `package.module:function`.
    """

    run: str
    slots: int
    open_files: int
    log_to_driver: bool
    has_pidfd: bool
    entry: str

    @classmethod
    def parse(cls, arguments: list[str]) -> Settings:
        """Return the settings that `arguments` spell."""
        run, slots, open_files, log_to_driver, has_pidfd, entry = arguments
        return cls(run, int(slots), int(open_files), log_to_driver == "1", has_pidfd == "1", entry)

    def arguments(self) -> list[str]:
        """Return what `parse` reads."""
        return [str(int(field)) if isinstance(field, bool) else str(field) for field in self]


def view_of(owner: object, address: int, size: int) -> memoryview:
    """Return `size` bytes of memory at `address`, writable, which keep `owner` alive."""

    class Pages(ctypes.c_ubyte * size):  # type: ignore[misc]
        held: object

    pages = Pages.from_address(address)
    pages.held = owner
    return memoryview(pages).cast("B")
