"""A runtime whose workers die by SIGKILL at a named point of their work, the same each time.

    from snakepit import testing
    from snakepit.testing import KillPlan, KillPoint

    with testing.killing_runtime(KillPlan(KillPoint.HALF_REPLY)) as kills:
        assert snakepit.get(f.remote()) == 42  # the first reply was torn, the second came whole
        assert (kills.deaths, kills.passings) == (1, 2)

Driver, zygote and workers are the real ones; the workers alone have another entry
(`snakepit.testing.mortal`), which gives them parts of its own wherever they take parts. A runtime
that was started otherwise pays nothing for it.

Guarantees:
* A passing is counted before anything that the point is named after happens further, once,
  over all workers of the run; its number is the order in which they came.
* The worker that comes n-th dies there: nothing of it runs any more, finalizers included.

Assumption: appending one byte to a file is atomic among processes, as POSIX says of O_APPEND.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from functools import partial
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final, final

if TYPE_CHECKING:
    from ..runtime.driver import DriverRuntime
    from ..runtime.zygote import ZygoteClient

VARIABLE: Final = "SNAKEPIT_TEST_KILL_PLAN"
ENTRY: Final = "snakepit.testing.mortal:main"


@final
class KillPoint(Enum):
    """Where a worker dies, in the order of a call's path."""

    DESCRIPTOR_TAKEN = "descriptor_taken"
    """A segment's descriptor has come from the driver and is not mapped; a call has begun."""
    CALL_READ = "call_read"
    """A call was read from the mailbox's socket, and nothing was done with it."""
    BEFORE_EXEC = "before_exec"
    """A call's turn has come, and nothing says yet that it has begun."""
    IN_EXEC = "in_exec"
    """The function, method or constructor has been entered."""
    HALF_CALL = "half_call"
    """Half of the frame of a nested call has left."""
    DESCRIPTOR_SENT = "descriptor_sent"
    """The descriptor of the worker's own segment is under way; nothing has named that segment."""
    EXTENT_HALF_WRITTEN = "extent_half_written"
    """An extent of the store is reserved and charged, and half of each part's bytes are there."""
    BEFORE_REPLY = "before_reply"
    """The call has ended, what it returned is packed and stored, and no byte of it has left."""
    HALF_REPLY = "half_reply"
    """Half of the reply's frame has left."""
    AFTER_REPLY = "after_reply"
    """The reply has left, and nothing was done after it."""


@final
@dataclass(frozen=True)
class KillPlan:
    """Which passings of a point kill.

    Args:
        point: where.
        nth: number of the first passing that kills, from 1; counted over all workers.
        times: how many in a row kill, from that one on.

    Raises:
        ValueError: `nth` or `times` is below 1.
    """

    point: KillPoint
    nth: int = 1
    times: int = 1

    def __post_init__(self) -> None:
        for name in ("nth", "times"):
            value = getattr(self, name)
            if value < 1:
                raise ValueError(f"{name} is {value}; passings are counted from 1: give 1 or more")

    def kills(self, passing: int) -> bool:
        """Tell whether the passing of that number kills."""
        return self.nth <= passing < self.nth + self.times

    def spell(self, tally: Tally) -> str:
        """Return what `heard` reads in a worker."""
        return f"{self.point.value} {self.nth} {self.times} {tally.path}"


@final
@dataclass(frozen=True)
class Tally:
    """Counts over processes that may die at any moment: a file that grows by a byte a passing."""

    path: str

    def count(self) -> int:
        """Count one more; return its number, from 1."""
        fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC)
        try:
            os.write(fd, b".")
            return os.lseek(fd, 0, os.SEEK_CUR)  # the end of this very byte
        finally:
            os.close(fd)

    @property
    def total(self) -> int:
        """How many there were."""
        try:
            return os.stat(self.path).st_size
        except FileNotFoundError:
            return 0


def heard(environment: Mapping[str, str]) -> tuple[KillPlan, Tally]:
    """Return the plan that a worker's environment spells, and where its passings count."""
    point, nth, times, path = environment[VARIABLE].split(" ", 3)
    return KillPlan(KillPoint(point), int(nth), int(times)), Tally(path)


@final
class Kills:
    """What `killing_runtime` yields.

    Attributes:
        runtime: the driver's runtime; present is what the API talks to meanwhile.
    """

    __slots__ = ("_plan", "_tally", "runtime")

    def __init__(self, runtime: DriverRuntime, plan: KillPlan, tally: Tally) -> None:
        self.runtime = runtime
        self._plan = plan
        self._tally = tally

    @property
    def passings(self) -> int:
        """How often workers have come to the point, those that died there included."""
        return self._tally.total

    @property
    def deaths(self) -> int:
        """How many of them died there."""
        return max(0, min(self.passings - self._plan.nth + 1, self._plan.times))


@contextmanager
def killing_runtime(plan: KillPlan, **options: Any) -> Iterator[Kills]:
    """Let `snakepit` run on workers that die as planned; it is shut down at the block's end.

    Args:
        plan: where and when.
        options: as for `snakepit.config.resolve`; `num_cpus` is 1 unless given.

    Raises:
        RuntimeError: this process has a runtime already.
    """
    from .runtimes import hosted  # here, because the workers import this module and need no driver

    with TemporaryDirectory(prefix="snakepit-kills-") as folder:
        tally = Tally(os.path.join(folder, "passings"))
        start = partial(_start, {VARIABLE: plan.spell(tally)})
        with hosted(start, options) as runtime:
            yield Kills(runtime, plan, tally)


def _start(extra: Mapping[str, str], *, env: Mapping[str, str], **rest: Any) -> ZygoteClient:
    from ..runtime.zygote import ZygoteClient

    return ZygoteClient.start(env={**env, **extra}, entry=ENTRY, **rest)
