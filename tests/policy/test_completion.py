from __future__ import annotations

import pytest

from snakepit.policy import actions as do
from snakepit.policy.calls import DONE, IllegalTransition
from snakepit.policy.objects import PENDING
from snakepit.wire.messages import ERROR, FAILURE, OK, RETRYABLE

from .rig import Rig, only, sent


@pytest.fixture
def rig() -> Rig:
    rig = Rig()
    rig.workers(2)
    return rig


def test_each_return_gets_its_value(rig: Rig) -> None:
    call = rig.submit(returns=3)
    rig.result(call, values=[b"a", b"b", b"c"])
    assert [rig.entries[i].payload for i in call.returns] == [b"a", b"b", b"c"]
    assert all(rig.entries[i].outcome == OK for i in call.returns)


def test_a_call_that_returns_nothing_leaves_nothing(rig: Rig) -> None:
    call = rig.submit(returns=0)
    assert rig.entries[call.id].outcome == PENDING
    rig.result(call)
    assert call.state is DONE
    assert rig.entries == {}


def test_only_who_waits_is_told_and_once(rig: Rig) -> None:
    first, second = rig.submit(), rig.submit()
    rig.entries[first.id].waited = True
    assert only(rig.result(first), do.Resolved).id == first.id
    assert do.Resolved not in map(type, rig.result(second))


def test_workers_that_want_it_are_told(rig: Rig) -> None:
    call = rig.submit()
    rig.scheduler.want(2, [call.id], True)
    rig.scheduler.want(1, [call.id], False)
    told = [a for a in rig.result(call) if type(a) is do.Tell]
    assert told == [do.Tell(2, call.id, True), do.Tell(1, call.id, False)]
    rig.scheduler.want(2, [call.id], True)
    assert rig.take() == [do.Tell(2, call.id, True)]


def test_a_dependent_is_sent_when_its_last_argument_is_there(rig: Rig) -> None:
    first, second = rig.submit(), rig.submit()
    rig.take()
    third = rig.submit(deps=(first.id, second.id, first.id))
    assert rig.take() == []
    assert sent(rig.result(first)) == []
    assert [call for _, call in sent(rig.result(second))] == [third.id]


def test_an_error_runs_down_a_chain_without_recursion(rig: Rig) -> None:
    first = rig.submit()
    last = first
    for _ in range(5_000):
        last = rig.submit(deps=(last.id,))
    rig.result(first, ERROR, [b"boom"])
    entry = rig.entries[last.id]
    assert (entry.outcome, entry.payload) == (ERROR, b"boom")


def test_an_error_keeps_what_it_mentions(rig: Rig) -> None:
    inside = rig.ids()
    rig.scheduler.put(inside, b"x", (), 0)
    call = rig.submit()
    later = rig.submit(deps=(call.id,))
    rig.result(call, ERROR, [b"boom"], contained=[[inside]])
    rig.drop(inside, call.id)
    assert inside in rig.entries
    rig.drop(later.id)
    assert rig.entries == {}


def test_arguments_live_until_the_call_has_ended(rig: Rig) -> None:
    argument = rig.ids()
    rig.scheduler.put(argument, ["stored"], (), 0)
    call = rig.submit(deps=(argument,))
    rig.drop(argument)
    assert argument in rig.entries
    assert do.Free(argument, ["stored"]) in rig.result(call)


def test_a_failed_argument_fails_the_call_at_once(rig: Rig) -> None:
    first = rig.submit()
    rig.result(first, ERROR, [b"boom"])
    second = rig.submit(deps=(first.id,))
    assert rig.take() == []
    assert rig.entries[second.id].payload == b"boom"


def test_a_call_ends_once(rig: Rig) -> None:
    call = rig.submit()
    rig.result(call)
    with pytest.raises(IllegalTransition, match="finish while done"):
        rig.scheduler.completion.fail(call, FAILURE, ["cancelled", {}])


def test_retryable_exceptions_are_tried_again_as_often_as_allowed(rig: Rig) -> None:
    call = rig.submit(max_retries=1)
    rig.take()
    assert [i for _, i in sent(rig.result(call, RETRYABLE, [b"no"]))] == [call.id]
    rig.result(call, RETRYABLE, [b"no again"])
    assert rig.entries[call.id].payload == b"no again"
    assert rig.entries[call.id].outcome == ERROR


def test_a_failure_is_there_before_it_is_counted(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits for several looks at all of them once more for each failure counted."""
    call = rig.submit(returns=2)
    completion, objects = rig.scheduler.completion, rig.scheduler.objects
    settle, counted = objects.settle, []

    def watched(*args: object) -> None:
        counted.append(completion.failures)
        settle(*args)

    monkeypatch.setattr(objects, "settle", watched)
    rig.result(call, outcome=ERROR, values=[b"why"])
    assert (counted, completion.failures) == ([0, 0], 1)
