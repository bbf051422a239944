"""What can be sent, why something cannot, and how to send it all the same."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeVar, final

from ..checks import check_int, check_name, wrong_type, wrong_value

T = TypeVar("T")

DEEPEST: Final = 40

_OWN_RULES: Final = frozenset(
    {bool, int, float, complex, str, bytes, bytearray, type(None)}
    | {tuple, list, set, frozenset, dict, memoryview, type, type(lambda: 0)}
)


@final
class FailureTuple:
    """A part of a value that cannot be sent.

    Attributes:
        obj: the part itself.
        name: where it is, such as `model.<closure>.lock`.
        parent: what it is a part of; None for the value itself.
        reason: the error that pickle gives for it.
    """

    __slots__ = ("name", "obj", "parent", "reason")

    def __init__(self, obj: Any, name: str, parent: Any, reason: str = "") -> None:
        self.obj = obj
        self.name = name
        self.parent = parent
        self.reason = reason

    def __repr__(self) -> str:
        return f"FailTuple({self.name} [obj={self.obj!r}, parent={self.parent!r}])"


def inspect_serializability(
    base_obj: Any, name: str | None = None, depth: int = 3, print_file: Any = None
) -> tuple[bool, set[FailureTuple]]:
    """Tell whether a value can be sent to other processes, and print what keeps it from that.

    Args:
        base_obj: the value.
        name: what to call it; default: its own name, or that of its type.
        depth: how far into it to look for culprits, 0 to 40.
        print_file: where to print to; default: standard output.

    Returns:
        Whether it can be sent, and the parts that cannot, each by itself.

    Raises:
        TypeError: an argument has a wrong type.
        ValueError: `depth` or `name` has a value that is not allowed.
    """
    from ..payload.culprit import find_all

    check_int("depth", depth, 0, DEEPEST)
    if print_file is not None and not callable(getattr(print_file, "write", None)):
        raise wrong_type("print_file", print_file, "None or a file to write to")
    if name is None:
        name = getattr(base_obj, "__name__", None) or type(base_obj).__name__
    name = check_name("name", name)
    found = find_all(name, base_obj, depth)
    if not found:
        print(f"{name} can be sent to other processes", file=print_file)
        return True, set()
    print(f"{name} cannot be sent to other processes, because of:", file=print_file)
    for failure in found:
        culprit = failure.culprit
        kind = type(culprit.value)
        print(
            f"  {culprit.path}, of type {kind.__module__}.{kind.__qualname__}: {culprit.error}",
            file=print_file,
        )
    return False, {
        FailureTuple(each.culprit.value, each.culprit.path, each.parent, each.culprit.error)
        for each in found
    }


def register_serializer(
    cls: type[T], *, serializer: Callable[[T], Any], deserializer: Callable[[Any], T]
) -> None:
    """Send the instances of a class as what `serializer` makes of them.

    It holds for this process, which sends `deserializer` along: who receives needs nothing. A
    worker that sends such instances itself, as results too, registers the class itself.

    Args:
        cls: the class; its subclasses are not meant.
        serializer: given an instance, returns something that can be sent.
        deserializer: given that, returns an instance.

    Raises:
        TypeError: `cls` is no class; one of the others is no function.
        OptionError: `cls` is one that is always sent by rules of its own, such as `dict`.
    """
    from ..payload.pickler import register

    _check_class(cls)
    for name, value in (("serializer", serializer), ("deserializer", deserializer)):
        if not callable(value):
            raise wrong_type(name, value, "a function of one argument")
    if cls in _OWN_RULES or (cls.__module__, cls.__name__) == ("numpy", "ndarray"):
        raise wrong_value("cls", cls, "a class that has no rules of its own, as this one has")
    register(cls, partial(_reduced, serializer, deserializer))


def deregister_serializer(cls: type[Any]) -> None:
    """Send the instances of a class as before `register_serializer`; nothing happens without it.

    Raises:
        TypeError: `cls` is no class.
    """
    from ..payload.pickler import register

    _check_class(cls)
    register(cls, None)


def _reduced(
    serializer: Callable[[Any], Any], deserializer: Callable[[Any], Any], value: Any
) -> Any:
    return deserializer, (serializer(value),)


def _check_class(cls: Any) -> None:
    if not isinstance(cls, type):
        raise wrong_type("cls", cls, "a class")
