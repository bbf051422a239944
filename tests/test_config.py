"""Settings: what is allowed, where defaults come from, what the machine allows."""

from __future__ import annotations

import copy
import os
import pickle
from pathlib import Path
from typing import Any

import pytest

from snakepit import config
from snakepit.config import Config, available_cpus, available_memory, resolve
from snakepit.errors import OptionError

GIVEN = {"num_cpus": 2, "object_store_memory": 1 << 24}


def test_a_config_holds_what_was_given() -> None:
    made = Config(num_cpus=2, object_store_memory=1 << 24, resources={"b": 0.5, "a": 2})
    assert made.resources == (("a", 20_000), ("b", 5_000))
    assert made.totals() == {"CPU": 20_000, "a": 20_000, "b": 5_000}
    assert (made.namespace, made.log_to_driver, made.max_workers) == ("", True, None)
    assert pickle.loads(pickle.dumps(made)) == made == copy.copy(made)
    with pytest.raises(AttributeError):
        made.num_cpus = 3  # type: ignore[misc]


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
    ],
)
def test_a_wrong_setting_is_named(setting: str, value: Any, error: type[Exception]) -> None:
    arguments: dict[str, Any] = {**GIVEN, setting: value}
    for make in (Config, resolve):
        with pytest.raises(error, match=setting) as caught:
            make(**arguments)
        assert "must be" in str(caught.value)


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
        "SNAKEPIT_RESOURCES": "camera=2, disk=0.5",
        "SNAKEPIT_OBJECT_STORE_MEMORY": "33554432",
        "SNAKEPIT_NAMESPACE": "lab",
        "SNAKEPIT_LOG_TO_DRIVER": "off",
        "SNAKEPIT_MAX_WORKERS": "9",
    }
    made = resolve(environment=environment)
    assert made == Config(
        num_cpus=3,
        resources={"camera": 2, "disk": 0.5},
        object_store_memory=33554432,
        namespace="lab",
        log_to_driver=False,
        max_workers=9,
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


def write(root: Path, files: dict[str, str]) -> str:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return str(root)


V2 = {"proc/self/cgroup": "0::/pod/box\n"}
V1 = {"proc/self/cgroup": "4:cpu,cpuacct:/box\n3:memory:/box\n1:name=systemd:/\n"}


@pytest.mark.parametrize(
    ("files", "cpus"),
    [
        ({}, 8),
        ({**V2, "sys/fs/cgroup/pod/box/cpu.max": "max 100000\n"}, 8),
        ({**V2, "sys/fs/cgroup/pod/box/cpu.max": "200000 100000\n"}, 2),
        ({**V2, "sys/fs/cgroup/pod/cpu.max": "150000 100000\n"}, 2),
        ({**V2, "sys/fs/cgroup/cpu.max": "50000 100000\n"}, 1),
        ({**V2, "sys/fs/cgroup/cpu.max": "rubbish"}, 8),
        (
            {
                **V1,
                "sys/fs/cgroup/cpu/box/cpu.cfs_quota_us": "300000\n",
                "sys/fs/cgroup/cpu/box/cpu.cfs_period_us": "100000\n",
            },
            3,
        ),
        (
            {
                **V1,
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
            },
            8,
        ),
    ],
)
def test_cpus_are_the_least_of_affinity_and_quota(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], cpus: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    assert available_cpus(write(tmp_path, files)) == cpus


MEMINFO = {"proc/meminfo": "MemTotal:       1000 kB\nMemFree: 5 kB\n"}


@pytest.mark.parametrize(
    ("files", "size"),
    [
        (MEMINFO, 1_024_000),
        ({**MEMINFO, **V2, "sys/fs/cgroup/pod/box/memory.max": "max\n"}, 1_024_000),
        ({**MEMINFO, **V2, "sys/fs/cgroup/pod/memory.max": "4096\n"}, 4096),
        ({**MEMINFO, **V1, "sys/fs/cgroup/memory/box/memory.limit_in_bytes": "8192\n"}, 8192),
        (
            {**MEMINFO, **V1, "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{1 << 63}\n"},
            1_024_000,
        ),
    ],
)
def test_memory_is_the_least_of_machine_and_cgroup(
    tmp_path: Path, files: dict[str, str], size: int
) -> None:
    assert available_memory(write(tmp_path, files)) == size


def test_memory_without_proc(tmp_path: Path) -> None:
    assert available_memory(str(tmp_path)) > 1 << 20


def test_the_defaults_suit_this_machine() -> None:
    made = resolve(environment={})
    assert 1 <= made.num_cpus <= len(os.sched_getaffinity(0))
    assert made.object_store_memory == pytest.approx(0.4 * available_memory(), rel=0.01)
