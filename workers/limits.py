"""What a worker, or one call, may take of the machine: memory, priority, CPUs.

Memory is that which the process has for itself and can write to: the kernel counts and limits it
(RLIMIT_DATA), and what is beyond the limit is refused to whoever asks, for whom Python raises
MemoryError. A limit is how much may be taken beyond what is there when it begins, since what a
process begins with depends on what was imported.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Callable
from typing import Any, Final

from snakepit.errors import NotSupportedError

from .interruption import Interruption

PAGE: Final = resource.getpagesize()
AHEAD: Final = "MIMALLOC_ARENA_RESERVE"


def set_up(text: str) -> None:
    """Give this process what its pool says, as `snakepit.pools.limits_of` has written it.

    Raises:
        OSError: it may not have that.
    """
    limits = dict(pair.split("=") for pair in text.split(";"))
    if "nice" in limits:
        os.setpriority(os.PRIO_PROCESS, 0, int(limits["nice"]))
    if "cpus" in limits:
        try:
            os.sched_setaffinity(0, [int(cpu) for cpu in limits["cpus"].split(",")])
        except OSError as error:
            error.add_note(f"cpu_affinity: no process here may use any of CPUs {limits['cpus']}")
            raise
    if "memory" in limits:
        restrict(int(limits["memory"]))


def restrict(size: int) -> None:
    """Let this process take no more than so many bytes from now on, or fewer if it is so.

    Raises:
        NotSupportedError: Python's own allocator has taken memory ahead, which no limit can see.
    """
    import sysconfig

    if sysconfig.get_config_var("Py_GIL_DISABLED") and os.environ.get(AHEAD) != "0":
        raise NotSupportedError(
            "memory_limit: the allocator of free-threaded Python takes 1 GiB ahead, out of which a "
            f"call could be given more. Set {AHEAD}=0 in the environment of the driver"
        )
    with open("/proc/self/statm", "rb") as file:
        taken = int(file.read().split()[5]) * PAGE
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    bounds = [bound for bound in (soft, hard) if bound != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_DATA, (min([taken + size, *bounds]), hard))


def run_within(
    interruption: Interruption, size: int, function: Callable[..., Any], *args: Any, **kwargs: Any
) -> Any:
    """Call a function that may take no more than so many bytes while it runs.

    Args:
        interruption: what may strike the function, and must not strike the end of this.
        size: how many.
        function: what is called.
        args: its arguments by position.
        kwargs: its arguments by name.
    """
    before = resource.getrlimit(resource.RLIMIT_DATA)
    try:
        restrict(size)
        try:
            return function(*args, **kwargs)
        finally:
            interruption.open = False
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


def explain(error: MemoryError, name: str, size: int) -> None:
    """Have an error say which limit it met, if it was one.

    Args:
        error: raised by a call.
        name: of the call.
        size: the call's own limit, or 0.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_DATA)
    if size:
        text = f"{name} may take {size:,} bytes, its memory_limit, and asked for more"
    elif soft != resource.RLIM_INFINITY:
        text = f"the process of {name} may have {soft:,} bytes, by the memory_limit of its pool"
    else:
        return
    if type(error) is MemoryError and not error.args:
        error.args = (text,)
    else:
        error.add_note(text)
