"""What keeps a value from being sent, and serializers of one's own."""

from __future__ import annotations

import io
import pickle
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import snakepit
from snakepit.errors import SerializationError
from snakepit.util import deregister_serializer, inspect_serializability, register_serializer

pytestmark = pytest.mark.usefixtures("runtime")


class Camera:
    """Cannot be pickled: it holds a lock."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.lock = threading.Lock()


class Better(Camera):
    pass


def number_of(camera: Camera) -> int:
    return camera.number


@pytest.fixture
def registered() -> Iterator[None]:
    """Cameras travel as their number."""
    register_serializer(Camera, serializer=number_of, deserializer=Camera)
    yield
    deregister_serializer(Camera)


def inspected(value: Any, **options: Any) -> tuple[bool, dict[str, Any], str]:
    file = io.StringIO()
    good, failures = inspect_serializability(value, print_file=file, **options)
    return good, {each.name: each for each in failures}, file.getvalue()


def test_what_can_be_sent() -> None:
    assert inspected([1, "a"], name="values") == (
        True,
        {},
        "values can be sent to other processes\n",
    )
    assert inspected(snakepit.put(1))[0]
    assert inspected(lambda: 1)[0]


def test_each_culprit_is_found() -> None:
    value = {"camera": Camera(1), "good": 1, "lines": (line for line in "ab")}
    good, found, text = inspected(value, name="state")
    assert not good
    assert set(found) == {"state['camera'].lock", "state['lines']"}
    assert found["state['camera'].lock"].obj is value["camera"].lock  # type: ignore[attr-defined]
    assert found["state['camera'].lock"].parent is value["camera"]
    assert found["state['lines']"].parent is value
    assert text.startswith("state cannot be sent to other processes, because of:\n")
    assert "  state['lines'], of type builtins.generator: TypeError: cannot pickle" in text
    assert "state['lines']" in repr(found["state['lines']"])


def test_a_function_is_looked_into() -> None:
    lock = threading.Lock()

    def function() -> Any:
        return lock

    assert set(inspected(function)[1]) == {"function.<closure>.lock"}


def test_only_so_deep() -> None:
    value = [[[threading.Lock()]]]
    assert set(inspected(value, name="v", depth=1)[1]) == {"v[0]"}
    found = inspected(value, name="v", depth=0)[1]
    assert set(found) == {"v"}
    assert found["v"].parent is None
    assert set(inspected(value, name="v")[1]) == {"v[0][0][0]"}


def test_circles_end() -> None:
    value: list[Any] = [threading.Lock()]
    value.append(value)
    assert set(inspected(value, name="v")[1]) == {"v[0]"}


def test_it_prints_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    inspect_serializability(1)
    assert capsys.readouterr().out == "int can be sent to other processes\n"


@pytest.mark.usefixtures("registered")
def test_a_registered_class_travels() -> None:
    assert snakepit.get(snakepit.put(Camera(3))).number == 3
    read = snakepit.remote(lambda cameras: [camera.number for camera in cameras])
    assert snakepit.get(read.remote([Camera(1), Camera(2)])) == [1, 2]
    assert inspected(Camera(1))[0]


@pytest.mark.usefixtures("registered")
def test_a_worker_registers_for_what_it_sends() -> None:
    def make(register: bool) -> Camera:
        if register:
            register_serializer(Camera, serializer=number_of, deserializer=Camera)
        try:
            return Camera(5)
        finally:
            if not register:
                deregister_serializer(Camera)

    task = snakepit.remote(make)
    assert snakepit.get(task.remote(True)).number == 5
    with pytest.raises(SerializationError):
        snakepit.get(task.options(num_cpus=2).remote(False))


@pytest.mark.usefixtures("registered")
def test_exactly_that_class_and_no_other_pickle_changes() -> None:
    with pytest.raises(SerializationError, match="lock"):
        snakepit.put(Better(1))
    with pytest.raises(TypeError):
        pickle.dumps(Camera(1))


def test_it_can_be_taken_back_and_changed() -> None:
    for factor in (1, 2):
        register_serializer(
            Camera, serializer=number_of, deserializer=lambda n, f=factor: Camera(f * n)
        )
        assert snakepit.get(snakepit.put(Camera(3))).number == 3 * factor
    deregister_serializer(Camera)
    deregister_serializer(Camera)
    with pytest.raises(SerializationError, match="lock"):
        snakepit.put(Camera(1))


@pytest.mark.usefixtures("registered")
def test_an_error_of_a_serializer_is_named() -> None:
    camera = Camera(1)
    del camera.number
    with pytest.raises(SerializationError, match="number"):
        snakepit.put(camera)


def register(cls: Any, serializer: Any = number_of, deserializer: Any = Camera) -> None:
    register_serializer(cls, serializer=serializer, deserializer=deserializer)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: inspect_serializability(1, depth=-1), ValueError, "depth must be .* not -1"),
        (lambda: inspect_serializability(1, depth="1"), TypeError, "depth must be .* not '1'"),
        (lambda: inspect_serializability(1, name=3), TypeError, "name must be .* not 3"),
        (lambda: inspect_serializability(1, print_file=3), TypeError, "print_file must .* not 3"),
        (lambda: register(3), TypeError, "cls must be a class, not 3"),
        (lambda: register(dict), ValueError, "cls must be .* not <class 'dict'>"),
        (lambda: register(np.ndarray), ValueError, "cls must be .* not <class 'numpy.ndarray'>"),
        (lambda: register(Camera, serializer=3), TypeError, "serializer must be .* not 3"),
        (lambda: register(Camera, deserializer=3), TypeError, "deserializer must be .* not 3"),
        (lambda: deregister_serializer("Camera"), TypeError, "cls must be a class"),
    ],
)
def test_bad_input_is_named(call: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        call()
