"""Messages between the driver, the zygote and the workers.

A value is carried as a *payload*, which this layer does not look into:

* `bytes`: the pickle stream itself, the common case;
* `[part, part, ...]`: the pickle stream and its out-of-band buffers;
* `[object, segment, offset, [size, ...]]`: an extent of the store, leased as `object`;
* `DESCRIPTOR`: no bytes, but a socket's descriptor, which the driver holds as this object.

The lists differ in the type of their first item. `codec` turns messages into bytes and back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from .births import Areas as Areas
from .births import Credit as Credit
from .births import Died as Died
from .births import Hung as Hung
from .births import Output as Output
from .births import Preload as Preload
from .births import Signal as Signal
from .births import Spawn as Spawn
from .births import Spawned as Spawned
from .births import SpawnFailed as SpawnFailed
from .births import Started as Started
from .births import Stop as Stop

VERSION = 8
"""Both sides of a mailbox state it in their first message and refuse another."""

Payload: TypeAlias = Any
Where: TypeAlias = int | str

DESCRIPTOR: Final = ["descriptor"]
"""The payload of an object that is an open socket or connection inside other values."""

OK, ERROR, RETRYABLE, FAILURE, CANCELLED, EXITED = range(6)
"""How a call ended: a value; the user's exception; one that its options retry; a failure record
of the system; a cancel that it obeyed; a wish of its actor to end."""

NONE: Final = b"N."
"""The payload of the value None."""

TASK, CREATE, METHOD, GATE = range(4)
"""What a call is: a function, an actor's constructor, an actor's method; or nothing that is run: it
ends when its pool has its workers, or, if its method is `EMPTY`, no calls."""

EMPTY: Final = "empty"

STREAMING: Final = -1
"""Returns of a call that yields its values one by one: `Template.returns`."""

PLAIN, ASYNC = range(2)
"""How a method runs, and an actor: in a thread, or as a coroutine on an event loop."""


class Template(NamedTuple):
    """The part of a call that is the same each time, sent once and then named by number.

    An actor that runs several calls at once has `groups`: how many of each, by name; the group of
    methods that name none is "". A method has its `group`. With `backpressure` a generator yields
    at most so many items that were not taken; 0 is no limit. A `detached` actor keeps itself. The
    methods of one that has `max_pending` say so too: calls of one process that may be unanswered.
    `function` is the full name of the function or class, whatever the calls are named; methods have
    none but that of their actor's class. A call may run for `timeout` seconds, and is tried again
    after that if `retry_timeout` says so; it may take `memory_limit` bytes. 0 is no limit. An
    actor that is `pooled` lives in a worker of its pool, if that was declared; any other has a
    process of its own.
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
    max_restarts: int
    max_task_retries: int
    actor_name: str
    namespace: str
    env: tuple[tuple[str, str], ...]
    flavour: int = PLAIN
    groups: tuple[tuple[str, int], ...] = ()
    group: str = ""
    backpressure: int = 0
    detached: int = 0
    max_pending: int = 0
    function: str = ""
    timeout: float = 0.0
    retry_timeout: int = 0
    memory_limit: int = 0
    pooled: int = 0


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
    """What the driver says first, or after `Imports` if there is an initializer.

    `threads` is how many calls run at once, if the worker is a pool's; `initializer` a pickled
    function for it to call before it is `Ready`; `threaded` are the names of thread pools.
    """

    version: int
    run: str
    namespace: str
    store_limit: int
    threads: int
    initializer: Payload
    threaded: Sequence[str]


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


class Taken(NamedTuple):
    """How many items of the worker's generator call were taken, of those that it yielded."""

    call: int
    total: int


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


class Leave(NamedTuple):
    """A session is over, by its number: what is kept for it is of no more use."""

    session: int


class Evict(NamedTuple):
    """An actor that lived in the worker among other calls, by its id: it lives there no longer."""

    actor: int


class Forget(NamedTuple):
    """Unmap these segments: their arenas have gone."""

    segments: list[int]


class Exit(NamedTuple):
    """End after what is already in the mailbox."""


# --- worker to driver, mailbox ---------------------------------------------------------------


class Ready(NamedTuple):
    """The pool's initializer has returned: the worker takes calls."""


class Hello(NamedTuple):
    """The worker's first message: it is ready to take calls, or to run its pool's initializer."""

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


class Began(NamedTuple):
    """A call that may not run for ever has begun, at this time of the machine's monotonic clock."""

    call: int
    at: float


class Yield(NamedTuple):
    """A generator call has yielded item number `place`: a new object, with the ids inside it."""

    call: int
    place: int
    id: int
    payload: Payload
    refs: Sequence[int]


class Expect(NamedTuple):
    """The worker waits for the next item of a stream: send it as `ticket`, 8 bytes that are its
    id, or 0 at the end. The worker has one handle on the ticket."""

    stream: int
    ticket: int


SessionKey = str | Sequence[Any]
"""The session of a call: an id, and it is opened if need be; or, of one that was opened, id and
number, so that an id that is opened anew is not taken for the old one. After those two comes what
the call is besides: "setup" and the settings, the call that opens it; or "teardown", its last."""


class Submit(NamedTuple):
    """A task submits a call of its own, or with `methods` creates an actor.

    `deps` are (position or keyword, id), `refs` the ids nested in the arguments, `parent` the call
    that submits, `session` the session that the new call is of, or "".
    """

    call: int
    template: int
    actor: int
    args: Payload
    deps: list[tuple[Where, int]]
    refs: list[int]
    parent: int
    methods: Any
    session: SessionKey


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


class Progress(NamedTuple):
    """A progress bar of the worker as it is now: the fields of `snakepit.bars.Bar`."""

    bar: list[Any]


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


class Descriptor(NamedTuple):
    """One descriptor travels with this: to the driver that of the object `number`, to a worker
    what it asked for by a `number` of its own."""

    number: int


CARRIERS: Final = (Segment, Descriptor)
"""Messages with which a descriptor travels."""


class Cancel(NamedTuple):
    """Interrupt this call if it runs, or with `force` end with it; drop it if it waits.

    Of one that is only `late` a value is welcome still.
    """

    call: int
    force: bool
    late: bool


class GiveBack(NamedTuple):
    """Return every call that has not begun."""


class Ping(NamedTuple):
    """Answered by the same message."""

    number: int
