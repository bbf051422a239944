"""get, put, wait, cancel, kill, exit_actor: arguments, order, errors."""

from __future__ import annotations

import threading
from typing import Any

import pytest

import snakepit
from snakepit.errors import GetTimeoutError
from snakepit.protocol import ActorExit


@snakepit.remote
def echo(value: Any) -> Any:
    return value


class Thing:
    pass


@snakepit.remote
def fail() -> None:
    raise KeyError("gone")


def test_get_one_and_many(fake: Any) -> None:
    refs = [snakepit.put(number) for number in range(5)]
    assert snakepit.get(refs[3]) == 3
    assert snakepit.get(refs[::-1]) == [4, 3, 2, 1, 0]
    assert snakepit.get([]) == []


def test_get_raises_what_failed(fake: Any) -> None:
    with pytest.raises(KeyError):
        snakepit.get([echo.remote(1), fail.remote()])


@pytest.mark.parametrize("wrong", [1, "ref", None, (), {}])
def test_get_takes_a_reference_or_a_list(fake: Any, wrong: Any) -> None:
    with pytest.raises(ValueError, match="a reference or a list"):
        snakepit.get(wrong)


def test_get_names_the_item_that_is_no_reference(fake: Any) -> None:
    with pytest.raises(TypeError, match="item 1 of the list is of type int"):
        snakepit.get([snakepit.put(1), 2])


@pytest.mark.parametrize("use", [snakepit.get, snakepit.wait])
def test_timeouts(fake: Any, use: Any) -> None:
    refs = [snakepit.put(1)]
    for wrong, error in ((-1, ValueError), (float("nan"), ValueError), ("1", TypeError)):
        with pytest.raises(error, match="timeout"):
            use(refs, timeout=wrong)
    use(refs, timeout=float("inf"))
    fake.paused = True
    with pytest.raises(GetTimeoutError):
        snakepit.get(echo.remote(1), timeout=0)
    with pytest.raises(TimeoutError):
        snakepit.get([echo.remote(1)], timeout=0.01)


def test_get_waits_for_another_thread(fake: Any) -> None:
    fake.paused = True
    ref = echo.remote("late")
    thread = threading.Thread(target=fake.resume)
    thread.start()
    assert snakepit.get(ref, timeout=10) == "late"
    thread.join()


def test_put_refuses_a_reference(fake: Any) -> None:
    with pytest.raises(TypeError, match="this is a reference"):
        snakepit.put(snakepit.put(1))
    assert len(snakepit.get(snakepit.put([snakepit.put(1)]))) == 1


def test_wait_keeps_the_order_and_returns_no_more_than_asked(fake: Any) -> None:
    fake.paused = True
    late = [echo.remote(number) for number in range(2)]
    done = [snakepit.put(number) for number in range(3)]
    refs = [late[0], done[2], done[0], late[1], done[1]]
    assert snakepit.wait(refs, num_returns=2) == ([done[2], done[0]], [*late, done[1]])
    ready, rest = snakepit.wait(refs, num_returns=5, timeout=0)
    assert (ready, rest) == ([done[2], done[0], done[1]], late)
    assert snakepit.wait(late, timeout=0.01) == ([], late)
    fake.resume()
    assert snakepit.wait(refs, num_returns=5) == (refs, [])


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        (lambda ref: ((ref,), {}), TypeError, "a list of references, not ObjectRef"),
        (lambda ref: (((ref,),), {}), TypeError, "not tuple"),
        (lambda ref: (([ref, 1],), {}), TypeError, "item 1"),
        (lambda ref: (([ref, ref],), {}), ValueError, "twice"),
        (lambda ref: (([ref],), {"num_returns": 0}), ValueError, "num_returns"),
        (lambda ref: (([ref],), {"num_returns": 2}), ValueError, "num_returns"),
        (lambda ref: (([ref],), {"num_returns": 1.0}), TypeError, "num_returns"),
        (lambda ref: (([ref],), {"fetch_local": 1}), TypeError, "fetch_local"),
    ],
)
def test_wait_refuses(fake: Any, arguments: Any, error: type[Exception], text: str) -> None:
    args, kwargs = arguments(snakepit.put(1))
    with pytest.raises(error, match=text):
        snakepit.wait(*args, **kwargs)


def test_wait_for_nothing(fake: Any) -> None:
    assert snakepit.wait([]) == ([], [])


def test_cancel(fake: Any) -> None:
    ref = echo.remote(1)
    snakepit.cancel(ref)
    snakepit.cancel(ref, force=True, recursive=False)
    assert fake.log[1:] == [("cancel", ref._id, False, True), ("cancel", ref._id, True, False)]
    with pytest.raises(TypeError, match="takes a reference"):
        snakepit.cancel([ref])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="force"):
        snakepit.cancel(ref, force=1)  # type: ignore[arg-type]


def test_kill(fake: Any) -> None:
    handle = snakepit.remote(Thing).remote()
    snakepit.kill(handle)
    snakepit.kill(handle, no_restart=False)
    assert [entry[2] for entry in fake.log[1:]] == [True, False]
    with pytest.raises(ValueError, match="cancel"):
        snakepit.kill(echo.remote(1))  # type: ignore[arg-type]


def test_exit_actor_raises_past_handlers_of_exceptions(fake: Any) -> None:
    with pytest.raises(TypeError, match="method of an actor"):
        snakepit.exit_actor()
    fake.facts["actor"] = 5
    with pytest.raises(ActorExit):
        try:
            snakepit.exit_actor()
        except Exception:
            pytest.fail("an actor's own handler must not stop it")


def test_exit_actor_without_a_runtime_starts_none(started: Any) -> None:
    with pytest.raises(TypeError):
        snakepit.exit_actor()
    assert started == []


@pytest.mark.parametrize(
    "use",
    [
        lambda: snakepit.put(1),
        lambda: snakepit.get([]),
        lambda: snakepit.wait([]),
        lambda: snakepit.get_runtime_context(),
        lambda: snakepit.remote(Thing).remote(),
        lambda: echo.remote(1),
    ],
)
def test_first_uses_start_a_runtime(started: Any, use: Any) -> None:
    use()
    assert len(started) == 1
    use()
    assert len(started) == 1
