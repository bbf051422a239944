"""Actor classes, handles and methods: calls, lives, descriptions, travel."""

from __future__ import annotations

import copy
import functools
import gc
import pickle
from typing import Any

import cloudpickle
import pytest

import snakepit
from snakepit import payload, protocol
from snakepit.api.actors import ActorClassInheritanceError
from snakepit.api.handles import core_of
from snakepit.api.methods import table_of
from snakepit.errors import OptionError, RuntimeClosedError, StaleReferenceError
from snakepit.wire.messages import ASYNC, METHOD, PLAIN


class Base:
    def inherited(self) -> str:
        return "from the base"

    def replaced(self) -> str:
        return "by the base"


class Plain(Base):
    """Counts."""

    limit = 10

    def __init__(self, start: int = 0, *, step: int = 1) -> None:
        self.value, self.step = start, step

    def add(self, times: int = 1) -> int:
        self.value += times * self.step
        return self.value

    def replaced(self) -> str:
        return "by the child"

    @snakepit.method(num_returns=2, max_task_retries=5, retry_exceptions=[OSError])
    def both(self) -> tuple[int, int]:
        return self.value, -self.value

    @staticmethod
    def static(text: str) -> str:
        return text.upper()

    @classmethod
    def named(cls) -> str:
        return cls.__name__

    @functools.lru_cache(maxsize=1)  # noqa: B019
    def cached(self, number: int) -> int:
        return number

    @property
    def size(self) -> int:
        return self.value

    def __call__(self) -> str:
        return "called"

    def _private(self) -> str:
        return "private"

    class Inner:
        pass


Counter: Any = snakepit.remote(Plain)


def test_creation_and_calls(fake: Any) -> None:
    counter = Counter.remote(5, step=2)
    assert snakepit.get([counter.add.remote(), counter.add.remote(times=3)]) == [7, 13]
    operation, definition, args, kwargs = fake.log[0]
    assert (operation, args, kwargs) == ("create", (5,), {"step": 2})
    assert definition.target is Plain and definition.template.name == "Plain"
    template = fake.log[1][1].template
    assert (template.kind, template.name, template.method) == (METHOD, "Plain.add", "add")
    assert template.resources == ()


@pytest.mark.parametrize(
    ("method", "args", "value"),
    [
        ("inherited", (), "from the base"),
        ("replaced", (), "by the child"),
        ("static", ("a",), "A"),
        ("named", (), "Plain"),
        ("cached", (3,), 3),
        ("__call__", (), "called"),
        ("_private", (), "private"),
    ],
)
def test_what_counts_as_a_method(fake: Any, method: str, args: Any, value: Any) -> None:
    assert snakepit.get(getattr(Counter.remote(), method).remote(*args)) == value


@pytest.mark.parametrize("name", ["limit", "size", "nothing", "Inner", "__len__", "value"])
def test_what_does_not(fake: Any, name: str) -> None:
    with pytest.raises(AttributeError, match=f"Plain has no method '{name}'; its methods: .*add"):
        getattr(Counter.remote(), name)


def test_mismatches_are_refused_at_the_call(fake: Any) -> None:
    with pytest.raises(TypeError, match=r"Plain\.remote\(start=\.\.\., \*, step=\.\.\.\)"):
        Counter.remote(1, 2)
    with pytest.raises(TypeError, match="unexpected"):
        Counter.options(num_cpus=1).remote(stop=2)
    counter = Counter.remote()
    for call in (
        lambda: counter.add.remote(1, 2),
        lambda: counter.add.remote(time=1),
        lambda: counter.static.remote(),
        lambda: counter.named.remote(1),
    ):
        with pytest.raises(TypeError, match="remote"):
            call()
    assert [entry[0] for entry in fake.log] == ["create"]


def test_classes_without_a_constructor_take_no_arguments(fake: Any) -> None:
    class Empty:
        pass

    class New:
        def __new__(cls, a: int) -> New:
            return super().__new__(cls)

    class Table(dict):  # type: ignore[type-arg]
        pass

    snakepit.remote(Empty).remote()
    with pytest.raises(TypeError, match="too many positional"):
        snakepit.remote(Empty).remote(1)
    snakepit.remote(New).remote(1)
    with pytest.raises(TypeError, match="missing"):
        snakepit.remote(New).remote()
    snakepit.remote(Table).remote({"a": 1}, b=2)


def test_direct_use_says_how(fake: Any) -> None:
    for target in (Counter, Counter.options(num_cpus=1)):
        with pytest.raises(TypeError, match=r"Plain\.remote\(\.\.\.\)"):
            target()
    with pytest.raises(TypeError, match=r"handle\.add\.remote\(\.\.\.\)"):
        Counter.remote().add(1)
    with pytest.raises(AttributeError, match="changed by its methods"):
        Counter.remote().value = 3


def test_an_actor_class_is_no_base() -> None:
    with pytest.raises(ActorClassInheritanceError, match=r"Plain\.__wrapped__") as caught:

        class Child(Counter):
            pass

    assert isinstance(caught.value, TypeError)


def test_it_looks_like_the_class() -> None:
    assert (Counter.__name__, Counter.__doc__) == ("Plain", "Counts.")
    assert Counter.__wrapped__ is Plain
    assert "Plain" in repr(Counter)


def test_options(fake: Any) -> None:
    made = snakepit.remote(num_cpus=2, max_task_retries=3)(Plain)
    changed = made.options(name="one", namespace="here", max_restarts=-1)
    assert made.options(name="one", namespace="here", max_restarts=-1) is changed
    template = changed._definition.template
    assert (template.actor_name, template.namespace, template.max_restarts) == ("one", "here", -1)
    assert template.resources == (("CPU", 20_000),)
    assert made._definition.template.actor_name == ""
    with pytest.raises(TypeError, match="no option 'num_returns'"):
        made.options(num_returns=2)  # type: ignore[call-arg]


def retries(handle: Any, method: str) -> int:
    count: int = getattr(handle, method)._definition.template.max_retries
    return count


def test_retries_of_methods_are_the_actors_unless_they_say(fake: Any) -> None:
    assert retries(Counter.remote(), "add") == 0
    handle = Counter.options(max_task_retries=2).remote()
    assert retries(handle, "add") == 2
    assert retries(handle, "both") == 5
    assert handle.both._definition.retry_on == (OSError,)
    changed = handle.add.options(max_task_retries=-1, name="more", retry_exceptions=True)
    assert changed._definition.template[:2] == (METHOD, "more")
    assert changed._definition.template.max_retries == -1
    assert changed._definition.retry_on is True
    assert retries(handle, "add") == 2


def test_returns_of_methods(fake: Any) -> None:
    handle = Counter.remote(3)
    assert snakepit.get(handle.both.remote()) == [3, -3]
    assert type(handle.both.options(num_returns=1).remote()) is snakepit.ObjectRef
    assert handle.add.options(num_returns=0).remote() is None


def test_method_options_are_checked() -> None:
    with pytest.raises(TypeError, match="by name"):
        snakepit.method()
    with pytest.raises(TypeError, match="by name"):
        snakepit.method(len, num_returns=2)  # type: ignore[call-overload]
    with pytest.raises(OptionError, match="num_returns"):
        snakepit.method(num_returns=-1)
    with pytest.raises(OptionError, match="concurrency_group"):
        snakepit.method(concurrency_group="")
    with pytest.raises(TypeError, match="decorates methods"):
        snakepit.method(num_returns=1)(3)  # type: ignore[arg-type]


def test_what_an_actor_cannot_run_is_refused() -> None:
    class AsyncBorn:
        async def __init__(self) -> None: ...  # type: ignore[misc]

    class Many:
        def __init__(self) -> Any:
            yield  # noqa: PLE0100  it is what is refused

    for cls, text in ((AsyncBorn, "async"), (Many, "generator")):
        with pytest.raises(OptionError, match=rf"{cls.__name__}\.__init__ is an? {text}"):
            snakepit.remote(cls)


def test_how_many_calls_run_at_once(fake: Any) -> None:
    class Plain:
        def work(self) -> None: ...

    class Async:
        async def work(self) -> None: ...

    def groups(cls: type[Any], **options: Any) -> Any:
        factory: Any = snakepit.remote(cls)
        template = factory.options(**options)._definition.template
        return template.flavour, template.groups

    assert groups(Plain) == (PLAIN, ())
    assert groups(Plain, max_concurrency=1) == (PLAIN, ())
    assert groups(Plain, max_concurrency=3) == (PLAIN, (("", 3),))
    assert groups(Plain, concurrency_groups={"io": 2}) == (PLAIN, (("", 1), ("io", 2)))
    assert groups(Async) == (ASYNC, (("", 1000),))
    assert groups(Async, max_concurrency=1) == (ASYNC, (("", 1),))


def test_a_handle_dies_at_once_and_its_methods_keep_the_actor(fake: Any) -> None:
    gc.disable()
    try:
        counter = Counter.remote()
        actor = core_of(counter).id
        method = counter.add
        assert counter.add is method
        del counter
        assert fake.handles[actor] == 1
        method.remote()
        del method
        assert fake.handles[actor] == 0
    finally:
        gc.enable()


def test_an_actor_made_for_one_call_lives_until_the_call_is_made(fake: Any) -> None:
    counts = []
    make = fake.call
    fake.call = lambda actor, *rest: counts.append(fake.handles[actor]) or make(actor, *rest)
    assert snakepit.get(Counter.remote().add.remote(4)) == 4
    assert counts == [1]


def test_identity(fake: Any) -> None:
    one, two = Counter.remote(), Counter.remote()
    assert one != two and len({one, two, copy.copy(one), copy.deepcopy(two)}) == 2
    assert one != core_of(one).id
    assert repr(one).startswith("ActorHandle(Plain, ")
    assert "Plain.add" in repr(one.add)
    assert {"add", "both", "static"} <= set(dir(one))


def test_a_handle_travels_inside_a_pack(fake: Any) -> None:
    counter = Counter.remote(1)
    actor = core_of(counter).id
    packed = payload.pack([counter], what="a test")
    assert packed.refs == (actor,)
    (found,) = payload.unpack(packed.parts)
    assert found == counter
    assert fake.handles[actor] == 2
    assert snakepit.get(found.add.remote(2)) == 3
    assert found.both._definition.retry_on == (OSError,)
    with pytest.raises(TypeError, match=r"add\.remote\(times=\.\.\.\)"):
        found.add.remote(1, 2)
    del found
    assert fake.handles[actor] == 1
    with pytest.raises(TypeError, match="references travel only"):
        pickle.dumps(counter)


def test_equal_descriptions_share_their_table(fake: Any) -> None:
    counter = Counter.remote()
    description = core_of(counter).table.description
    rows, groups = [list(row) for row in description[1]], list(description[2])
    as_lists = [description[0], rows, groups, description[3]]
    assert table_of(as_lists) is table_of(description)


def test_a_named_actor_is_found_and_called(fake: Any) -> None:
    counter = Counter.options(name="one", max_task_retries=4).remote(7)
    found = snakepit.get_actor("one")
    assert found == counter
    assert fake.handles[core_of(counter).id] == 2
    assert snakepit.get(found.add.remote()) == 8
    assert retries(found, "add") == 4
    assert found.both._definition.retry_on == (OSError,)
    with pytest.raises(ValueError, match="no actor"):
        snakepit.get_actor("two")
    with pytest.raises(ValueError, match="no actor"):
        snakepit.get_actor("one", namespace="elsewhere")
    with pytest.raises(OptionError, match="name"):
        snakepit.get_actor("")
    with pytest.raises(TypeError, match="name"):
        snakepit.get_actor(1)  # type: ignore[arg-type]


def test_an_actor_class_travels_without_its_runtime(fake: Any) -> None:
    Counter._definition.prepared = (fake, "derived")
    found = pickle.loads(cloudpickle.dumps(Counter))
    assert found._definition.prepared == (None, None)
    assert snakepit.get(found.remote(2).add.remote()) == 3
    configured = pickle.loads(cloudpickle.dumps(Counter.options(num_cpus=1)))
    assert snakepit.get(configured.remote(2).add.remote()) == 3


def test_after_its_runtime_a_handle_says_so(fake: Any, make_fake: Any) -> None:
    counter = Counter.remote()
    uses: list[Any] = [counter.add.remote, lambda: snakepit.kill(counter), counter.__reduce__]
    protocol.install(None)
    for use in uses:
        with pytest.raises(RuntimeClosedError, match="was shut down"):
            use()
    protocol.install(make_fake())
    for use in uses:
        with pytest.raises(StaleReferenceError, match="earlier runtime"):
            use()
