"""Failures as records, and the exceptions made from them."""

from __future__ import annotations

import pickle

import msgpack
import pytest

from snakepit import errors
from snakepit.faults import KINDS, Failure, signal_name, to_exception

EXPECTED = {
    "worker_crashed": errors.WorkerCrashedError,
    "poisoned": errors.PoisonedCallError,
    "actor_died": errors.ActorDiedError,
    "actor_init_failed": errors.ActorDiedError,
    "actor_unavailable": errors.ActorUnavailableError,
    "cancelled": errors.TaskCancelledError,
    "task_timeout": errors.TaskTimeoutError,
    "nesting_depth": errors.NestingDepthError,
    "unschedulable": errors.TaskUnschedulableError,
    "actor_unschedulable": errors.ActorUnschedulableError,
    "object_lost": errors.ObjectLostError,
    "store_full": errors.ObjectStoreFullError,
    "pool_failed": errors.PoolFailedError,
    "circuit_open": errors.CircuitOpenError,
    "interpreter_failed": errors.RuntimeEnvSetupError,
    "runtime_failed": errors.RuntimeFailedError,
    "shutdown": errors.RuntimeClosedError,
    "stale_reference": errors.StaleReferenceError,
    "pending_calls": errors.PendingCallsLimitExceeded,
    "group_removed": errors.TaskUnschedulableError,
    "pool_saturated": errors.PoolSaturatedError,
    "pool_deadlock": errors.PoolDeadlockError,
    "pool_draining": errors.PoolDrainingError,
    "queue_timeout": errors.QueueTimeoutError,
    "unknown_pool": errors.UnknownPoolError,
    "unsendable": errors.SerializationError,
    "interpreter_differs": errors.OptionError,
    "worker_busy": errors.WorkerBusyError,
    "session_worker_unavailable": errors.SessionWorkerUnavailableError,
    "session_elsewhere": errors.OptionError,
    "session_closed": errors.SessionClosedError,
    "session_quota": errors.SessionQuotaExceededError,
    "session_differs": errors.OptionError,
}


def test_every_kind_is_expected() -> None:
    assert set(EXPECTED) == KINDS


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_failure_needs_no_field_and_survives_pickle(kind: str) -> None:
    error = to_exception(Failure(kind, {}))
    assert type(error) is EXPECTED[kind]
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error)
    assert "None" not in str(error)


def test_each_exception_is_new() -> None:
    failure = Failure("cancelled", {"call": "f"})
    assert to_exception(failure) is not to_exception(failure)


def test_a_failure_is_plain_data() -> None:
    failure = Failure("worker_crashed", {"pid": 4, "signal": "SIGSEGV", "stderr": None})
    assert Failure(*msgpack.unpackb(msgpack.packb(failure))) == failure


def test_a_crash_says_what_died_how_and_what_to_do() -> None:
    error = to_exception(
        Failure(
            "worker_crashed",
            {
                "call": "load",
                "pid": 41,
                "signal": "SIGKILL",
                "stderr": "first\nlast\n",
                "running": "load(7)",
                "attempts": 2,
            },
        )
    )
    assert isinstance(error, errors.WorkerCrashedError)
    assert (error.pid, error.signal, error.exit_code) == (41, "SIGKILL", None)
    assert (error.call, error.running, error.attempts) == ("load", "load(7)", 2)
    assert error.stderr == "first\nlast\n"
    for piece in ("load", "41", "SIGKILL", "out-of-memory", "2 times", "last", "load(7)"):
        assert piece in str(error)


def test_an_exit_is_told_from_a_signal() -> None:
    error = to_exception(Failure("worker_crashed", {"exit_code": 3}))
    assert isinstance(error, errors.WorkerCrashedError)
    assert error.exit_code == 3
    assert "exited with code 3" in str(error)
    assert "os._exit" in str(error)


def test_an_actor_says_why_it_is_dead() -> None:
    killed = to_exception(Failure("actor_died", {"actor": "Counter", "reason": "it was killed"}))
    assert str(killed) == "actor Counter is dead: it was killed"
    failed = to_exception(Failure("actor_init_failed", {"actor": "A", "error": "ValueError: no"}))
    assert isinstance(failed, errors.ActorDiedError)
    assert failed.error == "ValueError: no"
    assert "ValueError: no" in str(failed)


def test_what_died_in_vain_says_how_often_and_what_comes_next() -> None:
    loop = {"restarts": 6, "intensity": 5, "period": 60.0, "exit_code": 7, "stderr": "no licence"}
    pool = to_exception(Failure("pool_failed", {**loop, "pool": "main", "cool_down": 5.0}))
    assert isinstance(pool, errors.PoolFailedError) and isinstance(pool, errors.WorkerCrashedError)
    assert (pool.pool, pool.cool_down, pool.restarts, pool.period) == ("main", 5.0, 6, 60.0)
    runtime = to_exception(Failure("runtime_failed", loop))
    assert isinstance(runtime, errors.RuntimeFailedError)
    assert isinstance(runtime, errors.RuntimeClosedError)
    actor = to_exception(Failure("actor_died", {**loop, "actor": "A"}))
    for error in (pool, runtime, actor):
        for piece in ("6 times in a row", "restart_intensity=5", "restart_period=60 s", "code 7"):
            assert piece in str(error)
        assert str(error).endswith("no licence")
    assert "5 s" in str(pool) and "init()" in str(runtime)
    once = to_exception(Failure("pool_failed", {**loop, "restarts": 1, "intensity": 0}))
    assert "1 time in a row" in str(once)


def test_an_unknown_kind_is_a_defect_that_says_so() -> None:
    error = to_exception(Failure("surprise", {"a": 1}))
    assert isinstance(error, errors.ProtocolError)
    assert "surprise" in str(error)


def test_signals_have_names() -> None:
    assert signal_name(11) == "SIGSEGV"
    assert signal_name(63) == "signal 63"


@pytest.mark.parametrize(
    ("kind", "signal", "pieces"),
    [
        ("oom", "SIGKILL", ("killed by SIGKILL for lack of memory", "num_cpus")),
        ("gpu", "SIGABRT", ("killed by SIGABRT after an error of the GPU", "stderr")),
        ("segfault", "SIGSEGV", ("Native code crashed",)),
        ("killed", "SIGKILL", ("Often the kernel's out-of-memory killer",)),
    ],
)
def test_a_crash_says_its_kind_in_words(kind: str, signal: str, pieces: tuple[str, ...]) -> None:
    error = to_exception(Failure("worker_crashed", {"signal": signal, "kind": kind}))
    assert isinstance(error, errors.WorkerCrashedError) and error.kind == kind
    assert pickle.loads(pickle.dumps(error)).kind == kind
    for piece in pieces:
        assert piece in str(error)


def test_who_calls_an_actor_that_waits_for_its_pool_is_told_what_of_that() -> None:
    fields = {"actor": "Model", "reason": "pool_failed", "pool": "gpu", "exit_code": 7, "pid": 5}
    error = to_exception(Failure("actor_unavailable", {**fields, "cool_down": 2.0}))
    assert type(error) is errors.ActorUnavailableError
    assert "Model" in str(error) and "pool gpu has failed" in str(error)
    assert "It is made again" in str(error)


def test_while_a_circuit_tries_a_call_others_are_told_to_wait_as_long_again() -> None:
    fields = {"pool": "main", "failures": 2, "window": 60.0, "reset_at": 0.0, "reset_after": 7.0}
    error = to_exception(Failure("circuit_open", fields))
    assert isinstance(error, errors.CircuitOpenError) and error.retry_after == 7.0
    assert "being tried; try again in 7 s" in str(error)


def test_a_lost_session_has_the_fields_of_its_worker_s_death() -> None:
    fields = {"session": "s", "signal": "SIGABRT", "kind": "abort", "stderr": "free()", "pid": 7}
    error = to_exception(Failure("session_worker_unavailable", fields))
    assert isinstance(error, errors.SessionWorkerUnavailableError) and error.session == "s"
    assert (error.signal, error.kind, error.stderr, error.pid) == ("SIGABRT", "abort", "free()", 7)
    assert "worker process 7, was killed by SIGABRT" in str(error)
    for why, words in (("size", "when its pool was made smaller"), ("gpus", "after its call, as")):
        gone = {"session": "s", "exit_code": 0, "pid": 7, "let_go": why}
        text = str(to_exception(Failure("session_worker_unavailable", gone)))
        assert f"process 7, was let go {words}" in text and "os._exit" not in text
    assert "killed" not in str(
        to_exception(Failure("session_worker_unavailable", {"session": "s"}))
    )
