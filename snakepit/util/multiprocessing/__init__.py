"""The standard library's `multiprocessing.Pool`, on actors: change the import, keep the program."""

from __future__ import annotations

from .pool import Pool
from .results import AsyncResult, PoolTerminatedError, TimeoutError

__all__ = ["Pool", "AsyncResult", "TimeoutError", "PoolTerminatedError"]
