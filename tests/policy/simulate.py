"""Drives the scheduler through random episodes, shrinks what fails, and tells the story.

    python -m tests.policy.simulate --events 1000000 --seed 1
    python -m tests.policy.simulate --replay SEED        one episode, with its trace

An episode is a seed: it fixes the setting and a list of integers, one a step, from which the step
rolls all its dice. A failing list is made shorter by delta debugging while a promise still breaks.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterable, Sequence
from random import Random
from typing import Final, NamedTuple

from snakepit.policy.scheduler import Scheduler

from .liveness import Liveness
from .outcomes import Violation
from .setting import Setting, make_setting
from .world import Make, World


class Failure(NamedTuple):
    """A broken promise, and how to see it again."""

    seed: int
    decisions: list[int]
    what: str
    trace: list[str]

    def __str__(self) -> str:
        lines = [f"seed {self.seed}, {len(self.decisions)} steps: {self.what}", *self.trace]
        return "\n".join(lines)


def plan(seed: int) -> tuple[Setting, list[int]]:
    """Return the setting and the decisions of an episode."""
    random = Random(seed)
    steps = random.choice((100, 400, 1200, 3000))
    setting = make_setting(random, steps)
    return setting, [random.getrandbits(64) for _ in range(steps)]


MANY: Final = 5_000
"""Rounds of everything that can move, after which a world that nobody calls has come to rest."""


# --- one episode ------------------------------------------------------------------------------


def play(world: World, decisions: Sequence[int]) -> None:
    """Run one episode to its very end.

    Raises:
        Violation: a promise was broken.
    """
    dice = world.dice
    for name, size, _ in world.setting.pools:
        if name in world.setting.lines and size:
            world.event("prestart", name, size)
    if world.setting.prestart:
        world.event("prestart", "main", world.setting.prestart)
    for decision in decisions:
        dice.state = decision
        world.step()
    dice.state = len(decisions)
    world.rushed = True
    for name in world.setting.lines:
        world.event("resize", name, 1, 3)
    if world.setting.closes:
        world.event("close")
    quiesce(world)
    drop_all(world)
    world.released = True
    quiesce(world)
    end(world)


def quiesce(world: World) -> None:
    """Let everything happen that can, then check that what is left waits for good reasons."""
    idle_rounds = rounds = 0
    while idle_rounds < 3 or world.is_due():
        rounds += 1
        world.require(rounds < MANY, f"timers go on for ever: {world.timers[:3]}")
        if idle_rounds:
            for _ in range(len(world.timers)):
                world.fire(0)
        moved = False
        for worker in list(world.crew):
            while worker in world.crew and worker.act(world.dice):
                moved = True
        idle_rounds = 0 if moved else idle_rounds + 1
    world.checker.settled()
    if not world.closed:
        Liveness(world).check()
        world.ledger.settled()
        world.turnovers.settled()
        world.clocks.settled()


def drop_all(world: World) -> None:
    """Let the driver forget everything."""
    while world.driver.count:
        identifier = next(iter(world.driver.count))
        world.flows.tickets.pop(identifier, None)
        world.drop(identifier)


def end(world: World) -> None:
    """Break what waits in circles, end every process, and see that nothing is left."""
    for _ in range(60):
        for player in list(world.players.values()):
            if player.actor.id in world.alive:
                world.event("kill", player.actor.id, True)
        for worker in list(world.crew):
            if world.closed or worker.stack or worker.stash or worker.count:
                worker.die({"signal": "SIGKILL"})
        quiesce(world)
        if not world.tasks and not world.checker.kept_from_outside():
            break
    scheduler = world.scheduler
    world.require(not world.tasks, f"calls without an end: {list(world.tasks.values())}")
    kept = world.checker.kept_from_outside()
    world.require(not kept, f"objects without an end: {kept}")
    resources = scheduler.resources
    totals = {k: resources.total.get(k, 0) for k in resources.free}
    world.require(
        world.closed or resources.free == totals, f"{resources.free} of {totals} are free"
    )
    # What only mentions itself in circles stays, and so may its streams.
    world.require(scheduler.objects.streams.keys() <= world.alive, "streams stay")
    world.require(not scheduler.actors.names, f"names stay: {scheduler.actors.names}")
    world.require(not any(scheduler.objects.held.values()), "handles of processes stay")
    world.require(not scheduler.placement.waiting, "classes stay in the queue")


def run(
    seed: int,
    decisions: Sequence[int] | None = None,
    make: Make = Scheduler,
    tracing: bool = False,
) -> tuple[World, str]:
    """Run the episode of a seed; return the world and what broke, or an empty text."""
    setting, planned = plan(seed)
    world = World(setting, make, tracing)
    try:
        play(world, planned if decisions is None else decisions)
    except Violation as violation:
        return world, str(violation)
    return world, ""


# --- failing episodes ---------------------------------------------------------------------------


def shrink(seed: int, make: Make = Scheduler, seconds: float = 20.0) -> Failure:
    """Return the failure of a seed with as few steps as delta debugging finds in time."""
    decisions = plan(seed)[1]
    deadline = time.monotonic() + seconds
    size = max(1, len(decisions) // 2)
    while time.monotonic() < deadline:
        start, shorter = 0, False
        while start < len(decisions) and time.monotonic() < deadline:
            fewer = decisions[:start] + decisions[start + size :]
            if run(seed, fewer, make)[1]:
                decisions, shorter = fewer, True
            else:
                start += size
        if size > 1:
            size //= 2
        elif not shorter:
            break
    world, what = run(seed, decisions, make, tracing=True)
    return Failure(seed, decisions, what, world.trace)


def search(
    events: int, seed: int, make: Make = Scheduler, shrinking: float = 20.0
) -> tuple[int, Failure | None]:
    """Run episodes from `seed` on until `events` have happened or one fails.

    Returns:
        The number of events, and the first failure, made short.
    """
    done = 0
    while done < events:
        world, what = run(seed, make=make)
        done += world.events
        if what:
            return done, shrink(seed, make, shrinking)
        seed += 1
    return done, None


# --- the command --------------------------------------------------------------------------------


def _chunk(job: tuple[int, int]) -> tuple[int, Failure | None]:
    seed, events = job
    return search(events, seed)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.policy.simulate")
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--chunk", type=int, default=100_000, help="events of one job's share")
    parser.add_argument("--replay", type=int, help="show one failing seed, made short")
    options = parser.parse_args(arguments)
    if options.replay is not None:
        world, what = run(options.replay, tracing=True)
        print(shrink(options.replay) if what else f"{world.events} events, no promise broken")
        return 1 if what else 0
    return _run_all(options.events, options.seed, options.jobs, options.chunk)


def _run_all(events: int, seed: int, jobs: int, chunk: int) -> int:
    from multiprocessing import get_context

    count = max(1, -(-events // chunk))
    shares = [(seed + index * 1_000_000, min(chunk, events)) for index in range(count)]
    if jobs < 2 or count < 2:
        return _report(map(_chunk, shares))
    with get_context("spawn").Pool(min(jobs, count)) as pool:
        return _report(pool.imap_unordered(_chunk, shares))


def _report(results: Iterable[tuple[int, Failure | None]]) -> int:
    done, started, told = 0, time.monotonic(), 0
    for events, failure in results:
        done += events
        if failure is not None:
            print(failure)
            print(f"again: python -m tests.policy.simulate --replay {failure.seed}")
            return 1
        if done // 1_000_000 > told:
            told = done // 1_000_000
            rate = done / (time.monotonic() - started)
            print(f"{done:,} events, {rate:,.0f}/s, no promise broken", flush=True)
    print(f"{done:,} events in {time.monotonic() - started:.0f} s, no promise broken")
    return 0


if __name__ == "__main__":
    sys.exit(main())
