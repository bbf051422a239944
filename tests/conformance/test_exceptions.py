"""`ray.exceptions`: the names, and who is whose child."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from tests.conformance.marks import differs

FAMILY = [
    ("RayTaskError", "RayError"),
    ("RayActorError", "RayError"),
    ("ActorDiedError", "RayActorError"),
    ("ActorUnavailableError", "RayActorError"),
    ("WorkerCrashedError", "RayError"),
    ("TaskCancelledError", "RayError"),
    ("GetTimeoutError", "RayError"),
    ("ObjectLostError", "RayError"),
    ("ObjectStoreFullError", "RayError"),
    ("PendingCallsLimitExceeded", "RayError"),
    ("TaskUnschedulableError", "RayError"),
    ("ActorUnschedulableError", "RayError"),
    ("ActorAlreadyExistsError", "RayError"),
]


@pytest.mark.parametrize(("child", "parent"), FAMILY)
def test_errors_have_their_parents(ray: Any, child: str, parent: str) -> None:
    errors = ray.exceptions
    assert issubclass(getattr(errors, child), getattr(errors, parent))


@pytest.mark.parametrize("child", [pair[0] for pair in FAMILY])
def test_errors_are_exceptions(ray: Any, child: str) -> None:
    assert issubclass(getattr(ray.exceptions, child), Exception)


def test_a_timeout_of_get_is_a_timeout_error(ray: Any) -> None:
    assert issubclass(ray.exceptions.GetTimeoutError, TimeoutError)


def test_a_taken_name_is_a_value_error(ray: Any) -> None:
    assert issubclass(ray.exceptions.ActorAlreadyExistsError, ValueError)


def test_a_dead_actor_is_not_merely_unavailable(ray: Any) -> None:
    errors = ray.exceptions
    assert not issubclass(errors.ActorDiedError, errors.ActorUnavailableError)


@differs(
    "An error of a task that was raised here can be pickled.",
    because="errors are sent on: by `multiprocessing`, by pytest's workers, by caches on disk.",
)
def test_a_task_error_survives_pickle(ray: Any, expect: Any) -> None:
    @ray.remote
    def fails() -> None:
        raise KeyError("kept")

    with pytest.raises(ray.exceptions.RayTaskError) as caught:
        ray.get(fails.remote())
    try:
        again = pickle.loads(pickle.dumps(caught.value))
    except pickle.PicklingError:
        again = None
    kept = isinstance(again, ray.exceptions.RayTaskError) and isinstance(again, KeyError)
    assert kept is expect(snakepit=True, ray=False)


@differs(
    "The names without the prefix (`TaskError`, `ActorError`) exist too, in `snakepit.errors`.",
    because="they are snakepit's own; Ray's are aliases of them, so either spelling catches both.",
)
def test_the_names_without_the_prefix(ray: Any, expect: Any) -> None:
    found = getattr(getattr(ray, "errors", None), "TaskError", None)
    assert expect(snakepit=found is ray.exceptions.RayTaskError, ray=found is None)
