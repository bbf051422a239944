"""The parts of `make leaks`, small."""

from __future__ import annotations

import gc
import os
import weakref
from typing import Any

import pytest

import snakepit
from snakepit import protocol

from . import footprint, leaks


def test_values_leave_nothing(runtime: Any) -> None:
    leaks.part("put, get, drop", 2_000, leaks.put_get_drop)
    leaks.values_in_a_worker(1_000)


def test_calls_with_kills_leave_nothing(runtime: Any) -> None:
    leaks.part("calls with kills", 1_000, leaks.calls_with_kills)


def test_runtimes_leave_nothing() -> None:
    # A runtime of an earlier module that something still held at that module's end was frozen
    # there (see conftest.py), and is garbage that no collection frees.
    earlier = protocol._slot.forkables
    leaks.cycles(10)
    later = [each for each in protocol._slot.forkables if each not in earlier]
    assert not [each for each in later if each() is not None]


def test_a_function_keeps_no_runtime_that_was_shut_down() -> None:
    @snakepit.remote
    def one() -> int:
        return 1

    with snakepit.init(num_cpus=1):
        assert snakepit.get(one.remote()) == 1
        runtime: Any = protocol.current()
        alive = weakref.ref(runtime)
        del runtime
    gc.collect()
    assert alive() is None
    with snakepit.init(num_cpus=1):
        assert snakepit.get(one.remote()) == 1


def test_what_grows_is_seen() -> None:
    before, known = footprint.of(), footprint.instances()
    assert not footprint.growth(before, before, 0)
    reader, writer = os.pipe()
    segment = os.memfd_create("snakepit-test")
    kept = [bytearray(4 << 20), snakepit.errors.OptionError("kept")]
    try:
        wrong = footprint.growth(before, footprint.of(), 2048)
    finally:
        for fd in (reader, writer, segment):
            os.close(fd)
    for name in ("fds", "held", "heap"):
        assert name in wrong
    assert footprint.growth(before, footprint.of(), 1 << 20) == ""
    assert footprint.instances() - known == {"OptionError": 1}
    del kept
    with pytest.raises(AssertionError, match="objects"):
        leaked: list[Any] = []
        with snakepit.init(num_cpus=1):
            # One for each tenth of the length that only the full run has.
            leaks.part(
                "leak",
                20,
                lambda n: leaked.extend(snakepit.errors.OptionError("") for _ in range(n)),
            )
