"""Tells at the call whether arguments fit, at the cost of two comparisons when they do.

The facts are read from a function's code object, because importing `inspect` costs more than the
rest of `import snakepit`. They are plain, so that they can travel with a handle to processes that
do not have the function. Only a mismatch asks `inspect`, whose words Python's users know.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from types import CodeType, FunctionType, MethodType
from typing import Any, Final, TypeAlias, final

POSITIONAL_ONLY, POSITIONAL, VAR_POSITIONAL, KEYWORD_ONLY, VAR_KEYWORD = range(5)
"""Kinds of parameters, numbered as `inspect` does."""

ANYTHING: Final = (("args", VAR_POSITIONAL, False), ("kwargs", VAR_KEYWORD, False))

_VARARGS, _VARKEYWORDS = 0x04, 0x08
_GENERATOR, _COROUTINE, _ITERABLE_COROUTINE, _ASYNC_GENERATOR = 0x20, 0x80, 0x100, 0x200

Parameter: TypeAlias = tuple[str, int, bool]
"""Name, kind, and whether a call must give it."""


@final
class Signature:
    """The parameters that a call has to fill.

    Attributes:
        parameters: in order.
        low: the fewest arguments that a call without keywords must have.
        high: the most; less than `low` if every call needs a keyword.
    """

    __slots__ = ("high", "low", "parameters")

    def __init__(self, parameters: Iterable[Parameter]) -> None:
        self.parameters: tuple[Parameter, ...] = tuple(parameters)
        kinds = [kind for _, kind, _ in self.parameters]
        positional = [must for _, kind, must in self.parameters if kind <= POSITIONAL]
        self.low = sum(positional)
        self.high = 1 << 62 if VAR_POSITIONAL in kinds else len(positional)
        if any(must for _, kind, must in self.parameters if kind == KEYWORD_ONLY):
            self.low, self.high = 1, 0

    def check(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Raise if the arguments do not fit.

        Args:
            name: of what is called, for the message.
            args: by position.
            kwargs: by name.

        Raises:
            TypeError: with the reason.
        """
        if self._accepts(len(args), kwargs):
            return
        from inspect import Parameter as Described
        from inspect import Signature as Explained
        from inspect import _ParameterKind as Kind

        explained = Explained(
            [
                # Any default will do: whether there is one is all that counts.
                Described(name, Kind(kind), default=Described.empty if must else None)
                if kind not in (VAR_POSITIONAL, VAR_KEYWORD)
                else Described(name, Kind(kind))
                for name, kind, must in self.parameters
            ]
        )
        try:
            explained.bind(*args, **kwargs)
            # Python 3.13.0 overlooks this alone: a positional argument that is given by name.
            reason = "a positional-only argument is missing"
        except TypeError as error:
            reason = str(error)
        shown = str(explained).replace("=None", "=...")
        raise TypeError(f"{name}{shown}: {reason}")

    def _accepts(self, given: int, kwargs: dict[str, Any]) -> bool:
        unused = len(kwargs)
        room = given
        for name, kind, must in self.parameters:
            if kind == VAR_POSITIONAL:
                room = 0
            elif kind == VAR_KEYWORD:
                unused = 0
            elif kind <= POSITIONAL and room > 0:
                room -= 1
                if kind == POSITIONAL and name in kwargs:
                    return False
            elif kind != POSITIONAL_ONLY and name in kwargs:
                unused -= 1
            elif must:
                return False
        return not room and not unused


def parameters_of(target: Any, *, bound: bool = False) -> tuple[Parameter, ...]:
    """Return the parameters of a callable.

    `__wrapped__` is not followed: a decorator may add or take away arguments, and to refuse a
    right call is worse than to let a wrong one fail where it runs.

    Args:
        target: any callable; one that tells nothing about itself takes anything.
        bound: whether the first parameter is filled by the instance.
    """
    if isinstance(target, MethodType):
        target, bound = target.__func__, True
    if isinstance(target, FunctionType):
        return _from_code(target, target.__code__, int(bound))
    try:
        from inspect import Parameter as Described
        from inspect import signature

        found = [
            (name, int(item.kind), item.default is Described.empty and int(item.kind) not in (2, 4))
            for name, item in signature(target).parameters.items()
        ]
    except (TypeError, ValueError):
        return ANYTHING
    return tuple(found[bound:])


def _from_code(function: FunctionType, code: CodeType, skip: int) -> tuple[Parameter, ...]:
    count, names = code.co_argcount, code.co_varnames
    only, required = code.co_posonlyargcount, count - len(function.__defaults__ or ())
    keywords, defaults = code.co_kwonlyargcount, function.__kwdefaults__ or {}
    found: list[Parameter] = [
        (name, POSITIONAL_ONLY if place < only else POSITIONAL, place < required)
        for place, name in enumerate(names[:count])
    ][skip:]
    rest = count + keywords
    if code.co_flags & _VARARGS:
        found.append((names[rest], VAR_POSITIONAL, False))
        rest += 1
    found += [(n, KEYWORD_ONLY, n not in defaults) for n in names[count : count + keywords]]
    if code.co_flags & _VARKEYWORDS:
        found.append((names[rest], VAR_KEYWORD, False))
    return tuple(found)


def flavour_of(target: Any) -> str:
    """Return what calling `target` makes: "async", "generator", "async generator" or "plain"."""
    while isinstance(target, partial):
        target = target.func
    target = getattr(target, "__func__", target)
    flags = target.__code__.co_flags if isinstance(target, FunctionType) else 0
    if flags & _ASYNC_GENERATOR:
        return "async generator"
    if flags & (_COROUTINE | _ITERABLE_COROUTINE):
        return "async"
    return "generator" if flags & _GENERATOR else "plain"
