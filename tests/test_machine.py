"""What the machine allows, as it is read from files that stand in for the kernel's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from snakepit.machine import available_cpus, available_memory, oom_kills, present_gpus


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


@pytest.mark.parametrize(
    ("files", "gpus"),
    [
        ({}, 0),
        ({"proc/driver/nvidia/version": ""}, 0),
        ({"proc/driver/nvidia/gpus/0000:01:00.0/information": ""}, 1),
        ({"dev/nvidia0": "", "dev/nvidia1": "", "dev/nvidiactl": "", "dev/nvidia-uvm": ""}, 2),
        ({"dev/nvidiactl": "", "dev/0": ""}, 0),
    ],
)
def test_gpus_are_counted_as_nvidias_driver_shows_them(
    tmp_path: Path, files: dict[str, str], gpus: int
) -> None:
    assert present_gpus(write(tmp_path, files)) == gpus


EVENTS = "low 0\noom 7\noom_kill 3\noom_group_kill 1\n"
VMSTAT = {"proc/vmstat": "nr_free_pages 5\noom_kill 9\n"}


@pytest.mark.parametrize(
    ("files", "count"),
    [
        ({}, 0),
        (VMSTAT, 9),
        ({**VMSTAT, **V2}, 9),
        ({**VMSTAT, **V2, "sys/fs/cgroup/pod/box/memory.events": EVENTS}, 3),
        ({**V2, "sys/fs/cgroup/memory.events": EVENTS}, 3),
        (
            {
                **V2,
                "sys/fs/cgroup/pod/box/memory.events": "oom_kill 1\n",
                "sys/fs/cgroup/pod/memory.events": EVENTS,
            },
            1,
        ),
        ({**V1, "sys/fs/cgroup/memory/box/memory.oom_control": "under_oom 0\noom_kill 2\n"}, 2),
        ({**VMSTAT, **V1, "sys/fs/cgroup/memory/box/memory.oom_control": "under_oom 0\n"}, 9),
    ],
)
def test_kills_for_lack_of_memory_are_counted_where_the_process_is(
    tmp_path: Path, files: dict[str, str], count: int
) -> None:
    assert oom_kills(write(tmp_path, files)) == count
