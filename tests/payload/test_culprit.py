"""The path to what cannot be pickled."""

from __future__ import annotations

import collections
import dataclasses
import functools
import io
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from snakepit.errors import SerializationError
from snakepit.payload import note_reference, pack, pack_call, pack_code

Record = collections.namedtuple("Record", "name handle")


class Holder:
    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)


class Slotted:
    __slots__ = ("good", "lock")

    def __init__(self) -> None:
        self.good = 1
        self.lock = threading.Lock()


@dataclasses.dataclass
class Data:
    inner: Any


class Choosy:
    """Its state is not its attributes."""

    def __init__(self) -> None:
        self.lock = threading.Lock()

    def __getstate__(self) -> Any:
        return {"renamed": self.lock}


class Reduced:
    def __reduce__(self) -> Any:
        return dict, ([("a", threading.Lock())],)


class Refuses:
    def __reduce__(self) -> Any:
        raise RuntimeError("never")


class Broken(Exception):
    def __init__(self) -> None:
        super().__init__("x", threading.Lock())


class Listed(list[Any]):
    pass


class Reference:
    def __reduce__(self) -> Any:
        note_reference(1)
        return int, ()


def cyclic() -> Holder:
    child = Holder()
    parent = Holder(child=child, lock=threading.Lock())
    child.__dict__["parent"] = parent
    return parent


def listed() -> Listed:
    value = Listed([1])
    value.lock = threading.Lock()  # type: ignore[attr-defined]
    return value


def closure() -> Callable[[], Any]:
    lock = threading.Lock()

    def inner() -> Any:
        return lock

    return lambda: inner()


def local_class() -> Any:
    class Local:
        lock = threading.Lock()

    return Local()


def generator() -> Iterator[int]:
    yield 1


LOCK = threading.Lock()
CASES: dict[str, Callable[[], Any]] = {
    "v": threading.Lock,
    "v[2]": lambda: [1, 2, threading.Lock()],
    "v['a'][0]": lambda: {"a": (threading.Lock(),)},
    "v.model._lock": lambda: Holder(model=Holder(_lock=threading.RLock())),
    "v.lock": Slotted,
    "v.inner.handle": lambda: Data(Record("n", threading.Lock())),
    "v.renamed": Choosy,
    "v.<argument 0 of dict>[0][1]": Reduced,
    "v[0]": lambda: [Refuses()],
    "v.args[1]": Broken,
    "v[0].lock": lambda: [listed()],
    "v[1].lock": lambda: [Reference(), cyclic()],
    "v[70000]": lambda: [*range(70_000), threading.Lock(), *range(70_000)],
    "v.<closure>.inner.<closure>.lock": closure,
    "v.__class__.lock": local_class,
    "v.func": lambda: functools.partial(threading.Lock().acquire, True),
    "v.keywords['a']": lambda: functools.partial(print, a=threading.Lock()),
    "v.__self__.lock": lambda: Holder(lock=threading.Lock()).__init__,  # type: ignore[misc]
}


@pytest.mark.parametrize("path", CASES)
def test_the_path_leads_to_the_culprit(path: str) -> None:
    with pytest.raises(SerializationError) as info:
        pack(CASES[path](), what="a value", root="v")
    assert info.value.path.startswith(path)
    assert path in str(info.value)


def test_globals_are_named() -> None:
    code = (
        "import threading\n"
        "from snakepit.payload import pack_code\n"
        "conn = threading.Lock()\n"
        "def f(): return [conn for _ in range(2)]\n"
        "class A:\n"
        "    def go(self): return f()\n"
        "for thing in (f, A):\n"
        "    try:\n"
        "        pack_code(thing)\n"
        "    except TypeError as error:\n"
        "        print(error.path)\n"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split("\n")[:2] == [
        "f.<globals>.conn",
        "A.go.<globals>.f.<globals>.conn",
    ]


@pytest.mark.parametrize(
    ("make", "hint"),
    [
        (threading.Lock, "actor"),
        (generator, "list"),
        (lambda: io.FileIO(0, closefd=False), "open the file inside"),
    ],
)
def test_common_culprits_come_with_advice(make: Callable[[], Any], hint: str) -> None:
    with pytest.raises(SerializationError, match=hint):
        pack_call((make(),), {}, what="f")


def test_sockets_come_with_advice() -> None:
    with socket.socket() as plug:
        pass
    with pytest.raises(SerializationError, match=r"args\[0\].* is closed\)\. Pass it open"):
        pack_call((plug,), {}, what="f")


def test_sockets_in_definitions_come_with_advice() -> None:
    refused = pytest.raises(SerializationError, match=r"plug, of type socket.*\. Pass it open")
    with socket.socket() as plug, refused:
        pack_code(lambda: plug)


def test_an_open_socket_is_not_blamed_for_a_lock() -> None:
    refused = pytest.raises(SerializationError, match=r"args\[1\], of type _thread.lock")
    with socket.socket() as plug, refused:
        pack_call((plug, threading.Lock()), {}, what="f")


def test_an_error_that_comes_and_goes_is_still_reported() -> None:
    class Once:
        tried = False

        def __reduce__(self) -> Any:
            if not Once.tried:
                Once.tried = True
                raise RuntimeError("only once")
            return int, ()

    Once.__module__ = __name__
    with pytest.raises(SerializationError, match="only once") as info:
        pack([Once()], what="a value")
    assert info.value.path == "value"


def test_a_reduction_that_is_no_reduction_is_an_error() -> None:
    class Odd:
        def __reduce__(self) -> Any:
            return 7

    with pytest.raises(SerializationError) as info:
        pack([Odd()], what="a value")
    assert info.value.path == "value[0]"
