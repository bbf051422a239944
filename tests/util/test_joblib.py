"""joblib's loops on snakepit: results, errors, shared arrays, loops in loops, scikit-learn."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import snakepit
from tests.runtime.helpers import Gate, Tally

joblib = pytest.importorskip("joblib", reason="joblib is in the test extra")

import snakepit.util.joblib as backend  # noqa: E402
from snakepit.util.joblib import SnakepitBackend  # noqa: E402


@pytest.fixture(autouse=True)
def on_snakepit(runtime: Any) -> Iterator[None]:
    backend.register()
    with joblib.parallel_config(backend="snakepit"):
        yield


def square(number: int) -> int:
    return number * number


def loop(function: Any, items: Any, **options: Any) -> list[Any]:
    found: list[Any] = joblib.Parallel(**options)(joblib.delayed(function)(item) for item in items)
    return found


def pid_of(_: int) -> int:
    return os.getpid()


@pytest.mark.parametrize("jobs", [None, -1, 1, 2, 5])
def test_results_come_in_order_whatever_the_number_of_jobs(jobs: int | None) -> None:
    assert loop(square, range(300), n_jobs=jobs) == [n * n for n in range(300)]


def test_it_runs_in_other_processes_and_by_itself_in_as_many_as_there_are_cpus() -> None:
    assert os.getpid() not in set(loop(pid_of, range(20)))
    assert set(loop(pid_of, range(5), n_jobs=1)) == {os.getpid()}


def test_how_many_jobs_run() -> None:
    counted = SnakepitBackend().effective_n_jobs
    assert [counted(n) for n in (None, 1, 2, 7, -1, -2, -9)] == [1, 1, 2, 7, 2, 1, 1]
    with pytest.raises(ValueError, match="n_jobs"):
        counted(0)
    assert joblib.effective_n_jobs(-1) == 2


def test_no_more_calls_run_at_one_time_than_jobs(gate: Gate, tally: Tally) -> None:
    def begin(_: int) -> None:
        tally.add()
        gate.wait()

    with pytest.raises(multiprocessing.TimeoutError):  # which is the one that joblib raises
        loop(begin, range(8), n_jobs=2, batch_size=1, timeout=0.2)
    assert tally.count <= 2
    gate.open()


def test_small_calls_are_batched_by_themselves(monkeypatch: Any) -> None:
    batches = 0

    submit = SnakepitBackend.submit

    def count(self: Any, *batch: Any, **callback: Any) -> Any:
        nonlocal batches
        batches += 1
        return submit(self, *batch, **callback)

    monkeypatch.setattr(SnakepitBackend, "submit", count)
    assert len(loop(square, range(5000))) == 5000
    assert 0 < batches < 2500


def test_a_large_argument_is_put_once_and_read_where_it_lies(monkeypatch: Any) -> None:
    puts: list[Any] = []
    put = snakepit.put
    monkeypatch.setattr(snakepit, "put", lambda value: puts.append(value) or put(value))

    def look(array: Any, *, other: Any) -> tuple[float, bool, bool]:
        return float(array.sum()), bool(array.flags.writeable), other is array

    table, small = np.ones(100_000), np.ones(10)
    job = joblib.delayed(look)
    found = joblib.Parallel(n_jobs=2, batch_size=2)(job(table, other=table) for _ in range(20))
    assert found == [(100_000.0, False, True)] * 20
    assert [value is table for value in puts] == [True]
    joblib.Parallel(n_jobs=2)(job(small, other=small) for _ in range(3))
    assert len(puts) == 1
    joblib.Parallel(n_jobs=2, max_nbytes=None)(job(table, other=table) for _ in range(2))
    assert len(puts) == 1


def test_between_two_loops_an_array_may_be_changed() -> None:
    table = np.zeros(100_000)
    with joblib.Parallel(n_jobs=2) as parallel:
        for turn in range(3):
            table[:] = turn
            assert parallel(joblib.delayed(np.max)(table) for _ in range(4)) == [turn] * 4


def test_frames_and_sparse_matrices_are_shared_too() -> None:
    sparse = pytest.importorskip("scipy.sparse", reason="scipy comes with scikit-learn")
    matrix = sparse.random_array((2000, 2000), density=0.01, rng=0).tocsr()
    assert backend._bytes_of(matrix) > backend.LARGE
    assert backend._bytes_of([1] * 100_000) == 0
    job = joblib.delayed(lambda m: float(m.sum()))
    found = joblib.Parallel(n_jobs=2)(job(matrix) for _ in range(4))
    assert found == pytest.approx([float(matrix.sum())] * 4)


def test_references_are_resolved() -> None:
    ref = snakepit.put(7)
    assert loop(square, [ref, 2], n_jobs=2) == [49, 4]


def test_errors_come_through_with_their_traceback() -> None:
    def fail(number: int) -> None:
        if number == 3:
            raise KeyError("the third")

    with pytest.raises(KeyError) as caught:
        loop(fail, range(50), n_jobs=2)
    assert isinstance(caught.value, snakepit.errors.TaskError)
    assert 'raise KeyError("the third")' in str(caught.value)
    assert loop(square, [2, 3], n_jobs=2) == [4, 9]


def test_a_worker_that_dies_is_an_error_and_not_the_end() -> None:
    with pytest.raises(snakepit.errors.WorkerCrashedError):
        loop(os._exit, [3], n_jobs=2)
    assert loop(square, [2, 3], n_jobs=2) == [4, 9]


def test_an_error_cancels_what_runs(gate: Gate, tally: Tally) -> None:
    def work(number: int) -> None:
        if number:
            tally.add()
            gate.wait()
        else:
            while not tally.count:
                pass
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        loop(work, range(20), n_jobs=2, batch_size=1)
    # The gate is closed for ever: only a cancelled call frees its CPU for these two.
    assert loop(square, [2, 3], n_jobs=2) == [4, 9]
    assert tally.count < 19


def nested(depth: int) -> tuple[int, set[int]]:
    if not depth:
        return 1, {os.getpid()}
    found = loop(nested, [depth - 1] * 3, n_jobs=2)
    return sum(count for count, _ in found), {os.getpid()}.union(*(pids for _, pids in found))


def test_loops_in_loops_end_with_few_processes() -> None:
    found = loop(nested, [2] * 4, n_jobs=2)
    assert [count for count, _ in found] == [9] * 4
    pids = set[int]().union(*(pids for _, pids in found))
    assert os.getpid() not in pids
    # Two, those of their inner loops, and those of the loops in these; none is replaced.
    assert len(pids) <= 2 + 4 + 8


def test_inner_loops_are_tasks_only_when_they_say_how_many() -> None:
    def inner(_: int) -> tuple[bool, bool]:
        alone = set(loop(pid_of, range(4))) == {os.getpid()}
        return alone, os.getpid() not in loop(pid_of, range(4), n_jobs=2)

    assert loop(inner, range(2), n_jobs=2) == [(True, True)] * 2


def test_a_generator_of_results() -> None:
    parallel = joblib.Parallel(n_jobs=2, return_as="generator")
    assert list(parallel(joblib.delayed(square)(n) for n in range(20))) == [
        n * n for n in range(20)
    ]


def test_scikit_learn_searches_and_validates_on_it() -> None:
    pytest.importorskip("sklearn", reason="scikit-learn has no wheels for this interpreter")
    from sklearn.datasets import load_iris
    from sklearn.linear_model import Ridge
    from sklearn.model_selection import GridSearchCV, cross_val_score

    data, target = load_iris(return_X_y=True)
    data = np.tile(data, (20, 1))  # large enough to be shared
    target = np.tile(target, 20)
    grid = {"alpha": [0.1, 1.0, 10.0]}

    def search(jobs: int | None) -> Any:
        return GridSearchCV(Ridge(), grid, cv=3, n_jobs=jobs).fit(data, target)

    ours, alone = search(-1), search(1)
    assert ours.best_params_ == alone.best_params_
    assert ours.cv_results_["mean_test_score"] == pytest.approx(
        alone.cv_results_["mean_test_score"]
    )
    scores = cross_val_score(Ridge(), data, target, cv=4, n_jobs=2)
    assert scores == pytest.approx(cross_val_score(Ridge(), data, target, cv=4, n_jobs=1))
