"""References: identity, counting, futures, awaiting, pickling, and the end of their runtime."""

from __future__ import annotations

import asyncio
import concurrent.futures
import copy
import gc
import pickle
import weakref
from typing import Any

import pytest

import snakepit
from snakepit import payload, protocol
from snakepit.api.refs import ObjectRef
from snakepit.errors import RuntimeClosedError, StaleReferenceError


@snakepit.remote
def double(number: int) -> int:
    return 2 * number


@snakepit.remote
def fail() -> None:
    raise ZeroDivisionError("nothing goes into nothing")


def test_a_reference_is_one_handle_and_its_end_is_reported(fake: Any) -> None:
    ref = double.remote(1)
    identifier = ref._id
    assert fake.handles[identifier] == 1
    del ref
    assert fake.handles[identifier] == 0


def test_identity(fake: Any, make_fake: Any) -> None:
    one, two = snakepit.put(1), snakepit.put(2)
    fake.hold(one._id)
    same = ObjectRef(fake, one._id)
    assert one == same and hash(one) == hash(same)
    assert one != two and one != one.hex()
    assert len({one, two, same}) == 2
    other = make_fake()
    assert ObjectRef(other, one._id) != one
    assert one.binary().hex() == one.hex() and len(one.hex()) == 32
    assert repr(one) == f"ObjectRef({one.hex()})"
    assert not isinstance(one, list) and bool(one)
    with pytest.raises(TypeError, match="not iterable"):
        iter(one)  # type: ignore[call-overload]


def test_copies_are_the_reference_itself(fake: Any) -> None:
    ref = snakepit.put(1)
    assert copy.copy(ref) is ref
    assert copy.deepcopy([ref]) == [ref]
    assert fake.handles[ref._id] == 1


def test_a_reference_that_was_never_made_dies_in_silence() -> None:
    with pytest.raises(TypeError):
        ObjectRef()  # type: ignore[call-arg]
    gc.collect()


def test_it_travels_inside_a_pack_and_is_counted_on_arrival(fake: Any) -> None:
    ref = snakepit.put("value")
    packed = payload.pack({"inner": [ref]}, what="a test")
    assert packed.refs == (ref._id,)
    found = payload.unpack(packed.parts)["inner"][0]
    assert found == ref and found is not ref
    assert fake.handles[ref._id] == 2
    del found
    assert fake.handles[ref._id] == 1


def test_it_is_pickled_nowhere_else(fake: Any) -> None:
    with pytest.raises(TypeError, match="references travel only"):
        pickle.dumps(snakepit.put(1))


def test_a_pickle_of_another_run_is_refused(fake: Any, make_fake: Any) -> None:
    parts = payload.pack([snakepit.put(1)], what="a test").parts
    protocol.install(make_fake())
    with pytest.raises(Exception, match="earlier runtime") as caught:
        payload.unpack(parts)
    causes = (caught.value, caught.value.__cause__)
    assert any(isinstance(cause, StaleReferenceError) for cause in causes)


def uses(ref: Any) -> list[Any]:
    async def wait_for() -> Any:
        return await ref

    return [
        lambda: snakepit.get(ref),
        lambda: snakepit.get(ref, timeout=0),
        lambda: snakepit.get([ref]),
        lambda: snakepit.wait([ref]),
        lambda: snakepit.cancel(ref),
        lambda: ref.future(),
        lambda: asyncio.run(wait_for()),
        lambda: ref.__reduce__(),
    ]


def test_after_shutdown_it_says_so(fake: Any) -> None:
    ref = snakepit.put(1)
    protocol.install(None)
    for use in uses(ref):
        with pytest.raises(RuntimeClosedError, match="was shut down"):
            use()
    assert not snakepit.is_initialized()


def test_under_a_new_runtime_it_says_so(fake: Any, make_fake: Any) -> None:
    ref = snakepit.put(1)
    protocol.install(make_fake())
    for use in uses(ref):
        with pytest.raises(StaleReferenceError, match="earlier runtime"):
            use()


def test_a_future_resolves_when_the_object_does(fake: Any) -> None:
    fake.paused = True
    future = double.remote(21).future()
    assert not future.done()
    fake.resume()
    assert future.result(timeout=5) == 42
    assert double.remote(1).future().result(timeout=5) == 2


def test_a_future_keeps_its_object(fake: Any) -> None:
    fake.paused = True
    ref = double.remote(1)
    identifier, future = ref._id, ref.future()
    del ref
    assert fake.handles[identifier] == 1
    fake.resume()
    assert future.result(timeout=5) == 2


def test_a_future_reports_the_error(fake: Any) -> None:
    assert isinstance(fail.remote().future().exception(timeout=5), ZeroDivisionError)


def test_a_cancelled_future_leaves_the_task_alone(fake: Any) -> None:
    fake.paused = True
    ref = double.remote(4)
    future = ref.future()
    assert future.cancel()
    fake.resume()
    assert snakepit.get(ref) == 8
    with pytest.raises(concurrent.futures.CancelledError):
        future.result(timeout=5)


def test_awaiting(fake: Any) -> None:
    async def main() -> Any:
        fake.paused = True
        one, two = double.remote(1), double.remote(2)
        waiting = asyncio.gather(one, two)
        asyncio.get_running_loop().call_soon(fake.resume)
        with pytest.raises(ZeroDivisionError):
            fake.resume()
            await fail.remote()
        return await waiting, await one

    assert asyncio.run(main()) == ([2, 4], 2)


def test_it_carries_nothing_else(fake: Any) -> None:
    ref = snakepit.put(1)
    with pytest.raises(TypeError, match="weak reference"):
        weakref.ref(ref)
    with pytest.raises(AttributeError):
        ref.note = 1  # type: ignore[attr-defined]
