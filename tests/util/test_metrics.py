"""Metrics: what is recorded, under which tags, and what is refused."""

from __future__ import annotations

import pickle
import threading
from typing import Any

import pytest

import snakepit
from snakepit.util.metrics import Counter, Gauge, Histogram, Metric, Sample, snapshot


def recorded(name: str) -> list[Sample]:
    return [sample for sample in snapshot() if sample.name == name]


def test_a_counter_adds_up() -> None:
    counter = Counter("test_calls", "how many", tag_keys=("route",))
    counter.inc(tags={"route": "a"})
    counter.inc(2.5, {"route": "a"})
    counter.inc(1, {"route": "b"})
    assert recorded("test_calls") == [
        Sample("test_calls", "counter", {"route": "a"}, 3.5),
        Sample("test_calls", "counter", {"route": "b"}, 1.0),
    ]
    assert counter.info == {
        "name": "test_calls",
        "description": "how many",
        "tag_keys": ("route",),
        "default_tags": {},
    }


def test_a_gauge_keeps_the_last_value() -> None:
    gauge = Gauge("test_load")
    gauge.set(3)
    gauge.set(-1.5)
    gauge.set(None)
    assert recorded("test_load") == [Sample("test_load", "gauge", {}, -1.5)]


def test_a_histogram_counts_between_boundaries() -> None:
    histogram = Histogram("test_seconds", boundaries=[1, 10])
    for value in (0.5, 1, 5, 100):
        histogram.observe(value)
    (sample,) = recorded("test_seconds")
    assert sample == Sample("test_seconds", "histogram", {}, 106.5, (1.0, 10.0), (2, 1, 1))
    assert histogram.info["boundaries"] == [1.0, 10.0]


def test_default_tags_fill_what_is_missing() -> None:
    counter = Counter("test_defaults", tag_keys=("a", "b")).set_default_tags({"a": "1"})
    counter.inc(tags={"b": "2"})
    counter.inc(tags={"a": "3", "b": "2"})
    assert [sample.tags for sample in recorded("test_defaults")] == [
        {"a": "1", "b": "2"},
        {"a": "3", "b": "2"},
    ]


def test_one_name_is_one_metric() -> None:
    Counter("test_shared").inc()
    Counter("test_shared").inc()
    assert [sample.value for sample in recorded("test_shared")] == [2.0]
    with pytest.raises(ValueError, match="it names a counter"):
        Gauge("test_shared")


def test_metrics_travel_and_record_where_they_are(runtime: Any) -> None:
    counter = Counter("test_sent", tag_keys=("a",)).set_default_tags({"a": "1"})

    @snakepit.remote
    def work() -> list[Sample]:
        counter.inc(4)
        return recorded("test_sent")

    assert snakepit.get(work.remote()) == [Sample("test_sent", "counter", {"a": "1"}, 4.0)]
    assert recorded("test_sent") == []
    made = pickle.loads(pickle.dumps(Histogram("test_pickled", boundaries=[1])))
    assert made.info["boundaries"] == [1.0]


def test_threads_lose_nothing() -> None:
    counter = Counter("test_threads")

    def work() -> None:
        for _ in range(1000):
            counter.inc()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert recorded("test_threads")[0].value == 4000.0


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: Counter(""), ValueError, "name must be .* not ''"),
        (lambda: Counter(3), TypeError, "name must be a string, not 3"),
        (lambda: Counter("a b"), ValueError, "name must be .* not 'a b'"),
        (lambda: Counter("1a"), ValueError, "name must be .* not '1a'"),
        (lambda: Counter("test_x", 3), TypeError, "description must be a string, not 3"),
        (lambda: Counter("test_x", tag_keys=["a"]), TypeError, "tag_keys must be a tuple"),
        (lambda: Counter("test_x", tag_keys=(1,)), TypeError, "a key in tag_keys must .* not 1"),
        (lambda: Metric("test_x"), TypeError, "Counter, a Gauge or a Histogram"),
        (lambda: Counter("test_x").inc(0), ValueError, "value must be more than 0, not 0"),
        (lambda: Counter("test_x").inc("1"), TypeError, "value must be a number, not '1'"),
        (lambda: Counter("test_x").inc(1, {"a": 1}), TypeError, "tags must be .* not {'a': 1}"),
        (lambda: Counter("test_x").inc(1, 3), TypeError, "tags must be .* not 3"),
        (lambda: Counter("test_x", tag_keys=("a",)).inc(), ValueError, r"missing: \['a'\]"),
        (lambda: Counter("test_x").set_default_tags({"z": "1"}), ValueError, "not 'z'"),
        (lambda: Counter("test_x").set_default_tags("a"), TypeError, "default_tags must be"),
        (lambda: Gauge("test_g").set("a"), TypeError, "value must be a number"),
        (lambda: Gauge("test_g").set(float("nan")), ValueError, "value must be a number, not nan"),
        (lambda: Histogram("test_h"), ValueError, "boundaries must be .* not None"),
        (lambda: Histogram("test_h", boundaries=[]), ValueError, r"boundaries must be .* not \[\]"),
        (lambda: Histogram("test_h", boundaries=3), TypeError, "boundaries must be .* not 3"),
        (lambda: Histogram("test_h", boundaries=[0]), ValueError, "a boundary must be .* not 0"),
        (lambda: Histogram("test_h", boundaries=[2, 1]), ValueError, "a boundary must be .* not 1"),
        (lambda: Histogram("test_h", boundaries=["a"]), TypeError, "a boundary must be .* not 'a'"),
    ],
)
def test_bad_input_is_named(call: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        call()
