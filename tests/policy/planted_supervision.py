"""Schedulers whose supervision has one bug each, which the simulator must find."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from snakepit.policy.pools import FAILED, POOL_TRANSITIONS, PROBING, TRIAL
from snakepit.policy.restart import LEAST_DELAY, RestartWindow
from snakepit.policy.workers import Worker


class Patient(RestartWindow):  # type: ignore[misc]
    """Never has too many."""

    exceeded = False


class Resentful(RestartWindow):  # type: ignore[misc]
    """Never forgets."""

    def clear(self) -> None:
        """There was progress, which does not count."""


def _windows(scheduler: Any, kind: type[RestartWindow]) -> None:
    for pool in scheduler.placement.pools.values():
        pool.window = kind(pool.window.intensity, pool.window.period)


def respawn_in_a_hurry(scheduler: Any) -> None:
    """There is no back-off."""
    arm = scheduler.supervision._arm
    scheduler.supervision._arm = lambda pool, delay: arm(pool, 0.0)


def back_off_evenly(scheduler: Any) -> None:
    """Each back-off is as long as the first."""
    arm = scheduler.supervision._arm
    scheduler.supervision._arm = lambda pool, delay: arm(pool, min(delay, LEAST_DELAY))


def count_every_death(scheduler: Any) -> None:
    """What died in a call counts too."""
    supervision = scheduler.supervision
    died = supervision.died

    def strict(worker: Worker, cause: Any, started: int, now: float) -> None:
        died(worker, cause, started, now)
        if worker.actor is None and worker.results and worker.pool.state is not FAILED:
            supervision._died_in_vain(worker.pool, cause, now)

    supervision.died = strict


def forget_progress(scheduler: Any) -> None:
    """Calls that were served do not clear the count."""
    _windows(scheduler, Resentful)


def never_fail_a_pool(scheduler: Any) -> None:
    """Workers are started for ever."""
    _windows(scheduler, Patient)


def stay_failed(scheduler: Any) -> None:
    """A pool that has failed does not take calls again."""
    retry = scheduler.supervision.retry

    def sulk(pool: Any, turn: int) -> None:
        if pool.state is not FAILED:
            retry(pool, turn)

    scheduler.supervision.retry = sulk


def heal_by_hello(scheduler: Any) -> None:
    """A worker that is ready counts as one that has served."""
    hello = scheduler.hello

    def hopeful(number: int) -> None:
        worker = scheduler.placement.workers[number]
        if worker.actor is None:
            scheduler.supervision.served(worker)
        hello(number)

    scheduler.hello = hopeful


def crowd_a_trial(scheduler: Any) -> None:
    """Several workers are tried at one time."""
    add = scheduler.placement.staff.add

    def twice(pool: Any, label: str, shape: Any = None) -> Any:
        worker = add(pool, label, shape)
        troubled = pool.state is PROBING or pool.state is TRIAL
        if shape is None and troubled and len(pool.workers) < pool.limit:
            add(pool, label)
        return worker

    scheduler.placement.staff.add = twice


def forget_what_is_on_its_way(scheduler: Any) -> None:
    """Workers that nobody has begun to fork are forked while the pool rests."""
    scheduler.placement.staff.call_off = lambda pool: None


def let_old_timers_ring(scheduler: Any) -> None:
    """A timer from before the last change of a pool's state ends the present one."""
    retry = scheduler.supervision.retry

    def hasty(pool: Any, turn: int) -> None:
        if (pool.state, "retry") in POOL_TRANSITIONS:
            retry(pool, pool.turn)

    scheduler.supervision.retry = hasty


def lose_the_reason(scheduler: Any) -> None:
    """The calls of a pool that fails are not told what died."""
    fail = scheduler.supervision.fail
    scheduler.supervision.fail = lambda pool, cause: fail(pool, {})


def take_calls_when_failed(scheduler: Any) -> None:
    """A pool that has failed queues the calls that come."""
    scheduler.supervision._refuse = lambda pool, failure: None


def blame_the_pool_for_the_zygote(scheduler: Any) -> None:
    """Workers that went with the zygote have died in vain."""
    supervision = scheduler.supervision
    died = supervision.died

    def unfair(worker: Worker, cause: Mapping[str, Any], started: int, now: float) -> None:
        died(worker, cause, started, now)
        innocent = "zygote" in cause and worker.actor is None and not started
        if innocent and worker.pool.state is not FAILED:
            supervision._died_in_vain(worker.pool, cause, now)

    supervision.died = unfair


def start_zygotes_for_ever(scheduler: Any) -> None:
    """However many end in vain."""
    window = scheduler.zygotes._window()
    scheduler.zygotes._window = lambda: Patient(window.intensity, window.period)


def credit_the_next_zygote(scheduler: Any) -> None:
    """The work of one is counted for all that follow."""
    start = scheduler.zygotes.start

    def generous(interpreter: str) -> None:
        worked = scheduler.zygotes.of(interpreter).worked
        start(interpreter)
        scheduler.zygotes.of(interpreter).worked = worked

    scheduler.zygotes.start = generous


def fork_without_a_zygote(scheduler: Any) -> None:
    """Workers are asked for while there is none."""
    scheduler.placement.staff.starts.hold = lambda interpreter: None


def remake_actors_in_a_hurry(scheduler: Any) -> None:
    """An actor whose constructor dies is made anew at once."""
    recreate = scheduler.actors.restarts._recreate
    scheduler.actors.restarts._recreate = lambda actor, delay: recreate(actor, 0.0)


def remake_actors_for_ever(scheduler: Any) -> None:
    """However often the constructor dies."""
    window = scheduler.zygotes._window()
    scheduler.actors.restarts._window = lambda: Patient(window.intensity, window.period)


def forget_to_remake_actors(scheduler: Any) -> None:
    """Nothing happens when the back-off of an actor is over."""
    scheduler.actors.restarts.restart = lambda identifier: None


PLANTED = (
    respawn_in_a_hurry,
    back_off_evenly,
    count_every_death,
    forget_progress,
    never_fail_a_pool,
    stay_failed,
    heal_by_hello,
    crowd_a_trial,
    forget_what_is_on_its_way,
    let_old_timers_ring,
    lose_the_reason,
    take_calls_when_failed,
    blame_the_pool_for_the_zygote,
    start_zygotes_for_ever,
    credit_the_next_zygote,
    fork_without_a_zygote,
    remake_actors_in_a_hurry,
    remake_actors_for_ever,
    forget_to_remake_actors,
)
