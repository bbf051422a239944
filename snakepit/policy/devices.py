"""GPUs: which of them a process may use, in whole ones and in parts of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from .resources import GPU, UNIT, Resources

if TYPE_CHECKING:
    from .workers import Worker


@final
class Devices:
    """What is free of each GPU, in 1/`UNIT`.

    Other resources are mere quantities. Of GPUs a process is told which ones it may use, once,
    before it begins: the libraries that use them look but once. So they belong to a process for
    as long as it lives, also while its call waits in get().
    """

    __slots__ = ("_resources", "free")

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self.free = [UNIT] * (resources.total.get(GPU, 0) // UNIT)

    def choose(self, amount: int) -> tuple[int, ...] | None:
        """Return the numbers of GPUs that have this much left, or None if there are too few.

        A part of one goes to the fullest that has room, so that whole ones stay whole.
        """
        free = self.free
        if amount < UNIT:
            fitting = [number for number, left in enumerate(free) if left >= amount]
            return (min(fitting, key=free.__getitem__),) if fitting else None
        whole = [number for number, left in enumerate(free) if left == UNIT]
        count = amount // UNIT
        return tuple(whole[:count]) if len(whole) >= count else None

    def equip(self, worker: Worker, amount: int) -> None:
        """Give a process what `choose` finds, which must be there."""
        chosen = self.choose(amount)
        assert chosen is not None
        worker.gpus, worker.share = chosen, amount
        self._change(worker, 1)

    def strip(self, worker: Worker) -> None:
        """Take back what a process had, if it had any."""
        if worker.gpus:
            self._change(worker, -1)
            worker.gpus = ()

    def _change(self, worker: Worker, times: int) -> None:
        for number in worker.gpus:
            self.free[number] -= times * min(worker.share, UNIT)
        self._resources.change(((GPU, worker.share),), times)
