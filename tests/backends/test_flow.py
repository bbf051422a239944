"""The way of an executor's calls: who waits while another thread sends or settles."""

from __future__ import annotations

import contextlib
import gc
import threading
import weakref
from typing import Any

import pytest

import snakepit
from snakepit.backends.flow import Flow
from tests.runtime.helpers import Gate, wait_until

pytestmark = pytest.mark.shares_runtime


@snakepit.remote
def one() -> int:
    return 1


@snakepit.remote(num_cpus=2)
def waits_while_another_thread_sends(by_draining: bool) -> int:
    """Wait for a call that is being sent by the thread of callbacks, and needs a CPU of ours."""
    flow = Flow(1, strict=True, inside=True)
    sending, go = threading.Event(), threading.Event()

    def slow() -> snakepit.ObjectRef[int]:
        sending.set()
        assert go.wait(30)
        return one.remote()

    first: Any = flow.submit(one.remote)
    second: Any = flow.submit(slow)
    snakepit.wait([first._call.ref])  # but do not settle it: the callback does, and sends
    assert sending.wait(30)
    threading.Timer(0.2, go.set).start()
    if by_draining:
        flow.close()
        flow.drain()
    return int(second.result(timeout=20)) + int(first.result())


@pytest.mark.parametrize("by_draining", [False, True])
def test_a_task_gives_its_cpu_away_while_another_thread_sends(by_draining: bool) -> None:
    """The thread that waits finds nothing in the runtime to wait for yet, and must look again."""
    assert snakepit.get(waits_while_another_thread_sends.remote(by_draining), timeout=60) == 2


def fail() -> None:
    raise LookupError("nothing there")


@pytest.mark.parametrize("waits", [False, True])
def test_a_failed_future_goes_without_a_collection(waits: bool) -> None:
    gc.collect()
    gc.disable()
    try:
        with snakepit.Executor(1) as executor:
            future = executor.submit(fail)
            if waits:
                with contextlib.suppress(LookupError):
                    future.result(30)
        left = weakref.ref(future)
        del future
        assert wait_until(lambda: left() is None)
    finally:
        gc.enable()


@snakepit.remote(num_cpus=2)
def waits_behind_a_call_on_its_way(gate: Gate) -> int:
    """Wait for a call behind one that is being sent, beside one that ends after all of them."""
    flow = Flow(2, strict=True, inside=True)
    sending, go = threading.Event(), threading.Event()

    def slow() -> snakepit.ObjectRef[int]:
        sending.set()
        assert go.wait(30)
        return one.remote()

    first: Any = flow.submit(one.remote)
    last: Any = flow.submit(lambda: passes.remote(gate))
    between = flow.submit(slow)
    own = flow.submit(one.remote)
    snakepit.wait([first._call.ref])
    assert sending.wait(30)
    threading.Timer(0.2, go.set).start()
    found = own.result() + between.result()
    gate.open()
    return int(found + last.result())


@snakepit.remote
def passes(gate: Gate) -> int:
    gate.wait()
    return 1


def test_a_call_on_its_way_is_waited_for_before_others(gate: Gate) -> None:
    """Who waited for the others alone saw neither its end nor that of the call behind it."""
    assert snakepit.get(waits_behind_a_call_on_its_way.remote(gate), timeout=30) == 3
