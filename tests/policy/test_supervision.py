"""Supervision, step by step: back-off, failure, healing, and what is not counted."""

from __future__ import annotations

from typing import Any

import pytest

from snakepit.checks import INTERPRETER
from snakepit.policy import actions as do
from snakepit.policy.calls import DONE, Call, IllegalTransition
from snakepit.policy.pools import FAILED, POOL_TRANSITIONS, PROBING, RESTING, RUNNING, TRIAL
from snakepit.policy.resources import UNIT
from snakepit.policy.restart import LEAST_DELAY
from snakepit.wire.messages import CREATE, FAILURE

from .rig import Rig, kinds, only, sent


@pytest.fixture
def rig() -> Rig:
    """A pool that bears two deaths in vain within ten seconds."""
    return Rig()


def spawned(actions: list[Any]) -> list[int]:
    return [action.worker for action in actions if type(action) is do.Spawn]


def crash_until_failed(rig: Rig, **cause: Any) -> do.Arm:
    """Have workers die in vain until the pool has failed; return the timer of its cool-down."""
    actions = rig.take()
    while True:
        arms = []
        for worker in spawned(actions):
            arms += [a for a in rig.die(worker, 0, **cause) if type(a) is do.Arm]
        if rig.pool.state is FAILED:
            return only(arms, do.Arm)
        actions = rig.run_out(only(arms, do.Arm))


def test_a_worker_that_dies_at_its_start_is_replaced_after_the_back_off(rig: Rig) -> None:
    call = rig.submit()
    arm = only(rig.die(*spawned(rig.take()), 0), do.Arm)
    assert (rig.pool.state, arm.delay) == (RESTING, LEAST_DELAY)
    # Nothing is started meanwhile, whoever asks.
    rig.submit()
    rig.prestart(1)
    assert rig.take() == []
    second = only(rig.run_out(arm), do.Spawn).worker
    assert rig.pool.state is PROBING
    rig.scheduler.hello(second)
    assert (second, call.id) in sent(rig.take())
    rig.result(call)
    assert rig.pool.state is RUNNING


def test_each_death_in_vain_doubles_the_back_off_and_progress_forgets_it(rig: Rig) -> None:
    call = rig.submit()
    first = only(rig.die(*spawned(rig.take()), 0), do.Arm)
    second = only(rig.die(*spawned(rig.run_out(first)), 0), do.Arm)
    assert second.delay == 2 * first.delay
    rig.scheduler.hello(*spawned(rig.run_out(second)))
    rig.result(call)
    assert rig.pool.window.failures == 0


def test_while_it_is_tried_one_worker_starts_at_a_time(rig: Rig) -> None:
    for _ in range(4):
        rig.submit()
    first, second = spawned(rig.take())
    arm = only(rig.die(first, 0), do.Arm)
    # One is being started still.
    assert rig.run_out(arm) == []
    rig.scheduler.hello(second)
    assert kinds(rig.take()) == ["Send", "Spawn"]


def test_what_ends_together_counts_once() -> None:
    rig = Rig(cpus=16, size=16, limit=16)
    for _ in range(16):
        rig.submit()
    workers = spawned(rig.take())
    actions = [action for worker in workers for action in rig.die(worker, 0)]
    assert kinds(actions) == ["Arm"]
    assert (rig.pool.state, rig.pool.window.failures) == (RESTING, 1)


def test_too_many_deaths_in_vain_fail_the_pool_and_every_call_that_waits(rig: Rig) -> None:
    calls = [rig.submit(name=f"f{n}") for n in range(3)]
    argument = rig.submit(name="argument", resources=(("CPU", 0),))
    later = rig.submit(deps=(argument.id,))
    crash_until_failed(rig, signal=None, exit_code=7, stderr="no module named x\n")
    for call in [*calls, argument]:
        kind, fields = rig.failure(call)
        assert kind == "pool_failed"
        assert fields["call"] == call.name
        assert (fields["exit_code"], fields["stderr"]) == (7, "no module named x\n")
        assert (fields["restarts"], fields["intensity"], fields["period"]) == (3, 2, 10.0)
        assert fields["pool"] == "main"
    assert rig.failure(later)[0] == "pool_failed"
    assert rig.free == 2


def test_a_pool_that_has_failed_refuses_calls_at_once(rig: Rig) -> None:
    rig.submit()
    crash_until_failed(rig, exit_code=7)
    busy, _ = rig.living(resources=(("CPU", 20_000),))
    call = rig.submit()
    assert rig.failure(call)[1]["exit_code"] == 7
    # A class of calls that nobody made before is refused too.
    assert rig.failure(rig.submit(resources=(("CPU", 5_000),)))[0] == "pool_failed"
    # Actors have processes of their own.
    rig.method(busy)
    assert kinds(rig.take()) == ["Send"]


def test_a_call_whose_argument_comes_too_late_is_refused(rig: Rig) -> None:
    creation, _ = rig.living()
    argument = rig.method(creation)
    call = rig.submit(deps=(argument.id,))
    other = rig.submit()
    crash_until_failed(rig)
    assert call.state is not DONE
    rig.result(argument)
    assert rig.failure(call)[0] == rig.failure(other)[0] == "pool_failed"


def test_after_the_cool_down_one_worker_is_tried_and_heals_the_pool(rig: Rig) -> None:
    rig.submit()
    arm = crash_until_failed(rig)
    assert arm.delay == rig.pool.window.longest
    assert rig.run_out(arm) == []
    assert rig.pool.state is TRIAL
    calls = [rig.submit() for _ in range(4)]
    worker = only(rig.take(), do.Spawn).worker
    rig.scheduler.hello(worker)
    rig.take()
    rig.result(calls[0])
    assert (rig.pool.state, rig.pool.failure, rig.pool.window.failures) == (RUNNING, None, 0)


def test_a_trial_that_dies_fails_the_pool_at_once(rig: Rig) -> None:
    rig.submit()
    arm = crash_until_failed(rig)
    rig.now += 1000.0  # whatever is in the window
    rig.run_out(arm)
    call = rig.submit()
    again = only(rig.die(*spawned(rig.take()), 0, exit_code=9, signal=None), do.Arm)
    assert rig.pool.state is FAILED
    assert rig.failure(call)[1]["exit_code"] == 9
    assert again.key != arm.key
    # The first cool-down's timer would be too early.
    rig.scheduler.tick(arm.key)
    assert rig.pool.state is FAILED


def test_a_pool_with_a_worker_left_rests_and_does_not_fail() -> None:
    rig = Rig(cpus=2, size=1, limit=4)
    rig.workers(1)
    running = rig.submit()
    waiting = rig.submit()
    actions = rig.take()
    for _ in range(9):
        assert waiting.state is not DONE
        actions = rig.die(*spawned(actions), 0)
        actions = rig.run_out(only(actions, do.Arm))
    assert rig.pool.window.failures == 9
    rig.result(running)
    rig.result(waiting)


def test_one_that_dies_with_calls_it_never_began_died_in_vain(rig: Rig) -> None:
    call = rig.submit()
    (worker,) = spawned(rig.take())
    rig.scheduler.hello(worker)
    assert sent(rig.take()) == [(worker, call.id)]
    assert kinds(rig.die(worker, 0)) == ["Arm"]
    assert (rig.pool.state, call.deaths) == (RESTING, 0)


def test_ordinary_deaths_never_add_up(rig: Rig) -> None:
    """In a call, after one, idle, on their way out, or with the zygote."""
    for _ in range(5):
        call = rig.submit(max_retries=0)
        rig.scheduler.hello(*spawned(rig.take()))
        rig.take()
        rig.die(call.worker, call.sequence)
        assert rig.failure(call)[0] == "worker_crashed"
    for _ in range(5):
        rig.workers(1)
        rig.die(next(iter(rig.pool.workers)), 0)
    for _ in range(5):
        call = rig.submit()
        rig.scheduler.hello(*spawned(rig.take()))
        rig.result(call)
        rig.die(call.worker, call.sequence)
    for _ in range(5):
        rig.submit()
        for worker in spawned(rig.take()):
            rig.die(worker, 0, zygote="was killed")
    assert (rig.pool.state, rig.pool.window.failures) == (RUNNING, 0)


def test_progress_while_it_rests_ends_the_rest(rig: Rig) -> None:
    calls = [rig.submit() for _ in range(2)]
    first, second = spawned(rig.take())
    arm = only(rig.die(first, 0), do.Arm)
    rig.scheduler.hello(second)
    rig.take()
    rig.result(calls[0])
    assert rig.pool.state is RUNNING
    rig.run_out(arm)
    assert rig.pool.state is RUNNING


def test_progress_while_it_rests_lets_all_that_waits_go_on() -> None:
    rig = Rig(gpu=1)
    rig.workers(1)
    first, other = rig.submit(), rig.submit(resources=(("gpu", UNIT),))
    rig.submit()
    (starting,) = spawned(rig.take())
    rig.die(starting, 0, spawn="no descriptors")
    assert rig.pool.state is RESTING and other.state == "ready"
    actions = rig.result(first)
    assert rig.pool.state is RUNNING
    assert spawned([*actions, *rig.run_out(only(actions, do.Arm))])


def test_a_pools_states_are_a_table(rig: Rig) -> None:
    for state in (RUNNING, RESTING, PROBING, FAILED, TRIAL):
        for event in ("lost", "retry", "fail", "served"):
            rig.pool.state = state
            if (state, event) in POOL_TRANSITIONS:
                rig.pool.to(event)
            else:
                with pytest.raises(IllegalTransition, match=f"pool main: {event} while {state}"):
                    rig.pool.to(event)
    assert "main" in repr(rig.pool)


# --- the zygote -------------------------------------------------------------------------------


def lose_zygote(rig: Rig, begun: bool = False, **cause: Any) -> list[do.Action]:
    """Have the zygote end, and its workers with it."""
    rig.scheduler.zygotes.lost("")
    held = {spawn.worker for spawn in rig.scheduler.placement.staff.starts.queued()}
    for number in list(rig.scheduler.placement.workers):
        if number not in held:
            assert spawned(rig.die(number, int(begun), zygote="ended")) == []
    cause = {"exit_code": 3, "signal": None, "stderr": "no", **cause}
    rig.scheduler.zygotes.replace("", cause, rig.now)
    return rig.take()


def test_a_zygote_that_has_worked_is_replaced_at_once_and_spawns_wait_for_it(rig: Rig) -> None:
    for _ in range(9):
        call = rig.submit()
        rig.scheduler.hello(*spawned(rig.take()))
        rig.result(call)
        waiting = rig.submit()
        rig.take()
        assert kinds(lose_zygote(rig)) == ["StartZygote"]
        rig.scheduler.zygotes.started("")
        rig.scheduler.hello(only(rig.take(), do.Spawn).worker)
        rig.take()
        rig.result(waiting)
        assert kinds(lose_zygote(rig)) == ["StartZygote"]
        rig.scheduler.zygotes.started("")
        rig.take()
    assert rig.scheduler.closed is None


def test_a_call_that_has_begun_is_work_too(rig: Rig) -> None:
    rig.submit(max_retries=-1)
    for _ in range(9):
        rig.scheduler.hello(*spawned(rig.take()))
        assert kinds(rig.take()) == ["Send"]
        assert kinds(lose_zygote(rig, begun=True)) == ["StartZygote"]
        rig.scheduler.zygotes.started("")
    assert rig.scheduler.closed is None


def test_zygotes_that_end_in_vain_fail_the_runtime_with_the_reason(rig: Rig) -> None:
    task = rig.submit()
    creation = rig.create()
    method = rig.method(creation)
    rig.take()
    for number in range(2):
        arm = only(lose_zygote(rig), do.Arm)
        assert arm.delay == LEAST_DELAY * 2**number
        assert kinds(rig.run_out(arm)) == ["StartZygote"]
        rig.scheduler.zygotes.started("")
        rig.take()
    lose_zygote(rig, stderr="no such file")
    for call in (task, method, rig.submit(), rig.method(creation)):
        kind, fields = rig.failure(call)
        assert kind == "runtime_failed"
        assert (fields["restarts"], fields["exit_code"]) == (3, 3)
        assert fields["stderr"] == "no such file"
    later = rig.create()
    assert rig.failure(rig.method(later))[0] == "runtime_failed"
    rig.drop(*list(rig.entries))


def test_one_that_cannot_be_started_counts_too(rig: Rig) -> None:
    call = rig.submit()
    rig.take()
    actions = lose_zygote(rig)
    for _ in range(2):
        assert kinds(rig.run_out(only(actions, do.Arm))) == ["StartZygote"]
        rig.scheduler.zygotes.replace("", {"reason": "no interpreter"}, rig.now)
        actions = rig.take()
    assert rig.failure(call)[1]["reason"] == "no interpreter"


def test_the_reason_reaches_a_call_that_waits_for_another(rig: Rig) -> None:
    first = rig.submit()
    second = rig.submit(deps=(first.id,))
    rig.scheduler.close("runtime_failed", {"reason": "why"})
    assert rig.entries[second.id].outcome == FAILURE
    assert rig.failure(second) == ("runtime_failed", {"reason": "why"})


def test_constructors_are_calls_of_an_actor(rig: Rig) -> None:
    creation: Call = rig.create()
    assert creation.shape.template.kind == CREATE
    rig.take()
    rig.scheduler.hello(1)
    rig.take()
    rig.result(creation, values=())
    assert kinds(lose_zygote(rig)) == ["StartZygote"]


# --- other interpreters -----------------------------------------------------------------------

OTHER = ((INTERPRETER, "other"),)


def test_the_first_call_that_needs_an_interpreter_has_its_zygote_started(rig: Rig) -> None:
    first, second = rig.submit(env=OTHER), rig.submit(env=OTHER)
    assert rig.take() == [do.StartZygote("other")]
    rig.scheduler.zygotes.started("other")
    spawns = [action for action in rig.take() if type(action) is do.Spawn]
    assert {spawn.interpreter for spawn in spawns} == {"other"}
    for spawn in spawns:
        rig.scheduler.hello(spawn.worker)
    assert {call for _, call in sent(rig.take())} >= {first.id, second.id}


def test_another_zygotes_end_is_no_matter_of_those_at_home(rig: Rig) -> None:
    rig.workers(1)
    rig.submit(env=OTHER)
    for _ in range(2):
        assert rig.take() == [do.StartZygote("other")]
        rig.scheduler.zygotes.lost("other")
        rig.scheduler.zygotes.replace("other", {"exit_code": 1}, rig.now)
        rig.scheduler.actions.extend(rig.run_out(only(rig.take(), do.Arm)))
    call = rig.submit(resources=(("CPU", 0),))
    assert kinds([a for a in rig.take() if type(a) is not do.StartZygote]) == ["Send"]
    rig.result(call)


def test_an_interpreter_that_fails_fails_what_waits_for_it_and_is_tried_again(rig: Rig) -> None:
    task, home = rig.submit(env=OTHER), rig.submit()
    creation = rig.create(env=OTHER)
    method = rig.method(creation)
    rig.take()
    rig.scheduler.zygotes.refused("other", {"reason": "no snakepit"})
    arm = only(rig.take(), do.Arm)
    assert rig.failure(task)[0] == "interpreter_failed"
    assert rig.failure(task)[1]["reason"] == "no snakepit"
    kind, fields = rig.failure(method)
    assert (kind, fields["reason"], fields["interpreter"]) == (
        "actor_died", "interpreter", "other"
    )  # fmt: skip
    assert home.state is not DONE and rig.scheduler.closed is None
    assert rig.failure(rig.submit(env=OTHER))[0] == "interpreter_failed"
    rig.run_out(arm)
    again = rig.submit(env=OTHER, resources=(("CPU", 0),))
    assert rig.take() == [do.StartZygote("other")]
    # One that ends in vain is enough now.
    rig.scheduler.zygotes.replace("other", {"exit_code": 1}, rig.now)
    assert rig.failure(again)[0] == "interpreter_failed"


def test_a_zygote_that_nobody_wants_is_not_replaced(rig: Rig) -> None:
    call = rig.submit(env=OTHER)
    rig.take()
    rig.scheduler.zygotes.started("other")
    rig.scheduler.hello(*spawned(rig.take()))
    rig.take()
    rig.result(call)
    rig.scheduler.zygotes.lost("other")
    rig.die(call.worker, 1, zygote="was killed")
    rig.scheduler.zygotes.replace("other", {}, rig.now)
    assert rig.take() == []
    rig.submit(env=OTHER)
    assert rig.take() == [do.StartZygote("other")]
