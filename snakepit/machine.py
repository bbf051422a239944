"""What this machine, or the container that it shows to us, lets this process use."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator


def has_gil() -> bool:
    """Return whether threads of this interpreter run Python code by turns."""
    enabled = getattr(sys, "_is_gil_enabled", None)
    return enabled is None or bool(enabled())


def available_cpus(root: str = "") -> int:
    """Return how many CPUs this process may use: affinity, or a cgroup's quota if that is less.

    Args:
        root: a folder that holds `proc` and `sys`, for tests.

    Returns:
        At least 1; a quota of one and a half CPUs counts as two, or a part would lie idle.
    """
    try:
        count = len(os.sched_getaffinity(0))
    except AttributeError:
        count = os.cpu_count() or 1
    for folder in _cgroup_folders(root, "cpu"):
        quota, _, period = _read(f"{folder}/cpu.max").strip().partition(" ")
        if not period:
            quota = _read(f"{folder}/cpu.cfs_quota_us").strip()
            period = _read(f"{folder}/cpu.cfs_period_us").strip()
        if quota.isdigit() and period.isdigit() and int(period):
            count = min(count, -(-int(quota) // int(period)))
    return max(1, count)


def available_memory(root: str = "") -> int:
    """Return the bytes of memory that this process may use: the machine's, or a cgroup's limit.

    Args:
        root: a folder that holds `proc` and `sys`, for tests.
    """
    size = 0
    for line in _read(f"{root}/proc/meminfo").splitlines():
        if line.startswith("MemTotal:"):
            size = int(line.split()[1]) * 1024
    if not size:
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for folder in _cgroup_folders(root, "memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            limit = _read(f"{folder}/{name}").strip()
            if limit.isdigit():
                size = min(size, int(limit))
    return size


def oom_kills(root: str = "") -> int:
    """Return how many processes the kernel has killed for lack of memory, of this one's cgroup.

    Of the whole machine where no cgroup counts them; 0 where nobody does.

    Args:
        root: a folder that holds `proc` and `sys`, for tests.
    """
    for folder in _cgroup_folders(root, "memory"):
        for name in ("memory.events", "memory.oom_control"):
            count = _field(f"{folder}/{name}", "oom_kill")
            if count is not None:
                return count
    return _field(f"{root}/proc/vmstat", "oom_kill") or 0


def present_gpus(root: str = "") -> int:
    """Return how many GPUs NVIDIA's driver shows to this process; 0 without the driver.

    Args:
        root: a folder that holds `proc` and `dev`, for tests.
    """
    for folder, prefix in ((f"{root}/proc/driver/nvidia/gpus", ""), (f"{root}/dev", "nvidia")):
        try:
            names = os.listdir(folder)
        except OSError:
            continue
        # In /dev there are nvidiactl, nvidia-uvm and others besides the devices themselves.
        found = [
            name
            for name in names
            if not prefix or (name.startswith(prefix) and name.removeprefix(prefix).isdigit())
        ]
        if found:
            return len(found)
    return 0


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def _field(path: str, name: str) -> int | None:
    """Return the number in the line of a name, if the file has it."""
    for line in _read(path).splitlines():
        key, _, value = line.partition(" ")
        if key == name and value.isdigit():
            return int(value)
    return None


def _cgroup_folders(root: str, controller: str) -> Iterator[str]:
    """Yield the folders whose limits hold for this process, of cgroup versions 1 and 2.

    A container often sees its host's path but only its own subtree, as the mount's root: so each
    ancestor is tried, the mount's root included, and those that are missing are passed over.
    """
    for line in _read(f"{root}/proc/self/cgroup").splitlines():
        controllers, _, path = line.partition(":")[2].partition(":")
        if not controllers:
            mounts = [f"{root}/sys/fs/cgroup", f"{root}/sys/fs/cgroup/unified"]
        elif controller in controllers.split(","):
            mounts = [f"{root}/sys/fs/cgroup/{controllers}", f"{root}/sys/fs/cgroup/{controller}"]
        else:
            continue
        parts = [part for part in path.split("/") if part and part != ".."]
        for depth in range(len(parts), -1, -1):
            for mount in mounts:
                yield "/".join([mount, *parts[:depth]])
