"""The pytest plugin, as it is found by projects in whose environment snakepit is installed."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest_plugins = ["pytester"]

PROJECT = """
import subprocess
import sys

import pytest
import snakepit

left = []


@snakepit.remote
def square(number):
    return number * number


def cpus():
    return snakepit.cluster_resources()["CPU"]


def test_a_runtime(snakepit_runtime):
    assert snakepit.get(square.remote(3)) == 9
    assert cpus() == {cpus}


def test_the_runtime_is_gone():
    assert not snakepit.is_initialized()


@pytest.mark.snakepit(num_cpus=1, namespace="x")
def test_options(snakepit_runtime):
    assert (cpus(), snakepit.get_runtime_context().namespace) == (1, "x")


@pytest.mark.snakepit(num_cpus=3)
class TestMarked:
    @pytest.mark.snakepit(resources={{"camera": 1}})
    def test_marks_add_up(self, snakepit_runtime):
        assert cpus() == 3
        assert snakepit.cluster_resources()["camera"] == 1
"""

LEAVES = """
import subprocess
import sys

import snakepit.leftovers

snakepit.leftovers.GRACE = 0.5  # what is left here stays: nothing is gained by a long wait
left = []


def test_descriptor(snakepit_runtime):
    left.append(open("/dev/null"))


def test_process(snakepit_runtime):
    left.append(subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE))


def test_clean(snakepit_runtime):
    pass


def test_end():
    left[0].close()
    left[1].communicate(b"\\n")
"""


def run(pytester: pytest.Pytester, *options: str) -> pytest.RunResult:
    return pytester.runpytest_subprocess("--strict-markers", "-p", "no:cacheprovider", *options)


@pytest.mark.parametrize("setting", [None, 1])
def test_the_fixture_its_mark_and_its_setting(
    pytester: pytest.Pytester, setting: int | None
) -> None:
    if setting:
        pytester.makeini(f"[pytest]\nsnakepit_num_cpus = {setting}")
    pytester.makepyfile(PROJECT.format(cpus=setting or 2))
    run(pytester, "-W", "error").assert_outcomes(passed=4)


def test_what_a_test_leaves_behind_is_an_error_of_this_test(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(LEAVES)
    result = run(pytester)
    result.assert_outcomes(passed=4, errors=2)
    result.stdout.fnmatch_lines(
        [
            "*ERROR at teardown of test_descriptor*",
            "*the test left behind: descriptors: fd *(/dev/null)*",
            "*ERROR at teardown of test_process*",
            "*the test left behind: processes: pid *input()*",
        ]
    )


def test_a_wrong_setting_is_named(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nsnakepit_num_cpus = many")
    pytester.makepyfile("def test_it(snakepit_runtime): pass")
    result = run(pytester)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*snakepit_num_cpus must be a number*'many'*"])


WRONG_MARKS = """
import pytest


@pytest.mark.snakepit(4)
def test_by_position(snakepit_runtime): pass


@pytest.mark.snakepit(cpus=4)
def test_unknown(snakepit_runtime): pass
"""


def test_wrong_options_are_named(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(WRONG_MARKS)
    result = run(pytester)
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(
        [
            "*ERROR at setup of test_by_position*",
            "*takes options of snakepit.init by name*",
            "*ERROR at setup of test_unknown*",
            "*init has no option 'cpus'*",
        ]
    )


def test_to_load_it_loads_no_runtime() -> None:
    code = "import sys, pytest, snakepit.pytest_plugin; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    modules = loaded.stdout.split()
    assert "snakepit.pytest_plugin" in modules
    heavy = ("snakepit.runtime", "snakepit.testing", "snakepit.leftovers", "psutil", "numpy")
    assert [name for name in heavy if name in modules] == []
