"""Actors that run calls side by side: coroutines, threads, concurrency groups."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from tests.conformance.marks import differs, not_inline
from tests.runtime.helpers import wait_until

pytestmark = not_inline("calls run one after the other")


@pytest.fixture
def board_class(ray: Any) -> Any:
    """Coroutines, of which one wakes the others."""

    @ray.remote
    class Board:
        def __init__(self) -> None:
            self.event = asyncio.Event()
            self.waiting = 0

        async def wait(self) -> str:
            self.waiting += 1
            await self.event.wait()
            return "woken"

        async def wake(self) -> None:
            self.event.set()

        async def count(self) -> int:
            return self.waiting

        async def fails(self) -> None:
            await asyncio.sleep(0)
            raise KeyError("inside")

        async def awaits(self, box: Any) -> Any:
            return await box[0]

        async def gathers(self, box: Any) -> Any:
            return await asyncio.gather(*box)

        async def thread(self) -> int:
            return threading.get_ident()

    return Board


def test_coroutines_run_side_by_side(ray: Any, board_class: Any) -> None:
    board = board_class.remote()
    waiting = [board.wait.remote() for _ in range(50)]
    assert wait_until(lambda: ray.get(board.count.remote()) == 50)
    ray.get(board.wake.remote())
    assert ray.get(waiting) == ["woken"] * 50


def test_coroutines_share_a_thread(ray: Any, board_class: Any) -> None:
    board = board_class.remote()
    assert len(set(ray.get([board.thread.remote() for _ in range(5)]))) == 1


def test_a_coroutines_error_arrives(ray: Any, board_class: Any) -> None:
    board = board_class.remote()
    with pytest.raises(KeyError, match="inside"):
        ray.get(board.fails.remote())
    assert ray.get(board.count.remote()) == 0


def test_max_concurrency_bounds_coroutines(ray: Any, board_class: Any) -> None:
    board = board_class.options(max_concurrency=2).remote()
    waiting = [board.wait.remote(), board.wake.remote()]
    assert ray.get(waiting) == ["woken", None]


def test_one_coroutine_at_a_time(ray: Any, board_class: Any) -> None:
    board = board_class.options(max_concurrency=1).remote()
    waiting, waking = board.wait.remote(), board.wake.remote()
    assert ray.wait([waiting, waking], timeout=0.2)[0] == []
    ray.kill(board)


def test_a_coroutine_awaits_a_reference(ray: Any, board_class: Any) -> None:
    board = board_class.remote()
    assert ray.get(board.awaits.remote([ray.put("x")])) == "x"


def test_a_coroutine_awaits_a_failure(ray: Any, board_class: Any) -> None:
    @ray.remote
    def fails() -> None:
        raise OSError("task")

    board = board_class.remote()
    with pytest.raises(OSError, match="task"):
        ray.get(board.awaits.remote([fails.remote()]))


def test_a_coroutine_gathers_references(ray: Any, board_class: Any) -> None:
    @ray.remote
    def double(x: int) -> int:
        return 2 * x

    board = board_class.remote()
    refs = [double.remote(i) for i in range(5)]
    assert ray.get(board.gathers.remote(refs)) == [0, 2, 4, 6, 8]


def test_others_run_while_a_coroutine_awaits_a_reference(
    ray: Any, board_class: Any, gate: Any
) -> None:
    @ray.remote
    def slow() -> str:
        gate.wait()
        return "late"

    board = board_class.remote()
    late = board.awaits.remote([slow.remote()])
    assert ray.get(board.count.remote()) == 0
    gate.open()
    assert ray.get(late) == "late"


def test_one_coroutine_method_makes_the_actor_async(ray: Any) -> None:
    @ray.remote
    class Mixed:
        async def coroutine(self) -> str:
            return "coroutine"

        def plain(self) -> str:
            return "plain"

    mixed = Mixed.remote()
    assert ray.get([mixed.coroutine.remote(), mixed.plain.remote()]) == ["coroutine", "plain"]


def test_context_variables_are_a_calls_own(ray: Any) -> None:
    import contextvars

    @ray.remote
    class Marks:
        def __init__(self) -> None:
            self.mark: Any = contextvars.ContextVar("mark", default=0)

        async def set(self, number: int) -> tuple[int, int]:
            before = self.mark.get()
            self.mark.set(number)
            await asyncio.sleep(0.001)
            return before, self.mark.get()

    marks = Marks.remote()
    assert ray.get([marks.set.remote(i) for i in (1, 2, 3)]) == [(0, 1), (0, 2), (0, 3)]


def test_threads_run_side_by_side(ray: Any, tally: Any) -> None:
    @ray.remote(max_concurrency=3)
    class Meets:
        def __init__(self) -> None:
            self.barrier = threading.Barrier(3)

        def meet(self) -> str:
            self.barrier.wait(timeout=60)
            return "met"

    meets = Meets.remote()
    assert ray.get([meets.meet.remote() for _ in range(3)]) == ["met"] * 3


def test_threads_share_the_state(ray: Any) -> None:
    @ray.remote(max_concurrency=4)
    class Counts:
        def __init__(self) -> None:
            self.n, self.lock = 0, threading.Lock()

        def add(self) -> None:
            with self.lock:
                self.n += 1

        def value(self) -> int:
            return self.n

    counts = Counts.remote()
    ray.get([counts.add.remote() for _ in range(50)])
    assert ray.get(counts.value.remote()) == 50


def test_an_error_in_a_thread_arrives(ray: Any) -> None:
    @ray.remote(max_concurrency=2)
    class Fails:
        def fails(self) -> None:
            raise KeyError("thread")

    with pytest.raises(KeyError, match="thread"):
        ray.get(Fails.remote().fails.remote())


def test_a_group_is_not_held_up_by_another(ray: Any, gate: Any) -> None:
    @ray.remote(concurrency_groups={"slow": 1, "quick": 1})
    class Grouped:
        @ray.method(concurrency_group="slow")
        def hold(self) -> str:
            gate.wait()
            return "held"

        @ray.method(concurrency_group="quick")
        def look(self) -> str:
            return "looked"

        def plain(self) -> str:
            return "plain"

    grouped = Grouped.remote()
    held = grouped.hold.remote()
    assert ray.get([grouped.look.remote(), grouped.plain.remote()]) == ["looked", "plain"]
    gate.open()
    assert ray.get(held) == "held"


def test_a_group_of_coroutines_is_bounded(ray: Any, gate: Any, tally: Any) -> None:
    @ray.remote(concurrency_groups={"io": 2})
    class Grouped:
        @ray.method(concurrency_group="io")
        async def hold(self) -> int:
            number: int = tally.add()
            while not gate.is_open:
                await asyncio.sleep(0.005)
            return number

    grouped = Grouped.remote()
    holding = [grouped.hold.remote() for _ in range(3)]
    assert wait_until(lambda: tally.count == 2)
    assert ray.wait(holding, timeout=0.1)[0] == []
    assert tally.count == 2
    gate.open()
    assert sorted(ray.get(holding)) == [1, 2, 3]


@differs(
    "The coroutines of all concurrency groups share one event loop, in Ray each group has its own.",
    because="an `asyncio.Event` or lock of the actor then works across its groups.",
)
def test_groups_of_coroutines_and_their_loop(ray: Any, expect: Any) -> None:
    @ray.remote(concurrency_groups={"io": 2})
    class Grouped:
        async def here(self) -> int:
            return threading.get_ident()

        @ray.method(concurrency_group="io")
        async def there(self) -> int:
            return threading.get_ident()

    grouped = Grouped.remote()
    threads = {*ray.get([grouped.here.remote(), grouped.there.remote()])}
    assert len(threads) == expect(snakepit=1, ray=2)


def test_a_group_can_be_said_at_the_call(ray: Any, gate: Any) -> None:
    @ray.remote(concurrency_groups={"slow": 1})
    class Grouped:
        def hold(self) -> str:
            gate.wait()
            return "held"

        def look(self) -> str:
            return "looked"

    grouped = Grouped.remote()
    held = grouped.hold.options(concurrency_group="slow").remote()
    assert ray.get(grouped.look.remote()) == "looked"
    gate.open()
    assert ray.get(held) == "held"


def test_a_group_that_is_not_there(ray: Any) -> None:
    @ray.remote(concurrency_groups={"io": 1})
    class Grouped:
        def look(self) -> str:
            return "looked"

    grouped = Grouped.remote()
    with pytest.raises((ValueError, ray.exceptions.RayError)):
        ray.get(grouped.look.options(concurrency_group="missing").remote())


def test_methods_without_a_group_share_max_concurrency(ray: Any, gate: Any, tally: Any) -> None:
    @ray.remote(max_concurrency=2, concurrency_groups={"io": 1})
    class Grouped:
        def hold(self) -> int:
            number: int = tally.add()
            gate.wait()
            return number

        @ray.method(concurrency_group="io")
        def look(self) -> str:
            return "looked"

    grouped = Grouped.remote()
    holding = [grouped.hold.remote() for _ in range(3)]
    assert wait_until(lambda: tally.count == 2)
    assert ray.get(grouped.look.remote()) == "looked"
    assert tally.count == 2
    gate.open()
    assert sorted(ray.get(holding)) == [1, 2, 3]


def test_methods_without_a_group_run_one_at_a_time(ray: Any, gate: Any, tally: Any) -> None:
    @ray.remote(concurrency_groups={"io": 2})
    class Grouped:
        def hold(self) -> int:
            number: int = tally.add()
            gate.wait()
            return number

        @ray.method(concurrency_group="io")
        def look(self) -> str:
            return "looked"

    grouped = Grouped.remote()
    holding = [grouped.hold.remote() for _ in range(2)]
    assert wait_until(lambda: tally.count == 1)
    assert ray.get([grouped.look.remote() for _ in range(3)]) == ["looked"] * 3
    assert tally.count == 1
    gate.open()
    assert ray.get(holding) == [1, 2]


@differs(
    "`exit_actor` ends an actor's other coroutines too, in Ray it waits for them.",
    because="an actor that leaves is gone at once; a coroutine that waits for ever would keep it.",
)
def test_exit_actor_ends_the_coroutines_that_wait(ray: Any, tally: Any, expect: Any) -> None:
    @ray.remote
    class Leaves:
        async def wait(self) -> None:
            tally.add()
            await asyncio.Event().wait()

        async def leave(self) -> None:
            ray.actor.exit_actor()

    leaves = Leaves.remote()
    waiting = [leaves.wait.remote() for _ in range(3)]
    assert wait_until(lambda: tally.count == 3)
    with pytest.raises(ray.exceptions.RayActorError):
        ray.get(leaves.leave.remote())
    ended, _ = ray.wait(waiting, num_returns=3, timeout=expect(snakepit=60, ray=1))
    assert len(ended) == expect(snakepit=3, ray=0)
    ray.kill(leaves)
