"""What programs for other libraries do when they change one line: pools, and scikit-learn."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import Any

from ..peers import WORKERS, Peer
from ..tasks import echo
from .base import Effort, Row, median_of

ITEMS = 100_000
FOLDS = 5
GRID = {"C": [0.1, 1.0, 10.0, 100.0], "gamma": [0.0001, 0.001, 0.01]}
POOLS = ("snakepit", "pool")


def pool_map(peer: Peer, effort: Effort, chunk: int | None) -> float:
    """Items a second of a Pool's `map` of a function that does nothing.

    Args:
        peer: whose Pool.
        effort: how many items.
        chunk: items in a call; None: as many as each Pool takes by itself, which is a quarter of a
            worker's share.
    """
    count = effort.count(ITEMS)
    numbers = range(count)
    if sum(peer.pool_map(echo, numbers, chunk)) != sum(numbers):
        raise AssertionError("map lost something")
    return count / median_of(lambda: peer.pool_map(echo, numbers, chunk), 5)


def actor_pool_map(peer: Peer, effort: Effort) -> float:
    """Items a second of `ActorPool.map`, one call each."""
    count = effort.count(ITEMS)
    if peer.actor_pool_map(range(count)) != count:
        raise AssertionError("map lost something")
    return count / median_of(lambda: peer.actor_pool_map(range(count)), 3)


def grid_search(peer: Peer, effort: Effort) -> float:
    """Seconds that scikit-learn takes to search a grid of support vector machines on the digits."""
    joblib: Any = import_module("joblib")
    datasets: Any = import_module("sklearn.datasets")
    selection: Any = import_module("sklearn.model_selection")
    svm: Any = import_module("sklearn.svm")
    data, target = datasets.load_digits(return_X_y=True)
    count = effort.count(len(data), 200)
    search = selection.GridSearchCV(svm.SVC(), GRID, cv=FOLDS, n_jobs=WORKERS, refit=False)

    def run() -> None:
        with joblib.parallel_config(backend=backend):
            search.fit(data[:count], target[:count])

    backend = peer.joblib_backend()
    run()  # Its workers import scikit-learn.
    return median_of(run, 5, seconds=10.0)


ROWS = (
    Row(
        "pool_map",
        "Pool.map of 100,000 small items",
        "1/s",
        False,
        partial(pool_map, chunk=None),
        POOLS,
    ),
    Row(
        "pool_map_100",
        "the same in chunks of 100",
        "1/s",
        False,
        partial(pool_map, chunk=100),
        POOLS,
    ),
    Row("pool_map_1", "the same, one by one", "1/s", False, partial(pool_map, chunk=1), POOLS),
    Row(
        "actor_pool_map",
        "ActorPool.map of 100,000 small items",
        "1/s",
        False,
        actor_pool_map,
        ("snakepit", "ray"),
        heavy=True,
    ),
    Row(
        "grid_search",
        "grid search of scikit-learn, 60 fits on the digits",
        "s",
        True,
        grid_search,
        ("snakepit", "joblib", "ray"),
    ),
)
