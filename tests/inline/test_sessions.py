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


def test_a_handle_of_a_closed_session_opens_no_other() -> None:
    session = snakepit.Session("s")
    session.close()
    with pytest.raises(errors.SessionClosedError, match="'s' is not open"):
        snakepit.get(session.remote(count))
    with snakepit.Session("s") as other:
        for question in (session.describe, session.repin, lambda: session.store["a"]):
            with pytest.raises(errors.SessionClosedError):
                question()
        session.close()
        with pytest.raises(errors.SessionClosedError):
            snakepit.get(session.remote(count))
        assert snakepit.get(other.remote(count)) == 1


def test_set_up_and_tear_down() -> None:
    with snakepit.Session("s", setup=count, teardown=count) as session:
        assert snakepit.get(session.remote(count)) == 2
    end = session.close()
    assert end is not None and end is session.close() and snakepit.get(end) == 3


def test_the_error_of_a_setup_is_that_of_all_calls() -> None:
    @snakepit.remote
    def fail() -> None:
        raise ValueError("no such user")

    session = snakepit.Session("s", setup=fail, teardown=count)
    for call in (session.remote(count), count.options(session="s").remote(), session.close()):
        with pytest.raises(ValueError, match="no such user"):
            snakepit.get(call)


def test_a_call_cannot_close_its_own_with_a_teardown() -> None:
    @snakepit.remote
    def close() -> None:
        snakepit.Session("s", teardown=count).close()

    with snakepit.Session("s") as session:
        with pytest.raises(errors.NotSupportedError, match="Close it after the call"):
            snakepit.get(session.remote(close))
        assert snakepit.get(session.remote(count)) == 1


def test_a_runtime_that_was_shut_down_has_no_sessions() -> None:
    session = snakepit.Session("s")
    snakepit.shutdown()
    for question in (session.describe, lambda: session.remote(count)):
        with pytest.raises(errors.RuntimeClosedError):
            question()
    session.close()
    assert not snakepit.is_initialized()


def test_a_pool_that_is_not_there() -> None:
    with pytest.raises(errors.UnknownPoolError, match="session 's' is for pool 'nope'"):
        snakepit.Session("s", pool="nope")
    with pytest.raises(errors.UnknownPoolError, match="is for pool 'nope'"):
        snakepit.get(count.options(session="s", pool="nope").remote())


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


def test_a_strict_session_takes_no_call_of_another_pool() -> None:
    snakepit.shutdown()
    with snakepit.init(mode="inline", pools=[snakepit.Pool("a"), snakepit.Pool("b")]):
        session = snakepit.Session("s", pool="a", affinity="strict_queue")
        with pytest.raises(errors.OptionError, match=r"of pool 'b'.*than the one of pool 'a'"):
            snakepit.get(count.options(session="s", pool="b").remote())
        assert snakepit.get(count.options(session="s", pool="a").remote()) == 1
        session.close()
