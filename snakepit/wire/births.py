"""Messages between the driver and a zygote, about the births and deaths of workers."""

from __future__ import annotations

from typing import NamedTuple

# --- driver to zygote ------------------------------------------------------------------------


class Areas(NamedTuple):
    """The first message: of what workers share, the status area with so many lines, and the ledger.

    Their descriptors travel with this.
    """

    slots: int


class Spawn(NamedTuple):
    """Fork worker `number`; its mailbox and control sockets travel with this."""

    number: int
    slot: int
    label: str
    env: list[tuple[str, str]]


class Signal(NamedTuple):
    """Send a signal to the worker's whole process group."""

    number: int
    signal: int


class Hung(NamedTuple):
    """Have the worker write the stacks of its threads, under this line, and die of that."""

    number: int
    text: str


class Preload(NamedTuple):
    """Import these modules before the next fork."""

    modules: list[str]


class Stop(NamedTuple):
    """End every process at once, then the zygote itself; output is delivered first."""


class Credit(NamedTuple):
    """The driver has printed this many bytes of output."""

    size: int


# --- zygote to driver ------------------------------------------------------------------------


class Started(NamedTuple):
    """The zygote is ready to fork."""

    version: int
    pid: int


class Spawned(NamedTuple):
    """Worker `number` is process `pid`."""

    number: int
    pid: int


class SpawnFailed(NamedTuple):
    """Worker `number` could not be forked, and why."""

    number: int
    reason: str


class Died(NamedTuple):
    """Worker `number` has ended: its exit code (negative: the signal) and last stderr lines."""

    number: int
    pid: int
    code: int
    stderr: str


class Output(NamedTuple):
    """Whole lines that a worker wrote; `stream` 1 or 2, `label` the task or actor that wrote."""

    number: int
    pid: int
    stream: int
    label: str
    text: bytes
