"""Modules that only this process has, though they have a name.

A loader of one's own (pytest's import mode "importlib", a plug-in system, a notebook's runner) can
put a module into `sys.modules` that no finder would find. A worker could not import it, so what it
defines has to travel by value, as what `__main__` defines does.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from typing import Any


def is_stray(name: object) -> bool:
    """Tell whether a loaded module of that name is one that another process could not import."""
    if not isinstance(name, str) or name == "__main__":
        return False
    top = name.partition(".")[0]
    module = sys.modules.get(top)
    if module is None:
        return False
    return not _leads_to(top, getattr(module, "__file__", None), tuple(sys.path))


@lru_cache(maxsize=1024)
def _leads_to(top: str, file: str | None, path: tuple[str, ...]) -> bool:
    """Tell whether importing `top` afresh, with that `sys.path`, gives what came from `file`."""
    spec = _find(top)
    if spec is None:
        return False
    return not (spec.has_location and file) or spec.origin == file


def _find(top: str) -> Any:
    for finder in sys.meta_path:
        find = getattr(finder, "find_spec", None)
        spec = find(top, None) if find is not None else None
        if spec is not None:
            return spec
    return None
