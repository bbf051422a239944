"""Sessions on real processes: their worker, what it keeps, what outlives it, and how they end."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

import snakepit
from snakepit import errors
from tests.runtime.helpers import PATIENCE, Gate, Tally, core, wait_until

pytestmark = pytest.mark.usefixtures("runtime")


@pytest.fixture(scope="module")
def runtime() -> Iterator[Any]:
    """A runtime whose pools have their workers."""
    pools = [snakepit.Pool("pair", size=2, queue_timeout=None), snakepit.Pool("other", size=1)]
    with snakepit.init(num_cpus=2, max_sessions=20, pools=pools) as context:
        for pool in pools:
            snakepit.pool(pool.name).await_ready(PATIENCE)
        yield context


@pytest.fixture
def strict() -> Iterator[snakepit.Session]:
    """A session with a worker of its own."""
    with snakepit.Session("strict", pool="pair", affinity="strict_queue") as session:
        yield session


@snakepit.remote
def count() -> tuple[int, int]:
    session = snakepit.get_runtime_context().session
    assert session is not None
    session["calls"] = session.get("calls", 0) + 1
    return os.getpid(), session["calls"]


@snakepit.remote
def hold(gate: Gate, tally: Tally) -> int:
    tally.add()
    gate.wait()
    return os.getpid()


@snakepit.remote
def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def get(refs: Any) -> Any:
    return snakepit.get(refs, timeout=PATIENCE)


def test_a_strict_session_finds_its_worker_and_its_state_again(strict: snakepit.Session) -> None:
    found = get([strict.remote(count) for _ in range(20)])
    assert len({pid for pid, _ in found}) == 1
    assert [calls for _, calls in found] == list(range(1, 21))


def test_a_hint_leads_back_to_an_idle_worker() -> None:
    with snakepit.Session("hint", pool="pair") as session:
        found = [get(session.remote(count)) for _ in range(10)]
    assert found == [(found[0][0], calls) for calls in range(1, 11)]


def test_options_name_a_session_which_is_there_from_then_on() -> None:
    call = count.options(pool="pair", session="by option")
    assert get([call.remote() for _ in range(3)])
    session = snakepit.Session("by option", pool="pair")
    assert session.describe() == {
        "id": "by option", "pool": "pair", "affinity": "hint", "ttl": 3600.0, "metadata": {},
        "busy": False,
    }  # fmt: skip
    session.close()
    with pytest.raises(errors.SessionClosedError, match="'by option' is not open"):
        session.describe()


def test_the_pool_that_one_has_unless_told_otherwise_is_the_default_one() -> None:
    assert get(count.options(session="s").remote())
    same = [snakepit.Session("s"), snakepit.Session("s", pool="default")]
    assert [session.describe()["pool"] for session in same] == ["default"] * 2
    same[0].close()


def test_a_strict_session_is_not_pinned_in_another_pool_by_a_call_that_names_it(
    strict: snakepit.Session,
) -> None:
    with pytest.raises(errors.OptionError, match=r"of pool 'other'.*than the one of pool 'pair'"):
        get(count.options(session="strict", pool="other").remote())
    with pytest.raises(errors.OptionError, match="of pool 'default'"):
        get(count.options(session="strict").remote())
    assert get(strict.remote(count))[1] == 1
    assert get(count.options(session="strict", pool="pair").remote())[1] == 2


def test_a_closed_session_is_forgotten_by_its_workers(strict: snakepit.Session) -> None:
    get(strict.remote(count))
    strict.close()
    with snakepit.Session("strict", pool="pair", affinity="strict_queue") as again:
        assert get(again.remote(count))[1] == 1
    assert wait_until(lambda: not core().scheduler.sessions.table)


def test_fail_fast_says_that_its_worker_is_busy(gate: Gate, tally: Tally) -> None:
    with snakepit.Session("fast", pool="pair", affinity="strict_fail_fast") as session:
        running = session.remote(hold, gate, tally)
        assert wait_until(lambda: tally.count == 1)
        with pytest.raises(errors.WorkerBusyError, match="session 'fast' was") as caught:
            get(session.remote(count))
        assert caught.value.session == "fast"
        gate.open()
        assert get(running)
        assert wait_until(lambda: not session.describe()["busy"])
        assert get(session.remote(count))[0] == get(running)


def test_a_strict_session_waits_while_others_run(gate: Gate, tally: Tally) -> None:
    with snakepit.Session("waits", pool="pair", affinity="strict_queue") as session:
        running = session.remote(hold, gate, tally)
        assert wait_until(lambda: tally.count == 1)
        waiting = session.remote(count)
        others = get([count.options(pool="pair", session="o").remote() for _ in range(5)])
        assert snakepit.wait([waiting], timeout=0)[0] == []
        gate.open()
        assert get(waiting)[0] == get(running) not in {pid for pid, _ in others}
    snakepit.Session("o", pool="pair").close()


def test_without_its_worker_a_session_is_lost_until_it_is_pinned_anew(
    strict: snakepit.Session,
) -> None:
    strict.store["kept"] = {"a": [1, 2]}
    first, _ = get(strict.remote(count))
    with pytest.raises(errors.SessionWorkerUnavailableError, match="'strict' is pinned to") as info:
        get(strict.remote(die))
    assert info.value.session == "strict"
    with pytest.raises(errors.SessionWorkerUnavailableError):
        get(strict.remote(count))
    strict.repin()
    again, calls = get(strict.remote(count))
    assert again != first and calls == 1
    assert strict.store["kept"] == {"a": [1, 2]}


def test_pinned_anew_it_has_an_empty_state_in_the_same_worker_too() -> None:
    with snakepit.Session("anew", pool="other", affinity="strict_queue") as session:
        found = get([session.remote(count) for _ in range(2)])
        session.repin()
        assert get(session.remote(count)) == (found[0][0], 1)


def test_the_store_is_the_same_from_everywhere(strict: snakepit.Session) -> None:
    @snakepit.remote
    def visit(key: str) -> list[str]:
        session = snakepit.get_runtime_context().session
        assert session is not None
        session.store[key] = session.metadata
        return sorted(session.store)

    strict.store["a"] = 1
    assert get(strict.remote(visit, "b")) == ["a", "b"]
    assert dict(strict.store) == {"a": 1, "b": {}}
    assert strict.store.pop("a") == 1 and strict.store.pop("a", 5) == 5
    del strict.store["b"]
    assert len(strict.store) == 0 and "b" not in strict.store
    for key in ("b", "a"):
        with pytest.raises(KeyError):
            strict.store[key]
    with pytest.raises(KeyError):
        strict.store.pop("b")
    with pytest.raises(errors.SerializationError, match="references"):
        strict.store["ref"] = snakepit.put(1)
    with pytest.raises(TypeError, match="is a string, not 3"):
        strict.store[3] = 1  # type: ignore[index]
    with pytest.raises(errors.OptionError, match="store must be text that UTF-8"):
        strict.store["\ud800"] = 1


def test_the_store_says_how_large_a_value_may_be(
    strict: snakepit.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("snakepit.api.sessions.LARGEST_VALUE", 1 << 20)
    strict.store["fits"] = bytes((1 << 20) - 100)
    with pytest.raises(errors.SerializationError, match="takes at most 1048576 for one"):
        strict.store["large"] = bytes(1 << 20)
    assert list(strict.store) == ["fits"]


def test_tasks_open_sessions_and_call_in_them(strict: snakepit.Session) -> None:
    @snakepit.remote(pool="other")
    def opens() -> tuple[Any, Any]:
        with snakepit.Session("inner", pool="pair", affinity="strict_queue") as session:
            inner = snakepit.get([session.remote(count) for _ in range(3)])
        own = snakepit.get_runtime_context().session
        return inner, own

    inner, own = get(opens.remote())
    assert [calls for _, calls in inner] == [1, 2, 3] and len({pid for pid, _ in inner}) == 1
    assert own is None and snakepit.get_runtime_context().session is None


def test_a_call_waits_for_another_of_its_own_session(strict: snakepit.Session) -> None:
    @snakepit.remote
    def outer() -> tuple[int, tuple[int, int]]:
        inner = count.options(pool="pair", session="strict").remote()
        return os.getpid(), snakepit.get(inner)

    pid, (inner, calls) = get(strict.remote(outer))
    assert (pid, 1) == (inner, calls)


def test_opening_it_again_is_the_same_and_other_settings_are_told(
    strict: snakepit.Session,
) -> None:
    same = snakepit.Session("strict", pool="pair", affinity="strict_queue")
    assert get(strict.remote(count))[0] == get(same.remote(count))[0]
    with pytest.raises(errors.OptionError, match=r"open with other settings: pool='pair', aff"):
        snakepit.Session("strict", pool="pair")


def test_set_up_and_tear_down_run_in_its_worker(tally: Tally) -> None:
    @snakepit.remote
    def begin() -> None:
        session = snakepit.get_runtime_context().session
        assert session is not None
        session["pid"] = os.getpid()

    @snakepit.remote
    def end() -> None:
        session = snakepit.get_runtime_context().session
        assert session is not None and session["pid"] == os.getpid()
        tally.add()

    with snakepit.Session(
        "hooks", pool="pair", affinity="strict_queue", setup=begin, teardown=end
    ) as session:
        pid, _ = get(session.remote(count))
        assert pid
    assert wait_until(lambda: tally.count == 1)


def test_no_more_sessions_than_may_be() -> None:
    sessions = [snakepit.Session(f"s{number}") for number in range(20)]
    with pytest.raises(errors.SessionQuotaExceededError, match="20 are open") as caught:
        snakepit.Session("one more")
    assert caught.value.limit == 20
    with pytest.raises(errors.SessionQuotaExceededError):
        get(count.options(session="one more").remote())
    for session in sessions:
        session.close()
    snakepit.Session("one more").close()


def test_one_that_nothing_uses_is_closed() -> None:
    session = snakepit.Session("short", ttl=0.2)
    kept = snakepit.Session("long", ttl=None)

    def gone() -> bool:
        return "short" not in core().sessions._desk.kept

    assert wait_until(gone)
    with pytest.raises(errors.SessionClosedError):
        session.describe()
    assert kept.describe()["ttl"] == 0
    kept.close()


def test_closing_with_calls_in_flight_lets_them_end(gate: Gate, tally: Tally) -> None:
    session = snakepit.Session("flight", pool="pair", affinity="strict_queue")
    running = session.remote(hold, gate, tally)
    waiting = session.remote(count)
    session.close()
    with pytest.raises(errors.SessionClosedError):
        session.repin()
    gate.open()
    pid, calls = get(waiting)
    assert (pid, calls) == (get(running), 1)


def test_a_function_of_another_session_is_refused(strict: snakepit.Session) -> None:
    for other in (count.options(session="o"), snakepit.remote(session="o")(abs)):
        with pytest.raises(errors.OptionError, match=r"is for session 'o', by its .* to ses"):
            strict.remote(other)
    assert get(strict.remote(count.options(session="strict")))[1] == 1


def test_a_function_of_another_pool_is_refused(strict: snakepit.Session) -> None:
    with pytest.raises(errors.OptionError, match="is for pool 'other', and session 'strict'"):
        strict.remote(count.options(pool="other"))
    # With other options than a pool it is for none yet.
    assert get(strict.remote(count.options(max_retries=0))) == (*get(strict.remote(count))[:1], 1)
    with pytest.raises(errors.OptionError, match="for other workers"):
        get(strict.remote(count.options(pool="pair", runtime_env={"env_vars": {"A": "1"}})))


@pytest.mark.parametrize(
    ("settings", "error", "match"),
    [
        ({"id": 3}, TypeError, "id must be a string of 1 to 256"),
        ({"id": ""}, errors.OptionError, "1 to 256 characters"),
        ({"id": "x" * 10_000_000}, errors.OptionError, r"x\.\.\. \(10000000 characters\)"),
        ({"id": "\ud800"}, errors.OptionError, r"id must be text that UTF-8 .*not '\\ud800'"),
        ({"metadata": {"a": "\ud800"}}, errors.OptionError, r"metadata\['a'\] must be text"),
        ({"pool": 3}, TypeError, "pool must be"),
        ({"pool": ""}, errors.OptionError, "pool must be.*not ''"),
        ({"ttl": -1}, errors.OptionError, "ttl must be a number of seconds.*not -1"),
        ({"ttl": "soon"}, TypeError, "ttl must be.*not 'soon'"),
        (
            {"affinity": "tight"},
            errors.OptionError,
            "affinity must be one of.*strict_fail_fast.*not 'tight'",
        ),
        ({"affinity": None}, TypeError, "affinity must be.*not None"),
        ({"metadata": []}, TypeError, "metadata must be"),
        ({"metadata": {"a": 1}}, TypeError, r"metadata\['a'\] must be a string, not 1"),
        ({"metadata": {"a": "x" * 5000}}, errors.OptionError, "5001 characters"),
        ({"setup": print}, TypeError, "setup=.*@remote"),
        ({"teardown": 3}, TypeError, "teardown=3"),
        ({"setup": hold}, TypeError, r"setup=hold\(gate, tally\): missing a required arg"),
        ({"teardown": hold}, TypeError, r"teardown=hold\(gate, tally\): missing"),
        ({"setup": count.options(num_returns=2)}, errors.OptionError, "setup=count: the setup of"),
        ({"setup": count.options(pool="other"), "pool": "pair"}, errors.OptionError, "pool 'oth"),
        ({"pool": "nope"}, errors.UnknownPoolError, "session 's' is for pool 'nope', which"),
    ],
)
def test_settings_are_checked(settings: dict[str, Any], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        snakepit.Session(**{"id": "s", **settings})
    assert "s" not in core().sessions._desk.kept


def test_options_of_calls_are_checked_too() -> None:
    for value, error in ((3, TypeError), ("", errors.OptionError), ("x" * 300, errors.OptionError)):
        with pytest.raises(error, match="session must be"):
            count.options(session=value)  # type: ignore[arg-type]
    with snakepit.Session("s") as session:
        for wrong, match in ((3, "decorates a function"), (Tally, "runs functions, no actors")):
            with pytest.raises(TypeError, match=match):
                session.remote(wrong)  # type: ignore[call-overload]


def test_what_is_no_task_has_no_session() -> None:
    @snakepit.remote
    class Actor:
        pass

    with pytest.raises(TypeError, match="session"):
        Actor.options(session="s")  # type: ignore[call-arg]
