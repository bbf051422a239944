"""Finds which part of a value cannot be pickled, to name it in the error.

Runs only after a failure, so it may be slow, within bounds: it pickles the value's parts one by
one into nothing, and goes down into those that fail.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from time import monotonic
from types import CodeType, FunctionType, MethodType
from typing import Any, Final, NamedTuple, final

from ..carried import reduce_exception
from ..errors import SerializationError
from .buffers import Buffers
from .descriptors import Lend, pretend
from .pickler import ValuePickler
from .references import start_collecting, stop_collecting

MOST_SECONDS: Final = 2.0
MOST_TRIALS: Final = 3000
MOST_CHILDREN: Final = 100_000
DEEPEST: Final = 40

_DEFAULT_HINT: Final = (
    "Leave it out of the state (__getstate__), or make it inside the task or actor"
)
_HINTS: Final = (
    (
        ("_thread.", "threading.", "asyncio."),
        "Make it where it is used; what tasks share belongs in an actor",
    ),
    (("_io.", "tempfile."), "Send the path, and open the file inside the task"),
    (("socket.socket", "multiprocessing.connection."), "Pass it open, as an argument of the call"),
    (
        ("socket.", "ssl.", "sqlite3.", "psycopg", "select."),
        "Open the connection inside the task or actor",
    ),
    (
        ("builtins.generator", "builtins.async_generator", "builtins.coroutine"),
        "Send a list of what it yields",
    ),
)


class Culprit(NamedTuple):
    """The part that cannot be pickled: where it is, what it is, and why not."""

    path: str
    value: Any
    error: str


class _Child(NamedTuple):
    label: str
    value: Any


def explain(
    error: Exception, what: str, roots: dict[str, Any], *, lend: Lend = pretend
) -> SerializationError:
    """Turn a failure to pickle into an error that names the offending part.

    Args:
        error: the failure.
        what: what was to be sent, such as "the arguments of f".
        roots: the values that were to be sent, by the names that begin their paths.
        lend: what is done with descriptors inside, to try it again.

    Returns:
        An error to raise.
    """
    if isinstance(error, RecursionError) or isinstance(error.__cause__, RecursionError):
        return SerializationError(
            f"cannot send {what}: it is nested too deeply for pickle. "
            "Flatten it, or raise sys.setrecursionlimit on both sides",
            path=next(iter(roots), ""),
        )
    culprit = find(roots, lend)
    if culprit is None:
        return SerializationError(
            f"cannot send {what}: {reason(error)}. {_DEFAULT_HINT}", path=next(iter(roots), "")
        )
    kind = type(culprit.value)
    name = f"{kind.__module__}.{kind.__qualname__}"
    hint = next((text for starts, text in _HINTS if name.startswith(starts)), _DEFAULT_HINT)
    return SerializationError(
        f"cannot send {what}: {culprit.path}, of type {name.removeprefix('builtins.')}, "
        f"cannot be pickled ({culprit.error}). {hint}",
        path=culprit.path,
    )


def find(roots: dict[str, Any], lend: Lend = pretend) -> Culprit | None:
    """Find the first part that cannot be pickled; None if the search finds none in its bounds."""
    search = _Search(lend)
    token = start_collecting([])  # references inside are not to blame
    try:
        for name, value in roots.items():
            error = search.trial(value)
            if error is not None:
                return search.inside(name, value, error, 0) or Culprit(name, value, error)
    finally:
        stop_collecting(token)
    return None


class Failure(NamedTuple):
    """A culprit, and the value that it is a part of; None for what was asked about."""

    culprit: Culprit
    parent: Any


def find_all(name: str, value: Any, depth: int) -> list[Failure]:
    """Find each part that cannot be pickled, within the bounds of a search.

    Args:
        name: how the paths begin.
        value: where to look.
        depth: how far down; what lies deeper is blamed on what it is a part of.
    """
    search = _Search(pretend)
    token = start_collecting([])
    try:
        error = search.trial(value)
        return [] if error is None else list(search.each(Culprit(name, value, error), None, depth))
    finally:
        stop_collecting(token)


@final
class _Search:
    def __init__(self, lend: Lend) -> None:
        self._lend = lend
        self._until = monotonic() + MOST_SECONDS
        self._trials = MOST_TRIALS
        # By id; the values are kept, or a new object could take the place of a seen one.
        self._seen: dict[int, Any] = {}

    def trial(self, value: Any) -> str | None:
        """Pickle a value into nothing; say why it fails, if it does and there is time to try."""
        self._trials -= 1
        if self._trials < 0 or monotonic() > self._until:
            return None
        try:
            ValuePickler(_Nowhere(), Buffers(), lend=self._lend).dump(value)
        except Exception as error:
            # As text: the exception itself would keep, by its traceback, all that was tried.
            return reason(error)
        return None

    def inside(self, path: str, value: Any, error: str, depth: int) -> Culprit | None:
        """Find the culprit in a value that fails with `error`."""
        self._seen[id(value)] = value
        if depth >= DEEPEST:
            return Culprit(path, value, error)
        try:
            children = list(islice(_children(value), MOST_CHILDREN))
        except Exception:
            return Culprit(path, value, error)
        fresh = [child for child in children if id(child.value) not in self._seen]
        found = self._among(path, fresh, depth)
        if found is None and len(fresh) == len(children):
            return Culprit(path, value, error)
        # Where children were passed over, the value may fail only by leading back to a parent.
        return found

    def each(self, suspect: Culprit, parent: Any, depth: int) -> Iterator[Failure]:
        """Yield the parts of a value that fail by themselves; the value, if none does."""
        self._seen[id(suspect.value)] = suspect.value
        failing = 0
        try:
            children = list(islice(_children(suspect.value), MOST_CHILDREN)) if depth > 0 else []
        except Exception:
            children = []
        for label, value in children:
            error = self.trial(value)
            if error is None:
                continue
            failing += 1
            if id(value) not in self._seen:
                part = Culprit(suspect.path + label, value, error)
                yield from self.each(part, suspect.value, depth - 1)
        if not failing:
            yield Failure(suspect, parent)

    def _among(self, path: str, children: list[_Child], depth: int) -> Culprit | None:
        if len(children) > 4:
            middle = len(children) // 2
            for half in (children[:middle], children[middle:]):
                if self.trial([child.value for child in half]) is not None:
                    found = self._among(path, half, depth)
                    if found is not None:
                        return found
            return None
        for label, value in children:
            if id(value) in self._seen:
                continue
            error = self.trial(value)
            if error is not None:
                found = self.inside(path + label, value, error, depth + 1)
                if found is not None:
                    return found
        return None


@final
class _Nowhere:
    def write(self, data: Any, /) -> int:
        return len(data)


def reason(error: BaseException) -> str:
    """Say what kind of error it is, and its message."""
    return f"{type(error).__name__}: {error}"


# --- What a value consists of, as pickle sees it --------------------------------------------


def _children(value: Any) -> Iterator[_Child]:
    if isinstance(value, FunctionType):
        yield from _of_function(value)
    elif isinstance(value, type):
        yield from _of_class(value)
    elif isinstance(value, MethodType):
        yield _Child(".__self__", value.__self__)
        yield _Child(".__func__", value.__func__)
    elif isinstance(value, (staticmethod, classmethod)):
        yield _Child("", value.__func__)
    elif isinstance(value, property):
        yield from (_Child("", f) for f in (value.fget, value.fset, value.fdel) if f is not None)
    else:
        yield from _of_container(value)
        if type(value) not in (list, tuple, dict, set, frozenset):
            yield from _of_instance(value)


def _of_container(value: Any) -> Iterator[_Child]:
    fields = getattr(value, "_fields", None)
    if isinstance(value, tuple) and isinstance(fields, tuple):
        yield from (_Child(f".{name}", item) for name, item in zip(fields, value))
    elif isinstance(value, (list, tuple)):
        yield from (_Child(f"[{index}]", item) for index, item in enumerate(value))
    elif isinstance(value, (set, frozenset)):
        yield from (_Child(f".<member {_short(item)}>", item) for item in value)
    elif isinstance(value, dict):
        yield from (_Child(f"[{_short(key)}]", item) for key, item in value.items())
        yield from (_Child(f".<key {_short(key)}>", key) for key in value)


def _short(key: Any) -> str:
    text = repr(key)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _of_instance(value: Any) -> Iterator[_Child]:
    """The parts that its reduction names; raises as it does."""
    if type(value).__module__ == "functools" and type(value).__name__ == "partial":
        yield _Child(".func", value.func)
        yield from (_Child(f".args[{i}]", item) for i, item in enumerate(value.args))
        yield from (_Child(f".keywords[{k!r}]", item) for k, item in value.keywords.items())
        return
    reduced = reduce_exception(value) if isinstance(value, BaseException) else None
    if reduced is not None:
        args, slots, own = reduced[2]
        yield from (_Child(f".args[{i}]", item) for i, item in enumerate(args))
        yield from (_Child(f".{name}", item) for name, item in (slots | own).items())
        yield _Child(".__class__", type(value))
        return
    registered = ValuePickler.registered.get(type(value))
    reduced = value.__reduce_ex__(5) if registered is None else registered(value)
    if isinstance(reduced, str):
        return
    for index, item in enumerate(reduced[1]):
        if item is type(value):
            yield _Child(".__class__", item)
        elif not isinstance(value, tuple):
            yield _Child(f".<argument {index} of {_name(reduced[0])}>", item)
    state = reduced[2] if len(reduced) > 2 else None
    # Slots come as a second dictionary.
    for piece in state if isinstance(state, tuple) and len(state) == 2 else (state,):
        if isinstance(piece, dict):
            yield from (_Child(f".{name}", item) for name, item in piece.items())
        elif piece is not None:
            yield _Child(".<state>", piece)


def _name(callable_: Any) -> str:
    return getattr(callable_, "__name__", type(callable_).__name__)


def _of_class(kind: type) -> Iterator[_Child]:
    for name, item in vars(kind).items():
        if name not in ("__dict__", "__weakref__", "__module__", "__doc__"):
            yield _Child(f".{name}", item)
    yield from (_Child(f".<base {base.__name__}>", base) for base in kind.__bases__)


def _of_function(function: FunctionType) -> Iterator[_Child]:
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or ()):
        try:
            yield _Child(f".<closure>.{name}", cell.cell_contents)
        except ValueError:  # not filled yet
            continue
    for index, item in enumerate(function.__defaults__ or ()):
        yield _Child(f".<defaults>[{index}]", item)
    for name, item in (function.__kwdefaults__ or {}).items():
        yield _Child(f".<defaults>[{name!r}]", item)
    known = function.__globals__
    for name in dict.fromkeys(_global_names(function.__code__)):
        if name in known:
            yield _Child(f".<globals>.{name}", known[name])
    yield from (_Child(f".{name}", item) for name, item in vars(function).items())


def _global_names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _global_names(constant)
