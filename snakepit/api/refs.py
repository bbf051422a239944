"""References to values that exist, or will.

Each reference is one handle of this process on one object: making it was counted, and its end is
reported by its finalizer. It knows its runtime, so that the hot path looks nothing up, and so
that a reference that outlives its runtime says so instead of naming another's object.

Threads may share a reference: it never changes. That holds without the GIL.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, cast, final

from ..errors import RuntimeClosedError, SnakepitError, StaleReferenceError
from ..ids import hex_id
from ..protocol import Reference, Runtime, current

if TYPE_CHECKING:
    from concurrent.futures import Future

T_co = TypeVar("T_co", covariant=True)

_new: Final = object.__new__


@final
class ObjectRef(Reference, Generic[T_co]):
    """A value that a task makes, or that was put into the store: `get` it, await it, send it on.

    The value is kept for as long as someone, in whichever process, holds a reference.
    """

    __slots__ = ()

    def __init__(self, runtime: Runtime, identifier: int) -> None:
        """Take over one handle; users get references from `.remote()` and `put`."""
        self._runtime = runtime
        self._id = identifier

    def hex(self) -> str:
        """Return the 32 hexadecimal digits that name the object."""
        return hex_id(self._runtime.run, self._id)

    def binary(self) -> bytes:
        """Return the 16 bytes that name the object."""
        return bytes.fromhex(self.hex())

    def future(self) -> Future[T_co]:
        """Return a concurrent.futures future of the value; to cancel it leaves the task alone.

        Raises:
            RuntimeClosedError: the reference's runtime was shut down.
            StaleReferenceError: another runtime has taken its place.
        """
        from concurrent.futures import Future

        runtime = runtime_of(self)
        future: Future[T_co] = Future()

        def settle() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                value = runtime.get_one(self._id, 0)
            except BaseException as error:
                # With a traceback it would keep this very frame, and that the future.
                future.set_exception(error.with_traceback(None))
            else:
                future.set_result(cast(T_co, value))

        runtime.when_done(self._id, settle)
        return future

    def __await__(self) -> Generator[Any, None, T_co]:
        values = yield from runtime_of(self).await_many([self._id]).__await__()
        return cast(T_co, values[0])

    def __repr__(self) -> str:
        return f"ObjectRef({self.hex()})"

    def __hash__(self) -> int:
        return hash(self._id)

    def __eq__(self, other: object) -> bool:
        if type(other) is not ObjectRef:
            return NotImplemented
        return self._id == other._id and self._runtime.run == other._runtime.run

    def __copy__(self) -> ObjectRef[T_co]:
        return self

    def __deepcopy__(self, memo: object) -> ObjectRef[T_co]:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        from ..payload import note_reference

        runtime = runtime_of(self)
        note_reference(self._id)
        return rebuild_ref, (runtime.run, self._id)

    def __del__(self) -> None:
        try:
            self._runtime.drop(self._id)
        except AttributeError:  # __init__ was given the wrong arguments and set nothing
            return


def rebuild_ref(run: str, identifier: int) -> ObjectRef[Any]:
    """Make a reference from what was pickled, and count it."""
    # By the ten thousand, so it does without the calls that it can do without.
    runtime = current()
    if runtime is None or runtime.run != run:
        raise stale(f"a reference of run {run}")
    runtime.hold(identifier)
    ref: ObjectRef[Any] = _new(ObjectRef)
    ref._runtime = runtime
    ref._id = identifier
    return ref


def runtime_of(ref: ObjectRef[Any]) -> Runtime:
    """Return the reference's runtime.

    Raises:
        RuntimeClosedError: it was shut down.
        StaleReferenceError: another has taken its place.
    """
    runtime = ref._runtime
    if runtime is not current():
        raise stale(repr(ref))
    return runtime


def runtime_of_run(run: str, what: str) -> Runtime:
    """Return the current runtime if it is that of `run`, and raise as `runtime_of` if not."""
    runtime = current()
    if runtime is None or runtime.run != run:
        raise stale(f"{what} of run {run}")
    return runtime


def stale(what: str) -> SnakepitError:
    """Return the error for the use of something whose runtime is not the current one."""
    if current() is None:
        return RuntimeClosedError(
            f"{what} cannot be used here: its runtime was shut down, or is another process's. "
            "References and actors do not outlive the runtime that made them"
        )
    return StaleReferenceError(
        f"{what} belongs to an earlier runtime, or to another process's. "
        "Make it again: references and actors do not outlive the runtime that made them"
    )
