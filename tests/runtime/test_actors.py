"""Actors: state, order, names, handles, and the ways in which they end."""

from __future__ import annotations

import gc
import os
import threading
from typing import Any

import pytest

import snakepit
from snakepit.errors import (
    ActorAlreadyExistsError,
    ActorDiedError,
    ActorError,
    ActorUnavailableError,
    ActorUnschedulableError,
)
from tests.runtime.helpers import PATIENCE, Gate, Tally, entries, is_settled, wait_until

pytestmark = pytest.mark.usefixtures("runtime")


@snakepit.remote
class Counter:
    step = 1

    def __init__(self, start: int = 0) -> None:
        self.value = start
        self.seen: list[Any] = []

    def add(self, amount: int = 1) -> int:
        self.value += amount * self.step
        return self.value

    def note(self, item: Any) -> None:
        self.seen.append(item)

    def notes(self) -> list[Any]:
        return self.seen

    def pid(self) -> int:
        return os.getpid()

    def fail(self) -> None:
        raise LookupError("not here")

    def wait(self, gate: Gate) -> str:
        gate.wait()
        return "waited"

    def leave(self) -> None:
        snakepit.exit_actor()

    @snakepit.method(num_returns=2)
    def two(self) -> Any:
        return 1, 2

    def me(self) -> Any:
        return snakepit.get_runtime_context().get_actor_id()


@snakepit.remote
def call(counter: Any, amount: int) -> int:
    return int(snakepit.get(counter.add.remote(amount)))


def gone(pid: int) -> bool:
    return not os.path.exists(f"/proc/{pid}")


def died(ref: Any) -> ActorDiedError:
    with pytest.raises(ActorDiedError) as info:
        snakepit.get(ref, timeout=PATIENCE)
    return info.value


def test_state_lasts_and_calls_keep_their_order() -> None:
    counter = Counter.remote(100)
    assert snakepit.get(counter.add.remote()) == 101
    assert snakepit.get([counter.add.remote(2) for _ in range(3)]) == [103, 105, 107]
    for number in range(500):
        counter.note.remote(number)
    assert snakepit.get(counter.notes.remote()) == list(range(500))


def test_order_holds_although_an_argument_is_late(gate: Gate) -> None:
    counter = Counter.remote(100)

    @snakepit.remote
    def late() -> str:
        gate.wait()
        return "late"

    counter.note.remote("first")
    counter.note.remote(late.remote())
    counter.note.remote("last")
    notes = counter.notes.remote()
    assert snakepit.wait([notes], timeout=0.05) == ([], [notes])
    gate.open()
    assert snakepit.get(notes) == ["first", "late", "last"]


def test_each_thread_has_its_calls_in_order() -> None:
    counter = Counter.remote(100)

    def work(name: int) -> None:
        for number in range(100):
            counter.note.remote((name, number))

    threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    notes = snakepit.get(counter.notes.remote())
    for name in range(4):
        assert [number for who, number in notes if who == name] == list(range(100))


def test_an_error_leaves_the_actor_as_it_was() -> None:
    counter = Counter.remote(100)
    with pytest.raises(LookupError, match="not here"):
        snakepit.get(counter.fail.remote())
    assert snakepit.get(counter.add.remote()) == 101


def test_methods_of_several_returns_and_options() -> None:
    counter = Counter.remote(100)
    assert snakepit.get(counter.two.remote()) == [1, 2]
    assert snakepit.get(counter.two.options(num_returns=1).remote()) == (1, 2)
    assert counter.note.options(num_returns=0).remote("x") is None
    assert snakepit.get(counter.notes.remote()) == ["x"]


def test_wrong_uses_are_refused_at_once() -> None:
    counter = Counter.remote(100)
    with pytest.raises(TypeError, match=r"\.remote\("):
        Counter()
    with pytest.raises(TypeError, match=r"\.remote\("):
        counter.add()
    with pytest.raises(AttributeError, match="subtract"):
        counter.subtract  # noqa: B018
    with pytest.raises(TypeError):
        counter.add.remote(1, 2, 3)
    with pytest.raises(TypeError):
        Counter.remote(1, 2, 3)
    with pytest.raises(TypeError):
        type("Sub", (Counter,), {})


def test_constructor_errors_reach_the_first_call_and_all_others() -> None:
    @snakepit.remote
    class Broken:
        def __init__(self, why: str) -> None:
            raise ZeroDivisionError(why)

        def method(self) -> None: ...

    broken = Broken.remote("from the start")
    error = died(broken.method.remote())
    assert "from the start" in str(error)
    assert isinstance(error.__cause__, ZeroDivisionError)
    died(broken.method.remote())


def test_a_failed_argument_of_the_constructor_is_the_cause() -> None:
    @snakepit.remote
    def fail() -> int:
        raise KeyError("argument")

    counter = Counter.remote(fail.remote())
    assert "argument" in str(died(counter.add.remote()))


def test_constructor_arguments_are_resolved() -> None:
    assert snakepit.get(Counter.remote(snakepit.put(5)).add.remote()) == 6


def test_a_constructor_that_cannot_ever_be_placed() -> None:
    counter = Counter.options(num_cpus=99).remote()
    with pytest.raises((ActorUnschedulableError, ActorDiedError), match="99"):
        snakepit.get(counter.add.remote())


def test_actors_take_cpus_only_when_they_ask() -> None:
    actors = [Counter.remote() for _ in range(4)]
    assert snakepit.get([actor.add.remote() for actor in actors], timeout=PATIENCE) == [1] * 4
    both = [Counter.options(num_cpus=1).remote() for _ in range(2)]
    assert snakepit.get([actor.add.remote() for actor in both], timeout=PATIENCE) == [1] * 2
    third = Counter.options(num_cpus=1).remote()
    ref = third.add.remote()
    assert snakepit.wait([ref], timeout=0.05) == ([], [ref])
    del both[0]
    assert snakepit.get(ref, timeout=PATIENCE) == 1


def test_handles_travel_to_tasks_and_other_actors() -> None:
    counter = Counter.remote(100)

    @snakepit.remote
    class Keeper:
        def __init__(self, other: Any) -> None:
            self.other = other

        def call(self) -> int:
            return int(snakepit.get(self.other.add.remote()))

        def give(self) -> Any:
            return self.other

    keeper = Keeper.remote(counter)
    assert snakepit.get(call.remote(counter, 10)) == 110
    assert snakepit.get(keeper.call.remote()) == 111
    again = snakepit.get(keeper.give.remote())
    assert again == counter and hash(again) == hash(counter)
    assert snakepit.get(again.add.remote()) == 112


def test_it_dies_with_its_last_handle_wherever_that_is() -> None:
    Counter.remote(100)

    @snakepit.remote
    class Keeper:
        def keep(self, nested: Any) -> None:
            self.kept = nested

        def call(self) -> int:
            return int(snakepit.get(self.kept[0].add.remote()))

        def drop(self) -> None:
            self.kept = None

    keeper, other = Keeper.remote(), Counter.remote()
    pid = snakepit.get(other.pid.remote())
    snakepit.get(keeper.keep.remote([other]))
    del other
    gc.collect()
    assert snakepit.get([keeper.call.remote(), keeper.call.remote()]) == [1, 2]
    assert not gone(pid)
    snakepit.get(keeper.drop.remote())
    assert wait_until(lambda: gone(pid))


def test_calls_already_made_are_answered_before_it_dies(gate: Gate) -> None:
    ref = Counter.remote().wait.remote(gate)
    gc.collect()
    gate.open()
    assert snakepit.get(ref, timeout=PATIENCE) == "waited"
    results = [Counter.remote(number).add.remote() for number in range(3)]
    assert snakepit.get(results, timeout=PATIENCE) == [1, 2, 3]


def test_an_actor_may_hold_its_own_handle_and_yet_die() -> None:
    @snakepit.remote
    class Self:
        def keep(self, nested: Any) -> int:
            self.me = nested[0]
            return os.getpid()

        def drop(self) -> None:
            self.me = None

    actor = Self.remote()
    pid = snakepit.get(actor.keep.remote([actor]))
    snakepit.get(actor.drop.remote())
    del actor
    assert wait_until(lambda: gone(pid))


def test_names() -> None:
    counter = Counter.options(name="named").remote(5)
    again = snakepit.get_actor("named")
    assert again == counter
    assert snakepit.get(again.add.remote()) == 6
    with pytest.raises(ActorAlreadyExistsError):
        Counter.options(name="named").remote()
    with pytest.raises(ValueError, match="nobody"):
        snakepit.get_actor("nobody")
    with pytest.raises(ValueError, match="elsewhere"):
        snakepit.get_actor("named", namespace="elsewhere")
    other = Counter.options(name="named", namespace="elsewhere").remote(50)
    assert snakepit.get(snakepit.get_actor("named", namespace="elsewhere").add.remote()) == 51
    with pytest.raises(TypeError):
        again.add.remote(1, 2, 3)

    @snakepit.remote
    def find(name: str) -> int:
        with pytest.raises(ValueError, match="nobody"):
            snakepit.get_actor("nobody")
        with pytest.raises(ActorAlreadyExistsError):
            Counter.options(name=name).remote()
        return int(snakepit.get(snakepit.get_actor(name).add.remote()))

    assert snakepit.get(find.remote("named")) == 7
    del counter, again, other
    assert wait_until(is_settled)
    with pytest.raises(ValueError, match="named"):
        snakepit.get_actor("named")
    assert snakepit.get(Counter.options(name="named").remote().add.remote()) == 1


def test_a_handle_by_name_keeps_nobody_alive() -> None:
    counter = Counter.options(name="weak").remote()
    found = snakepit.get_actor("weak")
    last = found.add.remote()
    del counter
    assert snakepit.get(last, timeout=PATIENCE) == 1  # A call does.
    del last
    assert wait_until(is_settled)
    died(found.add.remote())


def test_a_name_made_in_a_task_is_found_by_the_driver() -> None:
    @snakepit.remote
    def make() -> Any:
        return [Counter.options(name="from task").remote(1)]

    kept = snakepit.get(make.remote())
    assert snakepit.get(snakepit.get_actor("from task").add.remote()) == 2
    del kept


def test_exit_actor() -> None:
    counter = Counter.options(max_restarts=3).remote()
    pid = snakepit.get(counter.pid.remote())
    leave, after = counter.leave.remote(), counter.add.remote()
    died(leave)
    died(after)
    assert wait_until(lambda: gone(pid))
    assert "exit_actor" in str(died(counter.add.remote()))
    with pytest.raises(TypeError, match="actor"):
        snakepit.exit_actor()


def test_kill(gate: Gate) -> None:
    counter = Counter.remote(100)
    pid = snakepit.get(counter.pid.remote())
    running, queued = counter.wait.remote(gate), counter.add.remote()
    snakepit.kill(counter)
    died(running)
    died(queued)
    assert gone(pid) or wait_until(lambda: gone(pid))
    error = died(counter.add.remote())
    assert "kill" in str(error)
    snakepit.kill(counter)  # again: nothing happens
    with pytest.raises(ValueError, match="handle"):
        snakepit.kill(snakepit.put(1))  # type: ignore[arg-type]


def test_kill_by_a_task_and_before_it_is_made() -> None:
    @snakepit.remote
    def end(nested: list[Any]) -> None:
        snakepit.kill(nested[0])

    counter = Counter.remote()
    snakepit.get(end.remote([counter]))
    died(counter.add.remote())
    early = Counter.remote()
    snakepit.kill(early)
    died(early.add.remote())


@snakepit.remote(max_restarts=2)
class Phoenix:
    """Counts its lives; a call may end one."""

    def __init__(self, lives: Tally) -> None:
        self.life = lives.add()
        self.calls = 0

    def call(self) -> tuple[int, int]:
        self.calls += 1
        return self.life, self.calls

    def die(self) -> None:
        os._exit(3)

    def die_in(self, life: int) -> int:
        if self.life == life:
            os._exit(3)
        return self.life


def test_restarts_are_counted_and_state_begins_anew(tally: Tally) -> None:
    phoenix = Phoenix.remote(tally)
    assert snakepit.get([phoenix.call.remote(), phoenix.call.remote()]) == [(1, 1), (1, 2)]
    for life in (2, 3):
        with pytest.raises((ActorUnavailableError, ActorDiedError)) as info:
            snakepit.get(phoenix.die.remote(), timeout=PATIENCE)
        assert isinstance(info.value, ActorUnavailableError)
        assert info.value.exit_code == 3
        assert "exited with code 3" in str(info.value)
        assert snakepit.get(phoenix.call.remote(), timeout=PATIENCE) == (life, 1)
    error = died(phoenix.die.remote())
    assert error.exit_code == 3
    died(phoenix.call.remote())
    assert tally.count == 3


def test_calls_that_had_not_begun_run_in_the_next_life(tally: Tally) -> None:
    phoenix = Phoenix.remote(tally)
    dies = phoenix.die.remote()
    later = [phoenix.call.remote() for _ in range(3)]
    with pytest.raises(ActorError):
        snakepit.get(dies, timeout=PATIENCE)
    assert snakepit.get(later, timeout=PATIENCE) == [(2, 1), (2, 2), (2, 3)]


def test_max_task_retries(tally: Tally) -> None:
    phoenix = Phoenix.options(max_task_retries=1).remote(tally)
    assert snakepit.get(phoenix.die_in.remote(1), timeout=PATIENCE) == 2
    with pytest.raises(ActorError):
        snakepit.get(phoenix.die.remote(), timeout=PATIENCE)


def test_kill_with_restart(tally: Tally) -> None:
    phoenix = Phoenix.options(max_restarts=-1).remote(tally)
    for life in (1, 2, 3):
        assert snakepit.get(phoenix.call.remote(), timeout=PATIENCE) == (life, 1)
        snakepit.kill(phoenix, no_restart=False)
    assert snakepit.get(phoenix.call.remote(), timeout=PATIENCE) == (4, 1)
    snakepit.kill(phoenix)
    died(phoenix.call.remote())


def test_many_actors_at_once() -> None:
    actors = [Counter.remote(number) for number in range(12)]
    refs = [actor.add.remote() for actor in actors for _ in range(3)]
    assert snakepit.get(refs, timeout=PATIENCE) == [
        number + times for number in range(12) for times in (1, 2, 3)
    ]
    del actors
    assert wait_until(lambda: not any(entry.actor for entry in entries().values()))


def test_an_actor_calls_itself_later_and_others_meanwhile() -> None:
    @snakepit.remote
    class Ring:
        def __init__(self) -> None:
            self.next: Any = None

        def join(self, nested: Any) -> None:
            self.next = nested[0] if nested else None

        def go(self, hops: int) -> int:
            if not hops:
                return os.getpid()
            return int(snakepit.get(self.next.go.remote(hops - 1)))

    ring = [Ring.remote() for _ in range(4)]
    for place in range(3):
        ring[place].join.remote([ring[place + 1]])
    assert snakepit.get(ring[0].go.remote(3), timeout=PATIENCE) > 0


def test_the_context_inside_an_actor() -> None:
    counter = Counter.remote(100)
    identifier = snakepit.get(counter.me.remote())
    assert identifier and identifier == snakepit.get(counter.me.remote())
