"""Where the calling code runs: the runtime context."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn, final

from ..ids import hex_id, node_id
from ..protocol import Runtime, current
from .context import running
from .handles import ActorHandle, weak_handle

if TYPE_CHECKING:
    from .sessions import SessionState


@final
class RuntimeContext:
    """Where the calling code runs, as it was when `get_runtime_context` was called."""

    __slots__ = ("_facts", "_runtime")

    def __init__(self, runtime: Runtime) -> None:
        """Made by `get_runtime_context`."""
        self._runtime = runtime
        self._facts = runtime.describe()

    def _named(self, fact: str) -> str | None:
        identifier = self._facts.get(fact)
        return None if identifier is None else hex_id(self._runtime.run, identifier)

    def get_job_id(self) -> str:
        """Return the name of the run: one for each `init`."""
        return self._runtime.run

    def get_session_name(self) -> str:
        """Return the name of the run, as `get_job_id`: one machine has one session a run."""
        return self._runtime.run

    def get_node_id(self) -> str:
        """Return the id of this machine, in hexadecimal; see also `snakepit.nodes`."""
        return node_id(self._runtime.run)

    def get_worker_id(self) -> str:
        """Return the id of this process, in hexadecimal."""
        return hex_id(self._runtime.run, self._facts.get("worker") or 0)

    def get_task_id(self) -> str | None:
        """Return the id of the call that runs here, in hexadecimal; None in the driver."""
        return self._named("task")

    def get_task_name(self) -> str | None:
        """Return the name of the call that runs here: as its options or its function say."""
        name: str | None = self._facts.get("task_name")
        return name

    def get_task_function_name(self) -> str | None:
        """Return the full name of the function or method that runs here, whatever the call is
        named: `module.function`, `module.Class.method`; None in the driver."""
        name: str | None = self._facts.get("task_function")
        return name

    def get_actor_id(self) -> str | None:
        """Return the id of the actor that runs here, in hexadecimal; None outside of one."""
        return self._named("actor")

    def get_actor_name(self) -> str | None:
        """Return the name of the actor that runs here; None for one without, and outside."""
        name: str | None = self._facts.get("actor_name")
        return name

    def get_placement_group_id(self) -> str | None:
        """Return the id of the placement group whose resources this uses, in hexadecimal."""
        group: str | None = self._facts.get("placement_group")
        return group

    def get_assigned_resources(self) -> dict[str, float]:
        """Return what the task or actor that runs here was given, by name; nothing in the driver.

        An actor that asked for nothing has nothing assigned while it lives.
        """
        return dict(self._facts.get("assigned") or {})

    def get_accelerator_ids(self) -> dict[str, list[str]]:
        """Return the ids of the GPUs that the task or actor that runs here may use."""
        return {"GPU": [str(device) for device in self._facts.get("gpus") or ()]}

    @property
    def runtime_env(self) -> dict[str, Any]:
        """The environment that the code which runs here was given; paths are absolute."""
        return dict(self._facts.get("runtime_env") or {})

    @property
    def session(self) -> SessionState | None:
        """The session of the call that runs here: what its worker keeps for it, by name.

        None for a call of no session, and outside of calls; and for one that was given up, and
        runs on, when its session is over. See `snakepit.Session`.
        """
        facts = self._facts.get("session")
        if facts is None:
            return None
        from .sessions import SessionState

        return SessionState(self._runtime, facts)

    @property
    def namespace(self) -> str:
        """The namespace that names of actors are looked up in."""
        return str(self._facts.get("namespace") or "")

    @property
    def was_current_actor_reconstructed(self) -> bool:
        """Whether the actor that runs here was restarted.

        Raises:
            RuntimeError: no actor runs here.
        """
        self._check_actor("was_current_actor_reconstructed")
        return bool(self._facts.get("reconstructed"))

    @property
    def current_actor(self) -> ActorHandle[Any]:
        """A handle of the actor that runs here, which by itself does not keep the actor alive.

        Raises:
            RuntimeError: no actor runs here.
        """
        actor = self._check_actor("current_actor")
        return weak_handle(self._runtime, actor, self._facts["actor_methods"])

    def is_canceled(self) -> bool:
        """Tell whether the call that runs here has been cancelled.

        For calls that a cancel cannot interrupt: those that run in threads, several in a process.

        Raises:
            RuntimeError: no call runs here.
        """
        if self._facts.get("task") is None:
            raise RuntimeError("is_canceled() is for tasks and methods, and none runs here")
        return self._runtime.cancelled()

    def _check_actor(self, what: str) -> int:
        actor: int | None = self._facts.get("actor")
        if actor is None:
            _refuse(what)
        return actor

    def __repr__(self) -> str:
        return (
            f"RuntimeContext(job={self._runtime.run}, worker={self._facts.get('worker') or 0}, "
            f"task={self.get_task_id()}, actor={self.get_actor_id()})"
        )


def _refuse(what: str) -> NoReturn:
    raise RuntimeError(f"{what} is for the methods of an actor, and this code runs in none")


def get_runtime_context() -> RuntimeContext:
    """Return where the calling code runs, as of now.

    Raises:
        OptionError: an environment variable gives the new runtime a setting that is not allowed.
    """
    return RuntimeContext(current() or running())
