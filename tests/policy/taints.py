"""The world's own books on tainted slots: whose workers broke, until when nobody starts there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from snakepit.policy import actions as do

if TYPE_CHECKING:
    from .world import World

BROKEN = ("SIGSEGV",)
MOST = 5
"""How many different times a slot may be held back for: each twice the one before."""


@final
class Taints:
    """Keeps the books of one world, and compares."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.held: dict[str, list[str]] = {}  # the timers of each pool's slots, in order
        self._expected: tuple[str, bool] | None = None
        self._resized = False
        self._freed = ""  # the pool of a slot whose time is over

    def _seconds(self, pool: str) -> float:
        return self.world.setting.taints.get(pool.partition("/")[0], 0.0)

    def before(self, name: str, args: tuple[Any, ...]) -> None:
        """Take down what the event means."""
        self._expected = None
        self._freed = ""
        self._resized = name == "resize"
        if not self.world.setting.taints:
            return
        if name == "died":
            self._died(args[0], args[1])
        elif name == "tick" and args[0].startswith("taint:"):
            keys = self.held.get(args[0].split(":", 2)[2], [])
            self._freed = args[0].split(":", 2)[2]
            if args[0] in keys:
                keys.remove(args[0])

    def _died(self, number: int, cause: dict[str, Any]) -> None:
        worker = self.world.workers[number]
        record = self.world.scheduler.placement.workers[number]
        pool = record.pool
        worked = bool(worker.started) or worker.answered
        in_vain = not worked and (bool(worker.sent) or not worker.live)
        broke = cause.get("signal") in BROKEN or self.world.pulses.hung(number)
        broke = broke and "zygote" not in cause and not in_vain
        if not broke or not self._seconds(pool.name) or not pool.keeps(record):
            return
        if pool.staffed - 1 + len(self.held.get(pool.name, ())) < pool.limit:
            self._expected = pool.name, worker.answered

    def after(self, actions: list[do.Action]) -> None:
        """Compare."""
        world = self.world
        if not world.setting.taints:
            return
        for action in actions:
            if type(action) is do.Arm and action.key.startswith("taint:"):
                self._armed(action)
        world.require(self._expected is None, f"{self._expected} broke, and is not held back")
        for name, keys in self.held.items():
            pool = world.scheduler.placement.pools[name]
            if self._resized:
                world.require(pool.held <= len(keys), f"{pool.held} slots of {name} are held")
                del keys[: len(keys) - pool.held]
            world.require(pool.held == len(keys), f"{pool.held} slots of {name} are held: {keys}")
        if self._freed and not world.closed and world.scheduler.closed is None:
            pool = world.scheduler.placement.pools[self._freed]
            world.require(not pool.lacks, f"{pool!r} starts nobody in a slot that is free again")
        for action in actions:
            if type(action) is do.Spawn:
                self._spawned(action.worker)

    def _armed(self, action: do.Arm) -> None:
        require = self.world.require
        require(self._expected is not None, f"{action} for one who did not break")
        assert self._expected is not None
        name, answered = self._expected
        times = [self._seconds(name) * 2**power for power in range(1 if answered else MOST)]
        require(action.key.endswith(f":{name}"), f"{action} for {name}")
        require(action.delay in times, f"{action}, not one of {times}")
        self.held.setdefault(name, []).append(action.key)
        self._expected = None

    def _spawned(self, number: int) -> None:
        record = self.world.scheduler.placement.workers.get(number)
        if record is not None and record.staffs:
            pool = record.pool
            taken = pool.staffed + len(self.held.get(pool.name, ()))
            self.world.require(
                taken <= pool.limit, f"{record!r} starts in a slot that is held back"
            )
