"""Queue: order, room, waiting, batches, other processes, and its end."""

from __future__ import annotations

import asyncio
import queue
from typing import Any

import numpy as np
import pytest

import snakepit
from snakepit.errors import ActorDiedError, OptionError, SerializationError, TaskCancelledError
from snakepit.util.queue import Empty, Full, Queue
from tests.runtime.helpers import Gate, wait_until

pytestmark = pytest.mark.usefixtures("runtime")


@snakepit.remote
def put(to: Queue[Any], items: list[Any]) -> None:
    for item in items:
        to.put(item)


@snakepit.remote
def take(source: Queue[Any], count: int) -> list[Any]:
    return [source.get() for _ in range(count)]


def waiting(made: Queue[Any]) -> int:
    """How many calls wait in the queue's actor."""
    count: int = snakepit.get(made.actor.waiting.remote())
    return count


def test_first_in_first_out() -> None:
    made: Queue[int] = Queue()
    for number in range(5):
        made.put(number)
    assert made.qsize() == made.size() == len(made) == 5
    assert [made.get() for _ in range(5)] == list(range(5))
    assert made.empty()
    assert not made.full()


def test_a_full_queue_has_no_room() -> None:
    made: Queue[str] = Queue(maxsize=1)
    made.put("a", timeout=60)
    assert made.full()
    with pytest.raises(Full, match=r"maxsize=1\) has no room"):
        made.put_nowait("b")
    with pytest.raises(queue.Full, match=r"after 0\.01 s"):
        made.put("b", timeout=0.01)
    assert made.get_nowait() == "a"
    assert made.qsize() == 0


def test_an_empty_queue_has_no_item() -> None:
    made: Queue[str] = Queue()
    with pytest.raises(Empty, match="no item"):
        made.get_nowait()
    with pytest.raises(queue.Empty, match=r"after 0\.01 s"):
        made.get(timeout=0.01)
    with pytest.raises(Empty):
        made.get(block=False, timeout=60)
    with pytest.raises(Empty):
        made.get(timeout=0)


def test_who_waits_for_an_item_gets_it() -> None:
    made: Queue[Any] = Queue()
    taken = take.remote(made, 3)
    for item in ("a", None, {"c": 3}):
        made.put(item)
    assert snakepit.get(taken) == ["a", None, {"c": 3}]


def test_who_waits_for_room_gets_it() -> None:
    made: Queue[int] = Queue(maxsize=2)
    done = put.remote(made, list(range(6)))
    assert [made.get() for _ in range(6)] == list(range(6))
    snakepit.get(done)


def test_many_may_wait() -> None:
    made: Queue[int] = Queue()
    refs = [made.actor.get.remote(None) for _ in range(1500)]  # more than a thousand
    made.put_nowait_batch(range(1500))
    assert sorted(number for (number,) in snakepit.get(refs)) == list(range(1500))


def test_batches_are_whole_or_not_at_all() -> None:
    made: Queue[int] = Queue(maxsize=3)
    made.put_nowait_batch(range(2))
    with pytest.raises(Full, match="no room for 2 items"):
        made.put_nowait_batch([8, 9])
    with pytest.raises(Empty, match="fewer than 3 items"):
        made.get_nowait_batch(3)
    assert made.get_nowait_batch(0) == []
    made.put_nowait_batch([])
    assert made.get_nowait_batch(2) == [0, 1]
    assert made.empty()


def test_coroutines_wait_without_blocking() -> None:
    made: Queue[int] = Queue(maxsize=1)

    async def both() -> list[int]:
        async def fill() -> None:
            for number in range(4):
                await made.put_async(number)

        filling = asyncio.ensure_future(fill())
        taken = [await made.get_async(timeout=60) for _ in range(4)]
        await filling
        with pytest.raises(Empty):
            await made.get_async(timeout=0.01)
        with pytest.raises(Empty):
            await made.get_async(block=False)
        return taken

    assert asyncio.run(both()) == [0, 1, 2, 3]


def test_a_cancelled_coroutine_takes_nothing() -> None:
    made: Queue[str] = Queue()

    async def give_up() -> None:
        getting = asyncio.ensure_future(made.get_async())
        while not await asyncio.to_thread(waiting, made):
            await asyncio.sleep(0)
        getting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await getting

    asyncio.run(give_up())
    assert wait_until(lambda: not waiting(made))
    made.put("for others")
    assert made.get(timeout=60) == "for others"


def test_a_cancelled_task_takes_nothing() -> None:
    made: Queue[str] = Queue()
    taken = take.remote(made, 1)
    assert wait_until(lambda: waiting(made))
    snakepit.cancel(taken)
    with pytest.raises(TaskCancelledError):
        snakepit.get(taken)
    assert wait_until(lambda: not waiting(made))
    made.put("for others")
    assert made.get(timeout=60) == "for others"


def test_large_items_and_references() -> None:
    made: Queue[Any] = Queue()
    array = np.arange(100_000)
    made.put(array)
    made.put(snakepit.put("its value"))
    assert (made.get() == array).all()
    assert made.get() == "its value"


def test_what_cannot_be_sent_is_named() -> None:
    made: Queue[Any] = Queue()
    with pytest.raises(SerializationError, match=r"args\[0\]"):
        made.put(item for item in "generator")
    assert made.empty()


def test_options_reach_the_actor() -> None:
    made: Queue[int] = Queue(actor_options={"name": "line"})
    assert snakepit.get_actor("line") == made.actor
    assert "maxsize=0" in repr(made)


def test_shutdown_lets_those_who_wait_come_to_their_end(gate: Gate) -> None:
    made: Queue[int] = Queue()

    @snakepit.remote
    def feed(to: Queue[int]) -> None:
        gate.wait()
        to.put(5)

    taken = take.remote(made, 1)
    assert wait_until(lambda: waiting(made))
    feeding = feed.remote(made)
    gate.open()
    made.shutdown(grace_period_s=60)
    assert snakepit.get(taken) == [5]
    snakepit.get(feeding)
    with pytest.raises(ActorDiedError):
        made.put(6)
    made.shutdown()


@pytest.mark.parametrize("how", [{"force": True}, {"grace_period_s": 0}])
def test_shutdown_fails_those_who_wait(how: dict[str, Any]) -> None:
    made: Queue[int] = Queue()
    taken = take.remote(made, 1)
    assert wait_until(lambda: waiting(made))
    made.shutdown(**how)
    with pytest.raises(ActorDiedError):
        snakepit.get(taken)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda made: Queue("3"), TypeError, "maxsize must be .* not '3'"),
        (lambda made: Queue(True), TypeError, "maxsize must be .* not True"),
        (lambda made: Queue(actor_options=3), TypeError, "actor_options must be .* not 3"),
        (lambda made: Queue(actor_options={"num_cpus": -1}), OptionError, "num_cpus"),
        (lambda made: Queue(actor_options={"cpus": 1}), TypeError, "no option 'cpus'"),
        (lambda made: made.put(1, timeout=-1), ValueError, "timeout must be .* not -1"),
        (lambda made: made.put(1, block=2), TypeError, "block must be .* not 2"),
        (lambda made: made.get(timeout="1"), TypeError, "timeout must be .* not '1'"),
        (lambda made: made.get_nowait_batch(-1), ValueError, "num_items must be .* not -1"),
        (lambda made: made.get_nowait_batch("2"), TypeError, "num_items must be .* not '2'"),
        (lambda made: made.put_nowait_batch(3), TypeError, "items must be .* not 3"),
        (lambda made: made.shutdown(force=1), TypeError, "force must be .* not 1"),
        (
            lambda made: made.shutdown(grace_period_s=-1),
            ValueError,
            "grace_period_s must .* -1",
        ),
    ],
)
def test_bad_input_is_named(call: Any, error: type[Exception], text: str) -> None:
    made: Queue[int] = Queue()
    with pytest.raises(error, match=text):
        call(made)
    assert made.empty()
