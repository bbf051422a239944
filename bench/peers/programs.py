"""Remote functions and classes that call their own runtime: written once, for Ray's API.

They are closures over the module of that API, which travels by name, so that the same program runs
under either without knowing which. They follow what Ray's microbenchmark measures.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

MEGABYTE_ITEMS = 131_072  # int64


class Programs(NamedTuple):
    """What rows may call; each is what `remote` made of a function or class."""

    small_value: Any
    batch: Any  # (count): small tasks from within a task
    puts: Any  # (count): small objects put from within a task
    large_puts: Any  # (count, megabytes)
    holder: Any  # (count): a value that contains references
    work: Any  # (actors, count): calls to several actors from within a task
    server: Any  # an actor to be called
    threaded: Any  # one whose methods run in threads
    coroutines: Any  # one whose methods are coroutines
    client: Any  # (servers): an actor that calls others
    many_arguments: Any  # (*values): how many came
    many_returns: Any  # (count), with num_returns
    stream: Any  # (count): a generator of small objects
    whose: Any  # (seconds): the process that slept them, for calls that may be killed
    restarted: Any  # an actor that may be killed; whose()


def programs(api: Any) -> Programs:
    """Declare them to a runtime.

    Args:
        api: the module `snakepit` or `ray`.
    """

    def small_value() -> bytes:
        return b"ok"

    def batch(count: int) -> None:
        api.get([small.remote() for _ in range(count)])

    def puts(count: int) -> None:
        for _ in range(count):
            api.put(0)

    def large_puts(count: int, megabytes: int) -> None:
        import numpy as np

        for _ in range(count):
            api.put(np.zeros(megabytes * MEGABYTE_ITEMS, dtype=np.int64))

    def holder(count: int) -> list[Any]:
        return [api.put(1) for _ in range(count)]

    def work(actors: list[Any], count: int) -> None:
        api.get([actors[i % len(actors)].small_value.remote() for i in range(count)])

    def many_arguments(*values: Any) -> int:
        return len(values)

    def stream(count: int) -> Iterator[int]:
        # Ray cannot run `yield from` over what is no generator.
        for number in range(count):  # noqa: UP028
            yield number

    def many_returns(count: int) -> list[int]:
        return list(range(count))

    def whose(seconds: float) -> int:
        time.sleep(seconds)
        return os.getpid()

    class Server:
        def small_value(self) -> bytes:
            return b"ok"

        def small_value_arg(self, value: Any) -> bytes:
            return b"ok"

        def batch(self, count: int) -> None:
            api.get([small.remote() for _ in range(count)])

        def pid(self) -> int:
            return os.getpid()

    class Coroutines:
        async def small_value(self) -> bytes:
            return b"ok"

        async def small_value_arg(self, value: Any) -> bytes:
            return b"ok"

    class Client:
        def __init__(self, servers: list[Any]) -> None:
            self.servers = servers

        def batch(self, count: int) -> None:
            api.get([s.small_value.remote() for s in self.servers for _ in range(count)])

        def batch_with_argument(self, count: int) -> None:
            value = api.put(0)
            calls = [s.small_value_arg.remote(value) for s in self.servers for _ in range(count)]
            api.get(calls)

    class Restarted:
        def whose(self, seconds: float) -> int:
            return whose(seconds)

    small = api.remote(small_value)
    free = api.remote(num_cpus=0)  # actors that take no CPU from the tasks beside them
    return Programs(
        small_value=small,
        batch=api.remote(batch),
        puts=api.remote(puts),
        large_puts=api.remote(large_puts),
        holder=api.remote(holder),
        work=api.remote(work),
        server=free(Server),
        threaded=api.remote(num_cpus=0, max_concurrency=16)(Server),
        coroutines=free(Coroutines),
        client=free(Client),
        many_arguments=api.remote(many_arguments),
        many_returns=api.remote(many_returns),
        stream=api.remote(stream),
        whose=api.remote(max_retries=-1)(whose),
        restarted=api.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(Restarted),
    )
