"""A pool of workers, as its users see it."""

from __future__ import annotations

from typing import Final, TypedDict, cast, final

from ..checks import check_int, check_timeout
from ..definitions import DEFAULT_POOL
from ..errors import GetTimeoutError, OptionError
from ..pools import check_pool_name, check_sizes
from ..protocol import Definition, current
from ..wire.messages import EMPTY
from .calls import cancel, get
from .context import running
from .refs import ObjectRef
from .templates import gate_template

READY_TIMEOUT: Final = 15.0
MOST_NUMBER: Final = 1 << 31


class PoolStats(TypedDict):
    """What a pool does, and what became of the calls that it was given.

    `requests` have come: of them `succeeded` ended with a value, and those in `errors` otherwise,
    by kind ("error": an exception of the call's own); the others wait for an argument (`waiting`),
    or for a worker (`queued`), or are `running`. `saturations` and `timeouts` are among the errors.
    `crashes` are workers that died, by the kinds of `WorkerCrashedError.kind`, whether a call was
    tried again or not; `retries` were calls that were, after that or an exception. Workers were
    `recycled` by reason: "ttl", "requests", "memory", or "asked", by `recycle`. They are
    "starting", "idle", "busy", "waiting" in get() or wait(), an "actor" each, or "leaving": with
    calls still, and then at their end; nobody is in so many slots that are `tainted`. The `actors`
    of the pool are "alive", "starting" while their constructors run, or "pending": they wait for a
    place, an argument or their next life. All other numbers are of tasks. Those workers that are
    `ready` for calls are told by their numbers. The `state` is "running", or "resting" or
    "probing" after workers that ended at their start, or "failed", or "trial" after that; that of
    its `circuit` breaker, if it has one, is "closed", "open" or "half-open". Each worker runs up to
    `threads_per_worker` calls at once.
    """

    name: str
    declared: bool
    state: str
    draining: bool
    circuit: str | None
    size: int
    max_size: int
    threads_per_worker: int
    requests: int
    succeeded: int
    errors: dict[str, int]
    crashes: dict[str, int]
    retries: int
    saturations: int
    timeouts: int
    running: int
    queued: int
    waiting: int
    tainted: int
    workers: dict[str, int]
    ready: list[int]
    actors: dict[str, int]
    recycled: dict[str, int]


@final
class PoolHandle:
    """A pool of the present runtime, by its name."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        """Made by `pool`."""
        self.name = name

    def stats(self) -> PoolStats:
        """Return what it does at this moment.

        Raises:
            UnknownPoolError: the runtime has no such pool.
        """
        return cast(PoolStats, (current() or running()).pool_stats(self.name))

    def ready(self) -> ObjectRef[None]:
        """Return a reference that resolves when all the workers that it is to have are there.

        To `PoolFailedError`, with what the last of them said, if they die at their start again and
        again; to `UnknownPoolError`, if the runtime has no such pool; to `PoolDeadlockError` in the
        initializer of the pool, which would wait for itself.
        """
        template = gate_template(self.name)
        made: ObjectRef[None] = (current() or running()).submit(
            Definition(None, template), (), {}, ObjectRef
        )
        return made

    def await_ready(self, timeout: float | None = READY_TIMEOUT) -> None:
        """Wait until all the workers that it is to have are there.

        Args:
            timeout: seconds; None: for ever.

        Raises:
            PoolFailedError: they die at their start again and again.
            UnknownPoolError: the runtime has no such pool.
            GetTimeoutError: it took longer.
        """
        seconds = check_timeout(timeout)
        gate = self.ready()
        try:
            get(gate, timeout=seconds)
        except GetTimeoutError:
            cancel(gate)
            workers = self.stats()["workers"]
            raise GetTimeoutError(
                f"pool {self.name} does not have all its workers after {seconds} s, but these: "
                f"{workers}. Wait longer, or make it smaller"
            ) from None

    def resize(
        self, size: int | None = None, *, min_size: int | None = None, max_size: int | None = None
    ) -> None:
        """Give it another number of workers, from now on.

        Who is too many ends when its calls are done; with a size of 0 nothing runs until the next
        change, and what waits does so for as long as the pool lets it.

        Args:
            size: how many workers, 0 to 65,536. Or, in its place:
            min_size: how many at least, 0 to `max_size`; and
            max_size: how many at most.

        Raises:
            TypeError: a size is no integer.
            OptionError: a size is out of bounds or missing, or the pool was not declared.
            UnknownPoolError: the runtime has no such pool.
        """
        least, most = check_sizes(size, min_size, max_size, 0)
        if least is None or most is None:
            raise OptionError("size: give the number of workers that the pool is to have")
        (current() or running()).change_pool(self.name, "resize", least, most)

    def recycle(self, worker: int | None = None) -> None:
        """Have other processes take the places of its workers, one after another.

        Those that are ready now are replaced, each when another is; no call is lost, and the pool
        has as many workers all the while. It does not wait for that; `stats()["recycled"]` counts.
        Of a pool that was not declared they go at once, and others start when calls need them.

        Args:
            worker: only the one with this number, of those in `stats()["ready"]`.

        Raises:
            TypeError: the number is no integer.
            OptionError: no worker that is ready has that number.
            UnknownPoolError: the runtime has no such pool.
        """
        number = None if worker is None else check_int("worker", worker, 1, MOST_NUMBER)
        (current() or running()).change_pool(self.name, "recycle", number)

    def drain(self, timeout: float | None = None) -> None:
        """Take no new calls from now on, and wait until those that there are have ended.

        New ones fail with `PoolDrainingError`, but for those that calls of the pool make, which may
        need them to come to their end. Nothing else changes: retries and time-outs are as ever, and
        the workers stay.

        Args:
            timeout: seconds; None: for ever. The pool drains on when they are over.

        Raises:
            GetTimeoutError: calls were left after that.
            TaskCancelledError: the pool was resumed meanwhile.
            PoolDeadlockError: it was called in a call of the pool, or in one that such a call made
                and has not outlived, or in the pool's initializer: it would wait for its own end.
            UnknownPoolError: the runtime has no such pool.
        """
        seconds = check_timeout(timeout)
        runtime = current() or running()
        runtime.change_pool(self.name, "drain", runtime.describe()["task"])
        template = gate_template(self.name, EMPTY)
        gate: ObjectRef[None] = runtime.submit(Definition(None, template), (), {}, ObjectRef)
        try:
            get(gate, timeout=seconds)
        except GetTimeoutError:
            cancel(gate)
            stats = self.stats()
            left = {key: stats[key] for key in ("running", "queued", "waiting")}
            raise GetTimeoutError(
                f"pool {self.name} still has calls after {seconds} s: {left}. It drains on: call "
                "drain() again to wait for longer, or resume()"
            ) from None

    def resume(self) -> None:
        """Take calls again after `drain`.

        Raises:
            UnknownPoolError: the runtime has no such pool.
        """
        (current() or running()).change_pool(self.name, "resume")

    def __repr__(self) -> str:
        return f"<snakepit pool {self.name}>"


def pool(name: str = DEFAULT_POOL) -> PoolHandle:
    """Return a pool of the present runtime; whether that has one of this name its methods find out.

    Args:
        name: as given to `snakepit.Pool`; "default" is the pool for calls that name none.

    Raises:
        TypeError: the name is no string.
        OptionError: no pool may have such a name.
    """
    return PoolHandle(check_pool_name("name", name))
