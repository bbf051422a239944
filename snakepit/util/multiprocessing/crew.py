"""The processes of a Pool, and who gets which chunk of work.

Each process is an actor. Work waits here, in one queue, and goes to the process that has the least;
a process that comes to its end takes only what it runs with it: that is an error, and what waits is
run by the one that takes its place.

Guarantees: each task is settled exactly once, whatever dies; with `maxtasksperchild` no process
takes more; a closed crew works off what it has. They hold for any number of threads, with the GIL
or without it: the lock guards every field, and one thread at a time (whichever comes first) gives
out work, without the lock, since to pickle a chunk takes its time and may fail.

Who waits for a result does not sleep: it waits for the references of what runs, by which it serves
the runtime itself, and takes what has come to its end. If nobody waits, the runtime's own thread
tells the crew. Whichever comes first takes the task out of `_flying`, and has it alone.

A process that is done in microseconds would wait for the next chunk most of the time. It is given
some ahead, as many as the job's last ones say that it does within `AHEAD_S`, those of a map in one
message; and else one at a time, as the standard library does.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from functools import partial
from itertools import starmap
from time import monotonic
from typing import Any, Final, NamedTuple, Protocol, final

from ...api.calls import get, kill
from ...api.handles import ActorHandle
from ...api.refs import ObjectRef, runtime_of
from ...errors import SnakepitError
from ..helpers import those_ready

CALL, MAP, STAR = range(3)
"""Work: one call, a list of arguments, a list of tuples of arguments."""

AHEAD_S: Final = 0.002
MOST_AHEAD: Final = 64
MOST_KNOWN: Final = 16
LOOK_AGAIN_S: Final = 0.02


@final
class PoolProcess:
    """One process of a pool: an actor. It keeps the functions of the last jobs."""

    def __init__(
        self, initializer: Callable[..., object] | None, initargs: tuple[Any, ...]
    ) -> None:
        self._known: OrderedDict[int, Callable[..., Any]] = OrderedDict()
        if initializer is not None:
            initializer(*initargs)

    def call(self, function: Callable[..., Any], args: Any, kwds: dict[str, Any]) -> Any:
        """Call a function."""
        return function(*args, **kwds)

    def learn(self, key: int, kind: int, chunks: list[Any], function: Callable[..., Any]) -> Any:
        """Keep the function of a job, and run its first chunks here."""
        self._known[key] = function
        if len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)
        return self.run(key, kind, chunks)

    def run(self, key: int, kind: int, chunks: list[Any]) -> list[list[Any]] | None:
        """Apply a job's function to chunks; None if this process does not have the function.

        Each chunk ends with its first error, and the others are run all the same.
        """
        function = self._known.get(key)
        if function is None:
            return None
        results: list[list[Any]] = []
        first: Exception | None = None
        for chunk in chunks:
            try:
                results.append(_applied(function, kind, chunk))
            except Exception as error:
                first = first or error
        if first is not None:
            raise first
        return results


def _applied(function: Callable[..., Any], kind: int, chunk: list[Any]) -> list[Any]:
    # Not by a comprehension, whose steps cost as much as a small function. But to this loop the
    # StopIteration of a function would be the end.
    done = list(starmap(function, chunk) if kind == STAR else map(function, chunk))
    if len(done) < len(chunk):
        raise StopIteration(f"raised by the function for item {len(done)} of its chunk")
    return done


class Job(Protocol):
    """What tasks belong to, as the crew sees it."""

    key: int
    function: Callable[..., Any]
    each: float
    """Seconds that a task takes, as the last ones tell; the crew's to change."""
    open: int
    """How many of its tasks wait or run; the crew's to change."""
    needs_all: bool
    """Whether who waits for it waits for each of its tasks."""

    def settle(self, index: int, good: bool, value: Any) -> None:
        """Take the outcome of a task. Called without the lock; must not raise."""
        ...

    def abandon(self, error: Exception) -> None:
        """Fail, whatever is still to come."""
        ...


@final
class Task:
    """A piece of a job: its place there, and its arguments."""

    __slots__ = ("body", "index", "job", "kind")

    def __init__(self, job: Job, index: int, kind: int, body: Any) -> None:
        self.job = job
        self.index = index
        self.kind = kind
        self.body = body


@final
class _Member:
    """A process: how much it has, how much it may still take, and whose functions it has."""

    __slots__ = ("_filling", "handle", "known", "left", "load")

    def __init__(self, handle: ActorHandle[PoolProcess], left: int | None) -> None:
        self.handle = handle
        self.left = left
        self.load = 0
        self.known: set[int] = set()
        self._filling = False

    def takes(self, room: int) -> bool:
        """Tell whether it is given another task, if it may have as many as `room`.

        It is filled up when half of them are done: one by one, each would be a message.
        """
        if self.load >= room or self.left == 0:
            self._filling = False
        elif self.load <= room // 2:
            self._filling = True
        return self._filling


class _Flight(NamedTuple):
    """Tasks that a process has in one message, what it returns, and when and as what it went."""

    tasks: list[Task]
    member: _Member
    ref: ObjectRef[Any]
    since: float
    place: int


@final
class Crew:
    """A number of processes, and the work that waits for them.

    Args:
        count: how many.
        make: starts one.
        limit: how many tasks each may take; None: any number.
    """

    def __init__(
        self, count: int, make: Callable[[], ActorHandle[PoolProcess]], limit: int | None
    ) -> None:
        self._make = make
        self._limit = limit
        self.changed = threading.Condition()
        self._members = [_Member(make(), limit) for _ in range(count)]
        self._queue: deque[Task] = deque()
        self._flying: dict[Task, _Flight] = {}
        self._jobs: set[Job] = set()
        self._driving = False
        self._last_key = 0
        self.ended: Exception | None = None

    @property
    def count(self) -> int:
        """How many processes there are at one time."""
        return len(self._members)

    # --- work in ----------------------------------------------------------------------------

    def enter(self, job: Job) -> None:
        """Take up a job; `leave` must be called at its end."""
        with self.changed:
            self._last_key += 1
            job.key = self._last_key
            self._jobs.add(job)

    def leave(self, job: Job) -> None:
        """Take note that everything of a job was settled."""
        with self.changed:
            self._jobs.discard(job)
            self.changed.notify_all()

    def submit(self, job: Job, tasks: list[Task]) -> None:
        """Give out tasks of a job as processes are free."""
        with self.changed:
            if self.ended is None:
                job.open += len(tasks)
                self._queue.extend(tasks)
                self.changed.notify_all()
        self._drive()

    def wait_for_room(self, most: int) -> bool:
        """Wait until fewer than `most` tasks wait for a process; False if the crew has ended."""
        with self.changed:
            self.changed.wait_for(lambda: self.ended is not None or len(self._queue) < most)
            return self.ended is None

    # --- work out ---------------------------------------------------------------------------

    def _drive(self) -> None:
        """Give out what can be given out, unless another thread is at it, which then does."""
        while True:
            with self.changed:
                step = None if self._driving else self._next_step()
                if step is None:
                    return
                self._driving = True
            try:
                step()
            finally:
                with self.changed:
                    self._driving = False

    def _next_step(self) -> Callable[[], None] | None:
        """Choose what to do next. Under the lock; what it returns runs without."""
        spent = next((each for each in self._members if each.left == 0 and not each.load), None)
        if spent is not None and self.ended is None:
            return partial(self._replace, spent)
        if not self._queue:
            return None
        room = min(MOST_AHEAD, max(1, int(AHEAD_S / self._queue[0].job.each)))
        able = [each for each in self._members if each.takes(room)]
        if not able:
            return None
        member = min(able, key=lambda each: each.load)
        tasks = self._take(room - member.load, member.left)
        job = tasks[0].job
        member.load += len(tasks)
        if member.left is not None:
            member.left -= len(tasks)
        learns = tasks[0].kind != CALL and job.key not in member.known
        if learns:
            member.known.add(job.key)
        return partial(self._send, member, tasks, learns, member.load)

    def _take(self, room: int, left: int | None) -> list[Task]:
        """Take the next task, and with it those that may go in one message.

        Those of a map: an error in one of them is the error of all.
        """
        tasks = [self._queue.popleft()]
        job = tasks[0].job
        most = room if left is None else min(room, left)
        if job.needs_all:
            while len(tasks) < most and self._queue and self._queue[0].job is job:
                tasks.append(self._queue.popleft())
        return tasks

    def _replace(self, spent: _Member) -> None:
        fresh = _Member(self._make(), self._limit)
        with self.changed:
            # The crew may have ended meanwhile, and its members with it: then this one goes too.
            self._members = [fresh if each is spent else each for each in self._members]

    def _send(self, member: _Member, tasks: list[Task], learns: bool, place: int) -> None:
        handle: Any = member.handle
        first = tasks[0]
        job, kind, since = first.job, first.kind, monotonic()
        try:
            if kind == CALL:
                ref = handle.call.remote(job.function, *first.body)
            elif learns:
                bodies = [task.body for task in tasks]
                ref = handle.learn.remote(job.key, kind, bodies, job.function)
            else:
                ref = handle.run.remote(job.key, kind, [task.body for task in tasks])
        except Exception as error:
            with self.changed:
                if learns:
                    member.known.discard(job.key)
                member.load -= len(tasks)
            self._settle(tasks, error, None)
            return
        with self.changed:
            self._flying[first] = _Flight(tasks, member, ref, since, place)
            self.changed.notify_all()
        runtime_of(ref).when_done(ref._id, partial(self._landed, first))

    def _landed(self, first: Task) -> None:
        """Take what a process has come to its end with, if nobody has yet."""
        with self.changed:
            flight = self._flying.pop(first, None)
            if flight is None:
                return
            flight.member.load -= len(flight.tasks)
        job, error, value = first.job, None, None
        try:
            value = get(flight.ref)
        except Exception as failure:
            error = failure
        if error is None and value is None and first.kind != CALL:
            # The process is new, or has kept too many others: once more, with the function.
            with self.changed:
                flight.member.known.discard(job.key)
                if self.ended is None:
                    self._queue.extendleft(reversed(flight.tasks))
        else:
            latest = (monotonic() - flight.since) / flight.place
            # Slower is believed at once, faster by and by: too much ahead holds others up.
            job.each = max(latest, 0.75 * job.each + 0.25 * latest)
            self._settle(flight.tasks, error, [value] if first.kind == CALL else value)
        self._drive()

    def _settle(self, tasks: list[Task], error: Exception | None, values: Any) -> None:
        job = tasks[0].job
        for place, task in enumerate(tasks):
            job.settle(task.index, error is None, values[place] if error is None else error)
        with self.changed:
            job.open -= len(tasks)
            self.changed.notify_all()

    # --- waiting ----------------------------------------------------------------------------

    def serve(self, job: Job | None, done: Callable[[], bool], timeout: float | None) -> bool:
        """Wait until `done` says so, and serve the runtime meanwhile; False when time is over.

        Args:
            job: whose outcome is waited for; None: those of all.
            done: asked under the lock.
            timeout: seconds; None: for ever.
        """
        end = None if timeout is None else monotonic() + timeout
        while True:
            with self.changed:
                if done():
                    return True
                left = None if end is None else end - monotonic()
                if left is not None and left <= 0:
                    return False
                own = [each for each in self._flying.items() if each[0].job is job]
                flights = own or list(self._flying.items())
                # What waits for its iterable, or for a callback, does not depend on what runs.
                if not flights or (job is not None and not job.open):
                    self.changed.wait(left)
                    continue
                if not own or job is None or not job.needs_all:
                    # Another thread may send what ends this, which is not among these flights.
                    left = LOOK_AGAIN_S if left is None else min(left, LOOK_AGAIN_S)
            tasks = {flight.ref: task for task, flight in flights}
            for ref in those_ready(list(tasks), left)[0]:
                self._landed(tasks[ref])

    # --- the end ----------------------------------------------------------------------------

    def join(self) -> None:
        """Wait until every job has left, and let the processes go."""
        self.serve(None, lambda: not self._jobs, None)
        with self.changed:
            self._members = []

    def end(self, reason: Exception) -> None:
        """Kill the processes, and fail what waits and what runs."""
        with self.changed:
            if self.ended is not None:
                return
            self.ended = reason
            members, self._members = self._members, []
            jobs = list(self._jobs)
            self._queue.clear()
            self.changed.notify_all()
        for job in jobs:
            job.abandon(reason)
        for member in members:
            try:
                kill(member.handle)
            except SnakepitError:  # the runtime has ended before, and they with it
                return
