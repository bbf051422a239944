"""`ray.util`: serializers, what cannot be pickled and why, metrics."""

from __future__ import annotations

import importlib
import threading
from typing import Any

import pytest


@pytest.fixture
def util(ray: Any) -> Any:
    """The module."""
    return importlib.import_module(f"{ray.__name__}.util")


def test_what_can_be_pickled(util: Any) -> None:
    ok, failures = util.inspect_serializability({"a": 1}, name="fine")
    assert ok and not failures


def test_what_cannot_be_pickled(util: Any) -> None:
    lock = threading.Lock()
    ok, failures = util.inspect_serializability(lambda: lock, name="closure")
    assert not ok and failures


def test_a_serializer_of_the_users(ray: Any, util: Any) -> None:
    class Holds:
        def __init__(self, value: int) -> None:
            self.value, self.lock = value, threading.Lock()

    def deserialize(value: Any) -> Any:
        return Holds(value)

    util.register_serializer(Holds, serializer=lambda h: h.value, deserializer=deserialize)
    assert ray.get(ray.put(Holds(5))).value == 5
    util.deregister_serializer(Holds)
    with pytest.raises(TypeError, match="lock"):
        ray.put(Holds(5))


@pytest.mark.parametrize("kind", ["Counter", "Gauge", "Histogram"])
def test_metrics(ray: Any, kind: str) -> None:
    metrics = importlib.import_module(f"{ray.__name__}.util.metrics")
    extra = {"boundaries": [1, 2]} if kind == "Histogram" else {}
    made = getattr(metrics, kind)(
        f"conformance_{kind.lower()}", description="d", tag_keys=("a",), **extra
    )
    made.set_default_tags({"a": "1"})
    getattr(made, {"Counter": "inc", "Gauge": "set", "Histogram": "observe"}[kind])(2.0)
    assert made.info["name"].endswith(f"conformance_{kind.lower()}")


def test_a_counter_counts_up(ray: Any) -> None:
    metrics = importlib.import_module(f"{ray.__name__}.util.metrics")
    with pytest.raises(ValueError):
        metrics.Counter("conformance_up").inc(-1)


def test_a_metric_has_its_tags_only(ray: Any) -> None:
    metrics = importlib.import_module(f"{ray.__name__}.util.metrics")
    with pytest.raises(ValueError):
        metrics.Gauge("conformance_tags", tag_keys=("a",)).set(1.0, tags={"b": "2"})
