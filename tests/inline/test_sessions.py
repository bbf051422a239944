"""Sessions in inline mode: one worker, which is the driver, and the same state and store."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import snakepit
from snakepit import errors


@pytest.fixture(autouse=True)
def inline() -> Iterator[None]:
    with snakepit.init(mode="inline", max_sessions=2):
        yield


@snakepit.remote
def count() -> int:
    session = snakepit.get_runtime_context().session
    assert session is not None
    calls: int = session.get("calls", 0) + 1
    session["calls"] = calls
    return calls


def test_its_state_lives_as_long_as_it_does() -> None:
    for _ in range(2):
        with snakepit.Session("s", affinity="strict_queue") as session:
            assert snakepit.get([session.remote(count) for _ in range(3)]) == [1, 2, 3]
            session.repin()
            assert snakepit.get(session.remote(count)) == 1


def test_its_store_is_a_copy() -> None:
    with snakepit.Session("s") as session:
        value = [1]
        session.store["a"] = value
        value.append(2)
        assert dict(session.store) == {"a": [1]}


def test_there_are_no_more_than_may_be() -> None:
    kept = [snakepit.Session(name) for name in ("a", "b")]
    with pytest.raises(errors.SessionQuotaExceededError):
        snakepit.Session("c")
    with pytest.raises(errors.SessionQuotaExceededError):
        snakepit.get(count.options(session="c").remote())
    assert [session.describe()["busy"] for session in kept] == [False, False]


def test_one_that_nothing_uses_is_closed() -> None:
    session = snakepit.Session("s", ttl=1e-9)
    with pytest.raises(errors.SessionClosedError):
        session.describe()


def test_a_call_closes_its_own() -> None:
    @snakepit.remote
    def close() -> int:
        snakepit.Session("s").close()
        session = snakepit.get_runtime_context().session
        assert session is not None
        return len(session)

    session = snakepit.Session("s")
    assert snakepit.get([session.remote(count), session.remote(close)]) == [1, 1]
    with pytest.raises(errors.SessionClosedError):
        session.describe()
