"""What the scheduler asks its shell to do, in this order."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

from .calls import Call


class Spawn(NamedTuple):
    """Start worker process `worker`; `label` names it to people, `gpus` are its to use.

    The zygote of `interpreter` forks it. `patience` is in how many seconds it must be ready; 0: in
    any time.
    """

    worker: int
    label: str
    env: tuple[tuple[str, str], ...]
    gpus: tuple[int, ...] = ()
    interpreter: str = ""
    patience: float = 0.0


class StartZygote(NamedTuple):
    """Start a process to fork workers of an interpreter; answered by `Zygotes.started`, `replace`
    or `refused`."""

    interpreter: str


class Send(NamedTuple):
    """Put `call` into the worker's mailbox; `nested` runs it on the stack of a waiting call."""

    worker: int
    call: Call
    nested: bool


class Leave(NamedTuple):
    """Tell a worker that has had calls of a session that this is over."""

    worker: int
    session: int


class Evict(NamedTuple):
    """Have the worker let go of an actor that lived there among others; what runs of it goes on."""

    worker: int
    actor: int


class Retire(NamedTuple):
    """Ask the worker to end after what is in its mailbox."""

    worker: int


class Kill(NamedTuple):
    """End the worker's process group at once."""

    worker: int


class Dump(NamedTuple):
    """Have the worker write the stacks of its threads to its stderr."""

    worker: int


class Weigh(NamedTuple):
    """Look how much memory is the worker's own; answered by `Recycling.weighed`."""

    worker: int


class Ping(NamedTuple):
    """Ask the worker to answer with this number."""

    worker: int
    number: int


class Probe(NamedTuple):
    """Have the worker answer, whether anybody watches it or not: this is its probe `number`."""

    worker: int
    number: int


class EndDeaf(NamedTuple):
    """Kill the worker unless it has answered the probe."""

    worker: int
    number: int


class Check(NamedTuple):
    """Look whether the worker has answered this; answered by `Heartbeats.checked`."""

    worker: int
    number: int


class Hang(NamedTuple):
    """Have the worker write where its threads are, and die: it was silent for so many seconds.

    Of which so many were its `own`. `calls` are those that it had begun, and for how many seconds,
    as far as that is known.
    """

    worker: int
    silent: float
    own: float
    calls: tuple[tuple[str, float], ...]


class AskBack(NamedTuple):
    """Ask the worker for the calls that it has not begun."""

    worker: int


class Interrupt(NamedTuple):
    """Ask the worker to interrupt this call, or with `force` to end with it.

    It is not cancelled if it is only `late`: a value is welcome still.
    """

    worker: int
    call: int
    force: bool
    late: bool = False


class Resolved(NamedTuple):
    """An object that somebody in the driver waits for has its value."""

    id: int


class Tell(NamedTuple):
    """Send a worker an object that it wants, or without `values` the news that it is there."""

    worker: int
    id: int
    values: bool


class Free(NamedTuple):
    """Nobody needs this value any more: its extent in the store can be used again."""

    id: int
    payload: Any


class Taken(NamedTuple):
    """Tell a worker how many items of its generator's were taken, so that it may yield more."""

    worker: int
    call: int
    total: int


class Arm(NamedTuple):
    """Call `tick(key)` once after `delay` seconds."""

    delay: float
    key: str


Action: TypeAlias = (
    StartZygote
    | Spawn
    | Send
    | Leave
    | Evict
    | Retire
    | Kill
    | Dump
    | Weigh
    | Ping
    | Probe
    | EndDeaf
    | Check
    | Hang
    | AskBack
    | Interrupt
    | Resolved
    | Tell
    | Free
    | Taken
    | Arm
)
