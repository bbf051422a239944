"""Schedulers with one bug each, which the simulator must find.

Each plants its bug in one instance, by wrapping a part that the scheduler calls.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from snakepit.policy.actions import AskBack, Free, Retire, Tell
from snakepit.policy.calls import DONE, SENT, Call
from snakepit.policy.placement import Pool
from snakepit.policy.scheduler import Scheduler
from snakepit.policy.workers import Worker
from snakepit.wire.messages import METHOD, OK

Plant = Callable[[Any], None]


def leave_them_out_of_line(scheduler: Any) -> None:
    """What was sent ahead to a worker that overruns is asked back for other workers alone."""
    look = scheduler._timers._look_at

    def careless(worker: Worker, pool: Pool) -> None:
        line, pool.line = pool.line, None
        look(worker, pool)
        pool.line = line

    scheduler._timers._look_at = careless


def search_a_queue_once(scheduler: Any) -> None:
    """A queue in which nobody was waited for is not searched again, whoever comes to wait."""
    growth = scheduler.placement.growth
    nest = growth.nest

    def once(klass: Any, room: int) -> None:
        growth.edition = 0
        nest(klass, room)

    growth.nest = once


def lose_replies_on_death(scheduler: Any) -> None:
    """Calls that a death sends back are forgotten."""
    lost = scheduler._recovery.lost
    placement = scheduler.placement

    def forgetful(worker: Worker, cause: Any, begun: Any) -> None:
        requeue = placement.requeue
        placement.requeue = lambda calls: None
        lost(worker, cause, begun)
        placement.requeue = requeue

    scheduler._recovery.lost = forgetful


def keep_a_pin(scheduler: Any) -> None:
    """The first of several references of a call stays pinned."""
    unpin = scheduler.objects.unpin
    scheduler.objects.unpin = lambda ids: unpin(tuple(ids)[1:] if len(tuple(ids)) > 1 else ids)


def release_a_pin_twice(scheduler: Any) -> None:
    """A call's arguments may go while it runs."""
    pin = scheduler.objects.pin

    def once(ids: Any) -> None:
        pin(tuple(ids)[:1])

    scheduler.objects.pin = once


def free_a_slot_twice(scheduler: Any) -> None:
    """A worker that comes to rest gives its resources back once more."""
    rest = scheduler.placement.rest

    def again(worker: Worker) -> None:
        if worker.klass is not None and worker.results % 7 == 6 and not worker.inflight:
            scheduler.resources.change(worker.klass.needs, -1)
        rest(worker)

    scheduler.placement.rest = again


def resolve_twice(scheduler: Any) -> None:
    """A call that is cancelled too late fails although it has a value."""
    cancel = scheduler.cancel
    ended: list[Call] = []
    succeed = scheduler.completion.succeed

    def remember(call: Call, values: Any, contained: Any) -> None:
        succeed(call, values, contained)
        ended.append(call)

    def late(identifier: int, *, force: bool, recursive: bool) -> None:
        cancel(identifier, force=force, recursive=recursive)
        for call in ended[-3:]:
            if call.id == identifier and call.id in scheduler.objects.entries:
                call.state = SENT
                call.refs = ()
                scheduler.completion.fail_with(call, "cancelled")

    scheduler.completion.succeed = remember
    scheduler.cancel = late


def charge_unbegun(scheduler: Any) -> None:
    """Every call that a dead worker had costs a retry."""
    died = scheduler.died
    scheduler.died = lambda n, cause, started, now: died(n, cause, 1 << 60, now)


def jump_the_queue(scheduler: Any) -> None:
    """The newest call of a lane is sent first."""
    pump = scheduler.actors.pump

    def backwards(actor: Any) -> None:
        for lane in actor.lanes.values():
            lane.rotate(1)
        pump(actor)

    scheduler.actors.pump = backwards


def keep_room(scheduler: Any) -> None:
    """What a group of an actor's calls has used of its mailbox is never free again."""
    actors = scheduler.actors
    actors.answered = lambda actor, call: actors.pump(actor)


def forget_the_ready(scheduler: Any) -> None:
    """A call beside others is not sent when its last argument comes."""
    actors = scheduler.actors
    actors.ready = lambda call: actors.pump(actors.of(call.actor))


def forget_to_free(scheduler: Any) -> None:
    """Some stored values are never freed."""
    gone = scheduler.objects._gone

    def silent(entry: Any) -> None:
        gone(entry)
        if entry.id % 3 == 0:
            _discard(scheduler, Free)

    scheduler.objects._gone = silent


def lose_a_wakeup(scheduler: Any) -> None:
    """Nobody looks at the queues when a constructor frees what it used."""
    made = scheduler.actors.made

    def quiet(actor: Any) -> None:
        dispatch = scheduler.placement.dispatch_all
        scheduler.placement.dispatch_all = lambda: None
        made(actor)
        scheduler.placement.dispatch_all = dispatch

    scheduler.actors.made = quiet


def never_nest(scheduler: Any) -> None:
    """At the limit, blocked workers are left alone."""
    scheduler.placement.growth.find_waiter = lambda call, only: None


def nest_anywhere(scheduler: Any) -> None:
    """At the limit, any blocked worker has to run whatever is queued."""

    def anybody(call: Call, only: Worker | None) -> Worker | None:
        for worker in scheduler.placement.workers.values():
            if worker.blocked and worker.actor is None:
                return worker
        return None

    scheduler.placement.growth.find_waiter = anybody


def hold_while_blocked(scheduler: Any) -> None:
    """A call that waits keeps its resources."""
    settle = scheduler.placement.settle

    def blind(worker: Worker) -> None:
        if not worker.blocked:
            settle(worker)

    scheduler.placement.settle = blind


def exceed_the_limit(scheduler: Any) -> None:
    """The pool starts one worker too many."""
    for pool in scheduler.placement.pools.values():
        grow = scheduler.placement.growth.grow

        def more(klass: Any, grow: Any = grow, pool: Pool = pool) -> Any:
            room = grow(klass)
            if klass.queue and len(pool.workers) == pool.limit:
                scheduler.placement.staff.add(pool, "extra")
            return room

        scheduler.placement.growth.grow = more


def keep_handles_of_the_dead(scheduler: Any) -> None:
    """What a dead worker held stays for ever."""
    held = scheduler.objects.held
    scheduler.objects.forget_process = lambda n: held.pop(n, None)


def swallow_news(scheduler: Any) -> None:
    """A worker that asks for a value which is there already is not answered."""
    want = scheduler.want

    def deaf(number: int, ids: Any, values: bool) -> None:
        want(number, ids, values)
        if number % 2:
            _discard(scheduler, Tell)

    scheduler.want = deaf


def leave_behind_the_slow(scheduler: Any) -> None:
    """Calls behind one that goes on and on are never asked back."""
    tick = scheduler.tick

    def lazy(key: str) -> None:
        tick(key)
        _discard(scheduler, AskBack)

    scheduler.tick = lazy


def keep_idle_workers(scheduler: Any) -> None:
    """Idle workers beyond the pool's size stay."""
    tick = scheduler.tick

    def lazy(key: str) -> None:
        if not key.startswith("shrink"):
            tick(key)

    scheduler.tick = lazy


def keep_unreachable_actors(scheduler: Any) -> None:
    """An actor without handles is not told to end."""
    gone = scheduler.objects._gone

    def silent(entry: Any) -> None:
        gone(entry)
        _discard(scheduler, Retire)

    scheduler.objects._gone = silent


def run_the_cancelled(scheduler: Any) -> None:
    """A cancelled call that had not begun is sent again."""
    unbegun = scheduler._recovery.unbegun

    def forgiving(worker: Worker, calls: Any) -> None:
        for call in calls:
            call.cancelled = False
        unbegun(worker, calls)

    scheduler._recovery.unbegun = forgiving


def retry_for_ever(scheduler: Any) -> None:
    """A retryable exception is never the last."""
    unsuccessful = scheduler._answers.unsuccessful

    def again(worker: Worker, call: Call, *rest: Any) -> None:
        call.attempts = -1 if call.attempts == 0 else call.attempts
        unsuccessful(worker, call, *rest)

    scheduler._answers.unsuccessful = again


def stop_retrying(scheduler: Any) -> None:
    """A retryable exception counts twice."""
    unsuccessful = scheduler._answers.unsuccessful

    def sooner(worker: Worker, call: Call, *rest: Any) -> None:
        call.attempts += 1
        unsuccessful(worker, call, *rest)

    scheduler._answers.unsuccessful = sooner


def mix_up_values(scheduler: Any) -> None:
    """Several returns come in the wrong order."""
    succeed = scheduler.completion.succeed

    def swapped(call: Call, values: Any, contained: Any) -> None:
        succeed(call, list(values)[::-1], contained)

    scheduler.completion.succeed = swapped


def forget_a_method_at_restart(scheduler: Any) -> None:
    """An actor that is restarted loses the calls that were in its mailbox."""
    again = scheduler.actors.again

    def lossy(call: Call) -> None:
        if call.shape.template.kind == METHOD and call.deaths == 0 and call.attempts == 0:
            call.to("wait")
        else:
            again(call)

    scheduler.actors.again = lossy


def skip_dependents(scheduler: Any) -> None:
    """Whoever waits for the second return of a call is not told."""
    succeed = scheduler.completion.succeed

    def partly(call: Call, values: Any, contained: Any) -> None:
        entry = scheduler.objects.entries.get(call.id + 1)
        if len(values) > 1 and entry is not None and entry.dependents:
            entry.dependents = entry.dependents[1:]
        succeed(call, values, contained)
        assert call.state is DONE and OK == 0

    scheduler.completion.succeed = partly


PLANTED: tuple[Plant, ...] = (
    leave_them_out_of_line,
    search_a_queue_once,
    lose_replies_on_death,
    keep_a_pin,
    release_a_pin_twice,
    free_a_slot_twice,
    resolve_twice,
    charge_unbegun,
    jump_the_queue,
    forget_to_free,
    lose_a_wakeup,
    never_nest,
    nest_anywhere,
    hold_while_blocked,
    exceed_the_limit,
    keep_handles_of_the_dead,
    swallow_news,
    leave_behind_the_slow,
    keep_idle_workers,
    keep_unreachable_actors,
    run_the_cancelled,
    retry_for_ever,
    stop_retrying,
    mix_up_values,
    forget_a_method_at_restart,
    skip_dependents,
    keep_room,
    forget_the_ready,
)


def _discard(scheduler: Scheduler, kind: type[Any]) -> None:
    kept = [action for action in scheduler.actions if type(action) is not kind]
    scheduler.actions.clear()
    scheduler.actions.extend(kept)


def make_with(plant: Plant) -> Callable[..., Scheduler]:
    """Return a maker of schedulers that have the bug."""

    def make(*args: Any) -> Scheduler:
        scheduler = Scheduler(*args)
        plant(scheduler)
        return scheduler

    return make
