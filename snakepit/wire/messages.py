"""Messages between the driver, the zygote and the workers, and their bytes.

A message is a msgpack array: the number of its kind, then its fields in order. A value is carried
as a *payload*, which this layer does not look into:

* `bytes`: the pickle stream itself, the common case;
* `[part, part, ...]`: the pickle stream and its out-of-band buffers;
* `[object, segment, offset, [size, ...]]`: an extent of the store, leased as `object`.

The two lists differ in the type of their first item. Every message is checked when it is decoded:
an unknown kind or a wrong number of fields raises `ProtocolError`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple, TypeAlias, final

import msgpack

from ..errors import ProtocolError
from .frames import MAX_FRAME, refuse_size

VERSION = 2
"""Both sides of a mailbox state it in their first message and refuse another."""

Payload: TypeAlias = Any
Where: TypeAlias = int | str

OK, ERROR, RETRYABLE, FAILURE, CANCELLED, EXITED = range(6)
"""How a call ended: a value; the user's exception; one that its options retry; a failure record
of the system; a cancel that it obeyed; a wish of its actor to end."""

TASK, CREATE, METHOD = range(3)
"""What a call is: a function, an actor's constructor, an actor's method."""


PLAIN, ASYNC = range(2)
"""How a method runs, and an actor: in a thread, or as a coroutine on an event loop."""


class Template(NamedTuple):
    """The part of a call that is the same each time, sent once and then named by number.

    An actor that runs several calls at once has `groups`: how many of each, by name; the group of
    methods that name none is "". A method has its `group`.
    """

    kind: int
    name: str
    code: bytes
    method: str
    returns: int
    resources: tuple[tuple[str, int], ...]
    pool: str
    max_retries: int
    retry_exceptions: bytes
    priority: int
    session: str
    max_restarts: int
    max_task_retries: int
    actor_name: str
    namespace: str
    env: tuple[tuple[str, str], ...]
    flavour: int = PLAIN
    groups: tuple[tuple[str, int], ...] = ()
    group: str = ""


# --- both ways on a mailbox ------------------------------------------------------------------


class Define(NamedTuple):
    """Gives the sender's template a number; precedes the first call that uses it."""

    number: int
    template: list[Any]


class Code(NamedTuple):
    """A pickled function or class by the digest of its bytes, and the ids that it contains."""

    digest: bytes
    payload: Payload
    refs: list[int]


# --- driver to worker, mailbox ---------------------------------------------------------------


class Welcome(NamedTuple):
    """The driver's first message."""

    version: int
    run: str
    namespace: str
    store_limit: int


class Imports(NamedTuple):
    """Where the driver imports from: sys.path and the working directory."""

    path: list[str]
    directory: str


class Execute(NamedTuple):
    """Run one call. `deps` fills arguments: (position or keyword, object id, payload)."""

    sequence: int
    call: int
    template: int
    actor: int
    args: Payload
    deps: Sequence[tuple[Where, int, Payload]]
    flags: int


SPIN, NESTED = 1, 2
"""Execute flags: the worker may spin for its next message; run on the stack of a waiting call."""


class Value(NamedTuple):
    """An object that the worker wants: its outcome (OK, ERROR, FAILURE) and payload."""

    id: int
    outcome: int
    payload: Payload


class Answer(NamedTuple):
    """The reply to a `Request`: OK and a plain value, or FAILURE and a failure record."""

    request: int
    outcome: int
    body: Any


class Release(NamedTuple):
    """Extents of the worker's own arena that nobody needs any more."""

    offsets: list[int]


class Trim(NamedTuple):
    """Give the memory of free extents back to the system."""


class Forget(NamedTuple):
    """Unmap these segments: their arenas have gone."""

    segments: list[int]


class Exit(NamedTuple):
    """End after what is already in the mailbox."""


# --- worker to driver, mailbox ---------------------------------------------------------------


class Hello(NamedTuple):
    """The worker's first message: it is ready to take calls."""

    version: int
    worker: int
    pid: int


class Result(NamedTuple):
    """A call has ended.

    `values` holds one payload a return (one in all when it failed); `contained` the ids inside
    each, or nothing when there are none; `kept` the borrowed ids that the worker holds on to.
    """

    call: int
    outcome: int
    values: list[Payload]
    contained: list[list[int]]
    micros: int
    kept: list[int]


class Submit(NamedTuple):
    """A task submits a call of its own, or with `methods` creates an actor.

    `deps` are (position or keyword, id), `refs` the ids nested in the arguments, `parent` the call
    that submits.
    """

    call: int
    template: int
    actor: int
    args: Payload
    deps: list[tuple[Where, int]]
    refs: list[int]
    parent: int
    methods: Any


class Put(NamedTuple):
    """A new object with its value and the ids inside it; the worker holds it."""

    id: int
    payload: Payload
    refs: list[int]


class Want(NamedTuple):
    """Send these objects (`values`), or only say when they are there, as each resolves."""

    ids: list[int]
    values: bool


class Blocked(NamedTuple):
    """A running call waits for `ids`, all of them or some; the worker began none of `back`."""

    call: int
    ids: list[int]
    every: bool
    back: list[int]


class Unblocked(NamedTuple):
    """The call that was blocked goes on."""

    call: int


class Handles(NamedTuple):
    """Ids of which the worker got its first handle, then those of which it lost its last."""

    added: list[int]
    dropped: list[int]


class GivenBack(NamedTuple):
    """Calls that the worker had not begun and will not run."""

    calls: list[int]


class NeedCode(NamedTuple):
    """The worker no longer has this definition."""

    digest: bytes


class Request(NamedTuple):
    """A question to the driver by name, answered by `Answer`."""

    request: int
    operation: str
    arguments: list[Any]


# --- control socket --------------------------------------------------------------------------


class Segment(NamedTuple):
    """One descriptor travels with this: the arena of process `number`, `size` bytes long."""

    number: int
    size: int


class Cancel(NamedTuple):
    """Interrupt this call if it runs, or with `force` end with it; drop it if it waits."""

    call: int
    force: bool


class GiveBack(NamedTuple):
    """Return every call that has not begun."""


class Ping(NamedTuple):
    """Answered by the same message."""

    number: int


# --- driver to zygote ------------------------------------------------------------------------


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


_KINDS: Final[tuple[type[Any], ...]] = (
    Define, Code, Welcome, Imports, Execute, Value, Answer, Release, Trim, Forget, Exit,
    Hello, Result, Submit, Put, Want, Blocked, Unblocked, Handles, GivenBack, NeedCode, Request,
    Segment, Cancel, GiveBack, Ping,
    Spawn, Signal, Preload, Stop, Credit, Started, Spawned, SpawnFailed, Died, Output,
)  # fmt: skip
_NUMBER: Final[dict[type[Any], int]] = {kind: number for number, kind in enumerate(_KINDS)}


@final
class Encoder:
    """Turns messages into framed bytes; one writer at a time (its buffer is used again)."""

    __slots__ = ("_pack",)

    def __init__(self) -> None:
        self._pack = msgpack.Packer(autoreset=True).pack

    def __call__(self, message: tuple[Any, ...]) -> bytes:
        """Return the frame of `message`.

        Raises:
            ProtocolError: it is longer than a frame may be.
        """
        return self.fields((_NUMBER[type(message)], *message))

    def fields(self, numbered: tuple[Any, ...]) -> bytes:
        """Return the frame of a message given as its kind's number and its fields.

        For those that a call takes, without a message object in between.

        Raises:
            ProtocolError: it is longer than a frame may be.
        """
        body: bytes = self._pack(numbered)
        size = len(body)
        if size > MAX_FRAME:
            refuse_size(size)
        return size.to_bytes(4, "little") + body


EXECUTE: Final = _NUMBER[Execute]
RESULT: Final = _NUMBER[Result]
SUBMIT: Final = _NUMBER[Submit]
"""Kinds for `Encoder.fields`."""


def decode(body: bytes) -> Any:
    """Return the message whose frame's body this is.

    Raises:
        ProtocolError: the bytes are no message of this version.
    """
    try:
        fields = msgpack.unpackb(body, strict_map_key=False)
        if type(fields) is not list or fields[0] < 0:
            raise ValueError("it is no array that begins with the number of a kind")
        return _KINDS[fields[0]](*fields[1:])
    except (ValueError, TypeError, IndexError, KeyError, msgpack.UnpackException) as error:
        raise ProtocolError(f"a message of {len(body)} bytes cannot be read: {error!r}") from error
