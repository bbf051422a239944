"""Handles of sessions on real processes: setup and teardown, and what a closed one does."""

from __future__ import annotations

import dataclasses
import pickle
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import snakepit
from snakepit import errors
from tests.runtime.helpers import PATIENCE, Gate, Tally, core, wait_until

pytestmark = pytest.mark.usefixtures("runtime")

AFFINITIES: list[Any] = ["hint", "strict_queue", "strict_fail_fast"]


@pytest.fixture(scope="module")
def runtime() -> Iterator[Any]:
    """A runtime whose pools have their workers."""
    pools = [snakepit.Pool("pair", size=2, queue_timeout=None), snakepit.Pool("one", size=1)]
    with snakepit.init(num_cpus=2, max_sessions=20, pools=pools) as context:
        for pool in pools:
            snakepit.pool(pool.name).await_ready(PATIENCE)
        yield context


@pytest.fixture(autouse=True)
def all_closed() -> Iterator[None]:
    """After each test no session is left, and nothing that one has kept."""
    yield
    sessions = core().sessions
    assert wait_until(lambda: not sessions._desk.numbered)
    assert not core().scheduler.sessions.table


def get(refs: Any) -> Any:
    return snakepit.get(refs, timeout=PATIENCE)


def note(word: str) -> list[str]:
    """Add a word to the session's store, and return all."""
    session = snakepit.get_runtime_context().session
    assert session is not None
    words = [*session.store.get("words", ()), word]
    session.store["words"] = words
    return words


@snakepit.remote
def begin() -> list[str]:
    return note("begin")


@snakepit.remote
def use() -> list[str]:
    return note("use")


@snakepit.remote
def end() -> list[str]:
    return note("end")


@snakepit.remote
def use_late(gate: Gate, tally: Tally) -> list[str]:
    tally.add()
    gate.wait()
    return note("use")


@snakepit.remote
def fail() -> None:
    raise ValueError("no such user")


# --- handles --------------------------------------------------------------------------------


def test_a_closed_handle_opens_no_other_session() -> None:
    session = snakepit.Session("s", pool="pair", affinity="strict_queue")
    session.close()
    with pytest.raises(errors.SessionClosedError, match="session 's' is not open") as caught:
        get(session.remote(use))
    assert caught.value.session == "s" and not core().sessions._desk.kept


def test_a_handle_is_not_for_the_next_session_of_its_id() -> None:
    old = snakepit.Session("s", pool="pair")
    old.close()
    with snakepit.Session("s", pool="pair") as new:
        for question in (old.describe, old.repin, lambda: old.store["a"]):
            with pytest.raises(errors.SessionClosedError):
                question()
        with pytest.raises(errors.SessionClosedError):
            get(old.remote(use))
        old.close()
        assert get(new.remote(use)) == ["use"]


def test_a_call_that_names_a_pool_that_is_not_there_opens_no_session() -> None:
    with pytest.raises(errors.UnknownPoolError, match="use is for pool 'nope'"):
        get(use.options(session="s", pool="nope").remote())
    assert not core().sessions._desk.kept


def test_a_handle_of_a_task_does_the_same() -> None:
    @snakepit.remote(pool="one")
    def task() -> tuple[list[str], list[str], bool]:
        session = snakepit.Session("s", pool="pair", setup=begin, teardown=end)
        used = snakepit.get(session.remote(use))
        closed = session.close()
        with pytest.raises(errors.SessionClosedError):
            snakepit.get(session.remote(use))
        return used, snakepit.get(closed), session.close() is closed

    assert get(task.remote()) == (["begin", "use"], ["begin", "use", "end"], True)


def test_what_is_bound_to_a_function_is_as_it_is_at_each_call() -> None:
    @dataclasses.dataclass
    class Bound:
        value: int

        def get(self) -> int:
            return self.value

    bound = Bound(1)
    count = 1

    def closed_over() -> int:
        return count

    with snakepit.Session("s") as session:
        first = session.remote(bound.get), session.remote(closed_over)
        bound.value = count = 2
        assert get([*first, session.remote(bound.get), session.remote(closed_over)]) == [1, 1, 2, 2]


def test_what_cannot_be_sent_says_what_to_do() -> None:
    with snakepit.Session("s") as session:
        for what in (session, session.store):
            with pytest.raises(errors.SerializationError, match="Open the session there by its id"):
                pickle.dumps(what)
        with pytest.raises(errors.SerializationError, match="Open the session there by its id"):
            session.remote(repr, session)


# --- setup ----------------------------------------------------------------------------------


@pytest.mark.parametrize("affinity", AFFINITIES)
def test_all_calls_come_after_the_setup(affinity: Any, gate: Gate, tally: Tally) -> None:
    @snakepit.remote
    def begin_late() -> list[str]:
        tally.add()
        gate.wait()
        return note("begin")

    with snakepit.Session("s", pool="pair", affinity=affinity, setup=begin_late) as session:
        same = snakepit.Session("s", pool="pair", affinity=affinity, setup=end)
        other = use.options(session="s", pool="pair")
        calls = [session.remote(use), same.remote(use), other.remote()]
        assert wait_until(lambda: tally.count == 1)
        assert snakepit.wait(calls, timeout=0)[0] == []
        gate.open()
        found = get(calls)
    assert all(words[0] == "begin" for words in found) and tally.count == 1


@pytest.mark.parametrize("affinity", AFFINITIES)
def test_the_error_of_a_setup_is_that_of_all_calls(affinity: Any) -> None:
    session = snakepit.Session("s", pool="pair", affinity=affinity, setup=fail, teardown=end)
    for _ in range(2):
        for call in (session.remote(use), use.options(session="s", pool="pair").remote()):
            with pytest.raises(ValueError, match="no such user"):
                get(call)
    with pytest.raises(ValueError, match="no such user"):
        get(session.close())
    with snakepit.Session("s", pool="pair", affinity=affinity, setup=begin) as again:
        assert get(again.remote(use)) == ["begin", "use"]


def test_what_a_setup_calls_does_not_wait_for_it() -> None:
    @snakepit.remote
    def begin_by_another() -> list[str]:
        words: list[str] = snakepit.get(begin.options(session="s", pool="pair").remote())
        return words

    with snakepit.Session("s", pool="pair", setup=begin_by_another) as session:
        assert get(session.remote(use)) == ["begin", "use"]


def test_what_is_called_by_what_a_setup_calls_does_not_wait_for_it_either() -> None:
    @snakepit.remote(pool="one")
    def by_another() -> list[str]:
        words: list[str] = snakepit.get(use.options(session="s", pool="pair").remote())
        return words

    @snakepit.remote
    def begin_by_two() -> list[str]:
        return snakepit.get(by_another.remote())

    with snakepit.Session("s", pool="pair", setup=begin_by_two) as session:
        assert get(session.remote(use)) == ["use", "use"]


def test_a_blocked_worker_runs_the_setup_that_its_call_waits_for() -> None:
    @snakepit.remote(pool="one")
    def task() -> list[str]:
        with snakepit.Session("s", pool="one", affinity="strict_queue", setup=begin) as session:
            words: list[str] = snakepit.get(session.remote(use))
        return words

    assert get(task.remote()) == ["begin", "use"]


def test_threads_that_open_and_close_the_same_session() -> None:
    found: list[list[str]] = []

    def open_and_close() -> None:
        for _ in range(10):
            with snakepit.Session("s", pool="one", setup=begin, teardown=end) as session:
                call = session.remote(use)
            try:
                found.append(get(call))
            except errors.SessionClosedError:
                found.append(["begin"])

    threads = [threading.Thread(target=open_and_close) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 30
    assert all(words[0] == "begin" and words.count("begin") == 1 for words in found)


# --- teardown -------------------------------------------------------------------------------


@pytest.mark.parametrize("affinity", AFFINITIES)
def test_the_teardown_comes_after_the_last_call(affinity: Any, gate: Gate, tally: Tally) -> None:
    session = snakepit.Session("s", pool="pair", affinity=affinity, teardown=end)
    running = session.remote(use_late, gate, tally)
    assert wait_until(lambda: tally.count == 1)
    closed = session.close()
    assert closed is not None and snakepit.wait([closed], timeout=0)[0] == []
    gate.open()
    assert get([running, closed]) == [["use"], ["use", "end"]]


@pytest.mark.parametrize("affinity", AFFINITIES)
def test_a_session_is_closed_but_once(affinity: Any) -> None:
    session = snakepit.Session("s", pool="pair", affinity=affinity, teardown=end)
    same = snakepit.Session("s", pool="pair", affinity=affinity, teardown=end)
    closed = session.close()
    assert closed is not None and get(closed) == ["end"]
    assert session.close() is closed and same.close() is None


def test_threads_that_close_the_same_session_get_the_same_teardown() -> None:
    for _ in range(30):
        session = snakepit.Session("s", pool="one", teardown=end)
        start, closed = threading.Barrier(3), []

        def close(session: Any = session, start: Any = start, closed: Any = closed) -> None:
            start.wait(PATIENCE)
            closed.append(session.close())

        threads = [threading.Thread(target=close) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert get(closed) == [["end"]] * 3


def test_a_session_that_has_expired_is_not_torn_down(tally: Tally) -> None:
    @snakepit.remote
    def count() -> None:
        tally.add()

    session = snakepit.Session("s", pool="pair", ttl=0.1, teardown=count)
    assert wait_until(lambda: not core().sessions._desk.kept)
    assert session.close() is None
    with pytest.raises(errors.SessionClosedError):
        get(session.remote(count))
    assert tally.count == 0


def test_a_teardown_waits_for_calls_that_fail() -> None:
    session = snakepit.Session("s", pool="pair", affinity="strict_queue", teardown=end)
    failing = [session.remote(fail) for _ in range(3)]
    assert get(session.close()) == ["end"]
    for call in failing:
        with pytest.raises(ValueError, match="no such user"):
            get(call)


@pytest.mark.parametrize("affinity", AFFINITIES)
def test_a_blocked_worker_runs_the_calls_that_a_teardown_waits_for(affinity: Any) -> None:
    @snakepit.remote(pool="one")
    def task() -> list[str]:
        session = snakepit.Session("s", pool="one", affinity=affinity, teardown=end)
        for _ in range(1 if affinity == "strict_fail_fast" else 3):
            session.remote(use)
        closed = session.close()
        assert closed is not None
        words: list[str] = snakepit.get(closed)
        return words

    used = 1 if affinity == "strict_fail_fast" else 3
    assert get(task.remote()) == [*["use"] * used, "end"]


def test_a_strict_session_s_teardown_waits_through_other_workers() -> None:
    """The task waits for the end of a session elsewhere, whose call waits for the task's worker."""

    @snakepit.remote(pool="one")
    def task() -> list[str]:
        mine = snakepit.Session("mine", pool="one", affinity="strict_queue")
        snakepit.get(mine.remote(use))
        other = snakepit.Session("other", pool="pair", teardown=end)
        other.remote(ask_mine)
        closed = other.close()
        assert closed is not None
        words: list[str] = snakepit.get(closed)
        mine.close()
        return words

    @snakepit.remote
    def ask_mine() -> None:
        mine = snakepit.Session("mine", pool="one", affinity="strict_queue")
        note(" ".join(snakepit.get(mine.remote(use))))

    assert get(task.remote()) == ["use use", "end"]
