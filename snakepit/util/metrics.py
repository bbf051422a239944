"""Counters, gauges and histograms, by Ray's names.

What a process records is kept in that process, where `snapshot` reads it. Nothing is exported yet:
no port is opened, and what workers record is not brought to the driver.

Metrics of one name are one metric, however often they are made: a module that is imported by many
tasks may make its own. The table of them is the process's, as the names are, and guarded by a lock.
"""

from __future__ import annotations

import re
import threading
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeVar, final

from ..checks import check_name, wrong_type, wrong_value

__all__ = ["Counter", "Gauge", "Histogram", "Metric", "Sample", "snapshot"]

_NAME: Final = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")

M = TypeVar("M", bound="Metric")

Tags = tuple[tuple[str, str], ...]


class Sample(NamedTuple):
    """What a metric has recorded under one set of tags.

    Attributes:
        name: the metric's.
        kind: "counter", "gauge" or "histogram".
        tags: by key.
        value: the sum of a counter's increments, a gauge's last value, the sum of a histogram's
            observations.
        boundaries: a histogram's.
        counts: how many of its observations were at most each boundary and above the one before;
            then how many were above all.
    """

    name: str
    kind: str
    tags: dict[str, str]
    value: float
    boundaries: tuple[float, ...] = ()
    counts: tuple[int, ...] = ()


@final
class _Series:
    __slots__ = ("counts", "value")

    def __init__(self, buckets: int) -> None:
        self.value = 0.0
        self.counts = [0] * buckets


@final
class _Family:
    """All that metrics of one name record."""

    def __init__(self, name: str, kind: str, boundaries: tuple[float, ...]) -> None:
        self.name = name
        self.kind = kind
        self.boundaries = boundaries
        self.lock = threading.Lock()
        self.series: dict[Tags, _Series] = {}

    def record(self, tags: Tags, change: Callable[[_Series], None]) -> None:
        with self.lock:
            series = self.series.get(tags)
            if series is None:
                buckets = len(self.boundaries) + 1 if self.kind == "histogram" else 0
                series = self.series[tags] = _Series(buckets)
            change(series)

    def samples(self) -> list[Sample]:
        with self.lock:
            return [
                Sample(
                    self.name,
                    self.kind,
                    dict(tags),
                    series.value,
                    self.boundaries,
                    tuple(series.counts),
                )
                for tags, series in sorted(self.series.items())
            ]


@final
class _Families:
    """The process's table."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_name: dict[str, _Family] = {}

    def named(self, name: str, kind: str, boundaries: tuple[float, ...]) -> _Family:
        with self._lock:
            family = self._by_name.setdefault(name, _Family(name, kind, boundaries))
        if (family.kind, family.boundaries) != (kind, boundaries):
            raise wrong_value(
                "name",
                name,
                f"one that is free, or that of a {kind} with the same boundaries; in this process "
                f"it names a {family.kind}",
            )
        return family

    def all(self) -> list[_Family]:
        with self._lock:
            return [self._by_name[name] for name in sorted(self._by_name)]


_FAMILIES: Final = _Families()


def snapshot() -> list[Sample]:
    """Return what this process has recorded so far, by name and tags."""
    return [sample for family in _FAMILIES.all() for sample in family.samples()]


class Metric:
    """What the three kinds have in common; use one of them."""

    _kind = ""

    def __init__(
        self, name: str, description: str = "", tag_keys: tuple[str, ...] | None = None
    ) -> None:
        self._name = check_name("name", name)
        if not _NAME.fullmatch(name):
            raise wrong_value("name", name, "letters, digits, _ and :, with no digit first")
        if not isinstance(description, str):
            raise wrong_type("description", description, "a string")
        if not isinstance(tag_keys, (tuple, type(None))):
            raise wrong_type("tag_keys", tag_keys, "a tuple of strings")
        for key in tag_keys or ():
            check_name("a key in tag_keys", key)
        if type(self)._kind == "":
            raise TypeError("a Metric is a Counter, a Gauge or a Histogram: make one of these")
        self._description = description
        self._tag_keys: tuple[str, ...] = tag_keys or ()
        self._default_tags: dict[str, str] = {}
        self._family = _FAMILIES.named(name, self._kind, self._bounds())

    def _bounds(self) -> tuple[float, ...]:
        return ()

    @property
    def info(self) -> dict[str, Any]:
        """Its `name`, `description`, `tag_keys` and `default_tags`."""
        return {
            "name": self._name,
            "description": self._description,
            "tag_keys": self._tag_keys,
            "default_tags": dict(self._default_tags),
        }

    def set_default_tags(self: M, default_tags: Mapping[str, str]) -> M:
        """Give tags to all that this object records without them; return the metric.

        Raises:
            TypeError: `default_tags` is no dictionary of strings.
            ValueError: a key is not one of `tag_keys`.
        """
        checked = _checked("default_tags", default_tags)
        for key in checked:
            if key not in self._tag_keys:
                raise wrong_value("a key in default_tags", key, f"one of {list(self._tag_keys)}")
        self._default_tags = checked
        return self

    def _tags(self, tags: Mapping[str, str] | None) -> Tags:
        merged = {**self._default_tags, **_checked("tags", {} if tags is None else tags)}
        missing = [key for key in self._tag_keys if key not in merged]
        if missing:
            raise wrong_value("tags", tags, f"given for each of tag_keys; missing: {missing}")
        return tuple(sorted(merged.items()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._name!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (type(self), self._arguments(), self._default_tags)

    def _arguments(self) -> tuple[Any, ...]:
        return (self._name, self._description, self._tag_keys)


@final
class Counter(Metric):
    """A sum that only grows.

    Args:
        name: letters, digits, _ and :, with no digit first.
        description: for people.
        tag_keys: the keys that each record must have.

    Raises:
        TypeError: an argument has a wrong type.
        ValueError: the name is not allowed, or another kind of metric has it.
    """

    _kind = "counter"

    def inc(self, value: float = 1.0, tags: Mapping[str, str] | None = None) -> None:
        """Add `value`, which is more than 0.

        Raises:
            TypeError: `value` is no number, `tags` no dictionary of strings.
            ValueError: `value` is not more than 0; a tag is missing.
        """
        amount = _number("value", value)
        if not amount > 0:
            raise wrong_value("value", value, "more than 0")

        def add(series: _Series) -> None:
            series.value += amount

        self._family.record(self._tags(tags), add)


@final
class Gauge(Metric):
    """A value that comes and goes; the last one counts. The arguments are those of Counter."""

    _kind = "gauge"

    def set(self, value: float | None, tags: Mapping[str, str] | None = None) -> None:
        """Record a value; None records nothing.

        Raises:
            TypeError: `value` is no number, `tags` no dictionary of strings.
            ValueError: a tag is missing.
        """
        if value is None:
            return
        number = _number("value", value)

        def put(series: _Series) -> None:
            series.value = number

        self._family.record(self._tags(tags), put)


@final
class Histogram(Metric):
    """How many observations fell between which boundaries.

    Args:
        name: as for Counter.
        description: for people.
        boundaries: numbers above 0, each more than the one before.
        tag_keys: the keys that each record must have.

    Raises:
        TypeError: an argument has a wrong type.
        ValueError: the name or a boundary is not allowed; there is no boundary.
    """

    _kind = "histogram"

    def __init__(
        self,
        name: str,
        description: str = "",
        boundaries: Sequence[float] | None = None,
        tag_keys: tuple[str, ...] | None = None,
    ) -> None:
        if boundaries is not None and not isinstance(boundaries, (list, tuple)):
            raise wrong_type("boundaries", boundaries, "a list of numbers")
        if not boundaries:
            raise wrong_value("boundaries", boundaries, "a list of numbers, such as [0.1, 1, 10]")
        last = 0.0
        for boundary in boundaries:
            if not _number("a boundary", boundary) > last:
                raise wrong_value("a boundary", boundary, "more than 0, and than the one before")
            last = boundary
        self._boundaries = tuple(map(float, boundaries))
        super().__init__(name, description, tag_keys)

    def _bounds(self) -> tuple[float, ...]:
        return self._boundaries

    @property
    def info(self) -> dict[str, Any]:
        """As of every metric, and its `boundaries`."""
        return {**super().info, "boundaries": list(self._boundaries)}

    def observe(self, value: float, tags: Mapping[str, str] | None = None) -> None:
        """Record a value.

        Raises:
            TypeError: `value` is no number, `tags` no dictionary of strings.
            ValueError: a tag is missing.
        """
        number = _number("value", value)

        def count(series: _Series) -> None:
            series.value += number
            series.counts[bisect_left(self._boundaries, number)] += 1

        self._family.record(self._tags(tags), count)

    def _arguments(self) -> tuple[Any, ...]:
        return (self._name, self._description, self._boundaries, self._tag_keys)


def _number(option: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise wrong_type(option, value, "a number")
    if value != value:
        raise wrong_value(option, value, "a number")
    return float(value)


def _checked(option: str, tags: Any) -> dict[str, str]:
    if not isinstance(tags, Mapping):
        raise wrong_type(option, tags, "a dictionary of strings")
    for key, value in tags.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise wrong_type(option, {key: value}, "a dictionary of strings")
    return dict(tags)


def _again(kind: Any, arguments: tuple[Any, ...], default_tags: dict[str, str]) -> Any:
    return kind(*arguments).set_default_tags(default_tags)
