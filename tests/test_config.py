"""Settings: what is allowed, where defaults come from, what the machine allows."""

from __future__ import annotations

import copy
import os
import pickle
from typing import Any

import pytest

from snakepit import config
from snakepit.config import Config, resolve
from snakepit.errors import OptionError
from snakepit.machine import available_cpus, available_memory

GIVEN = {"num_cpus": 2, "object_store_memory": 1 << 24}


def test_a_config_holds_what_was_given() -> None:
    made = Config(num_cpus=2, object_store_memory=1 << 24, resources={"b": 0.5, "a": 2})
    assert made.resources == (("a", 20_000), ("b", 5_000))
    assert made.totals() == {"CPU": 20_000, "memory": 0, "a": 20_000, "b": 5_000}
    assert (made.namespace, made.log_to_driver, made.max_workers) == ("", True, None)
    assert pickle.loads(pickle.dumps(made)) == made == copy.copy(made)
    with pytest.raises(AttributeError):
        made.num_cpus = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("visible", "count", "names"),
    [
        (None, 2, ("0", "1")),
        (None, 0, ()),
        ("2,3", 2, ("2", "3")),
        ("2,3", 1, ("2",)),
        ("GPU-8f5, GPU-a0c", 2, ("GPU-8f5", "GPU-a0c")),
        ("0,-1,2", 1, ("0",)),  # what comes after -1 is hidden
        ("", 0, ()),
    ],
)
def test_gpus_are_those_that_the_driver_may_use(
    visible: str | None, count: int, names: tuple[str, ...]
) -> None:
    environment = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    made = resolve(**GIVEN, num_gpus=count, environment=environment)
    assert made.gpus == names
    assert made.totals().get("GPU", 0) == len(names) * 10_000


def test_gpus_that_are_hidden_cannot_be_shared_out() -> None:
    for visible, shown in (("", 0), ("0,-1,2", 1)):
        with pytest.raises(OptionError, match=f"num_gpus must be at most the {shown} that CUDA"):
            resolve(**GIVEN, num_gpus=2, environment={"CUDA_VISIBLE_DEVICES": visible})


def test_gpus_are_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snakepit.config.present_gpus", lambda: 2)
    assert resolve(**GIVEN, environment={}).gpus == ("0", "1")
    assert resolve(**GIVEN, environment={"CUDA_VISIBLE_DEVICES": "1"}).gpus == ("1",)
    assert resolve(**GIVEN, environment={"CUDA_VISIBLE_DEVICES": "-1"}).gpus == ()
    monkeypatch.setattr("snakepit.config.present_gpus", lambda: 0)
    assert resolve(**GIVEN, environment={"CUDA_VISIBLE_DEVICES": "0,1"}).gpus == ()


def test_memory_to_share_out_is_what_the_store_leaves() -> None:
    made = resolve(**GIVEN, environment={})
    assert made.memory == available_memory() - GIVEN["object_store_memory"]
    assert resolve(**GIVEN, memory=5, environment={}).totals()["memory"] == 50_000


@pytest.mark.parametrize(
    ("setting", "value", "error"),
    [
        ("num_gpus", -1, OptionError),
        ("num_gpus", 0.5, TypeError),
        ("num_gpus", "1", TypeError),
        ("num_gpus", True, TypeError),
        ("memory", -1, OptionError),
        ("memory", 1.5, TypeError),
    ],
)
def test_a_wrong_number_of_gpus_or_bytes_is_named(
    setting: str, value: Any, error: type[Exception]
) -> None:
    with pytest.raises(error, match=setting):
        resolve(**{**GIVEN, setting: value})


@pytest.mark.parametrize(
    ("setting", "value", "error"),
    [
        ("num_cpus", -1, OptionError),
        ("num_cpus", 1e9, TypeError),
        ("num_cpus", 10**9, OptionError),
        ("num_cpus", "2", TypeError),
        ("num_cpus", True, TypeError),
        ("num_cpus", 1.5, TypeError),
        ("object_store_memory", 0, OptionError),
        ("object_store_memory", "1GB", TypeError),
        ("resources", [("a", 1)], TypeError),
        ("resources", {"a": 0}, OptionError),
        ("resources", {"a": -1}, OptionError),
        ("resources", {"a": float("nan")}, OptionError),
        ("resources", {"a": float("inf")}, OptionError),
        ("resources", {"a": 0.00001}, OptionError),
        ("resources", {"a": "1"}, TypeError),
        ("resources", {"a": True}, TypeError),
        ("resources", {1: 1}, TypeError),
        ("resources", {"": 1}, OptionError),
        ("resources", {"CPU": 1}, OptionError),
        ("namespace", "", OptionError),
        ("namespace", 5, TypeError),
        ("log_to_driver", 1, TypeError),
        ("max_workers", 0, OptionError),
        ("restart_intensity", -1, OptionError),
        ("restart_intensity", 1001, OptionError),
        ("restart_intensity", 2.0, TypeError),
        ("restart_intensity", True, TypeError),
        ("restart_period", 0.5, OptionError),  # with the default intensity of 5
        ("restart_period", float("nan"), OptionError),
        ("restart_period", float("inf"), OptionError),
        ("restart_period", "60", TypeError),
        ("restart_period", True, TypeError),
    ],
)
def test_a_wrong_setting_is_named(setting: str, value: Any, error: type[Exception]) -> None:
    arguments: dict[str, Any] = {**GIVEN, setting: value}
    for make in (Config, resolve):
        with pytest.raises(error, match=setting) as caught:
            make(**arguments)
        assert "must be" in str(caught.value)


def test_the_restart_period_has_room_for_the_intensity() -> None:
    made = Config(**GIVEN)
    assert (made.restart_intensity, made.restart_period) == (5, 60.0)
    least = Config(**GIVEN, restart_intensity=0, restart_period=0.1)
    assert (least.restart_intensity, least.restart_period) == (0, 0.1)
    assert type(Config(**GIVEN, restart_period=30).restart_period) is float
    with pytest.raises(OptionError, match=r"from 10 to 86400.*restart_intensity=99"):
        resolve(**GIVEN, restart_intensity=99, restart_period=9.9)


def test_a_long_value_is_shortened_in_the_message() -> None:
    with pytest.raises(TypeError) as caught:
        resolve(num_cpus="x" * 1000)  # type: ignore[arg-type]
    assert len(str(caught.value)) < 250


def test_zero_cpus_are_allowed_and_integers_of_other_types_become_plain() -> None:
    import numpy

    assert Config(num_cpus=0, object_store_memory=1 << 24).num_cpus == 0
    made = Config(num_cpus=numpy.int64(3), object_store_memory=1 << 24)  # type: ignore[arg-type]
    assert type(made.num_cpus) is int
    resources = {"a": numpy.float64(0.5)}
    assert resolve(**GIVEN, resources=resources).resources == (("a", 5_000),)


def test_the_environment_stands_in_for_what_is_not_given() -> None:
    environment = {
        "SNAKEPIT_NUM_CPUS": "3",
        "SNAKEPIT_NUM_GPUS": "2",
        "SNAKEPIT_MEMORY": "5000",
        "SNAKEPIT_RESOURCES": "camera=2, disk=0.5",
        "SNAKEPIT_OBJECT_STORE_MEMORY": "33554432",
        "SNAKEPIT_NAMESPACE": "lab",
        "SNAKEPIT_LOG_TO_DRIVER": "off",
        "SNAKEPIT_MAX_WORKERS": "9",
        "SNAKEPIT_RESTART_INTENSITY": "2",
        "SNAKEPIT_RESTART_PERIOD": "1.5",
    }
    made = resolve(environment=environment)
    assert made == Config(
        num_cpus=3,
        gpus=("0", "1"),
        memory=5000,
        resources={"camera": 2, "disk": 0.5},
        object_store_memory=33554432,
        namespace="lab",
        log_to_driver=False,
        max_workers=9,
        restart_intensity=2,
        restart_period=1.5,
    )
    given = resolve(num_cpus=1, log_to_driver=True, resources={}, environment=environment)
    assert (given.num_cpus, given.log_to_driver, given.resources) == (1, True, ())


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("SNAKEPIT_NUM_CPUS", "two"),
        ("SNAKEPIT_RESOURCES", "camera"),
        ("SNAKEPIT_RESOURCES", "camera=x"),
        ("SNAKEPIT_LOG_TO_DRIVER", "perhaps"),
        ("SNAKEPIT_OBJECT_STORE_MEMORY", "1GB"),
        ("SNAKEPIT_RESTART_INTENSITY", "often"),
        ("SNAKEPIT_RESTART_PERIOD", "a minute"),
    ],
)
def test_a_wrong_variable_is_named(variable: str, text: str) -> None:
    with pytest.raises(OptionError, match=variable):
        resolve(environment={variable: text})


def test_an_empty_variable_counts_as_absent() -> None:
    made = resolve(environment={"SNAKEPIT_NUM_CPUS": "", "SNAKEPIT_LOG_TO_DRIVER": " "})
    assert made.log_to_driver
    assert made.num_cpus == min(available_cpus(), config.MAX_CPUS)


def test_the_process_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNAKEPIT_NAMESPACE", "outside")
    assert resolve().namespace == "outside"


def test_the_defaults_suit_this_machine() -> None:
    made = resolve(environment={})
    assert 1 <= made.num_cpus <= len(os.sched_getaffinity(0))
    assert made.object_store_memory == pytest.approx(0.4 * available_memory(), rel=0.01)
