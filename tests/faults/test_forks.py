"""A driver that forks: the child cannot use its runtime, and cannot hurt it."""

from __future__ import annotations

import gc
import multiprocessing
import os
import sys
import threading
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from faults_harness import PATIENCE_S, driver, empties, works_on

import snakepit
from snakepit import errors

pytestmark = [
    pytest.mark.usefixtures("runtime"),
    # Python 3.12 and later warn of any fork of a process with threads, which a driver is.
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning"),
]


@snakepit.remote
def double(x: int) -> int:
    return 2 * x


@snakepit.remote
class Counter:
    def __init__(self) -> None:
        self.calls = 0

    def count(self) -> int:
        self.calls += 1
        return self.calls


def in_child(work: Callable[[], Any], *, leave: Callable[[int], Any] = os._exit) -> str:
    """Return what `work` returns in a forked child, as text."""
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if not pid:
        code = 1
        try:
            os.close(reader)
            os.write(writer, str(work()).encode())
            code = 0
        except BaseException as error:
            os.write(writer, f"{type(error).__name__}: {error}".encode())
        finally:
            leave(code)
    os.close(writer)
    with open(reader) as file:
        text = file.read()
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0, text
    return text


def test_its_use_in_the_child_is_a_clear_error() -> None:
    ref: Any = double.remote(4)
    actor: Any = Counter.remote()
    stored: Any = snakepit.put(b"x" * 1_000_000)

    def misuse() -> str:
        for use in (
            lambda: snakepit.get(ref),
            lambda: snakepit.put(1),
            lambda: double.remote(1),
            lambda: snakepit.wait([ref]),
            lambda: actor.count.remote(),
            lambda: snakepit.cancel(ref),
            lambda: snakepit.kill(actor),
            lambda: snakepit.get(stored),
        ):
            try:
                use()
            except errors.ForkedRuntimeError:
                continue
            return "no error"
        assert not snakepit.is_initialized()
        snakepit.shutdown()
        return "fine"

    assert in_child(misuse) == "fine"
    assert snakepit.get(ref, timeout=PATIENCE_S) == 8
    assert snakepit.get(actor.count.remote(), timeout=PATIENCE_S) == 1
    assert len(snakepit.get(stored)) == 1_000_000
    ref = actor = stored = None
    works_on()
    empties()


def test_the_child_ends_as_it_likes() -> None:
    actor: Any = Counter.remote()
    assert snakepit.get(actor.count.remote(), timeout=PATIENCE_S) == 1

    def run_exit_functions(code: int) -> None:
        # What sys.exit leads to, without pytest's own handlers, which are not ours to run.
        import atexit

        runtimes = [f for f in gc.get_objects() if type(f).__name__ == "DriverRuntime"]
        assert runtimes
        for runtime in runtimes:
            atexit.unregister(runtime.shutdown)
            runtime.shutdown()
        snakepit.shutdown()
        gc.collect()
        os._exit(code)

    def lose_everything() -> str:
        nonlocal actor
        actor = None
        gc.collect()
        return "fine"

    assert in_child(lose_everything, leave=run_exit_functions) == "fine"
    assert snakepit.get(actor.count.remote(), timeout=PATIENCE_S) == 2
    works_on()


def test_a_runtime_of_its_own_in_the_child() -> None:
    works_on()

    def own() -> int:
        snakepit.init(num_cpus=1)
        value = snakepit.get(double.remote(21), timeout=PATIENCE_S)
        snakepit.shutdown()
        return value

    assert in_child(own) == "42"
    works_on()


def test_the_child_holds_no_socket_of_the_runtime() -> None:
    works_on()
    core = driver()._core
    ours = {c.mailbox_fd for c in core.connections.values()}
    ours |= {c.control_fd for c in core.connections.values()}
    ours |= {core.pump.fileno(), driver()._processes.zygotes.home.zygote.fileno()}
    links = {fd: os.readlink(f"/proc/self/fd/{fd}") for fd in ours}

    def still_open() -> list[str]:
        found = []
        for fd, target in links.items():
            try:
                same = os.readlink(f"/proc/self/fd/{fd}") == target
            except FileNotFoundError:
                continue
            if same and not target.startswith("anon_inode"):
                found.append(target)
        return found

    assert in_child(still_open) == "[]"
    works_on()


def test_arrays_in_the_child_keep_what_they_show() -> None:
    value = snakepit.put(b"1" * 5_000_000)
    view: Any = snakepit.get(value)
    reader, writer = os.pipe()

    def look() -> bytes:
        os.close(writer)
        os.read(reader, 1)  # until the parent has dropped and overwritten
        return bytes(view[:4])

    seen: list[str] = []
    thread = threading.Thread(target=lambda: seen.append(in_child(look)))
    thread.start()
    del value
    others = [snakepit.put(b"2" * 5_000_000) for _ in range(3)]
    os.write(writer, b"x")
    thread.join(PATIENCE_S)
    os.close(reader)
    os.close(writer)
    assert len(others) == 3 and seen == ["b'1111'"]
    view = None
    works_on()


def square(x: int) -> int:
    return x * x


@pytest.mark.skipif(sys.platform == "darwin", reason="fork is no safe default there")
def test_multiprocessing_with_fork() -> None:
    context = multiprocessing.get_context("fork")
    refs = [double.remote(x) for x in range(20)]
    with context.Pool(2) as pool:
        assert pool.map(square, range(50)) == [x * x for x in range(50)]
        assert snakepit.get(refs, timeout=PATIENCE_S) == [2 * x for x in range(20)]
        pool.close()
        pool.join()
    process = context.Process(target=square, args=(3,))
    process.start()
    process.join(PATIENCE_S)
    assert process.exitcode == 0
    process.close()
    del refs
    works_on()
    empties()


@snakepit.remote
def fork_inside() -> tuple[int, int]:
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            double.remote(1)
        except errors.ForkedRuntimeError:
            os.write(writer, b"refused")
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    text = os.read(reader, 100)
    os.close(reader)
    os.close(writer)
    assert text == b"refused"
    return snakepit.get(double.remote(2)), snakepit.get(double.remote(3))


def test_a_task_that_forks() -> None:
    assert snakepit.get(fork_inside.remote(), timeout=PATIENCE_S) == (4, 6)
    works_on()


def fork_and(end: Callable[[], Any]) -> Any:
    """Fork; return what `end` does in the child, and the child's exit code in the parent."""
    sys.stdout.flush()
    pid = os.fork()
    if not pid:
        return end()
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def fail() -> None:
    raise ValueError("raised in the child")


ENDS: dict[str, tuple[Callable[[], Any], int]] = {
    "returns": (lambda: "from the child", 0),
    "returns much": (lambda: b"x" * 1_000_000, 0),
    "raises": (fail, 1),
    "exits": (lambda: sys.exit(7), 7),
    "says why": (lambda: sys.exit("why"), 1),
    "calls": (lambda: snakepit.get(double.remote(1)), 1),
    "puts": (lambda: snakepit.put(b"x" * 1_000_000), 1),
}


@snakepit.remote(max_retries=0)
def forks(end: Callable[[], Any]) -> Any:
    return fork_and(end)


@snakepit.remote(max_retries=0)
def yields(end: Callable[[], Any]) -> Any:
    yield "first"
    yield fork_and(end)


@snakepit.remote
class Forking:
    def fork(self, end: Callable[[], Any]) -> Any:
        return fork_and(end)


@snakepit.remote
class AsyncForking:
    async def fork(self, end: Callable[[], Any]) -> Any:
        return fork_and(end)


@pytest.mark.parametrize("how", ENDS)
def test_a_child_of_a_worker_ends_where_the_call_ends(how: str) -> None:
    """It has the worker's sockets and the user's function on its stack, and answers nobody."""
    end, code = ENDS[how]
    refs = [forks.remote(end) for _ in range(4)]
    assert snakepit.get(refs, timeout=PATIENCE_S) == [code] * 4
    items = [snakepit.get(ref, timeout=PATIENCE_S) for ref in yields.remote(end)]
    assert items == ["first", code]
    works_on()
    assert not snakepit.pool().stats()["crashes"]


@pytest.mark.parametrize("how", ENDS)
def test_a_child_of_an_actor_ends_where_the_call_ends(how: str) -> None:
    end, code = ENDS[how]
    for kind in (Forking, Forking.options(max_concurrency=2), AsyncForking):
        actor: Any = kind.remote()
        refs = [actor.fork.remote(end) for _ in range(3)]
        assert snakepit.get(refs, timeout=PATIENCE_S) == [code] * 3
    del actor
    works_on()
