"""Inline mode: calls run here, at once, and mean what they mean in processes."""

from __future__ import annotations

import asyncio
import decimal
import gc
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import snakepit
from snakepit import errors, protocol
from tests.runtime.helpers import Tally


@pytest.fixture(autouse=True)
def runtime() -> Iterator[Any]:
    context = snakepit.init(
        mode="inline", num_cpus=2, num_gpus=2, resources={"camera": 1}, namespace="lab"
    )
    try:
        yield context
    finally:
        snakepit.shutdown()


@snakepit.remote
def double(x: Any) -> Any:
    return 2 * x


@snakepit.remote
class Counter:
    def __init__(self, start: int = 0) -> None:
        self.n = start

    def add(self, k: int = 1) -> int:
        self.n += k
        return self.n

    def me(self) -> Any:
        return snakepit.get_runtime_context().current_actor

    def twice(self) -> int:
        me = snakepit.get_runtime_context().current_actor
        snakepit.get(me.add.remote())
        return int(snakepit.get(me.add.remote()))

    def leave(self) -> None:
        snakepit.exit_actor()

    def fail(self) -> None:
        raise LookupError("nothing here")


def objects() -> dict[int, Any]:
    """What the runtime holds, after all that was noted is counted."""
    gc.collect()
    runtime: Any = protocol.current()
    runtime._objects.count()
    return dict(runtime._objects.entries)


# --- calls ------------------------------------------------------------------------------------


def test_a_call_has_run_when_remote_returns_and_in_this_thread() -> None:
    ref = snakepit.remote(lambda: (os.getpid(), threading.get_ident())).remote()
    assert snakepit.get(ref, timeout=0) == (os.getpid(), threading.get_ident())


def test_a_breakpoint_stops_in_the_task(monkeypatch: pytest.MonkeyPatch) -> None:
    stops: list[Any] = []

    def stop() -> None:
        frame = sys._getframe(1)
        stops.append((frame.f_code.co_name, frame.f_code.co_filename, dict(frame.f_locals)))

    monkeypatch.setattr(sys, "breakpointhook", stop)

    @snakepit.remote
    def look(x: int) -> int:
        y = x + 1
        breakpoint()  # noqa: T100
        return y

    ref = look.remote(1)
    assert stops == [("look", __file__, {"x": 1, "y": 2})]
    assert snakepit.get(ref) == 2


def test_arguments_and_results_are_copies() -> None:
    kept: list[Any] = []

    @snakepit.remote
    def change(items: list[int], kept: list[Any]) -> list[int]:
        items.append(2)
        kept.append(items)
        return items

    mine = [1]
    ref = change.remote(mine, kept)
    assert mine == [1] and kept == []
    first, second = snakepit.get(ref), snakepit.get(ref)
    assert first == second == [1, 2] and first is not second
    stored = snakepit.put(mine)
    mine.append(5)
    assert snakepit.get(stored) == [1]


def test_what_a_function_closes_over_is_as_it_was_at_its_first_call() -> None:
    base = {"n": 1}
    look = snakepit.remote(lambda: base["n"])
    assert snakepit.get(look.remote()) == 1
    base["n"] = 2
    assert snakepit.get(look.remote()) == 1


@pytest.mark.parametrize("size", [10, 100_000])
def test_arrays_come_back_read_only(size: int) -> None:
    @snakepit.remote
    def writable(array: Any) -> bool:
        return bool(array.flags.writeable)

    array = np.arange(size)
    ref = snakepit.put(array)
    array[0] = 7
    assert snakepit.get(ref)[0] == 0
    assert not snakepit.get(ref).flags.writeable
    assert snakepit.get([writable.remote(array), writable.remote(ref)]) == [False, False]
    with pytest.raises(ValueError, match="read-only"):
        snakepit.get(ref)[0] = 1


def test_references_are_resolved_at_the_top_and_pass_below() -> None:
    @snakepit.remote
    def kinds(a: Any, b: Any, *, c: Any) -> tuple[Any, str, Any]:
        return a, type(b[0]).__name__, c

    one = double.remote(1)
    assert snakepit.get(kinds.remote(one, [one], c=double.remote(one))) == (2, "ObjectRef", 4)


def test_nested_calls() -> None:
    @snakepit.remote
    def fib(n: int) -> int:
        return n if n < 2 else sum(snakepit.get([fib.remote(n - 1), fib.remote(n - 2)]))

    assert snakepit.get(fib.remote(8)) == 21


def test_several_returns_and_none() -> None:
    @snakepit.remote
    def pair(*items: int) -> tuple[int, ...]:
        return items

    first, second = pair.options(num_returns=2).remote(1, 2)
    assert snakepit.get([second, first]) == [2, 1]
    assert pair.options(num_returns=0).remote() is None
    wrong = pair.options(num_returns=2).remote(1)
    with pytest.raises(ValueError, match="num_returns=2 but returned 1 values"):
        snakepit.get(wrong[1])


def test_a_context_variable_set_in_a_call_stays_there() -> None:
    @snakepit.remote
    def short() -> int:
        decimal.setcontext(decimal.Context(prec=5))  # which is one
        return decimal.getcontext().prec

    before = decimal.getcontext().prec
    assert snakepit.get(short.remote()) == 5 != before == decimal.getcontext().prec


# --- errors -----------------------------------------------------------------------------------


def test_errors_are_wrapped_as_in_processes() -> None:
    @snakepit.remote
    def parse(text: str) -> int:
        return int(text)

    ref = parse.remote("seven")
    with pytest.raises(ValueError, match="seven") as caught:
        snakepit.get(ref)
    assert isinstance(caught.value, errors.TaskError)
    assert type(caught.value.cause) is ValueError
    assert "return int(text)" in str(caught.value)
    with pytest.raises(errors.TaskError, match="parse failed"):
        snakepit.get(double.remote(ref))


def test_sys_exit_is_an_error_of_the_task() -> None:
    with pytest.raises(errors.TaskError):
        snakepit.get(snakepit.remote(lambda: sys.exit(3)).remote())


def test_what_is_meant_for_the_driver_goes_up() -> None:
    class BdbQuit(Exception):
        pass

    for kind in (KeyboardInterrupt, BdbQuit):

        def stop(kind: type[BaseException] = kind) -> None:
            raise kind

        call = snakepit.remote(stop)
        try:
            call.remote()
        except BaseException as error:
            assert type(error).__name__ == kind.__name__
        else:
            pytest.fail("it was kept")
    assert objects() == {}


def test_what_cannot_be_pickled_is_named() -> None:
    with pytest.raises(errors.SerializationError, match=r"args\[0\]"):
        double.remote(threading.Lock())
    with pytest.raises(errors.SerializationError):
        snakepit.get(snakepit.remote(lambda: threading.Lock()).remote())


def test_retries(tmp_path: Path) -> None:
    @snakepit.remote(max_retries=2, retry_exceptions=[OSError])
    def flaky(tally: Tally, good: int) -> int:
        if tally.add() < good:
            raise OSError("not yet")
        return tally.count

    once, twice, thrice = (Tally(str(tmp_path / str(n))) for n in range(3))
    assert snakepit.get(flaky.remote(once, 3)) == 3
    with pytest.raises(OSError, match="not yet"):
        snakepit.get(flaky.remote(twice, 5))
    assert twice.count == 3
    with pytest.raises(OSError, match="not yet"):
        snakepit.get(flaky.options(retry_exceptions=[ValueError]).remote(thrice, 5))
    assert thrice.count == 1


@pytest.mark.parametrize(
    "wanted",
    [{"num_cpus": 3}, {"num_gpus": 3}, {"resources": {"camera": 2}}, {"resources": {"tape": 1}}],
)
def test_what_can_never_fit_fails_at_once(wanted: Any) -> None:
    with pytest.raises(errors.TaskUnschedulableError, match="this runtime has 2 CPU"):
        snakepit.get(double.options(**wanted).remote(1))
    with pytest.raises(errors.ActorUnschedulableError, match="this runtime has 2 CPU"):
        snakepit.get(Counter.options(**wanted).remote().add.remote())


# --- waiting and cancelling -------------------------------------------------------------------


def test_wait_and_timeouts() -> None:
    refs = [double.remote(i) for i in range(3)]
    assert snakepit.wait(refs, num_returns=2, timeout=0) == (refs[:2], refs[2:])
    assert snakepit.wait(refs, num_returns=3) == (refs, [])
    assert snakepit.get(refs, timeout=1e9) == [0, 2, 4]


def test_another_threads_call_is_waited_for() -> None:
    entered, leave, made = threading.Event(), threading.Event(), threading.Event()
    found: list[Any] = []
    sys.modules[__name__].__dict__["EVENTS"] = (entered, leave)

    def block() -> str:
        first, second = sys.modules["tests.inline.test_inline"].__dict__["EVENTS"]
        first.set()
        assert second.wait(30)
        return "done"

    def run() -> None:
        found.append(snakepit.remote(block).remote())
        made.set()

    thread = threading.Thread(target=run)
    thread.start()
    assert entered.wait(30)
    runtime: Any = protocol.current()
    (identifier,) = runtime._objects.entries
    runtime.hold(identifier)
    ref: Any = snakepit.ObjectRef(runtime, identifier)
    with pytest.raises(errors.GetTimeoutError, match="1 of 1 results"):
        snakepit.get(ref, timeout=0.001)
    assert snakepit.wait([ref], timeout=0) == ([], [ref])
    with pytest.raises(errors.NotSupportedError, match=r"cancel.* of .*block, which runs"):
        snakepit.cancel(ref)
    future = ref.future()
    leave.set()
    assert snakepit.get(ref) == future.result(30) == "done"
    thread.join()


def test_what_has_ended_can_be_cancelled_in_vain() -> None:
    ref = double.remote(1)
    snakepit.cancel(ref)
    snakepit.cancel(ref, force=True)
    assert snakepit.get(ref) == 2


def test_awaiting_in_the_driver() -> None:
    async def main() -> Any:
        counter = Counter.remote()
        return await double.remote(4), await asyncio.gather(*[counter.add.remote()] * 2)

    assert asyncio.run(main()) == (8, [1, 1])


# --- actors -----------------------------------------------------------------------------------


def test_an_actor_keeps_its_state() -> None:
    counter = Counter.remote(5)
    assert snakepit.get([counter.add.remote(), counter.add.remote(k=2)]) == [6, 8]
    assert snakepit.get(counter.twice.remote()) == 10


def test_names() -> None:
    counter = Counter.options(name="hits").remote()
    assert snakepit.get_actor("hits") == counter
    assert snakepit.get_actor("hits", namespace="lab") == counter
    with pytest.raises(errors.ActorAlreadyExistsError, match="'hits' exists in namespace 'lab'"):
        Counter.options(name="hits").remote()
    with pytest.raises(ValueError, match="no actor named 'hits' lives in namespace 'else'"):
        snakepit.get_actor("hits", namespace="else")
    del counter
    gc.collect()
    with pytest.raises(ValueError, match="no actor named 'hits'"):
        snakepit.get_actor("hits")
    assert Counter.options(name="hits").remote() is not None


def test_an_actor_ends_with_its_last_handle() -> None:
    call = snakepit.remote(lambda actor: snakepit.get(actor.add.remote()))
    counter = Counter.remote()
    assert snakepit.get(call.remote(counter)) == 1
    del counter
    assert objects() == {}


@pytest.mark.parametrize("end", ["kill", "exit"])
def test_the_end_of_an_actor(end: str) -> None:
    counter = Counter.options(name="ends").remote()
    if end == "kill":
        snakepit.kill(counter)
        text = r"kill\(\) ended it"
    else:
        with pytest.raises(errors.ActorDiedError, match="exit_actor"):
            snakepit.get(counter.leave.remote())
        text = "it ended itself"
    with pytest.raises(errors.ActorDiedError, match=text):
        snakepit.get(counter.add.remote())
    with pytest.raises(ValueError, match="no actor"):
        snakepit.get_actor("ends")


def test_a_killed_actor_is_made_again_if_it_may() -> None:
    counter = Counter.options(max_restarts=1).remote(3)
    assert snakepit.get(counter.add.remote()) == 4
    snakepit.kill(counter, no_restart=False)
    assert snakepit.get(counter.add.remote()) == 4
    snakepit.kill(counter, no_restart=False)
    with pytest.raises(errors.ActorDiedError):
        snakepit.get(counter.add.remote())


def test_a_constructor_that_raises() -> None:
    @snakepit.remote
    class Broken:
        def __init__(self) -> None:
            raise LookupError("no such thing")

        def ping(self) -> None:
            pass

    broken = Broken.remote()
    with pytest.raises(errors.ActorDiedError, match="no such thing") as caught:
        snakepit.get(broken.ping.remote())
    assert isinstance(caught.value.__cause__, LookupError)


def test_an_argument_of_a_constructor_that_is_an_error() -> None:
    counter = Counter.remote(double.remote(None))
    with pytest.raises(errors.ActorDiedError, match="an argument of its constructor"):
        snakepit.get(counter.add.remote())


def test_a_method_that_raises_leaves_the_actor() -> None:
    counter = Counter.remote()
    with pytest.raises(LookupError, match="nothing here"):
        snakepit.get(counter.fail.remote())
    assert snakepit.get(counter.add.remote()) == 1


# --- coroutines -------------------------------------------------------------------------------


class Board:
    def __init__(self) -> None:
        self.lit = asyncio.Event()
        self.loop = asyncio.get_running_loop()

    async def light(self, ref: Any) -> Any:
        await asyncio.sleep(0)
        self.lit.set()
        assert asyncio.get_running_loop() is self.loop
        return await ref[0]

    async def wait(self) -> str:
        await self.lit.wait()
        return "lit"

    def plain(self) -> bool:
        return asyncio.get_running_loop() is self.loop


def test_coroutines_run_to_their_end() -> None:
    board = snakepit.remote(Board).remote()
    assert snakepit.get(board.light.remote([double.remote(2)])) == 4
    assert snakepit.get(board.wait.remote()) == "lit"
    assert snakepit.get(board.plain.remote()) is True


def test_a_wait_that_nobody_can_end_says_so() -> None:
    board = snakepit.remote(Board).remote()
    with pytest.raises(errors.NotSupportedError, match="a coroutine waits for what nobody will do"):
        snakepit.get(board.wait.remote())
    assert snakepit.get(board.light.remote([double.remote(2)])) == 4


def test_coroutines_called_from_a_coroutine_of_the_driver() -> None:
    async def main() -> Any:
        board = snakepit.remote(Board).remote()
        return await board.light.remote([double.remote(3)])

    assert asyncio.run(main()) == 6


def test_coroutines_that_call_other_actors() -> None:
    @snakepit.remote
    class Caller:
        async def call(self, other: Any) -> Any:
            return await other.light.remote([snakepit.put(1)])

    board = snakepit.remote(Board).remote()
    assert snakepit.get(Caller.remote().call.remote(board)) == 1


# --- where it runs ----------------------------------------------------------------------------


def test_the_context_of_a_call() -> None:
    @snakepit.remote(num_cpus=1, num_gpus=0.5)
    def here() -> Any:
        context = snakepit.get_runtime_context()
        return (
            context.get_task_id(),
            context.get_task_name(),
            context.get_assigned_resources(),
            snakepit.get_gpu_ids(),
            context.namespace,
        )

    ref = here.remote()
    assigned = {"CPU": 1.0, "GPU": 0.5}
    assert snakepit.get(ref) == (ref.hex(), here.__name__, assigned, [0], "lab")
    assert snakepit.get_runtime_context().get_task_id() is None
    assert snakepit.cluster_resources()["camera"] == 1.0


def test_the_context_of_an_actor() -> None:
    counter = Counter.options(name="own").remote()
    assert snakepit.get(counter.me.remote()) == counter
    with pytest.raises(TypeError, match="exit_actor"):
        snakepit.exit_actor()


def test_init_and_shutdown_inside_a_call() -> None:
    @snakepit.remote
    def nested() -> Any:
        with snakepit.init() as context:
            pass
        snakepit.shutdown()
        return context["run"]

    assert snakepit.get(nested.remote()) == snakepit.get_runtime_context().get_job_id()
    assert snakepit.is_initialized()


def test_nothing_is_held_when_all_is_dropped() -> None:
    counter = Counter.remote()
    refs = [double.remote([snakepit.put(i)]) for i in range(3)]
    refs.append(counter.add.remote())
    nested = snakepit.put([snakepit.put(refs)])
    assert snakepit.get(snakepit.get(snakepit.get(nested)[0])[3]) == 1
    del counter, refs, nested
    assert objects() == {}


def test_after_the_shutdown() -> None:
    ref, counter = double.remote(1), Counter.remote()
    snakepit.shutdown()
    for use in (lambda: snakepit.get(ref), lambda: counter.add.remote()):
        with pytest.raises(errors.RuntimeClosedError):
            use()
    snakepit.init(mode="inline")
    with pytest.raises(errors.StaleReferenceError):
        snakepit.get(ref)


def test_what_starts_at_a_second_init() -> None:
    with pytest.raises(RuntimeError, match="is running already"):
        snakepit.init(mode="inline")


@pytest.mark.parametrize(
    ("value", "error"),
    [("local", errors.OptionError), (1, TypeError), (True, TypeError), ("", errors.OptionError)],
)
def test_a_wrong_mode_is_named(value: Any, error: type[Exception]) -> None:
    snakepit.shutdown()
    with pytest.raises(error, match='mode must be "process" or "inline"'):
        snakepit.init(mode=value)


def test_the_variable_chooses_it(monkeypatch: pytest.MonkeyPatch) -> None:
    snakepit.shutdown()
    monkeypatch.setenv("SNAKEPIT_MODE", "inline")
    assert snakepit.get(snakepit.remote(os.getpid).remote()) == os.getpid()


def test_the_readmes_first_program(tmp_path: Path) -> None:
    readme = Path(__file__).parents[2] / "README.md"
    program = readme.read_text().partition("```python\n")[2].partition("```")[0]
    script = tmp_path / "program.py"
    script.write_text(f"{program}\nprint(snakepit.get_runtime_context().get_worker_id()[16:])\n")
    ran = subprocess.run(
        [sys.executable, "-W", "error", script],
        env={**os.environ, "SNAKEPIT_MODE": "inline"},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert ran.stderr == "" and ran.returncode == 0
    assert ran.stdout.splitlines() == ["[0, 1, 4, 9]", "0" * 16]


# --- generators -----------------------------------------------------------------------------------


@snakepit.remote
def numbers(n: int, fails: bool = False) -> Iterator[int]:
    yield from range(n)
    if fails:
        raise KeyError("the end")


def test_a_generator_runs_to_its_end_and_is_read_as_ever() -> None:
    generator = numbers.remote(3)
    assert generator.next_ready()
    assert snakepit.wait([generator]) == ([generator], [])
    assert [snakepit.get(ref) for ref in generator] == [0, 1, 2]
    assert generator.is_finished()
    assert snakepit.get(generator.completed()) is None
    made = snakepit.get(numbers.options(num_returns="dynamic").remote(3))
    assert snakepit.get(list(made)) == [0, 1, 2]


def test_the_error_of_a_generator_is_its_last_item() -> None:
    refs = list(numbers.remote(2, fails=True))
    assert snakepit.get(refs[:2]) == [0, 1]
    with pytest.raises(KeyError, match="the end"):
        snakepit.get(refs[2])
    again = numbers.options(retry_exceptions=True, max_retries=1).remote(2, fails=True)
    assert len(list(again)) == 3


def test_asynchronous_generators() -> None:
    @snakepit.remote
    class Source:
        async def count(self, n: int, fails: bool = False) -> Any:
            for x in range(n):
                await asyncio.sleep(0)
                yield x
            if fails:
                raise KeyError("the end")

    source = Source.remote()
    assert [snakepit.get(ref) for ref in source.count.remote(3)] == [0, 1, 2]
    assert len(list(source.count.remote(2, fails=True))) == 3

    async def read() -> list[int]:
        return [await ref async for ref in numbers.remote(3)]

    assert asyncio.run(read()) == [0, 1, 2]


def test_what_nobody_reads_goes_with_the_generator() -> None:
    inner: Any = protocol.current()
    before = len(inner._objects.entries)
    generator = numbers.remote(5, fails=True)
    next(generator)
    del generator
    gc.collect()
    inner._objects.count()
    assert len(inner._objects.entries) == before
    assert not inner._objects.streams


def test_environments_are_refused() -> None:
    env: Any = {"env_vars": {"A": "1"}}
    for use in (double.options(runtime_env=env).remote, Counter.options(runtime_env=env).remote):
        with pytest.raises(errors.NotSupportedError, match=r"runtime_env of .*: in inline"):
            use(1)
    snakepit.shutdown()
    with pytest.raises(errors.NotSupportedError, match=r"runtime_env of init\(\)"):
        snakepit.init(mode="inline", runtime_env=env)
    assert not snakepit.is_initialized()
