from __future__ import annotations

import pytest

from snakepit.ids import DRIVER
from snakepit.policy import actions as do
from snakepit.policy.calls import DONE, IllegalTransition
from snakepit.policy.scheduler import UnknownCall
from snakepit.policy.workers import WORKER_TRANSITIONS
from snakepit.wire.messages import CANCELLED, ERROR, EXITED, FAILURE, OK

from .rig import Rig, only, sent


@pytest.fixture
def rig() -> Rig:
    rig = Rig()
    rig.workers(2)
    return rig


def test_nobody_refers_nothing_stays(rig: Rig) -> None:
    call = rig.submit()
    rig.take()
    rig.drop(call.id)
    assert call.id in rig.entries
    assert do.Free(call.id, ["stored"]) in rig.result(call, values=[["stored"]])
    assert rig.entries == {}
    assert not any(entry.call for entry in rig.entries.values())


def test_a_result_keeps_what_it_mentions_and_the_worker_what_it_kept(rig: Rig) -> None:
    inner = rig.ids()
    rig.scheduler.put(inner, b"x", (), 0)
    call = rig.submit(refs=(inner,))
    rig.drop(inner)
    rig.result(call, contained=[[inner]], kept=[inner])
    rig.drop(call.id)
    assert rig.entries[inner].holders == 1
    rig.scheduler.objects.drop(call.worker, (inner,))
    assert rig.entries == {}


@pytest.mark.parametrize(
    ("outcome", "values"),
    [(OK, []), (OK, [b"a", b"b"]), (ERROR, []), (FAILURE, []), (EXITED, []), (99, [b"v"])],
)
def test_an_answer_that_cannot_be(rig: Rig, outcome: int, values: list[bytes]) -> None:
    call = rig.submit()
    with pytest.raises(UnknownCall):
        rig.result(call, outcome, values)
    assert rig.result(call) is not None


def test_an_answer_to_no_question(rig: Rig) -> None:
    with pytest.raises(UnknownCall, match="answered for call 63"):
        rig.scheduler.result(1, 99, OK, [b"v"], [], 1, [])


def test_an_object_that_has_gone_fails_the_call(rig: Rig) -> None:
    assert rig.failure(rig.submit(deps=(99,)))[0] == "object_lost"


# --- deaths -----------------------------------------------------------------------------------


def test_what_had_not_begun_is_sent_again_without_a_cost(rig: Rig) -> None:
    rig.result(rig.submit(), micros=100)
    calls = [rig.submit(max_retries=0, name="g") for _ in range(2)]
    rig.result(calls[0], micros=100)
    calls = [rig.submit(max_retries=0, name="g") for _ in range(8)]
    rig.take()
    running = calls[0]
    mates = [c for c in calls if c.worker == running.worker and c is not running]
    assert mates
    rig.die(running.worker, running.sequence, signal="SIGKILL")
    kind, fields = rig.failure(running)
    assert (kind, fields["signal"], fields["running"]) == ("worker_crashed", "SIGKILL", ["g"])
    assert all(call.deaths == 0 and call.state is not DONE for call in mates)


def test_retries_after_deaths_and_poison(rig: Rig) -> None:
    call = rig.submit(max_retries=-1)
    for _ in range(3):
        rig.workers(1)
        rig.die(call.worker, call.sequence)
    assert rig.failure(call)[0] == "poisoned"
    assert rig.failure(call)[1]["deaths"] == 3


def test_a_call_that_waits_is_not_blamed(rig: Rig) -> None:
    rig.workers(1)
    waiting = rig.submit(max_retries=4)
    rig.take()
    for death in range(5):
        rig.scheduler.blocked(waiting.worker, waiting.id, [rig.submit(name="g").id], True, [])
        assert (waiting.deaths, waiting.tries) == (0, death)
        for action in rig.die(waiting.worker, waiting.sequence):
            if type(action) is do.Spawn:
                rig.scheduler.hello(action.worker)
        rig.take()
    assert rig.failure(waiting)[0] == "worker_crashed"


def test_a_zygotes_end_costs_retries_and_blames_nobody() -> None:
    rig = Rig()
    call, forever = rig.submit(max_retries=3), rig.submit(max_retries=-1)
    for _ in range(4):
        for action in rig.take():
            if type(action) is do.Spawn:
                rig.scheduler.hello(action.worker)
        rig.take()
        for number, worker in list(rig.scheduler.placement.workers.items()):
            rig.scheduler.died(number, {"zygote": "was killed"}, worker.sequence, rig.now)
    kind, fields = rig.failure(call)
    assert (kind, fields["deaths"], fields["attempts"]) == ("worker_crashed", 0, 4)
    assert forever.state is not DONE


def test_workers_that_go_with_their_zygote_before_they_are_ready_are_no_failures() -> None:
    rig = Rig()
    call = rig.submit()
    for _ in range(6):
        for action in rig.take():
            if type(action) is do.Spawn:
                rig.scheduler.died(action.worker, {"zygote": "was killed"}, 0, rig.now)
    assert call.state is not DONE
    rig.scheduler.hello(only(rig.take(), do.Spawn).worker)
    assert sent(rig.take())[0][1] == call.id


# --- cancels ----------------------------------------------------------------------------------


def test_cancel_of_what_is_queued(rig: Rig) -> None:
    calls = [rig.submit() for _ in range(3)]
    rig.take()
    rig.scheduler.cancel(calls[2].id, force=False, recursive=False)
    assert rig.failure(calls[2])[0] == "cancelled"
    assert rig.scheduler.placement.waiting == {}


def test_cancel_of_what_runs_is_obeyed_or_too_late(rig: Rig) -> None:
    obeyed, late = rig.submit(), rig.submit()
    rig.take()
    for call in (obeyed, late):
        rig.scheduler.cancel(call.id, force=False, recursive=False)
        assert rig.take() == [do.Interrupt(call.worker, call.id, False)]
    rig.result(obeyed, CANCELLED, [])
    rig.result(late)
    assert rig.failure(obeyed)[0] == "cancelled"
    assert rig.entries[late.id].outcome == OK
    rig.scheduler.cancel(late.id, force=True, recursive=True)
    assert rig.take() == []


def test_one_cancelled_behind_a_call_that_keeps_the_gil_is_answered_without_the_worker() -> None:
    rig = Rig(cpus=1, size=1, limit=1)
    rig.workers(1)
    rig.result(rig.submit(), micros=1000)
    argument = rig.ids()
    rig.scheduler.put(argument, b"v", (), DRIVER)
    running, behind, lively = rig.submit(), rig.submit(refs=(argument,)), rig.submit()
    rig.take()
    arms = []
    for call in (running, behind, lively):
        rig.scheduler.cancel(call.id, force=False, recursive=False)
        interrupt, *more = rig.take()
        assert interrupt == do.Interrupt(1, call.id, False)
        arms += more
    assert [arm.key for arm in arms] == [f"unheard:1:{call.id}" for call in (behind, lively)]
    rig.result(lively, CANCELLED, [])  # it is heard
    for arm in arms:
        rig.run_out(arm)
    assert rig.failure(behind)[0] == "cancelled"
    rig.drop(argument)
    assert argument in rig.entries  # which the call may still come to use
    rig.result(running)
    rig.result(behind)  # it had begun before the worker heard: that is of no matter
    assert rig.failure(behind)[0] == "cancelled"
    assert argument not in rig.entries
    assert rig.free == 1


def test_force_kills_what_does_not_end_itself(rig: Rig) -> None:
    call = rig.submit(max_retries=3)
    rig.take()
    rig.scheduler.cancel(call.id, force=True, recursive=False)
    key = only(rig.take(), do.Arm).key
    rig.scheduler.tick(key)
    assert rig.take() == [do.Kill(call.worker)]
    rig.die(call.worker, call.sequence)
    assert rig.failure(call)[0] == "worker_crashed"
    rig.scheduler.tick(key)
    assert rig.take() == []


def test_force_is_not_for_actors(rig: Rig) -> None:
    creation, _ = rig.living()
    call = rig.method(creation)
    with pytest.raises(ValueError, match=r"kill\(\) for the actor"):
        rig.scheduler.cancel(call.id, force=True, recursive=False)


def test_recursive_cancels_reach_grandchildren(rig: Rig) -> None:
    parent = rig.submit()
    child = rig.submit(parent=parent.id, caller=parent.worker)
    grandchild = rig.submit(parent=child.id, caller=parent.worker, returns=0)
    rig.take()
    rig.scheduler.cancel(parent.id, force=False, recursive=True)
    assert {a.call for a in rig.take() if type(a) is do.Interrupt} == {parent.id, child.id}
    assert grandchild.state is DONE


def test_a_recursive_cancel_sends_nothing_on_its_way(rig: Rig) -> None:
    creation, _ = rig.living()
    parent, argument = rig.submit(), rig.submit()
    family = {"parent": parent.id, "caller": parent.worker}
    children = [rig.method(creation, deps=(argument.id,), **family)]
    children += [rig.method(creation, **family) for _ in range(2)]
    rig.take()
    rig.scheduler.cancel(parent.id, force=False, recursive=True)
    assert rig.take() == [do.Interrupt(parent.worker, parent.id, False)]
    assert all(rig.failure(call)[0] == "cancelled" for call in children)


def test_a_cancelled_call_that_is_given_back_fails(rig: Rig) -> None:
    call = rig.submit()
    rig.take()
    rig.scheduler.cancel(call.id, force=False, recursive=False)
    rig.scheduler.given_back(call.worker, [call.id])
    assert rig.failure(call)[0] == "cancelled"


# --- the end ----------------------------------------------------------------------------------


def test_close_ends_everything_and_survives_what_still_comes(rig: Rig) -> None:
    creation, _ = rig.living()
    running = [rig.submit() for _ in range(2)]
    queued = rig.submit(returns=0)
    method = rig.method(creation)
    rig.take()
    rig.scheduler.close("shutdown", {})
    assert all(call.state is DONE for call in (*running, queued, method))
    assert rig.failure(running[0])[0] == "shutdown"
    assert rig.failure(method)[0] == "shutdown"
    assert rig.failure(rig.submit())[0] == "shutdown"
    rig.take()
    rig.result(running[0])
    rig.result(method, ERROR, [b"late"])
    rig.scheduler.undeliverable(running[1].worker, running[1].id, "late")
    rig.die(running[0].worker, 1)
    assert rig.failure(running[0])[0] == "shutdown"
    assert not any(entry.call for entry in rig.entries.values())


# --- tables -----------------------------------------------------------------------------------


def test_a_worker_takes_only_what_its_table_has(rig: Rig) -> None:
    worker = rig.scheduler.placement.workers[1]
    with pytest.raises(IllegalTransition, match="hello while live"):
        worker.to("hello")
    assert ("dead", "hello") not in WORKER_TRANSITIONS


def test_records_tell_what_they_are(rig: Rig) -> None:
    creation, _ = rig.living()
    call = rig.submit()
    assert repr(call) == f"<Call {call.id:x} f sent worker={call.worker}>"
    assert "Actor alive" in repr(rig.entries[creation.id].actor)
    assert "inflight=1" in repr(rig.scheduler.placement.workers[call.worker])
