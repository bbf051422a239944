from __future__ import annotations

import pytest

from snakepit.policy import actions as do
from snakepit.policy.actors import ALIVE, DEAD, PENDING, STARTING, Actor
from snakepit.policy.calls import Call, IllegalTransition
from snakepit.policy.resources import UNIT
from snakepit.policy.restart import LEAST_DELAY
from snakepit.wire.messages import ERROR, EXITED, RETRYABLE

from .rig import CPU, Rig, kinds, only, sent


@pytest.fixture
def rig() -> Rig:
    return Rig()


def actor_of(rig: Rig, creation: Call) -> Actor:
    actor = rig.entries[creation.id].actor
    assert actor is not None
    return actor


def test_an_actor_is_placed_made_and_called_in_order(rig: Rig) -> None:
    creation = rig.create()
    calls = [rig.method(creation) for _ in range(3)]
    worker = only(rig.take(), do.Spawn).worker
    assert actor_of(rig, creation).state is STARTING
    assert rig.free == 1
    rig.scheduler.hello(worker)
    assert sent(rig.take()) == [(worker, creation.id)]
    assert sent(rig.result(creation, values=())) == [(worker, call.id) for call in calls]
    assert actor_of(rig, creation).state is ALIVE
    assert rig.free == 2


def test_an_actor_with_resources_holds_them(rig: Rig) -> None:
    creation, worker = rig.living(resources=CPU)
    assert rig.free == 1
    call = rig.method(creation)
    rig.scheduler.blocked(worker, call.id, [rig.submit().id], True, [])
    assert rig.free == 2
    rig.scheduler.unblocked(worker, call.id)
    assert rig.free == 1
    rig.die(worker, 2)
    assert rig.free == 2


def test_calls_of_one_caller_keep_their_order_when_one_lacks_an_argument(rig: Rig) -> None:
    creation, _ = rig.living()
    argument = rig.submit()
    spawned = only(rig.take(), do.Spawn).worker
    first = rig.method(creation, deps=(argument.id,))
    second = rig.method(creation)
    assert rig.take() == []
    rig.scheduler.hello(spawned)
    rig.take()
    assert [i for _, i in sent(rig.result(argument))] == [first.id, second.id]


def test_another_caller_does_not_wait(rig: Rig) -> None:
    creation, _ = rig.living()
    rig.workers(1)
    argument = rig.submit()
    rig.take()
    rig.method(creation, deps=(argument.id,))
    other = rig.method(creation, caller=argument.worker)
    assert [i for _, i in sent(rig.take())] == [other.id]


def test_a_failed_argument_lets_the_next_call_pass(rig: Rig) -> None:
    creation, _ = rig.living()
    rig.workers(1)
    argument = rig.submit()
    rig.take()
    failing = rig.method(creation, deps=(argument.id,))
    next_one = rig.method(creation)
    assert [i for _, i in sent(rig.result(argument, ERROR, [b"boom"]))] == [next_one.id]
    assert rig.entries[failing.id].payload == b"boom"


def test_a_full_mailbox_is_shared_in_turn(rig: Rig) -> None:
    creation, _ = rig.living()
    rig.workers(1)
    rig.scheduler.actors.most_in_mailbox = 1
    rig.take()
    running = rig.method(creation)
    mine = [rig.method(creation) for _ in range(2)]
    other = [rig.method(creation, caller=2) for _ in range(2)]
    order = []
    actions = rig.take()
    while actions:
        order += [i for _, i in sent(actions)]
        actions = rig.result(next(c for c in [running, *mine, *other] if c.id == order[-1]))
    assert order == [running.id, mine[0].id, other[0].id, mine[1].id, other[1].id]
    assert actor_of(rig, creation).lanes == {}


def test_it_ends_when_nobody_can_reach_it(rig: Rig) -> None:
    creation, worker = rig.living()
    call = rig.method(creation)
    rig.take()
    assert rig.drop(creation.id) == []
    assert do.Retire(worker) in rig.result(call)
    rig.drop(call.id)
    rig.die(worker, 2, exit_code=0, signal=None)
    assert rig.entries == {}


def test_an_unused_actor_is_made_before_it_ends(rig: Rig) -> None:
    creation = rig.create()
    rig.drop(creation.id)
    rig.scheduler.hello(1)
    assert do.Retire(1) in rig.result(creation, values=())


def test_an_init_that_raises_fails_the_calls(rig: Rig) -> None:
    creation = rig.create()
    call = rig.method(creation)
    rig.take()
    rig.scheduler.hello(1)
    assert do.Retire(1) in rig.result(creation, ERROR, [b"boom"])
    kind, fields = rig.failure(call)
    assert (kind, fields["reason"], fields["cause"]) == ("actor_died", "init", b"boom")
    later = rig.method(creation)
    assert rig.failure(later)[1]["cause"] == b"boom"


def test_a_bad_argument_of_the_constructor(rig: Rig) -> None:
    rig.workers(1)
    argument = rig.submit()
    creation = rig.create(deps=(argument.id,))
    call = rig.method(creation)
    rig.result(argument, ERROR, [b"boom"])
    assert rig.failure(call)[1]["reason"] == "argument"
    assert actor_of(rig, creation).state is DEAD


def test_a_death_fails_what_ran_and_what_waited(rig: Rig) -> None:
    creation, worker = rig.living()
    running, waiting = rig.method(creation, name="running"), rig.method(creation)
    rig.die(worker, running.sequence, signal="SIGSEGV")
    kind, fields = rig.failure(waiting)
    assert kind == "actor_died"
    assert fields["signal"] == "SIGSEGV"
    assert fields["running"] == ["running"]
    assert rig.failure(running)[0] == "actor_died"
    assert actor_of(rig, creation).state is DEAD


def test_a_restart_runs_the_constructor_and_keeps_what_had_not_begun(rig: Rig) -> None:
    creation, worker = rig.living(max_restarts=1)
    running, waiting = rig.method(creation), rig.method(creation)
    rig.take()
    assert kinds(rig.die(worker, running.sequence)) == ["Spawn"]
    assert rig.failure(running)[0] == "actor_unavailable"
    actor = actor_of(rig, creation)
    assert actor.state is STARTING
    rig.scheduler.hello(2)
    assert sent(rig.take()) == [(2, creation.id)]
    assert sent(rig.result(actor.creation, values=())) == [(2, waiting.id)]
    rig.die(2, 0)
    assert actor.state is DEAD


def test_methods_with_retries_run_again_before_the_others(rig: Rig) -> None:
    creation, worker = rig.living(max_restarts=-1)
    running = rig.method(creation, max_retries=1)
    waiting = rig.method(creation)
    rig.die(worker, running.sequence)
    rig.scheduler.hello(2)
    rig.take()
    actions = rig.result(actor_of(rig, creation).creation, values=())
    assert [i for _, i in sent(actions)] == [running.id, waiting.id]
    assert sent(rig.result(running, RETRYABLE, [b"no"])) == []
    assert rig.entries[running.id].payload == b"no"


def test_a_cancelled_call_is_not_tried_again_after_a_restart(rig: Rig) -> None:
    creation, worker = rig.living(max_restarts=1)
    running, waiting = rig.method(creation), rig.method(creation)
    rig.scheduler.cancel(waiting.id, force=False, recursive=False)
    rig.die(worker, running.sequence)
    assert rig.failure(waiting)[0] == "cancelled"


def test_a_constructor_that_kills_its_processes_is_given_up(rig: Rig) -> None:
    creation = rig.create(max_restarts=-1)
    call = rig.method(creation)
    actions = rig.take()
    for death in range(3):
        worker = only(actions, do.Spawn).worker
        rig.scheduler.hello(worker)
        rig.take()
        actions = rig.die(worker, 1, signal="SIGSEGV")
        if death < 2:
            assert actor_of(rig, creation).state is PENDING
            assert kinds(actions) == ["Arm"]
            assert only(actions, do.Arm).delay == LEAST_DELAY * 2**death
            actions = rig.run_out(only(actions, do.Arm))
    fields = rig.failure(call)[1]
    assert (fields["signal"], fields["restarts"], fields["period"]) == ("SIGSEGV", 3, 10.0)
    assert actor_of(rig, creation).state is DEAD


def test_a_restart_in_its_time_is_made_at_once_and_counts_anew(rig: Rig) -> None:
    creation = rig.create(max_restarts=-1)
    actions = rig.take()
    actor = actor_of(rig, creation)
    for _ in range(4):
        rig.scheduler.hello(only(actions, do.Spawn).worker)
        rig.take()
        arm = only(rig.die(actor.worker.number, 1), do.Arm)  # type: ignore[union-attr]
        assert arm.delay == LEAST_DELAY
        worker = only(rig.run_out(arm), do.Spawn).worker
        rig.scheduler.hello(worker)
        rig.take()
        rig.result(actor.creation, values=())
        actions = rig.die(worker, 1)


def test_kill_during_the_back_off(rig: Rig) -> None:
    creation = rig.create(max_restarts=-1)
    rig.take()
    rig.scheduler.hello(1)
    rig.take()
    arm = only(rig.die(1, 1), do.Arm)
    rig.scheduler.kill(creation.id, no_restart=True)
    assert actor_of(rig, creation).state is DEAD
    assert rig.run_out(arm) == []


def test_a_process_that_ends_before_the_constructor_began_is_no_life(rig: Rig) -> None:
    creation = rig.create(max_restarts=0, refs=(rig.submit().id,))
    call = rig.method(creation)
    before_hello = rig.take()[-1]
    assert type(before_hello) is do.Spawn
    again = only(rig.run_out(only(rig.die(before_hello.worker, 0), do.Arm)), do.Spawn).worker
    # Sent, but not begun.
    rig.scheduler.hello(again)
    actor = actor_of(rig, creation)
    assert sent(rig.take()) == [(again, creation.id)]
    third = only(rig.run_out(only(rig.die(again, 0), do.Arm)), do.Spawn).worker
    rig.scheduler.hello(third)
    rig.take()
    assert sent(rig.result(actor.creation, values=())) == [(third, call.id)]
    assert (actor.state, actor.restarts) == (ALIVE, 0)
    # It has lived now, and had one life.
    rig.die(third, 1)
    assert actor.state is DEAD


def test_processes_that_end_before_the_constructor_began_are_bounded(rig: Rig) -> None:
    creation = rig.create()
    call = rig.method(creation)
    actions = rig.take()
    for _ in range(2):
        actions = rig.die(only(actions, do.Spawn).worker, 0, signal="SIGSEGV")
        actions = rig.run_out(only(actions, do.Arm))
    rig.die(only(actions, do.Spawn).worker, 0, signal="SIGSEGV")
    assert rig.failure(call)[1]["signal"] == "SIGSEGV"


def test_kill_before_the_constructor_began_costs_a_life(rig: Rig) -> None:
    creation = rig.create()
    rig.take()
    rig.scheduler.hello(1)
    rig.scheduler.kill(creation.id, no_restart=False)
    rig.die(1, 0)
    assert actor_of(rig, creation).state is DEAD


def test_a_constructor_that_goes_with_zygotes_is_not_given_up(rig: Rig) -> None:
    creation = rig.create(max_restarts=-1)
    for _ in range(6):
        worker = only(rig.take(), do.Spawn).worker
        rig.scheduler.hello(worker)
        rig.take()
        rig.scheduler.died(worker, {"zygote": "was killed"}, 1, rig.now)
    assert actor_of(rig, creation).state is STARTING


def test_processes_that_cannot_be_started_end_the_actor(rig: Rig) -> None:
    creation = rig.create(max_restarts=0)
    call = rig.method(creation)
    actions = rig.take()
    for _ in range(3):
        worker = only(actions, do.Spawn).worker
        actions = rig.die(worker, 0, spawn="no memory")
        actions = rig.run_out(only(actions, do.Arm)) if kinds(actions) == ["Arm"] else actions
    assert rig.failure(call)[1]["spawn"] == "no memory"
    assert rig.free == 2


def test_kill_ends_or_restarts(rig: Rig) -> None:
    creation, worker = rig.living(max_restarts=5)
    rig.scheduler.kill(creation.id, no_restart=False)
    assert rig.take() == [do.Kill(worker)]
    rig.die(worker, 1)
    assert actor_of(rig, creation).state is STARTING
    rig.scheduler.kill(creation.id, no_restart=True)
    rig.die(2, 0)
    actor = actor_of(rig, creation)
    assert actor.state is DEAD
    assert actor.failure[1]["reason"] == "killed"
    rig.scheduler.kill(creation.id, no_restart=True)
    assert do.Kill not in map(type, rig.take())


def test_kill_before_there_is_a_process(rig: Rig) -> None:
    blocker, _ = rig.living(resources=(("CPU", 2 * UNIT),))
    creation = rig.create()
    assert actor_of(rig, creation).state is PENDING
    rig.scheduler.kill(creation.id, no_restart=True)
    assert actor_of(rig, creation).state is DEAD
    rig.drop(blocker.id)
    assert rig.die(1, 1) == []
    assert rig.free == 2


def test_kill_of_a_process_that_is_being_started(rig: Rig) -> None:
    creation = rig.create()
    rig.take()
    rig.scheduler.kill(creation.id, no_restart=True)
    assert rig.take() == [do.Kill(1)]
    rig.scheduler.hello(1)
    assert rig.take() == [do.Kill(1)]


def test_exit_actor(rig: Rig) -> None:
    creation, worker = rig.living(max_restarts=5)
    leaving, behind = rig.method(creation), rig.method(creation)
    rig.result(leaving, EXITED, [])
    assert rig.failure(leaving)[1]["reason"] == "exit_actor"
    after = rig.method(creation)
    rig.take()
    rig.die(worker, leaving.sequence, exit_code=0, signal=None)
    assert rig.failure(behind)[1]["reason"] == "exit_actor"
    assert rig.failure(after)[1]["reason"] == "exit_actor"


def test_names(rig: Rig) -> None:
    creation, worker = rig.living(actor_name="a", namespace="n")
    assert rig.scheduler.find_actor("n", "a") is actor_of(rig, creation)
    assert rig.scheduler.find_actor("m", "a") is None
    second = rig.create(actor_name="a", namespace="n")
    assert actor_of(rig, second).failure[1]["reason"] == "name_taken"
    rig.drop(creation.id)
    # On its way out, its name is free and it cannot be found any more.
    assert rig.scheduler.find_actor("n", "a") is None
    third = rig.create(actor_name="a", namespace="n")
    rig.die(worker, 1)
    assert rig.scheduler.find_actor("n", "a") is actor_of(rig, third)


def test_a_call_to_an_actor_that_nobody_knows_any_more(rig: Rig) -> None:
    creation, worker = rig.living()
    rig.drop(creation.id)
    rig.die(worker, 1)
    assert rig.failure(rig.method(creation))[0] == "actor_died"


def test_a_creation_that_cannot_be_sent_is_given_up(rig: Rig) -> None:
    creation = rig.create()
    rig.take()
    rig.scheduler.hello(1)
    rig.scheduler.undeliverable(1, creation.id, "no descriptor")
    assert actor_of(rig, creation).failure[1]["reason"] == "no descriptor"
    assert do.Retire(1) in rig.take()


def test_an_actor_needs_possible_resources(rig: Rig) -> None:
    creation = rig.create(resources=(("gpu", UNIT),))
    assert actor_of(rig, creation).failure[1]["reason"] == "unschedulable"


def test_states_are_a_table(rig: Rig) -> None:
    creation, _ = rig.living()
    with pytest.raises(IllegalTransition, match="made while alive"):
        actor_of(rig, creation).to("made")


# --- side by side -----------------------------------------------------------------------------

GROUPS = (("", 1), ("io", 1))


def test_each_group_has_room_of_its_own(rig: Rig) -> None:
    rig.scheduler.actors.most_in_mailbox = 1
    creation, _ = rig.living(groups=GROUPS)
    plain = [rig.method(creation) for _ in range(3)]
    io = [rig.method(creation, group="io") for _ in range(3)]
    assert [i for _, i in sent(rig.take())] == [plain[0].id, plain[1].id, io[0].id, io[1].id]
    assert [i for _, i in sent(rig.result(io[1]))] == [io[2].id]
    assert [i for _, i in sent(rig.result(plain[0]))] == [plain[2].id]


def test_a_call_that_lacks_an_argument_holds_up_nobody(rig: Rig) -> None:
    creation, _ = rig.living(groups=GROUPS)
    argument = rig.submit()
    worker = only(rig.take(), do.Spawn).worker
    first = rig.method(creation, deps=(argument.id,))
    second = rig.method(creation)
    assert [i for _, i in sent(rig.take())] == [second.id]
    rig.scheduler.hello(worker)
    rig.take()
    assert [i for _, i in sent(rig.result(argument))] == [first.id]


def test_a_call_that_waits_for_an_argument_ends_with_its_actor(rig: Rig) -> None:
    creation, worker = rig.living(groups=GROUPS)
    argument = rig.submit()
    call = rig.method(creation, deps=(argument.id,))
    rig.die(worker, 1)
    assert call.state == "done"
    assert actor_of(rig, creation).unready == {}


def test_after_a_restart_its_groups_are_empty(rig: Rig) -> None:
    creation, worker = rig.living(groups=GROUPS, max_restarts=1)
    rig.method(creation)
    rig.take()
    rig.die(worker, 2)
    groups = actor_of(rig, creation).groups
    assert groups is not None
    assert [group.sent for group in groups.values()] == [0, 0]


def test_what_waits_in_an_actor_of_many_keeps_its_resources(rig: Rig) -> None:
    creation, worker = rig.living(resources=CPU, groups=GROUPS)
    call = rig.method(creation)
    rig.scheduler.blocked(worker, call.id, [rig.submit().id], True, [])
    assert rig.free == 1
