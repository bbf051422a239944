from __future__ import annotations

import pytest

from snakepit.policy import actions as do
from snakepit.policy.calls import Call
from snakepit.policy.nesting import find_waiter
from snakepit.policy.workers import Worker
from snakepit.wire.messages import ERROR

from .rig import Rig, only, sent


@pytest.fixture
def rig() -> Rig:
    """One CPU, and no more than two workers, both ready."""
    rig = Rig(cpus=1, size=1, limit=2)
    rig.workers(2)
    return rig


def block(rig: Rig, call: Call, *ids: int) -> list[do.Action]:
    rig.scheduler.want(call.worker, ids, True)
    rig.scheduler.blocked(call.worker, call.id, ids, True, [])
    return rig.take()


def child(rig: Rig, parent: Call, **fields: object) -> Call:
    return rig.submit(caller=parent.worker, parent=parent.id, **fields)  # type: ignore[arg-type]


def waiter(rig: Rig, call: Call) -> Worker | None:
    return find_waiter(call, None, rig.scheduler.objects, rig.scheduler.placement.workers)


def full(rig: Rig) -> tuple[Call, Call]:
    """Both workers blocked: the first call waits for the second, which waits for nobody yet."""
    first = rig.submit()
    second = child(rig, first)
    rig.take()
    assert sent(block(rig, first, second.id))[0][1] == second.id
    return first, second


def test_a_blocked_call_frees_its_slot_for_another_worker(rig: Rig) -> None:
    _, second = full(rig)
    assert not second.nested
    assert rig.free == 0


def test_what_somebody_waits_for_runs_before_what_came_earlier(rig: Rig) -> None:
    parent = rig.submit()
    earlier = [rig.submit() for _ in range(3)]
    first = child(rig, parent)
    # The last one waits for its argument, which is what has to run.
    second = child(rig, parent, deps=(child(rig, parent).id,))
    (argument,) = (rig.entries[second.deps[0][1]].call,)
    rig.take()
    assert [i for _, i in sent(block(rig, parent, first.id, second.id))] == [first.id]
    long = {"micros": 100_000}  # so long that nothing is sent ahead
    assert [i for _, i in sent(rig.result(first, **long))] == [argument.id]
    assert [i for _, i in sent(rig.result(argument, **long))] == [second.id]
    rig.result(second, **long)
    rig.scheduler.unblocked(parent.worker, parent.id)
    # Each is sent once, though the hurried ones had two places in the queue.
    begun = sent(rig.result(parent, **long))
    for call in earlier:
        begun += sent(rig.result(call, **long))
    assert [i for _, i in begun] == [call.id for call in earlier[1:]]
    assert rig.free == 1


def test_who_waits_again_and_again_makes_the_queue_no_longer(rig: Rig) -> None:
    parent = rig.submit()
    queued = [child(rig, parent) for _ in range(5)]
    rig.take()
    ids = [call.id for call in queued]
    for _ in range(10):
        rig.scheduler.want(parent.worker, ids, False)
        rig.scheduler.blocked(parent.worker, parent.id, ids, False, [])
        rig.scheduler.unblocked(parent.worker, parent.id)
    assert len(parent.shape.klass.queue) <= 2 * len(queued)


def test_at_the_limit_a_call_runs_on_the_stack_of_its_waiter(rig: Rig) -> None:
    first, second = full(rig)
    third = child(rig, second)
    send = only(block(rig, second, third.id), do.Send)
    assert (send.worker, send.call, send.nested) == (second.worker, third, True)
    assert rig.free == 0
    fourth = child(rig, third)
    send = only(block(rig, third, fourth.id), do.Send)
    assert (send.worker, send.nested) == (second.worker, True)
    for call in (fourth, third, second):
        rig.result(call)
        rig.scheduler.unblocked(first.worker if call is second else call.worker, call.parent)
    assert rig.take() == []
    assert rig.free == 0


def test_it_runs_where_an_argument_of_what_is_waited_for_is_missing(rig: Rig) -> None:
    _, second = full(rig)
    third = child(rig, second)
    fourth = child(rig, second, deps=(third.id,))
    send = only(block(rig, second, fourth.id), do.Send)
    assert (send.call, send.nested) == (third, True)
    send = only(rig.result(third), do.Send)
    assert (send.call, send.nested) == (fourth, True)


def test_it_runs_for_who_waits_for_an_actor_that_waits(rig: Rig) -> None:
    creation, home = rig.living()
    _, second = full(rig)
    method = rig.method(creation, caller=second.worker)
    rig.take()
    block(rig, second, method.id)
    third = rig.submit(caller=home, parent=method.id)
    send = only(block(rig, method, third.id), do.Send)
    assert (send.call, send.worker, send.nested) == (third, second.worker, True)


def test_it_runs_for_who_waits_for_a_later_call_of_an_actors_lane(rig: Rig) -> None:
    creation, _ = rig.living()
    _, second = full(rig)
    third = child(rig, second)
    rig.method(creation, caller=second.worker, deps=(third.id,))
    later = rig.method(creation, caller=second.worker)
    rig.take()
    send = only(block(rig, second, later.id), do.Send)
    assert (send.call, send.nested) == (third, True)


def test_it_does_not_run_above_a_call_that_does_not_wait_for_it(rig: Rig) -> None:
    first, second = full(rig)
    third = child(rig, second)
    rig.take()
    block(rig, second, third.id)
    # The first worker's only call waits for the second one, and so for all that one needs; but
    # what nobody waits for stays in the queue.
    stranger = rig.submit()
    assert rig.take() == []
    assert waiter(rig, stranger) is None
    assert first.worker != second.worker


def test_news_that_is_no_longer_waited_for_does_not_count(rig: Rig) -> None:
    _, second = full(rig)
    early, late = child(rig, second), child(rig, second)
    rig.take()
    rig.scheduler.want(second.worker, [early.id], True)  # and its get() has timed out since
    sends = [a for a in block(rig, second, late.id) if type(a) is do.Send]
    assert [(a.call, a.nested) for a in sends] == [(late, True)]
    assert waiter(rig, early) is None


def test_when_no_worker_can_be_started_the_rule_holds_too() -> None:
    rig = Rig(cpus=1, size=1, limit=8)
    rig.workers(1)
    first = rig.submit()
    second = child(rig, first)
    rig.take()
    actions = rig.die(only(block(rig, first, second.id), do.Spawn).worker, 0, spawn="no memory")
    send = only(actions, do.Send)
    assert (send.call, send.worker, send.nested) == (second, first.worker, True)
    assert only(actions, do.Arm).key.startswith("retry:")


def test_a_nested_call_that_fails_frees_what_it_held(rig: Rig) -> None:
    _, second = full(rig)
    third = child(rig, second)
    block(rig, second, third.id)
    rig.result(third, ERROR, [b"boom"])
    rig.scheduler.unblocked(second.worker, second.id)
    assert rig.free == 0
    rig.result(second)
    assert rig.free == 1


def test_a_death_sends_the_whole_stack_back(rig: Rig) -> None:
    _, second = full(rig)
    third = child(rig, second, max_retries=1)
    block(rig, second, third.id)
    worker = second.worker
    rig.die(worker, third.sequence)
    assert rig.failure(second)[0] == "worker_crashed"
    assert sorted(rig.failure(second)[1]["running"]) == ["f", "f"]
    # Only the call on top can have killed it.
    assert (third.deaths, third.tries) == (1, 1)
    assert (second.deaths, second.tries) == (0, 1)
    assert rig.free == 1


def test_a_queue_is_searched_again_only_when_the_waits_have_changed() -> None:
    rig = Rig(cpus=4, size=2, limit=2)
    rig.workers(2)
    first, second = rig.submit(resources=()), rig.submit(resources=())
    elsewhere, _ = rig.living()
    block(rig, first, rig.method(elsewhere, caller=first.worker).id)
    growth = rig.scheduler.placement.growth
    looks: list[Call] = []
    find = growth.find_waiter

    def counted(call: Call, only: Worker | None) -> Worker | None:
        looks.append(call)
        return find(call, only)

    growth.find_waiter = counted
    queued = [rig.submit(resources=()) for _ in range(50)]
    assert looks == queued  # at each when it came
    running = second
    for call in queued[:20]:
        assert sent(rig.result(running, micros=100_000))[0][1] == call.id
        running = call
    assert len(looks) <= 100  # and once at all
    # The last one is waited for now: it runs on the stack of who waits.
    block(rig, running, queued[-1].id)
    assert (queued[-1].nested, queued[-1].worker) == (True, running.worker)
