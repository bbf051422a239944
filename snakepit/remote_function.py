"""Remote functions, under the name by which Ray's programs import them."""

from __future__ import annotations

from .api.functions import RemoteFunction

__all__ = ["RemoteFunction"]
