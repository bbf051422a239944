"""How a worker's process ended, as one word: what people look for first, and what rules go by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from .calls import Call

SEGFAULT, ABORT, OOM, GPU, KILLED, EXIT = "segfault", "abort", "oom", "gpu", "killed", "exit"
HANG: Final = "hang"

BROKEN: Final = frozenset((SEGFAULT, ABORT, OOM, GPU, HANG))
"""Ends that say that the process, or what it ran on, was broken: the next one may be too."""

_FAULTS: Final = frozenset(("SIGSEGV", "SIGBUS", "SIGILL", "SIGFPE", "SIGTRAP"))

_GPU_TEXTS: Final = (
    "CUDA error", "CUDA out of memory", "CUDA driver error", "cudaError", "CUDA_ERROR_", "CUBLAS_",
    "CUDNN_STATUS", "cuDNN error", "NCCL error", "device-side assert", "HIP error", "hipError",
    "HIP out of memory", "ROCm error", "HSA_STATUS_ERROR", "Memory access fault by GPU",
)  # fmt: skip
"""What CUDA, ROCm and the libraries on them write before they end a process."""

_MEMORY_TEXTS: Final = ("bad_alloc", "MemoryError", "Cannot allocate memory", "out of memory")
"""What is written by programs that give up since a limit of memory holds, such as RLIMIT_DATA."""


def kind_of(cause: Mapping[str, Any]) -> str:
    """Return the kind of a death.

    Args:
        cause: `signal` (its name) or `exit_code`; `stderr`, its last lines; `oom`, whether the
            kernel is known to have killed a process of ours for lack of memory just now; and
            `silent`, for how long it had not answered, if it was ended for that.

    Returns:
        "oom": killed by the kernel for lack of memory, or ended by itself saying so; "gpu": it
        broke down after an error of a GPU; "segfault": a fault of native code; "abort": native code
        gave up; "hang": it was ended, since it did not answer; "killed": another signal; "exit": it
        ended itself; "" if nobody knows.
    """
    signal, text = cause.get("signal"), cause.get("stderr") or ""
    if signal is None and cause.get("exit_code") is None:
        return ""
    broke_down = signal is None or signal in _FAULTS or signal == "SIGABRT"
    if not broke_down:
        # What it wrote has nothing to do with what others do to it.
        if cause.get("silent") is not None:
            return HANG
        return OOM if signal == "SIGKILL" and cause.get("oom") else KILLED
    if any(said in text for said in _GPU_TEXTS):
        return GPU
    if signal in _FAULTS:
        return SEGFAULT
    if signal is None:
        return EXIT
    return OOM if any(said in text for said in _MEMORY_TEXTS) else ABORT


def ended_for(cause: Mapping[str, Any], guilty: Iterable[Call]) -> dict[str, Any]:
    """Say for which call the runtime had a worker ended, if that is why it has.

    Args:
        cause: how it ended, with its kind.
        guilty: the calls that may be to blame.
    """
    killed = cause.get("signal") == "SIGKILL" and cause["kind"] == KILLED
    call = next((each for each in guilty if each.cancelled or each.expired), None)
    if call is None or not (killed or cause.get("exit_code") == 1):
        return {}
    if call.cancelled:
        return {"ended_for": call.name}
    return {"ended_for": call.name, "timeout": call.shape.template.timeout}
