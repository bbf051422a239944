"""How actors begin and end: constructors, last handles, kill, exit, restarts."""

from __future__ import annotations

import os
import time
from typing import Any

import pytest

from tests.conformance.marks import not_inline
from tests.runtime.helpers import wait_until


def is_alive(pid: int) -> bool:
    """Whether the process runs; one that has ended and waits for its parent does not."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):  # gone before, or while it is read
        return False


def is_dead(ray: Any, actor: Any) -> bool:
    """Whether it answers no more; on Ray it may for a moment after a kill."""
    try:
        ray.get(actor.add.remote())
    except ray.exceptions.ActorDiedError:
        return True
    return False


@pytest.fixture
def mortal_class(ray: Any) -> Any:
    """An actor that can be asked to end."""

    @ray.remote
    class Mortal:
        def __init__(self) -> None:
            self.n = 0

        def add(self) -> int:
            self.n += 1
            return self.n

        def pid(self) -> int:
            return os.getpid()

        def dies(self) -> None:
            os._exit(1)

        def leaves(self) -> None:
            ray.actor.exit_actor()

    return Mortal


@not_inline("the actor has no process of its own")
def test_an_actor_ends_with_its_last_handle(ray: Any, mortal_class: Any) -> None:
    mortal = mortal_class.remote()
    pid = ray.get(mortal.pid.remote())
    assert is_alive(pid)
    del mortal
    assert wait_until(lambda: not is_alive(pid))


def test_an_actor_lives_while_another_holds_a_handle(ray: Any, mortal_class: Any) -> None:
    @ray.remote
    class Holder:
        def __init__(self, held: Any) -> None:
            self.held = held

        def add(self) -> int:
            return int(ray.get(self.held.add.remote()))

    mortal = mortal_class.remote()
    holder = Holder.remote(mortal)
    assert ray.get(holder.add.remote()) == 1
    del mortal
    assert ray.get(holder.add.remote()) == 2


def test_calls_that_were_made_are_run_before_the_end(ray: Any, tally: Any) -> None:
    @ray.remote
    class Counts:
        def add(self) -> int:
            return int(tally.add())

    assert ray.get(Counts.remote().add.remote()) == 1


@not_inline("the actor has no process of its own")
def test_kill_ends_an_actor(ray: Any, mortal_class: Any) -> None:
    mortal = mortal_class.remote()
    pid = ray.get(mortal.pid.remote())
    ray.kill(mortal)
    assert wait_until(lambda: not is_alive(pid))
    with pytest.raises(ray.exceptions.RayActorError):
        ray.get(mortal.add.remote())


@not_inline("a process dies, and there is one only")
def test_a_call_to_a_dead_actor_is_an_actor_died_error(ray: Any, mortal_class: Any) -> None:
    mortal = mortal_class.remote()
    with pytest.raises(ray.exceptions.RayActorError):
        ray.get(mortal.dies.remote())
    with pytest.raises(ray.exceptions.ActorDiedError):
        ray.get(mortal.add.remote())


def test_kill_ends_the_call_that_runs(ray: Any, gate: Any, tally: Any) -> None:
    @ray.remote
    class Slow:
        def work(self) -> None:
            tally.add()
            gate.wait()

    slow = Slow.remote()
    ref = slow.work.remote()
    assert wait_until(lambda: tally.count == 1)
    ray.kill(slow)
    with pytest.raises(ray.exceptions.ActorDiedError):
        ray.get(ref)


def test_kill_twice(ray: Any, mortal_class: Any) -> None:
    mortal = mortal_class.remote()
    ray.get(mortal.pid.remote())
    ray.kill(mortal)
    ray.kill(mortal)


@pytest.mark.parametrize("value", [1, None, "actor"])
def test_kill_takes_handles_only(ray: Any, value: Any) -> None:
    with pytest.raises(ValueError):
        ray.kill(value)


def test_kill_takes_no_reference(ray: Any) -> None:
    with pytest.raises(ValueError):
        ray.kill(ray.put(1))


def test_a_task_kills_an_actor(ray: Any, mortal_class: Any) -> None:
    @ray.remote
    def end(actor: Any) -> None:
        ray.kill(actor)

    mortal = mortal_class.remote()
    ray.get(mortal.pid.remote())
    ray.get(end.remote(mortal))
    assert wait_until(lambda: is_dead(ray, mortal))


@not_inline("the actor has no process of its own")
def test_exit_actor_ends_an_actor(ray: Any, mortal_class: Any) -> None:
    mortal = mortal_class.remote()
    pid = ray.get(mortal.pid.remote())
    with pytest.raises(ray.exceptions.RayActorError):
        ray.get(mortal.leaves.remote())
    assert wait_until(lambda: not is_alive(pid))
    with pytest.raises(ray.exceptions.ActorDiedError):
        ray.get(mortal.add.remote())


def test_exit_actor_is_no_reason_to_restart(ray: Any, mortal_class: Any) -> None:
    mortal = mortal_class.options(max_restarts=-1).remote()
    with pytest.raises(ray.exceptions.RayActorError):
        ray.get(mortal.leaves.remote())
    assert wait_until(lambda: is_dead(ray, mortal))


def test_exit_actor_outside_of_an_actor(ray: Any) -> None:
    with pytest.raises(TypeError):
        ray.actor.exit_actor()


def test_the_terminate_method_ends_an_actor_after_its_calls(ray: Any, mortal_class: Any) -> None:
    mortal = mortal_class.remote()
    before = [mortal.add.remote() for _ in range(3)]
    mortal.__ray_terminate__.remote()
    assert ray.get(before) == [1, 2, 3]
    with pytest.raises(ray.exceptions.RayActorError):
        ray.get(mortal.add.remote())


def test_the_ready_method_waits_for_the_constructor(ray: Any, mortal_class: Any) -> None:
    ray.get(mortal_class.remote().__ray_ready__.remote())


def test_the_call_method_runs_a_function_on_the_object(ray: Any, mortal_class: Any) -> None:
    mortal = mortal_class.remote()
    ref = mortal.__ray_call__.remote(lambda self, k: setattr(self, "n", k) or self.n, 5)
    assert ray.get(ref) == 5
    assert ray.get(mortal.add.remote()) == 6


# --- Constructors that fail -----------------------------------------------------------------


def test_what_a_constructor_raises_its_calls_report(ray: Any) -> None:
    @ray.remote
    class Fails:
        def __init__(self) -> None:
            raise ValueError("not today")

        def ping(self) -> str:
            return "pong"

    fails = Fails.remote()
    with pytest.raises(ray.exceptions.RayActorError) as caught:
        ray.get(fails.ping.remote())
    assert "not today" in str(caught.value)
    assert isinstance(caught.value, ray.exceptions.ActorDiedError)


def test_an_argument_of_a_constructor_that_failed(ray: Any) -> None:
    @ray.remote
    def fails() -> int:
        raise OSError("argument")

    @ray.remote
    class Takes:
        def __init__(self, x: int) -> None: ...

        def ping(self) -> str:
            return "pong"

    takes = Takes.remote(fails.remote())
    with pytest.raises(ray.exceptions.RayActorError):
        ray.get(takes.ping.remote())


@not_inline("a process dies, and there is one only")
def test_a_constructor_that_dies(ray: Any) -> None:
    @ray.remote
    class Dies:
        def __init__(self) -> None:
            os._exit(1)

        def ping(self) -> str:
            return "pong"

    with pytest.raises(ray.exceptions.ActorDiedError):
        ray.get(Dies.remote().ping.remote())


def test_calls_wait_for_the_constructor(ray: Any, gate: Any) -> None:
    @ray.remote
    class Slow:
        def __init__(self) -> None:
            gate.wait()

        def ping(self) -> str:
            return "pong"

    ref = Slow.remote().ping.remote()
    assert ray.wait([ref], timeout=0.1)[0] == []
    gate.open()
    assert ray.get(ref) == "pong"


# --- Restarts -------------------------------------------------------------------------------


@not_inline("a process dies, and there is one only")
def test_an_actor_is_not_restarted_unless_asked_for(ray: Any, mortal_class: Any) -> None:
    mortal = mortal_class.remote()
    with pytest.raises(ray.exceptions.RayActorError):
        ray.get(mortal.dies.remote())
    with pytest.raises(ray.exceptions.ActorDiedError):
        ray.get(mortal.add.remote())


def comes_back(ray: Any, actor: Any) -> int:
    """Call `add` until it answers: an actor that restarts may refuse calls meanwhile."""
    answers: list[int] = []

    def answered() -> bool:
        try:
            answers.append(ray.get(actor.add.remote()))
        except ray.exceptions.ActorUnavailableError:
            return False
        return True

    assert wait_until(answered)
    return answers[0]


@not_inline("a process dies, and there is one only")
def test_a_restarted_actor_begins_anew(ray: Any, mortal_class: Any) -> None:
    mortal = mortal_class.options(max_restarts=1).remote()
    assert ray.get([mortal.add.remote() for _ in range(3)]) == [1, 2, 3]
    pid = ray.get(mortal.pid.remote())
    with pytest.raises(ray.exceptions.RayActorError):
        ray.get(mortal.dies.remote())
    assert comes_back(ray, mortal) == 1
    assert ray.get(mortal.pid.remote()) != pid


@not_inline("a process dies, and there is one only")
def test_restarts_come_to_an_end(ray: Any, mortal_class: Any) -> None:
    mortal = mortal_class.options(max_restarts=1).remote()
    for _ in range(2):
        comes_back(ray, mortal)
        with pytest.raises(ray.exceptions.RayActorError):
            ray.get(mortal.dies.remote())
    with pytest.raises(ray.exceptions.ActorDiedError):
        ray.get(mortal.add.remote())


@not_inline("the actor has no process of its own")
def test_kill_that_lets_it_restart(ray: Any, mortal_class: Any) -> None:
    mortal = mortal_class.options(max_restarts=1).remote()
    pid = ray.get(mortal.pid.remote())
    ray.kill(mortal, no_restart=False)
    assert wait_until(lambda: not is_alive(pid))
    assert comes_back(ray, mortal) == 1
    assert ray.get(mortal.pid.remote()) != pid


def test_kill_ends_an_actor_that_has_restarts_left(ray: Any, mortal_class: Any) -> None:
    mortal = mortal_class.options(max_restarts=-1).remote()
    ray.get(mortal.pid.remote())
    ray.kill(mortal)
    assert wait_until(lambda: is_dead(ray, mortal))


@not_inline("a process dies, and there is one only")
def test_constructor_arguments_are_kept_for_restarts(ray: Any) -> None:
    @ray.remote(max_restarts=1)
    class Keeps:
        def __init__(self, x: int, box: Any) -> None:
            self.x, self.y = x, ray.get(box[0])

        def add(self) -> int:
            return int(self.x + self.y)

        def dies(self) -> None:
            os._exit(1)

    inner = ray.put(2)
    keeps = Keeps.remote(ray.put(1), [inner])
    assert ray.get(keeps.add.remote()) == 3
    with pytest.raises(ray.exceptions.RayActorError):
        ray.get(keeps.dies.remote())
    assert comes_back(ray, keeps) == 3


@not_inline("a process dies, and there is one only")
def test_an_actor_knows_that_it_was_restarted(ray: Any) -> None:
    @ray.remote(max_restarts=1, max_task_retries=1)
    class Knows:
        def again(self) -> bool:
            return bool(ray.get_runtime_context().was_current_actor_reconstructed)

        def dies(self) -> None:
            if not self.again():
                os._exit(1)

    knows = Knows.remote()
    assert ray.get(knows.again.remote()) is False
    ray.get(knows.dies.remote())
    assert ray.get(knows.again.remote()) is True


@not_inline("a call is over when `.remote()` returns, and nothing runs beside it")
def test_a_call_that_ran_when_its_actor_died_finds_it_unavailable(ray: Any, tally: Any) -> None:
    @ray.remote(max_restarts=1)
    class Holds:
        def hold(self) -> None:
            tally.add()
            time.sleep(60)

        def add(self) -> int:
            return 1

    holds = Holds.remote()
    held = holds.hold.remote()
    assert wait_until(lambda: tally.count == 1)
    ray.kill(holds, no_restart=False)
    with pytest.raises(ray.exceptions.ActorUnavailableError):
        ray.get(held)
    assert comes_back(ray, holds) == 1
    assert tally.count == 1
