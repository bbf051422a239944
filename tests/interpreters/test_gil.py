"""On a free-threaded build the GIL is off, and stays off, in the driver and in every worker.

An extension that does not say that it can do without turns it on again for the whole process, with
a warning. So this loads whatever snakepit may load, and looks afterwards; nothing forces the GIL
off, since whoever has to force it has not been told that the extensions are safe without it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest

import snakepit

pytestmark = pytest.mark.skipif(
    not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="this build of Python has the GIL"
)

# A process of its own: the tests may have loaded anything.
DRIVER = """
import sys, threading
import cloudpickle, msgpack, numpy, psutil, pyarrow
import snakepit

@snakepit.remote
class Actor:
    def gil(self, values):
        import cloudpickle, msgpack, numpy, psutil, pyarrow
        return values.sum() >= 0 and sys._is_gil_enabled()

@snakepit.remote
def gil(table):
    import cloudpickle, msgpack, numpy, psutil, pyarrow
    return table.num_rows > 0 and sys._is_gil_enabled()

array = numpy.arange(100_000)
table = snakepit.put(pyarrow.table({"a": array}))
actors = [Actor.remote() for _ in range(2)]
found = snakepit.get([actor.gil.remote(array) for actor in actors])
found += snakepit.get([gil.remote(table) for _ in range(4)])
snakepit.shutdown()
print(*found, sys._is_gil_enabled())
"""


def is_on() -> bool:
    return sys._is_gil_enabled()  # new in 3.13


def test_nothing_forces_it_off() -> None:
    assert "gil" not in sys._xoptions
    assert "PYTHON_GIL" not in os.environ


def test_it_is_off_in_the_tests_own_driver_and_workers(runtime: Any) -> None:
    assert not is_on()
    assert snakepit.get([snakepit.remote(is_on).remote() for _ in range(4)]) == [False] * 4


def test_it_is_off_after_all_that_snakepit_loads(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", DRIVER],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert (done.stdout.split(), done.stderr) == (["False"] * 7, "")
