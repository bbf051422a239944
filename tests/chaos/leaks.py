"""Looks for what stays: after very many values, calls with kills, and whole runtimes.

    python -m tests.chaos.leaks

Each part runs a tenth of its length first, so that caches, tables and malloc's arenas are as large
as they get; then it is measured, runs in full, and is measured again. Descriptors, segments held
and mapped, threads, processes and snakepit's own objects must be as many as before. Private memory
may grow by `HEAP`, about what its measure varies by when nothing happens; one lost object of 64
bytes in each of 100,000 rounds would be three times as much.
"""

from __future__ import annotations

import argparse
import sys
import sysconfig
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import psutil

import snakepit
from snakepit.protocol import current

from . import books, footprint, storm, work
from .strikes import Strikes

HEAP = 2048 if not sysconfig.get_config_var("Py_GIL_DISABLED") else 128 << 10
"""KiB by which private memory may grow in a part. Without the GIL Python's own allocator takes
64 MiB at a time, some time or other, and keeps them: there the counts of objects must do."""

SIZES = (10, 1_000, 70_000, 10, 1_000, 300_000)
"""Bytes of the values: most travel in messages, some lie in the store."""


def put_get_drop(count: int) -> None:
    """Store values, read them, and let them go."""
    for x in range(count):
        data = bytes([x % 256]) * SIZES[x % len(SIZES)]
        ref = snakepit.put(data)
        assert snakepit.get(ref) == data


@snakepit.remote
class Elsewhere:
    """Does the same in another process. It imports nothing of the tests, which have no path."""

    def work(self, count: int) -> int:
        """Give back what malloc has kept as well; return the pid, to be looked at from outside."""
        import ctypes
        import gc
        import os

        put_get_drop(count)
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)
        return os.getpid()


def calls_with_kills(count: int) -> None:
    """Make calls, of whose workers one is killed each 100 ms."""
    runtime: Any = current()
    weather = storm.Storm(0.0005)
    with Strikes(runtime, every=0.1, zygotes=0.0, seed=3):
        for start in range(0, count, storm.WAVE):
            weather.wave(start, min(storm.WAVE, count - start))


def measured(runtime: Any) -> tuple[footprint.Footprint, footprint.Footprint, Counter[str]]:
    """Measure the driver and the zygote, when all is given back and no worker is left."""
    storm.settle(runtime)
    end_workers(runtime)
    storm.settle(runtime)
    zygote = footprint.of(runtime._processes.zygotes.home.zygote.pid)
    return footprint.of(), zygote, footprint.instances()


def end_workers(runtime: Any) -> None:
    """Kill the workers, of which more or fewer idle with or without an arena."""
    connections = runtime._core.connections
    for connection in list(connections.values()):
        runtime._core.update(lambda number=connection.number: runtime._core.kill(number))
    books.within(storm.PATIENCE, lambda: f"workers stay: {connections}" if connections else "")


def part(name: str, count: int, run: Callable[[int], None]) -> None:
    """Run one part and compare what is held before and after.

    Raises:
        AssertionError: something stayed.
    """
    runtime: Any = current()
    run(max(1, count // 10))
    driver, zygote, objects = measured(runtime)
    begun = time.monotonic()
    run(count)
    took = time.monotonic() - begun
    driver_now, zygote_now, objects_now = measured(runtime)
    print(
        f"{name}: {count:,} in {took:.0f} s\n"
        f"  driver {driver}\n      -> {driver_now}\n"
        f"  zygote {zygote}\n      -> {zygote_now}\n"
        f"  objects {objects.total()} -> {objects_now.total()}",
        flush=True,
    )
    assert not (wrong := footprint.growth(driver, driver_now, HEAP)), f"driver: {wrong}"
    assert not (wrong := footprint.growth(zygote, zygote_now, HEAP)), f"zygote: {wrong}"
    # A worker pickles functions anew, whose bytes come in a few variants: what is one string in
    # one process, and goes by its number the second time, may be two in another.
    more = objects_now - objects - Counter({"Template": 4, "Code": 4, "Shape": 4})
    assert not more, f"objects: {more}"


def values_in_a_worker(count: int) -> None:
    """Do what `put_get_drop` does in an actor's process, and compare that."""
    actor = Elsewhere.remote()
    for _ in range(2):
        pid = snakepit.get(actor.work.remote(max(1, count // 10)))
    before = footprint.of(pid)
    snakepit.get(actor.work.remote(count))
    after = footprint.of(pid)
    print(f"values in a worker: {count:,}\n  worker {before}\n      -> {after}", flush=True)
    assert not (wrong := footprint.growth(before, after, HEAP)), f"worker: {wrong}"


def once() -> None:
    """Start a runtime, use it a little, and end it."""
    with snakepit.init(num_cpus=1, log_to_driver=False):
        stored, cell = work.store.remote(1), work.Cell.options(num_cpus=0).remote()
        assert snakepit.get(cell.mix.remote(2, 0.0))[0] == work.mixed(2)
        assert snakepit.get(stored) == work.pattern(1)
        assert snakepit.get(snakepit.put(work.pattern(3))) == work.pattern(3)


def cycles(count: int) -> None:
    """Start and end whole runtimes, and compare."""
    for _ in range(max(3, count // 10)):
        once()
    before, objects = footprint.of(), footprint.instances()
    begun = time.monotonic()
    heaps = []
    for number in range(count):
        once()
        # Zombies are children too.
        assert not (left := psutil.Process().children(recursive=True)), left
        if number % max(1, count // 10) == 0:
            heaps.append(footprint.of().heap)
    after, objects_now = footprint.of(), footprint.instances()
    took = time.monotonic() - begun
    print(
        f"init and shutdown: {count:,} in {took:.0f} s\n  driver {before}\n      -> {after}\n"
        f"  heaps {heaps}\n  objects {objects.total()} -> {objects_now.total()}",
        flush=True,
    )
    assert not (wrong := footprint.growth(before, after, HEAP)), wrong
    assert not (more := objects_now - objects), f"objects: {more}"


def main() -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.leaks")
    parser.add_argument("--values", type=int, default=100_000)
    parser.add_argument("--calls", type=int, default=10_000)
    parser.add_argument("--cycles", type=int, default=1_000)
    options = parser.parse_args()
    with snakepit.init(num_cpus=2, log_to_driver=False):
        part("put, get, drop", options.values, put_get_drop)
        values_in_a_worker(options.values // 10)
        part("calls with kills", options.calls, calls_with_kills)
    cycles(options.cycles)
    print("nothing stays")
    return 0


if __name__ == "__main__":
    sys.exit(main())
