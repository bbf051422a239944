"""The rows of Ray's own microbenchmark, under its names; the code is ours.

Where the counts differ from Ray's it is to fit a run: 4 × 1000 nested tasks instead of 4 × 10,000;
20 puts of 80 MB by several clients instead of 100. Ray's "n" is half the cores; here it is the
number of workers, so that n is more than one on two cores.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from ..peers import WORKERS, Peer
from .base import Effort, Row, per_call

BATCH = 1000
REFS = 10_000
NESTED = 1000
STREAMED = 10_000
GROUPS = 50
CLIENTS = 4
LARGE_ITEMS = 104_857_600  # int64: 0.84 GB
PART_MB = 80

LEFT_OUT = {
    "client: …": "there is no gateway for clients in other processes yet in snakepit",
}


def rate(call: Callable[[], Any], effort: Effort, per: float = 1.0) -> float:
    """How much is done in a second.

    Args:
        call: what is done again and again.
        effort: for how long.
        per: how much one call does.
    """
    return per / per_call(call, effort=effort)


def client_get(peer: Peer, effort: Effort) -> float:
    """Gets of a small object."""
    ref, get = peer.put(0), peer.get
    return rate(lambda: get(ref), effort)


def client_put(peer: Peer, effort: Effort) -> float:
    """Puts of a small object."""
    put = peer.put
    return rate(lambda: put(0), effort)


def clients_put(peer: Peer, effort: Effort) -> float:
    """Puts of a small object from within ten tasks, a hundred each."""
    own, get = peer.programs, peer.get
    return rate(lambda: get([own.puts.remote(100) for _ in range(10)]), effort, per=1000)


def client_put_gigabytes(peer: Peer, effort: Effort) -> float:
    """Gigabytes put, an array of zeros at a time, its reference dropped at once."""
    import numpy as np

    array = np.zeros(effort.count(LARGE_ITEMS), dtype=np.int64)
    put = peer.put
    return rate(lambda: put(array), effort, per=array.nbytes / 1e9)


def clients_put_gigabytes(peer: Peer, effort: Effort) -> float:
    """Gigabytes put from within tasks, the making of the arrays included."""
    own, get = peer.programs, peer.get
    size = effort.count(PART_MB)
    each = 5
    gigabytes = CLIENTS * each * size * 2**20 / 1e9
    return rate(
        lambda: get([own.large_puts.remote(each, size) for _ in range(CLIENTS)]),
        effort,
        per=gigabytes,
    )


def tasks_and_get_batch(peer: Peer, effort: Effort) -> float:
    """Batches of a thousand tasks, submitted and gathered."""
    return rate(lambda: peer.burst(BATCH), effort)


def get_object_of_refs(peer: Peer, effort: Effort) -> float:
    """Gets of a value that contains 10,000 references, made by a task."""
    own, get = peer.programs, peer.get
    ref = own.holder.remote(effort.count(REFS))
    return rate(lambda: get(ref), effort)


def wait_refs(peer: Peer, effort: Effort) -> float:
    """Waits for a thousand tasks, one after the other, their submission included."""
    count = effort.count(BATCH, 50)
    return rate(lambda: peer.wait_each(peer.submit_all(small_value, range(count))), effort)


def small_value(_: int) -> bytes:
    """What the tasks of this page return."""
    return b"ok"


def tasks_sync(peer: Peer, effort: Effort) -> float:
    """Tasks, one at a time."""
    return rate(lambda: peer.call(1), effort)


def tasks_async(peer: Peer, effort: Effort) -> float:
    """Tasks, a thousand at a time."""
    return rate(lambda: peer.gather(peer.submit_all(small_value, range(BATCH))), effort, per=BATCH)


def streamed(peer: Peer, effort: Effort) -> float:
    """Small items of a streaming generator, each got as it comes, 10,000 a generator."""
    remote, get = peer.programs.stream.remote, peer.get

    def read() -> None:
        for ref in remote(STREAMED):
            get(ref)

    return rate(read, effort, per=STREAMED)


def groups_made(peer: Peer, effort: Effort) -> float:
    """Placement groups of one bundle, made, waited for and removed, fifty at a time."""
    count = effort.count(GROUPS, 5)
    return rate(lambda: peer.placement_groups(count), effort, per=count)


def with_servers(
    peer: Peer,
    effort: Effort,
    count: int,
    calls: int,
    use: Callable[[Any, list[Any]], Any],
    kind: str = "server",
) -> float:
    """The rate of what is done with some actors, which are ended afterwards.

    Args:
        peer: whose.
        effort: for how long.
        count: actors.
        calls: that `use` makes.
        use: called with the programs and the actors; returns what to call again and again.
        kind: which of the programs' actors.
    """
    own = peer.programs
    servers = [getattr(own, kind).remote() for _ in range(count)]
    peer.get([server.small_value.remote() for server in servers])
    try:
        return rate(use(own, servers), effort, per=calls)
    finally:
        for server in servers:
            peer.kill(server)


def clients_tasks(peer: Peer, effort: Effort) -> float:
    """Tasks submitted by four actors at once."""
    count, get = effort.count(NESTED), peer.get

    def use(own: Any, servers: list[Any]) -> Callable[[], Any]:
        return lambda: get([server.batch.remote(count) for server in servers])

    return with_servers(peer, effort, CLIENTS, CLIENTS * count, use)


def actor_sync(peer: Peer, effort: Effort) -> float:
    """Calls of one actor, one at a time."""
    actor = peer.actor()
    try:
        return rate(lambda: peer.actor_call(actor, 1), effort)
    finally:
        peer.kill(actor)


def actor_async(peer: Peer, effort: Effort) -> float:
    """Calls of one actor, a thousand at a time."""
    actor = peer.actor()
    try:
        return rate(lambda: peer.actor_burst(actor, BATCH), effort, per=BATCH)
    finally:
        peer.kill(actor)


def server_sync(peer: Peer, effort: Effort, kind: str) -> float:
    """Calls of one actor of a kind, one at a time."""

    def use(own: Any, servers: list[Any]) -> Callable[[], Any]:
        return lambda: peer.get(servers[0].small_value.remote())

    return with_servers(peer, effort, 1, 1, use, kind)


def server_async(peer: Peer, effort: Effort, kind: str) -> float:
    """Calls of one actor of a kind, a thousand at a time."""

    def use(own: Any, servers: list[Any]) -> Callable[[], Any]:
        method = servers[0].small_value
        return lambda: peer.get([method.remote() for _ in range(BATCH)])

    return with_servers(peer, effort, 1, BATCH, use, kind)


def server_with_argument(peer: Peer, effort: Effort, kind: str) -> float:
    """The same with a stored argument."""

    def use(own: Any, servers: list[Any]) -> Callable[[], Any]:
        method, value = servers[0].small_value_arg, peer.put(0)
        return lambda: peer.get([method.remote(value) for _ in range(BATCH)])

    return with_servers(peer, effort, 1, BATCH, use, kind)


def one_to_n(peer: Peer, effort: Effort, kind: str = "server") -> float:
    """Calls of all actors by one actor."""
    count, get = effort.count(NESTED), peer.get

    def use(own: Any, servers: list[Any]) -> Callable[[], Any]:
        client = own.client.remote(servers)
        return lambda: get(client.batch.remote(count))

    return with_servers(peer, effort, WORKERS, WORKERS * count, use, kind)


def n_to_n(peer: Peer, effort: Effort, kind: str = "server") -> float:
    """Calls of all actors by several tasks."""
    count, get = effort.count(NESTED), peer.get

    def use(own: Any, servers: list[Any]) -> Callable[[], Any]:
        return lambda: get([own.work.remote(servers, count) for _ in range(CLIENTS)])

    return with_servers(peer, effort, WORKERS, CLIENTS * count, use, kind)


def n_to_n_with_argument(peer: Peer, effort: Effort) -> float:
    """Calls with a stored argument, each actor called by an actor of its own."""
    count, get = effort.count(NESTED), peer.get

    def use(own: Any, servers: list[Any]) -> Callable[[], Any]:
        clients = [own.client.remote([server]) for server in servers]
        return lambda: get([client.batch_with_argument.remote(count) for client in clients])

    return with_servers(peer, effort, WORKERS, WORKERS * count, use)


BOTH = ("snakepit", "ray")


def of_kind(name: str, title: str, measure: Callable[..., float], kind: str = "coroutines") -> Row:
    """A row about actors that run several calls at once."""
    return Row(name, title, "1/s", False, partial(measure, kind=kind), BOTH)


ROWS = (
    Row("client_get", "single client get calls", "1/s", False, client_get),
    Row("client_put", "single client put calls", "1/s", False, client_put),
    Row("clients_put", "multi client put calls", "1/s", False, clients_put, BOTH),
    Row("client_put_gigabytes", "single client put gigabytes", "GB/s", False, client_put_gigabytes),
    Row(
        "clients_put_gigabytes",
        "multi client put gigabytes",
        "GB/s",
        False,
        clients_put_gigabytes,
        BOTH,
    ),
    Row(
        "client_tasks_and_get_batch",
        "single client tasks and get batch",
        "1/s",
        False,
        tasks_and_get_batch,
    ),
    Row(
        "client_get_10k_refs",
        "single client get object containing 10k refs",
        "1/s",
        False,
        get_object_of_refs,
        BOTH,
    ),
    Row("client_wait_1k_refs", "single client wait 1k refs", "1/s", False, wait_refs),
    Row("client_tasks_sync", "single client tasks sync", "1/s", False, tasks_sync),
    Row("client_tasks_async", "single client tasks async", "1/s", False, tasks_async),
    Row("clients_tasks_async", "multi client tasks async", "1/s", False, clients_tasks, BOTH),
    Row("actor_1_1_sync", "1:1 actor calls sync", "1/s", False, actor_sync),
    Row("actor_1_1_async", "1:1 actor calls async", "1/s", False, actor_async),
    Row("actor_1_n_async", "1:n actor calls async", "1/s", False, one_to_n, BOTH),
    Row("actor_n_n_async", "n:n actor calls async", "1/s", False, n_to_n, BOTH),
    Row(
        "actor_n_n_with_arg_async",
        "n:n actor calls with arg async",
        "1/s",
        False,
        n_to_n_with_argument,
        BOTH,
    ),
    Row("generator_stream", "items of a streaming generator", "1/s", False, streamed, BOTH),
    Row("placement_groups", "placement group create/removal", "1/s", False, groups_made, BOTH),
    of_kind("actor_1_1_concurrent", "1:1 actor calls concurrent", server_async, "threaded"),
    of_kind("async_1_1_sync", "1:1 async-actor calls sync", server_sync),
    of_kind("async_1_1_async", "1:1 async-actor calls async", server_async),
    of_kind("async_1_1_with_args", "1:1 async-actor calls with args async", server_with_argument),
    of_kind("async_1_n", "1:n async-actor calls async", one_to_n),
    of_kind("async_n_n", "n:n async-actor calls async", n_to_n),
)
