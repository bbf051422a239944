"""Two runtimes for tests of what goes wrong, the same way each time.

One without processes: streams in memory, a zygote and workers that follow a script.

    from snakepit import testing

    with testing.scripted_runtime(testing.reply(42)):
        assert snakepit.get(f.remote()) == 42

The driver is the real one, from the API down to the pump; what is scripted stands where the
worker processes would. So a test can have a worker reply late, die after half a frame or answer a
question that nobody asked, the same way each time and within a few milliseconds.

One whose worker processes are real, and die by SIGKILL at a named point of their work.

    from snakepit.testing import KillPlan, KillPoint

    with testing.killing_runtime(KillPlan(KillPoint.HALF_REPLY, nth=3)) as kills:
        assert snakepit.get([f.remote() for _ in range(5)]) == [42] * 5
    assert kills.deaths == 1
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from .kill_points import KillPlan, KillPoint, Kills, killing_runtime
    from .memory import MemoryStream, memory_pair
    from .runtimes import Stage, scripted_runtime
    from .steps import apply, die, fail, in_turn, reply, silence, then, torn, write
    from .workers import ScriptedWorker, Step
    from .zygotes import FakeZygote

__all__ = [
    "MemoryStream",
    "memory_pair",
    "FakeZygote",
    "ScriptedWorker",
    "Stage",
    "scripted_runtime",
    "KillPlan",
    "KillPoint",
    "Kills",
    "killing_runtime",
    "Step",
    "apply",
    "die",
    "fail",
    "in_turn",
    "reply",
    "silence",
    "then",
    "torn",
    "write",
]

# The workers that die import this package too, and need nothing of the driver.
_HOMES: Final = {
    "KillPlan": ".kill_points",
    "KillPoint": ".kill_points",
    "Kills": ".kill_points",
    "killing_runtime": ".kill_points",
    "MemoryStream": ".memory",
    "memory_pair": ".memory",
    "Stage": ".runtimes",
    "scripted_runtime": ".runtimes",
    "apply": ".steps",
    "die": ".steps",
    "fail": ".steps",
    "in_turn": ".steps",
    "reply": ".steps",
    "silence": ".steps",
    "then": ".steps",
    "torn": ".steps",
    "write": ".steps",
    "ScriptedWorker": ".workers",
    "Step": ".workers",
    "FakeZygote": ".zygotes",
}


def __getattr__(name: str) -> Any:
    """Load what is asked for, when it first is."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(_HOMES[name], __name__), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
