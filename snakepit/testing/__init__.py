"""A runtime without processes: streams in memory, a zygote and workers that follow a script.

    from snakepit import testing

    with testing.scripted_runtime(testing.reply(42)):
        assert snakepit.get(f.remote()) == 42

The driver is the real one, from the API down to the pump; what is scripted stands where the
worker processes would. So a test can have a worker reply late, die after half a frame or answer a
question that nobody asked, the same way each time and within a few milliseconds.
"""

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
