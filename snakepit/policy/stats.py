"""What a pool does at the moment, and what became of its calls, as plain numbers."""

from __future__ import annotations

from typing import Any

from .actors import ALIVE, PENDING
from .actors import STARTING as ACTOR_STARTING
from .calls import DONE, READY
from .lines import Tally
from .placement import Placement
from .pools import Pool
from .slots import running
from .workers import LEAVING, LIVE, STARTING, Worker


def stats(placement: Placement, pool: Pool) -> dict[str, Any]:
    """Count a pool and its variants; see `snakepit.api.pools.PoolStats`.

    What a worker has in its mailbox and cannot have begun is counted as queued.
    """
    pools = [each for each in placement.pools.values() if each.root == pool.name]
    # Those that are to go when their calls are done are in no pool's table any more.
    workers = [
        worker
        for worker in placement.workers.values()
        if worker.staffs and worker.pool in pools and worker.state is not LEAVING
    ]
    actors = [actor for each in pools for actor in each.actors.values()]
    tally = pool.tally
    serving = [worker for worker in workers if worker.actor is None]
    begun = sum(map(running, serving))
    ahead = sum(len(worker.inflight) for worker in serving) - begun
    # Calls of actors that live among tasks have begun: they are sent when a slot is free.
    calls = [call for worker in serving for call in worker.inflight.values()]
    begun -= sum(call.shape.tally is None for call in calls)
    # Those that were given up have been answered, whatever they still do.
    begun -= sum(call.state is DONE and call.shape.tally is not None for call in calls)
    ready = _ready(placement, tally)
    return {
        "name": pool.name,
        "declared": pool.declared,
        "state": pool.state,
        "circuit": pool.circuit.state if pool.circuit is not None else None,
        "size": pool.size,
        "max_size": pool.limit,
        "threads_per_worker": pool.slots,
        "requests": tally.requests,
        "succeeded": tally.succeeded,
        "errors": dict(tally.errors),
        "crashes": dict(tally.crashes),
        "retries": tally.retries,
        "saturations": tally.errors.get("pool_saturated", 0),
        "timeouts": tally.errors.get("queue_timeout", 0),
        "running": begun,
        "queued": ready + ahead,
        "waiting": tally.pending - begun - ready - ahead,
        "tainted": sum(each.held for each in pools),
        "workers": _by_state(workers),
        "ready": [
            number
            for each in pools
            for number, worker in each.workers.items()
            if worker.state is LIVE and worker.actor is None
        ],
        "actors": {
            state: sum(actor.state == state for actor in actors)
            for state in (PENDING, ACTOR_STARTING, ALIVE)
        },
        "recycled": dict(tally.recycled),
    }


def _ready(placement: Placement, tally: Tally) -> int:
    """Count the calls that wait for a worker: in queues, or in sessions behind others."""
    sessions = placement.sessions.table.values()
    queues = [klass.queue for klass in placement.waiting] + [each.waiting for each in sessions]
    count = 0
    twice: set[int] = set()  # those that may be there at their old places too (see `hasten`)
    for queue in queues:
        for call in queue:
            if call.state is READY and call.shape.tally is tally:
                if call.hastened:
                    twice.add(call.id)
                else:
                    count += 1
    return count + len(twice)


def _by_state(workers: list[Worker]) -> dict[str, int]:
    counts = {"starting": 0, "idle": 0, "busy": 0, "waiting": 0, "leaving": 0, "actor": 0}
    for worker in workers:
        if worker.actor is not None:
            counts["actor"] += 1
        elif worker.state is STARTING:
            counts["starting"] += 1
        elif worker.number not in worker.pool.workers:
            counts["leaving"] += 1
        elif worker.state is LIVE and not worker.inflight:
            counts["idle"] += 1
        elif len(worker.blocked) == len(worker.inflight):
            counts["waiting"] += 1
        else:
            counts["busy"] += 1
    return counts
