"""What there is: the resources of this machine, as Ray tells those of a cluster."""

from __future__ import annotations

from typing import Any, NoReturn

from ..errors import NotSupportedError
from ..ids import node_id
from ..protocol import current
from .context import running

STORE = "object_store_memory"
LOCAL = "node:127.0.0.1"
"""The resource by which Ray's programs ask for a node, and by which they count nodes."""


def cluster_resources() -> dict[str, float]:
    """Return all that there is to share out, by name.

    Returns:
        CPUs, GPUs (where there are any) and custom resources in units; `memory` and
        `object_store_memory` in bytes.
    """
    facts = _facts()
    return {**facts["resources"], STORE: float(facts[STORE]), LOCAL: 1.0}


def available_resources() -> dict[str, float]:
    """Return what of it is free at the moment, by name.

    Returns:
        As `cluster_resources`; what is used up is there with 0.
    """
    facts = _facts()
    free = {name: max(0.0, amount) for name, amount in facts["available"].items()}
    room = max(0.0, float(facts[STORE] - facts["object_store_used"]))
    return {**free, STORE: room, LOCAL: 1.0}


def nodes() -> list[dict[str, Any]]:
    """Return what is known of each machine: of this one, which is the only one.

    Returns:
        A list of one dictionary, with those of Ray's keys that mean something here.
    """
    import platform

    runtime = current() or running()
    name = platform.node()
    return [
        {
            "NodeID": node_id(runtime.run),
            "Alive": True,
            "alive": True,
            "NodeName": name,
            "NodeManagerHostname": name,
            "NodeManagerAddress": "127.0.0.1",
            "Resources": cluster_resources(),
            "Labels": {},
        }
    ]


def get_gpu_ids() -> list[int] | list[str]:
    """Return the GPUs that the task or actor that runs here may use: none in the driver.

    Returns:
        Their numbers; the names that CUDA_VISIBLE_DEVICES gave the driver, if it gave names.
    """
    names: list[str] = list(_facts().get("gpus") or ())
    return [int(name) for name in names] if all(map(str.isdigit, names)) else names


def timeline(filename: str | None = None) -> NoReturn:
    """Refuse: no times of calls are recorded that could be drawn.

    Args:
        filename: where Ray would write them.

    Raises:
        NotSupportedError: always.
    """
    raise NotSupportedError(
        f"timeline({'' if filename is None else repr(filename)}): this version records no times "
        "of calls. To see where time goes, run a profiler in the task, or time "
        "what the driver waits for"
    )


def _facts() -> dict[str, Any]:
    return (current() or running()).describe()
