"""What the crash matrix has its workers do: light, since each fresh worker imports it."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Callable
from typing import Any, NoReturn

import snakepit
from snakepit.protocol import current

LAST_WORDS = "the last words, by"


def strike(how: str) -> NoReturn:
    """Say something, then end the process, or raise."""
    print(LAST_WORDS, how, file=sys.stderr)
    if how == "segfault":
        import ctypes

        ctypes.string_at(0)
    elif how == "abort":
        os.abort()
    elif how == "exit":
        os._exit(3)
    elif how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif how == "sys.exit":
        sys.exit(4)
    raise ValueError("struck")


class OnLoad:
    """Strikes the process that unpickles it."""

    def __init__(self, how: str) -> None:
        self.how = how

    def __reduce__(self) -> Any:
        return strike, (self.how,)


class OnDump:
    """Strikes the process that pickles it."""

    def __init__(self, how: str) -> None:
        self.how = how

    def __reduce__(self) -> Any:
        strike(self.how)


class OnDumpError(Exception):
    """Strikes the process that pickles it."""

    def __reduce__(self) -> Any:
        strike(self.args[0])


class OnEnd:
    """Strikes the process in which it ends, other than that which made it."""

    def __init__(self, how: str) -> None:
        self.how = how
        self.maker = os.getpid()
        self.itself: Any = None

    def __del__(self) -> None:
        if os.getpid() != self.maker:
            strike(self.how)


def collect(how: str) -> None:
    """Leave a cycle to the garbage collector."""
    doomed = OnEnd(how)
    doomed.maker = 0
    doomed.itself = doomed
    del doomed
    gc.collect()


def trap_copy(how: str) -> None:
    """Strike in the midst of the next write to the store."""
    runtime: Any = current()
    arena = runtime._values._own_arena()
    genuine: Callable[..., None] = arena._copy

    def copy(targets: Any, sources: Any) -> None:
        arena._copy = genuine
        genuine(targets, [memoryview(source)[: len(source) // 2] for source in sources])
        strike(how)

    arena._copy = copy


def act(where: str, how: str, value: Any) -> Any:
    """Do what a call of the matrix does, once its arguments are there."""
    if where == "run":
        strike(how)
    elif where == "collect":
        collect(how)
    elif where == "exception":
        raise OnDumpError(how)
    elif where == "write":
        trap_copy(how)
    return [OnDump(how), value] if where == "result" else value


@snakepit.remote(max_retries=0)
def task(where: str, how: str, value: Any, charge: Any = None) -> Any:
    return act(where, how, value)


@snakepit.remote
class Actor:
    def __init__(self, where: str = "", how: str = "", value: Any = None, charge: Any = None):
        self.value = act(where, how, value)
        if where == "write":
            self.ref = snakepit.put(self.value)

    def method(self, where: str, how: str, value: Any, charge: Any = None) -> Any:
        return act(where, how, value)

    def pid(self) -> int:
        return os.getpid()


@snakepit.remote
def double(value: Any) -> Any:
    return 2 * value
