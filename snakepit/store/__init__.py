"""The object store: arenas that processes write, mappings they read, one budget for all."""

from snakepit.errors import ObjectStoreFullError as Shortage
from snakepit.store.adopted import AdoptedArena
from snakepit.store.arena import Arena, Stored
from snakepit.store.copying import Copy, Part
from snakepit.store.ledger import Ledger
from snakepit.store.mappings import Mappings
from snakepit.store.platform import reopen_read_only

__all__ = [
    "AdoptedArena",
    "Arena",
    "Copy",
    "Ledger",
    "Mappings",
    "Part",
    "Shortage",
    "Stored",
    "reopen_read_only",
]
