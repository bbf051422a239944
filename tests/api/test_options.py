"""Options: what is allowed, what is refused and how, and the templates they make."""

from __future__ import annotations

from typing import Any

import pytest

from snakepit.api import options
from snakepit.api.options import check_options, merge
from snakepit.api.templates import actor_template, task_template
from snakepit.errors import OptionError
from snakepit.wire.messages import CREATE, TASK


def task(**given: Any) -> dict[str, Any]:
    return check_options("a task", given, options.TASK_CHECKS, options.TASK_LATER)


def actor(**given: Any) -> dict[str, Any]:
    return check_options("an actor", given, options.ACTOR_CHECKS, options.ACTOR_LATER)


@pytest.mark.parametrize(
    ("option", "value", "error"),
    [
        ("num_cpus", -1, OptionError),
        ("num_cpus", "2", TypeError),
        ("num_cpus", True, TypeError),
        ("num_cpus", float("nan"), OptionError),
        ("num_cpus", 1e10, OptionError),
        ("num_cpus", 0.00001, OptionError),
        ("num_gpus", -1, OptionError),
        ("num_gpus", 1.5, OptionError),
        ("num_gpus", "all", TypeError),
        ("num_gpus", True, TypeError),
        ("runtime_env", "x", TypeError),
        ("runtime_env", {"env_vars": ["A"]}, TypeError),
        ("scheduling_strategy", "RANDOM", OptionError),
        ("scheduling_strategy", 3, TypeError),
        ("memory", -1, OptionError),
        ("memory", 1 << 50, OptionError),
        ("memory", float("nan"), OptionError),
        ("memory", "1GB", TypeError),
        ("resources", {"GPU": 1}, OptionError),
        ("resources", {"memory": 1}, OptionError),
        ("resources", {"a": -1}, OptionError),
        ("resources", {"\ud800": 1}, OptionError),
        ("resources", "a", TypeError),
        ("num_returns", -1, OptionError),
        ("num_returns", 1.0, TypeError),
        ("num_returns", 10**9, OptionError),
        ("num_returns", "many", TypeError),
        ("max_retries", -2, OptionError),
        ("max_retries", None.__class__, TypeError),
        ("retry_exceptions", 1, TypeError),
        ("retry_exceptions", [ValueError()], TypeError),
        ("retry_exceptions", [int], OptionError),
        ("retry_exceptions", [KeyboardInterrupt], OptionError),
        ("priority", 11, OptionError),
        ("priority", -11, OptionError),
        ("priority", 1.5, TypeError),
        ("priority", True, TypeError),
        ("name", "", OptionError),
        ("name", 3, TypeError),
    ],
)
def test_a_wrong_value_is_named(option: str, value: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=option) as caught:
        task(**{option: value})
    assert "must be" in str(caught.value)


def test_an_unknown_option_is_both_kinds_of_error_and_tells_what_there_is() -> None:
    for kind in (TypeError, ValueError):
        with pytest.raises(kind, match="no option 'cpus'; it has: num_cpus, num_gpus, memory, run"):
            task(cpus=1)
    for option in ("max_retries", "priority"):
        with pytest.raises(OptionError, match=option):
            actor(**{option: 1})


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("max_calls", 1),
    ],
)
def test_what_is_not_supported_is_refused(option: str, value: Any) -> None:
    with pytest.raises(OptionError, match=f"{option}.*not supported yet"):
        task(**{option: value})


def test_what_is_not_supported_may_ask_for_nothing() -> None:
    assert task(max_calls=0) == {}
    for strategy in ("DEFAULT", "SPREAD"):
        assert merge({}, task(scheduling_strategy=strategy)) == {}
    assert actor(get_if_exists=False, max_pending_calls=-1) == {
        "get_if_exists": False,
        "max_pending_calls": 0,
    }
    with pytest.raises(OptionError, match="not supported yet"):
        actor(allow_out_of_order_execution=True)


def test_lifetimes() -> None:
    assert actor(lifetime=None) == {"lifetime": None}
    assert actor(lifetime="non_detached") == {"lifetime": "non_detached"}
    assert actor(lifetime="detached") == {"lifetime": "detached"}
    with pytest.raises(OptionError, match="must be"):
        actor(lifetime="long")


def test_exceptions_become_a_tuple() -> None:
    assert task(retry_exceptions=[OSError, ValueError]) == {
        "retry_exceptions": (OSError, ValueError)
    }
    assert task(retry_exceptions=[]) == {"retry_exceptions": False}


def test_later_options_win_and_none_restores_the_default() -> None:
    old = task(num_cpus=2, name="a")
    assert merge(old, task(num_cpus=None, max_retries=0)) == {"name": "a", "max_retries": 0}


def test_the_template_of_a_task() -> None:
    made = task_template("f", {})
    assert (made.kind, made.name, made.returns, made.max_retries) == (TASK, "f", 1, 3)
    assert made.resources == ()  # as is usual in its pool
    given = task(num_cpus=0.5, resources={"b": 1, "a": 0}, num_returns=2, max_retries=-1, name="g")
    made = task_template("f", given)
    assert (made.name, made.returns, made.max_retries) == ("g", 2, -1)
    assert made.resources == (("CPU", 5_000), ("b", 10_000))
    assert task_template("f", task(num_cpus=0)).resources == (("CPU", 0),)
    assert task_template("f", task(memory=5)).resources == (("CPU", 10_000), ("memory", 50_000))


@pytest.mark.parametrize(
    ("given", "resources"),
    [
        ({}, ()),
        ({"num_cpus": 0}, (("CPU", 0),)),
        ({"num_cpus": 2}, (("CPU", 20_000),)),
        ({"resources": {"a": 1}}, (("CPU", 10_000), ("a", 10_000))),
        ({"resources": {"a": 1}, "num_cpus": 0}, (("a", 10_000),)),
    ],
)
def test_what_an_actor_holds(given: dict[str, Any], resources: Any) -> None:
    assert actor_template("A", actor(**given)).resources == resources


def test_the_template_of_an_actor() -> None:
    given = actor(max_restarts=-1, max_task_retries=2, name="n", namespace="s")
    made = actor_template("A", given)
    assert made[:2] == (CREATE, "A")
    assert (made.max_restarts, made.max_task_retries) == (-1, 2)
    assert (made.actor_name, made.namespace) == ("n", "s")
