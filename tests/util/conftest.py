"""The runtime of a module, and the look for what it still holds, are those of tests/runtime."""

from tests.runtime.conftest import everything_released, gate, nothing_left_behind, runtime, tally

__all__ = ["everything_released", "gate", "nothing_left_behind", "runtime", "tally"]
