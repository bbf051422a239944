"""The classes of calls, and the pools whose workers serve them.

A call that names an environment, or GPUs, needs a process that began with them. Such calls have
pools of their own, *variants* of the pool that they name: made when first needed, empty when idle.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeAlias, final

from ..checks import IN_GROUP, INTERPRETER, RESERVES
from ..wire.messages import CREATE, Template
from .calls import READY, Call
from .pools import Klass, Pool, Refusal
from .resources import GPU, Needs, Resources, needs_of

GROUP_REMOVED: Final[Refusal] = ("group_removed", {})

Env: TypeAlias = tuple[tuple[str, str], ...]


@final
class Classes:
    """All classes and pools of a runtime; `waiting` are the classes whose queues hold calls.

    `ranked` says that some have another priority than the usual.
    """

    def __init__(self, resources: Resources, pools: Iterable[Pool]) -> None:
        self._resources = resources
        self.pools = {pool.name: pool for pool in pools}
        self.klasses: dict[tuple[Pool, Needs, int, bool, bool, int], Klass] = {}
        self.waiting: dict[Klass, None] = {}
        self.ranked = False

    def of(self, template: Template) -> Klass:
        """Return the class of a template's calls."""
        creates = template.kind == CREATE
        pool = self.pools.get(template.pool)
        if pool is None or pool.base:
            return self._nowhere(template)
        all_needs = needs_of(template, pool.declared)
        all_needs = tuple(
            item for item in all_needs if item[1] and not item[0].startswith(RESERVES)
        )
        needs = tuple(item for item in all_needs if item[0] != GPU)
        gpus = dict(all_needs).get(GPU, 0)
        pooled = creates and pool.declared and bool(template.pooled)
        # Else an actor's process is nobody else's, and begins with what its template says.
        if not creates or pooled:
            if pool.env and _differs(pool, template):
                return _contradicted(pool, template, needs)
            pool = self._variant(pool, template.env, gpus)
        key = (pool, needs, gpus, creates, pooled, template.priority)
        klass = self.klasses.get(key)
        if klass is None:
            refusal = self._refusal(all_needs)
            if not creates or pooled:
                refusal = refusal or pool.failure
            klass = Klass(pool, needs, creates, refusal, gpus, pooled, template.priority)
            self.klasses[key] = klass
            self.ranked = self.ranked or template.priority != 0
        return klass

    def in_order(self) -> Iterable[Klass]:
        """Return the classes that wait, as their turns come: those of more priority first."""
        if self.ranked:
            return sorted(self.waiting, key=_by_priority)
        return tuple(self.waiting)

    def _nowhere(self, template: Template) -> Klass:
        pools = [pool for pool in self.pools.values() if not pool.base]
        names = [pool.name for pool in pools]
        refusal = "unknown_pool", {"pool": template.pool, "pools": names}
        # Of no use but that no other pool's calls are counted wrong.
        nowhere = Pool(template.pool, 0, 0, 1, pools[0].window.fresh())
        return Klass(nowhere, (), template.kind == CREATE, refusal)

    def _refusal(self, needs: Needs) -> Refusal | None:
        total = self._resources.total
        if any(IN_GROUP in name and name not in total for name, _ in needs):
            return GROUP_REMOVED
        return self._resources.refusal(needs)

    def refuse(self, pool: Pool, failure: Refusal | None) -> None:
        """Have what is for the pool's workers refused from now on, or taken again."""
        for klass in self.klasses.values():
            if klass.pool is pool and klass.works and klass.refusal is pool.failure:
                klass.refusal = failure
        pool.failure = failure

    def without(self, names: set[str]) -> list[Call]:
        """Forget, and refuse from now on, the classes that need what was a group's.

        Returns:
            The calls that waited for it.
        """
        stranded: list[Call] = []
        needing = {key: klass for key, klass in self.klasses.items() if klass.needs_any(names)}
        for key, klass in needing.items():
            klass.refusal = GROUP_REMOVED
            del self.klasses[key]
            stranded += self._emptied(klass)
        return stranded

    def take_queued(self, pool: Pool) -> list[Call]:
        """Empty the queues of what is for the pool's workers; return what was in them."""
        taken: list[Call] = []
        for klass in tuple(self.waiting):
            if klass.pool is pool and klass.works:
                taken += self._emptied(klass)
        return taken

    def _emptied(self, klass: Klass) -> list[Call]:
        calls = [call for call in klass.queue if call.state is READY]
        klass.queue.clear()
        self.waiting.pop(klass, None)
        return calls

    def _variant(self, pool: Pool, env: Env, gpus: int) -> Pool:
        env = tuple(pair for pair in env if pair not in pool.env)
        if not env and not gpus:
            return pool
        for other in self.pools.values():
            if other.base == pool.name and other.asked == env and other.gpus == gpus:
                return other
        variant = pool.variant(f"{pool.name}/{len(self.pools)}", env, gpus)
        self.pools[variant.name] = variant
        return variant


def _differs(pool: Pool, template: Template) -> bool:
    """Tell whether a call names another interpreter than its pool has."""
    asked = dict(template.env)
    return any(asked.get(name, value) != value for name, value in pool.env)


def _contradicted(pool: Pool, template: Template, needs: Needs) -> Klass:
    fields = {
        "pool": pool.name,
        "interpreter": dict(pool.env)[INTERPRETER],
        "wanted": dict(template.env)[INTERPRETER],
    }
    return Klass(pool, needs, template.kind == CREATE, ("interpreter_differs", fields))


def _by_priority(klass: Klass) -> int:
    return -klass.priority
