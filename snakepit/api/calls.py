"""What one does with references and actors: get, put, wait, cancel, kill, find, leave."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, overload

from ..config import check_bool, check_int, check_name, check_timeout
from ..protocol import ActorExit, Runtime, current
from .context import running
from .generators import ObjectRefGenerator
from .handles import ActorHandle, core_of, weak_handle
from .refs import ObjectRef, runtime_of, stale

if TYPE_CHECKING:
    from .typed import Actor

T = TypeVar("T")


@overload
def get(refs: ObjectRef[T], *, timeout: float | None = None) -> T: ...


@overload
def get(refs: list[ObjectRef[T]], *, timeout: float | None = None) -> list[T]: ...


@overload
def get(refs: list[Any], *, timeout: float | None = None) -> list[Any]: ...


def get(refs: Any, *, timeout: float | None = None) -> Any:
    """Wait for values and return them; arrays among them are read-only views of shared memory.

    Args:
        refs: a reference, or a list of references.
        timeout: seconds to wait; 0 looks once; None waits for ever.

    Returns:
        The value, or the list of values in the order of their references.

    Raises:
        TaskError: a task failed; it is also of the type of the task's exception. Of several
            errors the first that is found is raised.
        GetTimeoutError: a value was not there in time.
        ValueError: `refs` is neither of the two, or `timeout` is negative.
        TypeError: the list holds something else than references.
    """
    if type(refs) is ObjectRef:
        # The hot path: nothing to look up and nothing to check but the runtime.
        runtime = refs._runtime
        if timeout is None and runtime is current():
            return runtime.get_one(refs._id, None)
        return runtime_of(refs).get_one(refs._id, check_timeout(timeout))
    if type(refs) is ObjectRefGenerator:
        return refs  # As Ray does: it is the stream of references, not one of them.
    if not isinstance(refs, list):
        raise ValueError(
            f"get() takes a reference or a list of references, not {type(refs).__name__}"
        )
    runtime, ids = _ids("get", refs)
    return runtime.get(ids, check_timeout(timeout))


def put(value: T) -> ObjectRef[T]:
    """Store a value once, for any number of tasks and actors to read.

    Args:
        value: anything that can be pickled; large buffers are copied to shared memory once.

    Returns:
        A reference to it.

    Raises:
        TypeError: the value is itself a reference.
        SerializationError: the value cannot be sent.
        ObjectStoreFullError: there is no room for it.
    """
    if type(value) is ObjectRef:
        raise TypeError("put() takes a value; this is a reference, which can be passed as it is")
    runtime = current() or running()
    ref: ObjectRef[T] = runtime.put(value, ObjectRef)
    return ref


def wait(
    refs: list[ObjectRef[T]],
    *,
    num_returns: int = 1,
    timeout: float | None = None,
    fetch_local: bool = True,
) -> tuple[list[ObjectRef[T]], list[ObjectRef[T]]]:
    """Wait until some of the values are there, or their tasks have failed.

    Args:
        refs: different references, or generators, which are there when their next item is.
        num_returns: how many to wait for.
        timeout: seconds to wait; 0 looks once; None waits for ever.
        fetch_local: for Ray's programs; on one machine each value is local.

    Returns:
        At most `num_returns` references whose values are there, and all others, both in the
        order in which they were given.

    Raises:
        TypeError: `refs` is no list of references.
        ValueError: a reference is there twice; `num_returns` is less than 1 or more than there
            are references; `timeout` is negative.
    """
    if not isinstance(refs, list):
        raise TypeError(f"wait() takes a list of references, not {type(refs).__name__}")
    seconds = check_timeout(timeout)
    check_bool("fetch_local", fetch_local)
    runtime, ids = _ids("wait", refs, streams=True)
    if not refs:
        return [], []
    if len(set(ids)) != len(ids):
        raise ValueError("wait() takes different references; one of these is there twice")
    count = check_int("num_returns", num_returns, 1, len(refs), ", the number of references")
    places = runtime.wait(ids, count, seconds)
    if len(places) == 1:
        # Who takes one result after the other from a long list pays for copying it and no more.
        place = places[0]
        return [refs[place]], refs[:place] + refs[place + 1 :]
    ready = set(places)
    return (
        [refs[place] for place in places],
        [ref for place, ref in enumerate(refs) if place not in ready],
    )


def cancel(
    ref: ObjectRef[Any] | ObjectRefGenerator[Any], *, force: bool = False, recursive: bool = True
) -> None:
    """Cancel the call that makes this value; nothing happens when it has ended.

    A call that waits never starts; one that runs gets a KeyboardInterrupt. `get` then raises
    TaskCancelledError. A call that its worker was sent ahead of time, and holds behind C code that
    keeps the GIL, is answered after a second; it may still start for a moment when that returns.

    Args:
        ref: what the call returns, a reference or a generator.
        force: end the worker's process; WorkerCrashedError is raised instead.
        recursive: cancel also what the call itself has called.

    Raises:
        TypeError: `ref` is no reference.
        ValueError: `force` on a call to an actor; `kill` ends actors.
    """
    check_bool("force", force)
    check_bool("recursive", recursive)
    if type(ref) is ObjectRefGenerator:
        ref = ref.completed()
    elif type(ref) is not ObjectRef:
        raise TypeError(f"cancel() takes a reference, not {type(ref).__name__}")
    runtime_of(ref).cancel(ref._id, force=force, recursive=recursive)


def kill(actor: ActorHandle[Any] | type[Actor], *, no_restart: bool = True) -> None:
    """End an actor's process at once; its unanswered calls raise ActorDiedError.

    Args:
        actor: its handle.
        no_restart: False lets its `max_restarts` bring it back.

    Raises:
        ValueError: `actor` is no handle; tasks are ended by `cancel`.
    """
    if not isinstance(actor, ActorHandle):
        raise ValueError(
            f"kill() takes the handle of an actor, not {type(actor).__name__}; cancel() ends tasks"
        )
    check_bool("no_restart", no_restart)
    core = core_of(actor)
    if core.runtime is not current():
        raise stale(f"the actor {core}")
    core.runtime.kill(core.id, no_restart=no_restart)


def get_actor(name: str, namespace: str | None = None) -> ActorHandle[Any]:
    """Return a handle of the living actor of that name, which does not keep it alive.

    Args:
        name: as given by `options(name=...)`.
        namespace: where to look; default: the caller's own.

    Raises:
        ValueError: there is none.
    """
    check_name("name", name)
    if namespace is not None:
        check_name("namespace", namespace)
    runtime = current() or running()
    record = runtime.find_actor(name, namespace)
    return weak_handle(runtime, record.id, record.methods)


def exit_actor() -> NoReturn:
    """End the actor whose method calls this; it is not restarted, and later calls fail.

    Raises:
        TypeError: the caller is no method of an actor.
    """
    runtime = current()
    if runtime is None or runtime.describe().get("actor") is None:
        raise TypeError("exit_actor() is called by a method of an actor, and this is none")
    raise ActorExit


def _ids(function: str, refs: list[Any], streams: bool = False) -> tuple[Runtime, list[int]]:
    """The ids of references, which must all be of the current runtime.

    With `streams` a generator may be among them, and stands for its next item.
    """
    runtime = current()
    try:
        # What has both attributes is a reference; one pass, since lists are long.
        ids = [ref._id for ref in refs if ref._runtime is runtime]
    except AttributeError:
        ids = []
    if len(ids) != len(refs):
        if not streams or not any(type(ref) is ObjectRefGenerator for ref in refs):
            _refuse(function, refs, runtime)
        _ids(function, [ref for ref in refs if type(ref) is not ObjectRefGenerator])
        ids = [ref.ticket() if type(ref) is ObjectRefGenerator else ref._id for ref in refs]
    return runtime or running(), ids


def _refuse(function: str, refs: list[Any], runtime: Runtime | None) -> NoReturn:
    """Raise the error for the first item of a list that is no reference of this runtime."""
    for place, ref in enumerate(refs):
        if type(ref) is not ObjectRef:
            raise TypeError(
                f"{function}() takes references; item {place} of the list is of type "
                f"{type(ref).__name__}"
            )
        if ref._runtime is not runtime:
            raise stale(repr(ref))
    raise RuntimeError("the list was changed meanwhile")
