"""init, shutdown, and what starts a runtime by itself. Each test starts from nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.conformance.marks import differs


@pytest.fixture(autouse=True)
def from_nothing(module: Any) -> Iterator[None]:
    """No runtime before, none after."""
    module.shutdown()
    yield
    module.shutdown()


def test_is_initialized_between_init_and_shutdown(module: Any, settings: Any) -> None:
    before = module.is_initialized()
    module.init(num_cpus=1, **settings)
    between = module.is_initialized()
    module.shutdown()
    assert (before, between, module.is_initialized()) == (False, True, False)


def test_shutdown_without_init_does_nothing(module: Any) -> None:
    module.shutdown()
    module.shutdown()


def test_a_second_init_is_a_runtime_error(module: Any, settings: Any) -> None:
    module.init(num_cpus=1, **settings)
    with pytest.raises(RuntimeError):
        module.init(num_cpus=1, **settings)
    module.init(ignore_reinit_error=True, **settings)
    assert module.cluster_resources()["CPU"] == 1.0


def test_init_after_shutdown_starts_anew(module: Any, settings: Any) -> None:
    module.init(num_cpus=1, **settings)
    module.shutdown()
    module.init(num_cpus=2, resources={"gadget": 3}, **settings)
    found = module.cluster_resources()
    assert (found["CPU"], found["gadget"]) == (2.0, 3.0)


@differs(
    "An unknown argument of `init` is a `TypeError`; in Ray a `RuntimeError`.",
    because="it is Python's own error for it.",
)
def test_an_unknown_argument_is_refused(module: Any, expect: Any) -> None:
    with pytest.raises(expect(snakepit=TypeError, ray=RuntimeError)):
        module.init(unknown=1)
    assert not module.is_initialized()


def test_a_wrong_value_starts_nothing(module: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        module.init(num_cpus=-1)
    assert not module.is_initialized()


def test_init_as_a_context_manager(module: Any, settings: Any) -> None:
    with module.init(num_cpus=1, **settings):
        assert module.get(module.put(1)) == 1
    assert not module.is_initialized()


def test_a_namespace_for_all(module: Any, settings: Any) -> None:
    module.init(num_cpus=1, namespace="mine", **settings)

    @module.remote
    class Named:
        def ping(self) -> str:
            return "pong"

    named = Named.options(name="n").remote()
    assert module.get(named.ping.remote()) == "pong"
    assert module.get_runtime_context().namespace == "mine"
    assert module.get_actor("n", namespace="mine") == named


@differs(
    "A reference of a runtime that was shut down is a `RuntimeClosedError`.",
    because="Ray starts another runtime by itself and looks there for the object.",
)
def test_a_reference_does_not_outlive_its_runtime(module: Any, settings: Any, expect: Any) -> None:
    module.init(num_cpus=1, **settings)
    ref = module.put(1)
    module.shutdown()
    closed = getattr(getattr(module, "errors", None), "RuntimeClosedError", ())
    with pytest.raises(expect(snakepit=closed, ray=Exception)):
        module.get(ref, timeout=1)
    assert module.is_initialized() is expect(snakepit=False, ray=True)


def test_functions_and_classes_outlive_the_runtime(module: Any, settings: Any) -> None:
    @module.remote
    def f() -> str:
        return "f"

    @module.remote
    class A:
        def m(self) -> str:
            return "m"

    for _ in range(2):
        module.init(num_cpus=1, **settings)
        assert module.get([f.remote(), A.remote().m.remote()]) == ["f", "m"]
        module.shutdown()


@pytest.mark.parametrize("first", ["put", "remote"])
def test_the_first_use_starts_a_runtime(module: Any, first: str) -> None:
    @module.remote
    def f() -> int:
        return 1

    ref = module.put(1) if first == "put" else f.remote()
    assert module.is_initialized()
    assert module.get(ref) == 1
