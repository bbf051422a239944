"""init and shutdown, again and again, and what outlives neither."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

import snakepit
from snakepit.errors import (
    RuntimeClosedError,
    SerializationError,
    SnakepitError,
    StaleReferenceError,
)
from tests.runtime.helpers import PATIENCE, Gate, core, entries, is_settled, wait_until

MiB = 1 << 20


@snakepit.remote
def same(value: Any) -> Any:
    return value


@snakepit.remote
class Counter:
    def __init__(self) -> None:
        self.value = 0

    def add(self) -> int:
        self.value += 1
        return self.value


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_ten_times_without_growth() -> None:
    def once() -> None:
        with snakepit.init(num_cpus=1):
            # First what needs a segment: its descriptor comes by another socket than the rest.
            array, counter = same.remote(np.zeros(MiB, np.uint8)), Counter.remote()
            assert snakepit.get([same.remote(1), counter.add.remote()]) == [1, 1]
            assert snakepit.get(array).shape == (MiB,)

    for _ in range(3):
        once()
    gc.collect()
    process = psutil.Process()
    assert wait_until(lambda: not process.children(recursive=True))
    before = descriptors(), threading.active_count(), len(process.memory_maps(grouped=False))
    memory, objects = process.memory_info().rss, len(gc.get_objects())
    for _ in range(10):
        once()
    gc.collect()
    assert wait_until(lambda: not process.children(recursive=True))
    assert (descriptors(), threading.active_count()) == before[:2]
    assert len(process.memory_maps(grouped=False)) < before[2] + 10
    # Less than one stored array or one table for each time.
    assert process.memory_info().rss - memory < 10 * MiB
    assert len(gc.get_objects()) - objects < 10 * 50


def test_init_twice_and_the_context() -> None:
    assert not snakepit.is_initialized()
    with snakepit.init(num_cpus=1, namespace="here") as context:
        assert snakepit.is_initialized()
        assert context["resources"]["CPU"] == 1 and context["namespace"] == "here"
        with pytest.raises((RuntimeError, SnakepitError), match="init"):
            snakepit.init(num_cpus=2)
        again = snakepit.init(num_cpus=2, ignore_reinit_error=True)
        assert again["run"] == context["run"]
        assert snakepit.get(same.remote(1)) == 1
    assert not snakepit.is_initialized()
    snakepit.shutdown()  # nothing to do


def test_the_first_use_starts_a_runtime() -> None:
    for use in (lambda: snakepit.get(same.remote(1)), lambda: snakepit.put(1), Counter.remote):
        assert not snakepit.is_initialized()
        use()
        assert snakepit.is_initialized()
        snakepit.shutdown()


def check_uses(ref: Any, stored: Any, counter: Any, error: type[Exception]) -> None:
    uses: list[Callable[[], Any]] = [
        lambda: snakepit.get(ref),
        lambda: snakepit.get([stored]),
        lambda: snakepit.wait([ref]),
        lambda: snakepit.cancel(ref),
        lambda: snakepit.kill(counter),
        lambda: counter.add.remote(),
        lambda: ref.future(),
    ]
    for use in uses:
        with pytest.raises(error):
            use()


def check_arguments(ref: Any, stored: Any, counter: Any) -> None:
    with pytest.raises(StaleReferenceError):
        same.remote(ref)
    for wrong in ([ref], counter, {"a": stored}):
        with pytest.raises(SerializationError, match="earlier runtime") as info:
            same.remote(wrong)
        assert isinstance(info.value.__cause__, StaleReferenceError)
        assert info.value.path.startswith("args[0]")


def test_what_an_earlier_runtime_made_says_so() -> None:
    with snakepit.init(num_cpus=1):
        old = same.remote(1), snakepit.put(2), Counter.remote()
        snakepit.get(old[0])
    check_uses(*old, RuntimeClosedError)
    with snakepit.init(num_cpus=1):
        check_uses(*old, StaleReferenceError)
        check_arguments(*old)
        assert snakepit.get(same.remote(3)) == 3
        del old
        gc.collect()
        assert snakepit.get(same.remote(4)) == 4


def test_waiting_threads_are_told_of_the_shutdown(tmp_path: Path) -> None:
    gate = Gate(str(tmp_path / "gate"))
    told: list[type[BaseException]] = []
    snakepit.init(num_cpus=1)

    @snakepit.remote
    def hold() -> None:
        gate.open()
        time.sleep(600)

    ref = hold.remote()

    def wait() -> None:
        try:
            snakepit.get(ref)
        except BaseException as error:
            told.append(type(error))

    threads = [threading.Thread(target=wait) for _ in range(3)]
    for thread in threads:
        thread.start()
    gate.wait()
    snakepit.shutdown()
    for thread in threads:
        thread.join(PATIENCE)
    assert told == [RuntimeClosedError] * 3
    with pytest.raises(RuntimeClosedError):
        snakepit.get(ref)


def test_values_outlive_the_runtime() -> None:
    with snakepit.init(num_cpus=1):
        own = snakepit.get(snakepit.put(np.full(MiB, 3, np.uint8)))
        made = snakepit.get(same.remote(np.full(MiB, 4, np.uint8)))
    gc.collect()
    assert (own == 3).all() and (made == 4).all()


def reader_of(ref: Any) -> Any:
    return snakepit.remote(lambda: len(snakepit.get(ref)))


def test_a_closure_keeps_the_reference_in_it() -> None:
    with snakepit.init(num_cpus=1):
        ref = snakepit.put(np.zeros(MiB, np.uint8))
        function = reader_of(ref)
        assert snakepit.get(function.remote()) == MiB
        # A definition stays in the runtime's tables, and with it what it mentions.
        identifier = ref._id
        del ref
        gc.collect()
        assert identifier in entries()
        assert snakepit.get(function.remote()) == MiB


def test_a_forked_childs_view_never_changes(tmp_path: Path) -> None:
    gate = Gate(str(tmp_path / "gate"))
    with snakepit.init(num_cpus=1, object_store_memory=96 * MiB):
        ref = snakepit.put(np.full(4 * MiB, 5, np.uint8))
        view = snakepit.get(ref)
        child = os.fork()
        if not child:
            code = 9
            try:
                gate.wait()
                code = int(bool((view != 5).any()))
            finally:
                os._exit(code)
        del view, ref
        gc.collect()
        core().update(lambda: None)
        for _ in range(6):
            snakepit.put(np.zeros(4 * MiB, np.uint8))
        gate.open()
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_task_that_calls_init_is_in_the_same_runtime() -> None:
    @snakepit.remote
    def inside() -> Any:
        context = snakepit.init(ignore_reinit_error=True)
        return context["run"], snakepit.get(snakepit.put(1))

    with snakepit.init(num_cpus=1) as context:
        assert snakepit.get(inside.remote(), timeout=PATIENCE) == (context["run"], 1)


def test_init_in_another_thread() -> None:
    found: list[Any] = []

    def work() -> None:
        with snakepit.init(num_cpus=1):
            found.append(snakepit.get(same.remote(1)))

    for _ in range(2):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join(PATIENCE)
    assert found == [1, 1]


IDLE = """
import os, sys, time, psutil, snakepit

def switches():
    found = {}
    processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
    for process in processes:
        for thread in process.threads():
            path = f"/proc/{process.pid}/task/{thread.id}/status"
            # What looks is not idle itself.
            if thread.id != os.getpid():
                text = open(path).read()
                count = text.split("nonvoluntary")[0].rsplit("voluntary_ctxt_switches:")[1]
                found[process.pid, thread.id] = int(count)
    return found

with snakepit.init(num_cpus=2):
    f = snakepit.remote(lambda x: x)
    A = snakepit.remote(type("A", (), {"m": lambda self: 1}))
    a = A.remote()
    assert snakepit.get([f.remote(1), f.remote(2), a.m.remote()]) == [1, 2, 1]
    deadline = time.monotonic() + 30
    # A short look first, which sees the rest of what came before sooner than a long one.
    while True:
        before = switches()
        time.sleep(0.2)
        if switches() != before and time.monotonic() < deadline:
            continue
        time.sleep(2)
        after = switches()
        if after == before and len(after) > 3:
            print("idle", len(after))
            break
        # One-shot timers of what came before may still run out.
        assert time.monotonic() < deadline, {k: after[k] - before.get(k, 0) for k in after}
"""


def test_an_idle_runtime_makes_no_wake_ups() -> None:
    done = subprocess.run([sys.executable, "-c", IDLE], capture_output=True, text=True, timeout=100)
    assert done.stdout.startswith("idle"), done.stdout + done.stderr


def test_nothing_is_kept_after_a_long_mixed_run() -> None:
    with snakepit.init(num_cpus=2):
        counters = [Counter.remote() for _ in range(3)]
        for number in range(200):
            ref = same.remote(number)
            same.remote([ref])
            counters[number % 3].add.remote()
            snakepit.put(number)
        assert snakepit.get(ref) == 199
        assert sum(snakepit.get([counter.add.remote() for counter in counters])) == 203
        del ref, counters
        assert wait_until(is_settled)
        scheduler = core().scheduler
        assert not scheduler.actors.names
        assert wait_until(
            lambda: all(not worker.inflight for worker in scheduler.placement.workers.values())
        )
