"""The settings of a pool: a number of workers with a name, for calls that say so."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final, NamedTuple, final

from .checks import check_int, check_seconds, wrong_type, wrong_value
from .errors import OptionError

if TYPE_CHECKING:
    from .heartbeats import Heartbeat

THREAD: Final = "thread"
PROFILES: Final = ("process", THREAD)
POOL, PROFILE, HYBRID = "pool", "profile", "hybrid"
MOST_THREADS: Final = 256
MOST: Final = 65_536
MOST_QUEUED: Final = 10_000_000
LONGEST: Final = 30 * 86_400.0
LONGEST_NAME: Final = 64
SHORTEST_TTL: Final = 0.1
MOST_REQUESTS: Final = 1_000_000_000
LEAST_MEMORY: Final = 1 << 20
MOST_MEMORY: Final = 1 << 50
MOST_FAILURES: Final = 10_000

IDLE_TIMEOUT: Final = 60.0
MAX_QUEUE_SIZE: Final = 1000
QUEUE_TIMEOUT: Final = 10.0
START_BATCH: Final = 10
RETRY_PERIOD: Final = 60.0

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


class _BreakerFields(NamedTuple):
    failures: int
    window: float
    reset_after: float


@final
class CircuitBreaker(_BreakerFields):
    """When a pool takes no calls, since they crash its workers; for `Pool(circuit_breaker=...)`.

    Args:
        failures: how many worker processes must have crashed in calls, 1 to 10,000; default: 5;
        window: within how many seconds; default: 60. From then on calls fail at once, with
            `CircuitOpenError`, those that wait for a worker too; and
        reset_after: after how many seconds one call is tried: if it crashes, calls fail for as long
            again, else all are taken as before; default: 30.

    Raises:
        TypeError: a setting has the wrong type.
        OptionError: a setting has a value that is not allowed.
    """

    __slots__ = ()

    def __new__(
        cls, failures: int = 5, window: float = 60.0, reset_after: float = 30.0
    ) -> CircuitBreaker:
        """Check every setting."""
        return super().__new__(
            cls,
            check_int("failures", failures, 1, MOST_FAILURES),
            check_seconds("window", window, LONGEST, zero=False),
            check_seconds("reset_after", reset_after, LONGEST, zero=False),
        )


class _Fields(NamedTuple):
    name: str
    profile: str
    min_size: int | None
    max_size: int | None
    idle_timeout: float
    max_queue_size: int | None
    queue_timeout: float | None
    worker_ttl: float | None
    worker_max_requests: int | None
    worker_max_memory: int | None
    circuit_breaker: CircuitBreaker | None
    threads_per_worker: int | None
    initializer: Callable[[], object] | None
    retry_budget: int | None
    retry_period: float
    taint: float
    nice: int | None
    cpu_affinity: tuple[int, ...] | None
    memory_limit: int | None
    start_batch: int
    start_timeout: float | None
    capacity: str
    heartbeat: Heartbeat | None
    interpreter: str | None


@final
class Pool(_Fields):
    """A pool of workers, for `init(pools=[...])`; frozen, and checked when made.

    Its workers are there from the start and replaced when they die. They are what limits its tasks,
    which take no CPU of the runtime's unless they say so.

    Args:
        name: 1 to 64 letters, digits, `_`, `.` and `-`, the first a letter or digit. The pool named
            "default" is for all calls that name none.
        profile: "process": each worker is a process that runs one call at a time. "thread": each
            runs several at once, in threads that share all that the process has: modules, and the
            large objects that calls get at the same time. What crashes one takes all with it.
        size: how many workers, 1 to 65,536; default: the runtime's `num_cpus`, or 1 if they run
            several calls each. Or, in its place:
        min_size: how many workers there are at least, 0 to `max_size`; and
        max_size: how many at most. Those beyond `min_size` start when calls wait for them,
        idle_timeout: and end when they have been idle for so many seconds, or up to a quarter
            longer; default: 60.
        max_queue_size: how many calls may wait until a worker is done, 0 to 10,000,000; None: any
            number; default: 1000. One more fails with `PoolSaturatedError`, at once. Those that
            wait for a worker that starts do not count.
        queue_timeout: how many seconds a call may wait for a worker; None: for ever; default: 10.
            Then it fails with `QueueTimeoutError` and is never run. It may be a sixteenth late, and
            is never early. A call that has begun, and whose worker died, waits for ever.
        worker_ttl: how many seconds a worker serves before another takes its place, 0.1 to 30 days;
        worker_max_requests: how many calls it serves, 1 to 1,000,000,000;
        worker_max_memory: how many bytes may be its own, 1 MiB to 1 PiB: not the store's, and not
            what it shares with others. Default of the three: any number. Workers are replaced one
            after another, up to a quarter before the limits of time and calls; no call is lost, and
            the pool has its workers all the while. Those of actors stay.
        circuit_breaker: a `CircuitBreaker`, which refuses calls while too many crash their workers;
            default: none.
        threads_per_worker: how many calls a worker of profile "thread" runs at once, 1 to 256;
            default: the runtime's `num_cpus`.
        initializer: a function without arguments that each worker calls before its first call. It
            is pickled as remote functions are. If it raises, the worker ends, and another is
            started as after any death at the start, until the pool fails with what was raised.
        retry_budget: how many retries of its calls there may be, 0 to 10,000, within
        retry_period: so many seconds (default: 60). What fails beyond that is not tried again,
            whatever its `max_retries`, after a worker's death or an exception; default: any number.
        taint: for how many seconds nobody takes the place of a worker that broke (a fault of native
            code, an abort, lack of memory, an error of the GPU), the others going on meanwhile; for
            twice as long if the next one breaks before it has returned anything, and so on, up to
            16 times. When all places are empty calls wait. Default: 0, no time.
        nice: the niceness of its workers, -20 to 19; below the driver's own it takes privileges.
        cpu_affinity: the numbers of the CPUs that they may run on.
        memory_limit: how many bytes each may take beyond what it begins with, 1 MiB to 1 PiB; who
            asks for more gets a MemoryError. The store's is not counted. Default of the three: as
            the driver. They are for the pool's workers and for what those start, not for actors.
        start_batch: how many of its workers start at one time, 1 to 65,536; the next when one of
            them is ready, or has died; default: 10.
        start_timeout: within how many seconds a worker must be ready, its initializer included. One
            that is not writes its stacks to stderr, a second later it is ended, and another is
            started as after any death at the start, until the pool fails with what it wrote.
            Default: None, any time, since an initializer may load for minutes.
        capacity: how the calls of a pool of profile "thread" are spread over its workers. "pool":
            each runs as many as it has threads, and another starts, up to `max_size`, when no
            thread is free. "profile": each runs one at a time, and its other threads what that one
            calls and waits for; another starts when all have one. "hybrid": each runs as many as it
            has threads, and another starts as soon as two run in one worker; no call waits for
            that. Idle workers come first in all three. Default: "pool".
        heartbeat: a `Heartbeat`: its workers are asked whether they still answer, and one that
            hangs is ended, with an error that shows where; default: as `init(heartbeat=...)` says.
        interpreter: the Python that its workers run, as `py_executable` of a `runtime_env`: a path,
            a name in PATH, or a command line that becomes it (exec). It must have snakepit
            installed. Where its minor version is another than the driver's, functions and classes
            go by name only. Default: as the driver, or as the `runtime_env` of `init` says.

    Raises:
        TypeError: a setting has the wrong type.
        OptionError: a setting has a value that is not allowed.
    """

    __slots__ = ()

    def __new__(
        cls,
        name: str,
        *,
        profile: str = "process",
        size: int | None = None,
        min_size: int | None = None,
        max_size: int | None = None,
        idle_timeout: float = IDLE_TIMEOUT,
        max_queue_size: int | None = MAX_QUEUE_SIZE,
        queue_timeout: float | None = QUEUE_TIMEOUT,
        worker_ttl: float | None = None,
        worker_max_requests: int | None = None,
        worker_max_memory: int | None = None,
        circuit_breaker: CircuitBreaker | None = None,
        threads_per_worker: int | None = None,
        initializer: Callable[[], object] | None = None,
        retry_budget: int | None = None,
        retry_period: float = RETRY_PERIOD,
        taint: float = 0.0,
        nice: int | None = None,
        cpu_affinity: Iterable[int] | None = None,
        memory_limit: int | None = None,
        start_batch: int = START_BATCH,
        start_timeout: float | None = None,
        capacity: str = POOL,
        heartbeat: Heartbeat | None = None,
        interpreter: str | os.PathLike[str] | None = None,
    ) -> Pool:
        """Check every setting."""
        least, most = check_sizes(size, min_size, max_size, 1)
        return super().__new__(
            cls,
            check_pool_name("name", name),
            _profile(profile),
            least,
            most,
            check_seconds("idle_timeout", idle_timeout, LONGEST),
            None
            if max_queue_size is None
            else check_int("max_queue_size", max_queue_size, 0, MOST_QUEUED),
            None
            if queue_timeout is None
            else check_seconds("queue_timeout", queue_timeout, LONGEST, zero=False),
            _ttl(worker_ttl),
            None
            if worker_max_requests is None
            else check_int("worker_max_requests", worker_max_requests, 1, MOST_REQUESTS),
            None
            if worker_max_memory is None
            else check_int("worker_max_memory", worker_max_memory, LEAST_MEMORY, MOST_MEMORY),
            _breaker(circuit_breaker),
            _threads(threads_per_worker, profile),
            _initializer(initializer),
            None
            if retry_budget is None
            else check_int("retry_budget", retry_budget, 0, MOST_FAILURES),
            check_seconds("retry_period", retry_period, LONGEST, zero=False),
            check_seconds("taint", taint, LONGEST),
            None if nice is None else check_int("nice", nice, -20, 19),
            None if cpu_affinity is None else _affinity(cpu_affinity),
            None if memory_limit is None else check_memory("memory_limit", memory_limit),
            check_int("start_batch", start_batch, 1, MOST),
            None
            if start_timeout is None
            else check_seconds("start_timeout", start_timeout, LONGEST, zero=False),
            _capacity(capacity, profile),
            None if heartbeat is None else check_heartbeat(heartbeat),
            None if interpreter is None else _interpreter(interpreter),
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, tuple(self)

    def sizes(self, cpus: int) -> tuple[int, int]:
        """Return the least and the greatest number of workers on so many CPUs."""
        usual = 1 if self.profile == THREAD else max(1, cpus)
        most = usual if self.max_size is None else self.max_size
        return most if self.min_size is None else self.min_size, most

    def limits(self) -> str:
        """Return what its workers may have, as `snakepit.workers.limits` reads it; "" for all."""
        cpus = self.cpu_affinity and ",".join(map(str, self.cpu_affinity))
        found = {"nice": self.nice, "cpus": cpus, "memory": self.memory_limit}
        return ";".join(f"{name}={value}" for name, value in found.items() if value is not None)

    def slots(self, cpus: int) -> int:
        """Return how many calls each of its workers runs at once."""
        if self.profile != THREAD:
            return 1
        return max(1, cpus) if self.threads_per_worker is None else self.threads_per_worker


def check_pool_name(option: str, value: object) -> str:
    """Return `value` if it is the name that a pool may have."""
    allowed = "1 to 64 letters, digits, '_', '.' and '-', of which the first is a letter or a digit"
    if not isinstance(value, str):
        raise wrong_type(option, value, f"a string of {allowed}")
    if len(value) > LONGEST_NAME or not _NAME.fullmatch(value):
        raise wrong_value(option, value, allowed)
    return value


def check_heartbeat(value: object) -> Heartbeat | None:
    """Return `value` if it is a `Heartbeat`, which few programs load."""
    from .heartbeats import Heartbeat

    if not isinstance(value, Heartbeat):
        raise wrong_type("heartbeat", value, "a snakepit.Heartbeat, or None")
    return value


def check_pools(value: object) -> tuple[Pool, ...]:
    """Return the pools of a runtime, each of another name."""
    allowed = "a list of snakepit.Pool"
    if not isinstance(value, (list, tuple)) or isinstance(value, Pool):
        raise wrong_type("pools", value, allowed)
    pools = tuple(value)
    for pool in pools:
        if not isinstance(pool, Pool):
            raise wrong_type("a pool in pools", pool, "a snakepit.Pool")
    names = [pool.name for pool in pools]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise OptionError(f"pools: {twice!r} is the name of two pools; give each one of its own")
    return pools


def check_sizes(
    size: object, least: object, most: object, low: int
) -> tuple[int | None, int | None]:
    """Return the least and the greatest number of workers, None where nothing is given.

    Args:
        size: both of them; or, in its place,
        least: one, and
        most: the other.
        low: how small `most` may be.
    """
    if size is not None:
        if least is not None or most is not None:
            raise OptionError(
                "size: leave it out where min_size or max_size is given; a pool of a fixed size "
                "has none of them"
            )
        count = check_int("size", size, low, MOST)
        return count, count
    if least is None and most is None:
        return None, None
    if most is None:
        raise OptionError("min_size: max_size is missing, the most workers that there may be")
    limit = check_int("max_size", most, low, MOST)
    return 0 if least is None else check_int("min_size", least, 0, limit), limit


def _profile(value: object) -> str:
    allowed = '"process" or "thread"'
    if not isinstance(value, str):
        raise wrong_type("profile", value, allowed)
    if value not in PROFILES:
        raise wrong_value("profile", value, allowed)
    return value


def check_memory(option: str, value: object) -> int:
    """Return `value` if it is a number of bytes that a limit may have."""
    return check_int(option, value, LEAST_MEMORY, MOST_MEMORY, " (bytes)")


def _affinity(value: object) -> tuple[int, ...]:
    allowed = f"numbers of CPUs, each from 0 to {MOST}"
    if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
        raise wrong_type("cpu_affinity", value, allowed)
    cpus = sorted({check_int("a CPU in cpu_affinity", cpu, 0, MOST) for cpu in value})
    if not cpus:
        raise wrong_value("cpu_affinity", value, f"{allowed}, and at least one")
    # A worker may have one that its driver may not use: what the machine has not, nobody can.
    usable = os.sched_getaffinity(0)
    there = usable.union(range(os.sysconf("SC_NPROCESSORS_CONF")))
    if not there.issuperset(cpus):
        ours = ", ".join(map(str, sorted(usable)))
        allowed = f"CPUs that there are (this process may use {ours})"
        raise wrong_value("cpu_affinity", value, allowed)
    return tuple(cpus)


def _ttl(value: object) -> float | None:
    if value is None:
        return None
    seconds = check_seconds("worker_ttl", value, LONGEST, zero=False)
    if seconds < SHORTEST_TTL:
        allowed = f"a number of seconds from {SHORTEST_TTL:g} to {LONGEST:g}"
        raise wrong_value("worker_ttl", value, allowed)
    return seconds


def _breaker(value: object) -> CircuitBreaker | None:
    if value is not None and not isinstance(value, CircuitBreaker):
        raise wrong_type("circuit_breaker", value, "a snakepit.CircuitBreaker, or None")
    return value


def _threads(value: object, profile: str) -> int | None:
    if value is None:
        return None
    count = check_int("threads_per_worker", value, 1, MOST_THREADS)
    if profile != THREAD:
        raise OptionError(
            f'threads_per_worker={count}: a worker of profile="{profile}" runs one call at a time; '
            'leave it out, or take profile="thread"'
        )
    return count


def _capacity(value: object, profile: str) -> str:
    allowed = '"pool", "profile" or "hybrid"'
    if not isinstance(value, str):
        raise wrong_type("capacity", value, allowed)
    if value not in (POOL, PROFILE, HYBRID):
        raise wrong_value("capacity", value, allowed)
    if value != POOL and profile != THREAD:
        raise OptionError(
            f'capacity="{value}": a worker of profile="{profile}" has room for one call; leave it '
            'out, or take profile="thread"'
        )
    return value


def _interpreter(value: object) -> str:
    from .runtime_env import check_interpreter

    return check_interpreter("interpreter", value)


def _initializer(value: Any) -> Callable[[], object] | None:
    if value is not None and not callable(value):
        raise wrong_type("initializer", value, "a function without arguments")
    found: Callable[[], object] | None = value
    return found


def _restore(*fields: Any) -> Pool:
    return tuple.__new__(Pool, fields)
