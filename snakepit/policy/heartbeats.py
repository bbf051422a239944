"""Heartbeats: which workers hang, by what they did not do with the time that they had.

    asked --answers--> well --next look--> asked ...
      +--silent for `timeout` seconds of its own--> missed, asked again --`misses` in a row--> hung
    hung --it writes the stacks of its threads, and dies of that, or is killed--> dead

Each interval one timer for all workers of one kind has the shell look whether they have answered
the last ping. What a worker does anyway is an answer too: it has begun a call, or ended one. Of one
that has done nothing the shell reads how its threads are, and how long each has run, and waited for
a processor. Its silence is measured in *time of its own*: what is left of the time between two such
readings when all that its threads have waited is taken off. No time at all is its own

* if the look came late: what kept the driver from it (a starved or suspended machine, a driver that
  was stopped itself) may have kept the worker;
* if one of its threads was waiting for a disk, or for memory that was paged out (state D, or major
  faults);
* while a debugger holds it (a tracer, state t);
* if threads have begun or ended: those that are gone have taken along how long they waited;
* if the kernel does not tell.

So however slow the machine is, a worker is thought to hang only if there were `timeout` * `misses`
seconds in which nothing that it had to do waited for anything of the machine's, and in which the
thread that answers did not come to its turn: the GIL was held, or the process was stopped. A thread
that is runnable at a look counts as if it had waited whenever it did not run, since the kernel
counts a wait only when it is over; so what it waits now is taken off twice, here and when it is
over, and never left out.

Only workers that are ready are watched: how long a start may take is another matter.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple, final

from .actions import Action, Arm, Check, Hang, Kill, Ping
from .workers import Worker

if TYPE_CHECKING:
    from .calls import Call

KEY: Final = "heartbeat"
LAST_WORDS: Final = 2.0
"""Seconds from the wish that a worker dies with its stacks told to the end of one that did not."""

LATE: Final = 1.5
"""A look that comes after so many intervals says nothing of the time before it."""

SHORTEST: Final = 0.05
"""Seconds by which any look may be late: a machine's timers are no better on a busy day."""


class Beat(NamedTuple):
    """How the workers of one kind are watched."""

    interval: float
    timeout: float
    misses: int

    @property
    def limit(self) -> float:
        """For how many seconds of its own a worker may be silent."""
        return self.timeout * self.misses


class Thread(NamedTuple):
    """A thread at one moment: its state, and the seconds that it has run, and waited to run."""

    state: str
    ran: float
    waited: float


class Reading(NamedTuple):
    """A process at one moment: between `begun` and `ended`, for to look takes time.

    `faults` are the pages that it had to wait for so far.
    """

    begun: float
    ended: float
    threads: Mapping[int, Thread]
    faults: int
    traced: bool


def own_time(before: Reading | None, after: Reading | None, interval: float) -> float:
    """Return how many seconds between two readings were a process's own."""
    if before is None or after is None:
        return 0.0
    elapsed = after.begun - before.ended
    late = elapsed > max(LATE * interval, interval + SHORTEST)
    if late or after.traced or before.traced or after.faults != before.faults:
        return 0.0
    if after.threads.keys() != before.threads.keys():
        return 0.0
    waited = 0.0
    for number, thread in after.threads.items():
        earlier = before.threads[number]
        if thread.state in "Dt" or earlier.state in "Dt":
            return 0.0
        waits = thread.waited - earlier.waited
        if thread.state == "R":
            waits = max(waits, elapsed - (thread.ran - earlier.ran))
        waited += max(0.0, waits)
    return max(0.0, elapsed - waited)


@final
class _Watch:
    """What is known of one worker.

    Attributes:
        ping: the number of the last that it was sent; 0: of none.
        heard: that of the last which it answered.
        own: for how many seconds of its own it has done nothing.
        missed: how many pings in a row have gone unanswered for too long.
        since: when it was last seen to do something.
        started, results: which calls it had begun by then, and ended.
        begun: times at which it was first seen to have begun calls up to that sequence.
        hung: for how many seconds it had done nothing, if it is being ended.
    """

    __slots__ = (
        "begun", "heard", "hung", "missed", "own", "ping", "reading", "results", "since", "started",
        "worker",
    )  # fmt: skip

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.ping = 0
        self.heard = 0
        self.own = 0.0
        self.missed = 0
        self.since = 0.0
        self.started = 0
        self.results = -1
        self.begun: list[tuple[int, float]] = []
        self.reading: Reading | None = None
        self.hung: float | None = None

    def acts(self, heard: int, started: int) -> bool:
        """Take down what it has done; tell whether that is anything."""
        results = self.worker.results
        if (heard, started, results) == (self.heard, self.started, self.results):
            return False
        self.heard, self.started, self.results = heard, started, results
        self.own, self.missed, self.reading = 0.0, 0, None
        return True

    def note_calls(self, now: float) -> None:
        """Keep in mind when the calls that it has begun were first seen to have."""
        if not self.begun or self.begun[-1][0] != self.started:
            self.begun.append((self.started, now))
        oldest = min((c.sequence for c in self.worker.inflight.values()), default=self.started)
        while len(self.begun) > 1 and self.begun[0][0] < oldest:
            del self.begun[0]

    def calls(self, now: float) -> Iterator[tuple[str, float]]:
        """Yield the calls that it has begun, and for how long each has run."""
        for call in self.worker.inflight.values():
            if call.sequence <= self.started:
                yield call.name, now - self._seen(call)

    def _seen(self, call: Call) -> float:
        return next(at for started, at in self.begun if started >= call.sequence)


@final
class _Group:
    """Workers that are watched alike, by one timer."""

    __slots__ = ("armed", "beat", "watches")

    def __init__(self, beat: Beat) -> None:
        self.beat = beat
        self.watches: dict[int, _Watch] = {}
        self.armed = False


@final
class Heartbeats:
    """Watches the workers of those pools that ask for it, and the processes of actors.

    Args:
        actions: where actions go.
        pools: how the workers of pools are watched, by the pools' names; actors live in some.
        actors: how the processes that actors bring with them are, if they are.
    """

    def __init__(
        self, actions: deque[Action], pools: Mapping[str, Beat], actors: Beat | None
    ) -> None:
        self._actions = actions
        self._groups = {name: _Group(beat) for name, beat in pools.items()}
        if actors is not None:
            self._groups[""] = _Group(actors)

    def _group(self, worker: Worker) -> _Group | None:
        return self._groups.get(_kind(worker))

    def _watch(self, number: int) -> tuple[_Group, _Watch] | None:
        for group in self._groups.values():
            if number in group.watches:
                return group, group.watches[number]
        return None

    # --- who is watched ---------------------------------------------------------------------

    def joined(self, worker: Worker) -> None:
        """A worker is ready."""
        group = self._group(worker)
        if group is not None:
            group.watches[worker.number] = _Watch(worker)
            self._arm(_kind(worker), group)

    def left(self, worker: Worker) -> None:
        """A worker's process has ended."""
        group = self._group(worker)
        if group is not None:
            group.watches.pop(worker.number, None)

    def explained(self, worker: Worker, cause: Mapping[str, Any]) -> Mapping[str, Any]:
        """Add to how a process has ended for how long it was silent, if it was ended for that."""
        found = self._watch(worker.number)
        if found is None or found[1].hung is None or "zygote" in cause:
            return cause
        return {**cause, "silent": found[1].hung}

    # --- looks ------------------------------------------------------------------------------

    def _arm(self, name: str, group: _Group) -> None:
        if not group.armed:
            group.armed = True
            self._actions.append(Arm(group.beat.interval, f"{KEY}:{name}"))

    def look(self, name: str) -> None:
        """The timer of a group has run out."""
        group = self._groups[name]
        group.armed = False
        self._actions.extend(
            Check(number, watch.ping)
            for number, watch in group.watches.items()
            if watch.hung is None
        )
        if group.watches:
            self._arm(name, group)

    def checked(
        self, number: int, heard: int, started: int, now: float, reading: Reading | None = None
    ) -> None:
        """A look at a worker, of which there is a `reading` if it has not answered.

        Args:
            number: whose.
            heard: the last ping that it has answered.
            started: the sequence of the last call that it has begun.
            now: the time.
            reading: how its process is, if that can be known.
        """
        found = self._watch(number)
        if found is None or found[1].hung is not None:
            return
        group, watch = found
        if watch.acts(heard, started):
            watch.since = now
        watch.note_calls(now)
        if heard >= watch.ping:
            self._ask(watch)
            return
        watch.own += own_time(watch.reading, reading, group.beat.interval)
        watch.reading = reading
        if watch.own < group.beat.timeout * (watch.missed + 1):
            return
        watch.missed += 1
        if watch.missed < group.beat.misses:
            self._ask(watch)
            return
        watch.hung = now - watch.since
        self._actions.append(Hang(number, watch.hung, watch.own, tuple(watch.calls(now))))
        self._actions.append(Arm(LAST_WORDS, f"hung:{number}"))

    def _ask(self, watch: _Watch) -> None:
        watch.ping += 1
        self._actions.append(Ping(watch.worker.number, watch.ping))

    def end(self, number: int) -> None:
        """A worker was to die by itself, and has had time for it."""
        found = self._watch(number)
        if found is not None and found[1].hung is not None:
            self._actions.append(Kill(number))


def _kind(worker: Worker) -> str:
    return worker.pool.root if worker.staffs else ""
