"""Remote functions: what they hand to the runtime, what they return, how they travel."""

from __future__ import annotations

import functools
import pickle
from typing import Any

import cloudpickle
import pytest

import snakepit
from snakepit.api.functions import MAX_VARIANTS, RemoteFunction
from snakepit.errors import OptionError


def make(function: Any, **options: Any) -> Any:
    return snakepit.remote(**options)(function) if options else snakepit.remote(function)


def add(a: int, b: int = 1) -> int:
    """Add two numbers."""
    return a + b


def test_a_call_goes_to_the_runtime_and_returns_a_reference(fake: Any) -> None:
    remote_add = make(add)
    ref = remote_add.remote(1, b=4)
    assert type(ref) is snakepit.ObjectRef
    assert snakepit.get(ref) == 5
    operation, definition, args, kwargs = fake.log[-1]
    assert (operation, args, kwargs) == ("submit", (1,), {"b": 4})
    assert definition.target is add and definition.template.name == "add"
    assert definition.retry_on is False


def test_references_among_the_arguments_are_left_to_the_runtime(fake: Any) -> None:
    remote_add = make(add)
    one = remote_add.remote(1)
    assert snakepit.get(remote_add.remote(one, b=one)) == 4
    assert fake.log[-1][2] == (one,)


def test_several_returns(fake: Any) -> None:
    first, second = make(lambda: (1, 2), num_returns=2).remote()
    assert snakepit.get([second, first]) == [2, 1]
    assert [fake.handles[ref._id] for ref in (first, second)] == [1, 1]
    assert make(lambda: None, num_returns=0).remote() is None
    assert type(make(lambda: None, num_returns=1).remote()) is snakepit.ObjectRef


def test_a_mismatch_is_refused_before_anything_is_submitted(fake: Any) -> None:
    remote_add = make(add)
    for call in (
        lambda: remote_add.remote(),
        lambda: remote_add.remote(1, 2, 3),
        lambda: remote_add.remote(1, c=2),
        lambda: remote_add.options(num_cpus=2).remote(),
    ):
        with pytest.raises(TypeError, match=r"add\.remote\(a, b=\.\.\.\): "):
            call()
    assert fake.log == []


def test_a_direct_call_says_how() -> None:
    remote_add = make(add)
    for target in (remote_add, remote_add.options(num_cpus=2)):
        with pytest.raises(TypeError, match=r"add\.remote\(\.\.\.\)"):
            target(1)
    assert remote_add.__wrapped__(1) == 2


def test_it_looks_like_the_function() -> None:
    def marked() -> None:
        """Say something."""

    marked.remote = "mine"  # type: ignore[attr-defined]
    marked._definition = "mine"  # type: ignore[attr-defined]
    marked.note = "kept"  # type: ignore[attr-defined]
    made = make(marked)
    assert (made.__name__, made.__doc__, made.__module__) == (
        "marked",
        "Say something.",
        __name__,
    )
    assert made.note == "kept"
    assert made._definition.target is marked
    assert "marked" in repr(made) and "marked" in repr(made.options(num_cpus=2))
    assert not hasattr(made, "bind")


def test_options_override_the_decorator_and_leave_it_alone(fake: Any) -> None:
    made = make(add, num_cpus=2, name="sum", max_retries=1)
    changed = made.options(num_cpus=None, max_retries=0, retry_exceptions=[OSError])
    template = changed._definition.template
    assert (template.name, template.max_retries) == ("sum", 0)
    assert template.resources == ()
    assert changed._definition.retry_on == (OSError,)
    assert made._definition.template.resources == (("CPU", 20_000),)
    assert made._definition.retry_on is False
    assert not hasattr(changed, "options")


def test_the_same_options_share_a_definition_up_to_a_bound() -> None:
    made = make(add)
    first = made.options(num_cpus=2)
    assert made.options(num_cpus=2) is first
    for number in range(2 * MAX_VARIANTS):
        made.options(name=f"name {number}")
    assert len(made._variants) <= MAX_VARIANTS
    assert first._definition.template.resources == (("CPU", 20_000),)


def test_wrong_options_are_refused_where_they_stand() -> None:
    with pytest.raises(OptionError, match="num_cpus"):
        make(add, num_cpus=-1)
    with pytest.raises(OptionError, match="max_retries"):
        make(add).options(max_retries=-2)
    with pytest.raises(TypeError, match="no option"):
        make(add).options(max_restarts=1)


def test_coroutines_are_refused() -> None:
    async def later() -> None: ...

    async def many() -> Any:
        yield 1

    with pytest.raises(ValueError, match="later is an async function"):
        make(later)
    with pytest.raises(ValueError, match="many is an async function"):
        make(many)


def test_other_callables(fake: Any) -> None:
    class Greeter:
        def __call__(self, name: str) -> str:
            return f"hello {name}"

    assert snakepit.get(make(len).remote("abc")) == 3
    assert snakepit.get(make(functools.partial(add, 1)).remote(b=2)) == 3
    assert snakepit.get(make(Greeter()).remote("you")) == "hello you"
    with pytest.raises(TypeError, match=r"Greeter\.remote\(name\)"):
        make(Greeter()).remote()


def test_it_travels_without_its_runtime(fake: Any) -> None:
    made = make(add, num_cpus=2, retry_exceptions=[OSError])
    made._definition.prepared = (fake, "derived")
    made.options(num_cpus=3)
    found = pickle.loads(cloudpickle.dumps(made))
    assert type(found) is RemoteFunction
    assert found._definition.prepared == (None, None)
    assert found._definition.template == made._definition.template
    assert found._definition.retry_on == (OSError,)
    assert (found.__name__, found.__doc__) == ("add", "Add two numbers.")
    assert snakepit.get(found.remote(1, b=2)) == 3
    assert found.options(num_cpus=1)._definition.template.resources == (("CPU", 10_000),)
    with pytest.raises(TypeError, match="missing"):
        found.remote()
    configured = pickle.loads(cloudpickle.dumps(made.options(name="x")))
    assert snakepit.get(configured.remote(2)) == 3


def test_a_function_that_names_itself_travels(fake: Any) -> None:
    space: dict[str, Any] = {"remote": snakepit.remote, "__name__": "__main__"}
    exec(
        "@remote\n"
        "def count(n, step=1):\n"
        "    'Count down.'\n"
        "    return 0 if n <= 0 else count.__wrapped__(n - step) + 1\n",
        space,
    )
    plain = pickle.loads(cloudpickle.dumps(space["count"].__wrapped__))
    assert plain(3) == 3
    inner = plain.__globals__["count"]
    assert type(inner) is RemoteFunction and inner.__doc__ == "Count down."
    assert inner.__wrapped__ is plain
    assert snakepit.get(inner.remote(2)) == 2


def test_the_first_call_starts_a_runtime(started: Any) -> None:
    assert snakepit.get(make(add).remote(1)) == 2
    assert len(started) == 1
    make(add).remote(1)
    assert len(started) == 1
