"""Python values as parts of a message, and back.

Holds no state but a context variable, so every function may run in any number of threads at
once, with the GIL or without it. cloudpickle, numpy and pyarrow load only when a value needs them.
"""

from .code import Code, pack_code, unpack_code
from .dumps import NO_ARGUMENTS, pack, pack_call
from .loads import unpack
from .packed import Packed, Part
from .raised import pack_exception, unpack_exception
from .references import note_reference

__all__ = [
    "NO_ARGUMENTS",
    "Packed",
    "Part",
    "pack",
    "pack_call",
    "unpack",
    "note_reference",
    "Code",
    "pack_code",
    "unpack_code",
    "pack_exception",
    "unpack_exception",
]
