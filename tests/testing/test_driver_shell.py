"""The driver's shell against workers that reply in pieces, break off, lie, or die."""

from __future__ import annotations

import pickle
import select
import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest

import snakepit
from snakepit import testing
from snakepit.errors import (
    GetTimeoutError,
    PoisonedCallError,
    PoolFailedError,
    RuntimeClosedError,
    RuntimeFailedError,
    TaskCancelledError,
    WorkerCrashedError,
)
from snakepit.policy.pools import FAILED, TRIAL
from snakepit.runtime.outbox import Outbox
from snakepit.testing import ScriptedWorker, Stage, Step
from snakepit.wire import codec
from snakepit.wire import messages as wire
from snakepit.wire.frames import FrameDecoder, frame

PATIENCE = 30.0
# One death in vain is borne, and it is not long until the next start: the period is, so that no
# busy machine puts two deaths further apart.
IMPATIENT: dict[str, Any] = {"restart_intensity": 1, "restart_period": 3600}
COOL_DOWN = 900.0
"""Seconds, of which none goes by: tests end it themselves, with `cooled_down`."""
Until = Callable[[Callable[[], Any]], None]


@snakepit.remote
def task(*args: Any) -> Any:
    return args


@snakepit.remote(max_retries=0)
def once() -> Any:
    return None


def get(ref: Any) -> Any:
    return snakepit.get(ref, timeout=PATIENCE)


def executes(stage: Stage) -> list[wire.Execute]:
    """Every call that any worker has been sent."""
    workers = (worker for zygote in stage.zygotes for worker in zygote.workers.values())
    return [m for worker in workers for m in worker.received if type(m) is wire.Execute]


def reply_size(value: Any) -> int:
    """Bytes of the frame that answers the first call of a runtime with a value."""
    payload = pickle.dumps(value, 5)
    return len(codec.Encoder()(wire.Result(1, wire.OK, [payload], [], 100, [])))


# --- pieces ----------------------------------------------------------------------------------


def test_a_reply_may_be_split_at_every_byte(until: Until) -> None:
    with testing.scripted_runtime(testing.silence()) as stage:
        for cut in range(reply_size(0)):
            ref = task.remote()
            until(lambda: stage.workers and stage.workers[0].current)
            (worker,) = stage.workers
            worker.mailbox.hold(after=cut)
            worker.reply(cut)
            size = worker.mailbox.unread + cut
            until(lambda worker=worker, left=size - cut: worker.mailbox.unread <= left)
            assert snakepit.wait([ref], timeout=0) == ([], [ref])
            worker.mailbox.release()
            assert get(ref) == cut


def test_replies_arrive_byte_by_byte() -> None:
    def birth(worker: ScriptedWorker) -> None:
        worker.mailbox.split(1)
        worker.hello()

    with testing.scripted_runtime(testing.apply(), birth=birth, num_cpus=2):
        assert get([task.remote(n) for n in range(50)]) == [(n,) for n in range(50)]


def test_two_full_pipes_do_not_deadlock() -> None:
    """The worker does not read while it cannot write, and the driver has more to write."""
    with testing.scripted_runtime(testing.apply(), capacity=1000) as stage:
        assert get(task.remote(0)) == (0,)
        values = [bytes([n]) * 3000 for n in range(200)]
        assert get([task.remote(value) for value in values]) == [(value,) for value in values]
        assert len(executes(stage)) == 201


def test_many_threads_submit_and_get_over_narrow_pipes() -> None:
    with testing.scripted_runtime(testing.apply(), num_cpus=3, capacity=700) as stage:
        found: dict[int, Any] = {}

        def work(name: int) -> None:
            found[name] = get([task.remote(name, n) for n in range(60)])

        threads = [threading.Thread(target=work, args=(name,)) for name in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == {name: [(name, n) for n in range(60)] for name in range(8)}
        for worker in stage.workers:
            sent = [m.sequence for m in worker.received if type(m) is wire.Execute]
            assert sent == list(range(1, len(sent) + 1)), "not in the scheduler's order"


@pytest.mark.parametrize("kind", ["socket", "memory"])
def test_an_outbox_keeps_the_order_of_its_lock(kind: str) -> None:
    """8 threads, 100,000 frames: written in the order in which they were appended."""
    ours, theirs = socket.socketpair() if kind == "socket" else testing.memory_pair(4096)
    ours.setblocking(False)
    total, lock, count = 100_000, threading.Lock(), iter(range(100_000))
    epoll = select.epoll()
    epoll.register(ours.fileno(), 0)

    def stalled(waiting: bool) -> None:
        epoll.modify(ours.fileno(), select.EPOLLOUT if waiting else 0)

    outbox = Outbox(ours, stalled)
    done = threading.Event()

    def submit() -> None:
        while True:
            with lock:
                number = next(count, None)
                if number is None:
                    return
                outbox.append(frame(number.to_bytes(4, "little")))
            outbox.flush()

    def write() -> None:
        while not done.is_set():
            if epoll.poll(0.01):
                outbox.writable()

    threads = [threading.Thread(target=submit) for _ in range(8)]
    threads.append(threading.Thread(target=write))
    for thread in threads:
        thread.start()
    decoder, found = FrameDecoder(), []
    while len(found) < total:
        found += decoder.feed(theirs.recv(1 << 16))
    done.set()
    for thread in threads:
        thread.join()
    epoll.close()
    ours.close()
    theirs.close()
    assert found == [n.to_bytes(4, "little") for n in range(total)]


def test_a_writer_that_fills_the_socket_has_the_last_word_on_waiting() -> None:
    """Another thread writes just while the pump lowers the flag: nobody may be left unwatched."""
    ours, theirs = testing.memory_pair(capacity=4)
    ours.setblocking(False)
    watched = False

    def stalled(waiting: bool) -> None:
        nonlocal watched
        if not waiting:
            outbox.append(b"of another thread")
            outbox.flush()
        watched = waiting

    outbox = Outbox(ours, stalled)
    outbox.append(b"12345")
    outbox.flush()
    assert watched
    theirs.recv(100)
    outbox.writable()
    assert watched and outbox.waiting
    ours.close()
    theirs.close()


def test_a_frame_that_comes_while_the_writer_leaves_is_written() -> None:
    ours, theirs = testing.memory_pair()
    outbox = Outbox(ours, lambda waiting: None)
    lock, late = threading.Lock(), [b"late"]

    class Leaving:
        acquire = staticmethod(lock.acquire)

        def release(self) -> None:
            if late:
                outbox.append(late.pop())
                outbox.flush()  # as from another thread: it finds the flag taken
            lock.release()

    outbox._writer = Leaving()
    outbox.append(b"early ")
    outbox.flush()
    assert theirs.recv(100) == b"early late"
    ours.close()
    theirs.close()


# --- deaths ----------------------------------------------------------------------------------


def test_half_a_reply_is_none_and_the_call_runs_once_more() -> None:
    size = reply_size(0)
    with testing.scripted_runtime(lambda worker, execute: steps.pop(0)(worker, execute)) as stage:
        for count, cut in enumerate(range(size), 1):
            steps: list[Step] = [
                testing.then(testing.torn(0, cut), testing.die()),
                testing.reply(cut),
            ]
            assert get(task.remote()) == cut
            assert len(executes(stage)) == 2 * count and not steps


@pytest.mark.parametrize("cut", [0, 1, 4, 5, -1])
def test_half_a_reply_of_a_call_without_retries_is_a_crash(cut: int) -> None:
    script = testing.then(testing.torn(0, cut), testing.die(-11, "boom\n"))
    with testing.scripted_runtime(script) as stage:
        with pytest.raises(WorkerCrashedError, match=r"SIGSEGV(.|\n)*boom"):
            get(once.remote())
        assert len(executes(stage)) == 1


@pytest.mark.parametrize("chunk", [None, 1, 7])
def test_a_reply_before_the_death_counts(chunk: int | None) -> None:
    def step(worker: ScriptedWorker, execute: wire.Execute) -> None:
        worker.mailbox.split(chunk)
        worker.reply(bytes(200))
        worker.die()

    with testing.scripted_runtime(step) as stage:
        assert get(once.remote()) == bytes(200)
        assert len(executes(stage)) == 1


def test_a_reply_that_breaks_off_with_the_connection_counts() -> None:
    """The reset, which unread calls cause, comes after what was sent, and changes nothing."""

    def step(worker: ScriptedWorker, execute: wire.Execute) -> None:
        worker.reply(1)
        worker.mailbox.cut(after=worker.mailbox.unread, reset=True)
        worker.die()

    with testing.scripted_runtime(step):
        assert get(once.remote()) == 1


def test_calls_that_had_not_begun_go_elsewhere_without_a_cost(until: Until) -> None:
    with testing.scripted_runtime(lambda worker, execute: steps[0](worker, execute)) as stage:
        steps = [testing.reply(0)]
        get(once.remote())
        steps[0] = testing.silence()
        refs = [once.remote() for _ in range(5)]
        (worker,) = stage.workers
        until(lambda: worker.current and len(worker.queue) == 4)
        steps[0] = testing.reply(1)
        worker.die()
        with pytest.raises(WorkerCrashedError):
            get(refs[0])
        assert get(refs[1:]) == [1] * 4


def test_a_call_that_kills_every_worker_is_given_up() -> None:
    with testing.scripted_runtime(testing.die()) as stage:
        with pytest.raises(PoisonedCallError):
            get(task.remote())
        assert len(executes(stage)) == 3


def test_the_end_of_the_mailbox_alone_is_no_death(until: Until) -> None:
    """The zygote's word is the authority: a worker whose mailbox ended may still be ending."""
    with testing.scripted_runtime(
        testing.in_turn(lambda worker, execute: worker.hang_up(), testing.reply(7))
    ) as stage:
        ref = task.remote()
        until(lambda: stage.workers and stage.workers[0].mailbox.fileno() < 0)
        assert snakepit.wait([ref], timeout=0) == ([], [ref])
        stage.workers[0].die(1)
        assert get(ref) == 7


# --- lies ------------------------------------------------------------------------------------


def says(message: tuple[Any, ...]) -> Step:
    return testing.write(lambda worker: worker.frame(message))


def tells(message: tuple[Any, ...]) -> Step:
    return lambda worker, execute: worker.tell(message)


LIES: dict[str, Step] = {
    "a result of no call": says(wire.Result(999, wire.OK, [b""], [], 1, [])),
    "a frame beyond the limit": testing.write(b"\xff" * 8),
    "a frame that is no message": testing.write(frame(b"\xc1\xc1")),
    "an empty frame": testing.write(frame(b"")),
    "a message of no kind": testing.write(frame(b"\x91\xcc\xf0")),
    "a message without its fields": testing.write(frame(b"\x91\x0b")),
    "what only the driver says": says(wire.Exit()),
    "a call of no template": says(wire.Submit(1 << 41, 77, 0, b"", [], [], 0, None, "")),
    "a question that is none": says(wire.Request(1, "destroy", [])),
    "a second hello": lambda worker, execute: worker.hello(),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_worker_that_lies_is_ended(lie: str, caplog: pytest.LogCaptureFixture) -> None:
    with testing.scripted_runtime(testing.in_turn(LIES[lie], testing.reply(7))) as stage:
        assert get(task.remote()) == 7
        assert stage.zygote.spawns == 2
        signals = [m for m in stage.zygote.asked if type(m) is wire.Signal]
        assert signals == [wire.Signal(1, 9)]
        assert "worker 1 is ended" in caplog.text


def test_a_worker_that_lies_on_its_control_socket_is_ended() -> None:
    def lie(worker: ScriptedWorker, execute: wire.Execute) -> None:
        worker._control.send(b"\xff" * 8)

    with testing.scripted_runtime(testing.in_turn(lie, testing.reply(7))) as stage:
        assert get(task.remote()) == 7
        assert stage.zygote.spawns == 2


@pytest.mark.parametrize(
    "spoil",
    [
        lambda fields: fields[:3],
        lambda fields: [*fields, *range(40)],
        lambda fields: [fields[0], [], *fields[2:]],
        lambda fields: [wire.Template._make(fields)._replace(env=7)],
        lambda fields: [*wire.Template._make(fields)._replace(env=(("A",),))],
        lambda fields: [*wire.Template._make(fields)._replace(resources=(("CPU", "x"),))],
        lambda fields: [*wire.Template._make(fields)._replace(resources=((7, 10_000),))],
        lambda fields: [*wire.Template._make(fields)._replace(returns="x")],
        lambda fields: [*wire.Template._make(fields)._replace(kind=4)],
    ],
    ids="short long name nested pairs amount resource returns kind".split(),
)
def test_a_worker_that_defines_what_is_no_template_is_ended(
    spoil: Callable[[list[Any]], list[Any]],
) -> None:
    def lie(worker: ScriptedWorker, execute: wire.Execute) -> None:
        fields = list(worker.templates[execute.template])
        worker.send(wire.Define(1, spoil(fields)))

    with testing.scripted_runtime(testing.in_turn(lie, testing.reply(7))) as stage:
        assert get(task.remote()) == 7
        assert stage.zygote.spawns == 2


def test_what_came_before_a_lie_is_acted_upon(until: Until) -> None:
    """A result in the same read resolves, and what follows from it is written at once."""
    with testing.scripted_runtime(testing.silence(), num_cpus=2) as stage:
        pool = stage.runtime._scheduler.placement.pools["default"]
        until(lambda: len(pool.idle) == 2)
        first = once.remote()
        second = task.remote(first)
        until(lambda: any(worker.current for worker in stage.workers))
        (liar,) = (worker for worker in stage.workers if worker.current)
        (other,) = (worker for worker in stage.workers if not worker.current)
        lie = liar.frame(wire.Result(999, wire.OK, [b""], [], 1, []))
        liar.write(liar.frame(liar.result(wire.OK, [pickle.dumps(3)])) + lie)
        until(lambda: other.current)
        other.reply(4)
        assert get([first, second]) == [3, 4]


def test_a_worker_of_another_version_is_refused() -> None:
    with testing.scripted_runtime(
        testing.reply(1), birth=lambda worker: worker.hello(version=99), restart_intensity=0
    ) as stage:
        with pytest.raises(PoolFailedError, match="speaks version 99"):
            get(once.remote())
        assert executes(stage) == []


# --- questions in the midst of a call --------------------------------------------------------


def test_a_call_wants_an_object_and_makes_a_call() -> None:
    """By messages alone: a nested call's result is the outer one's."""

    def step(worker: ScriptedWorker, execute: wire.Execute) -> Any:
        args, _ = worker.arguments()
        if args:
            worker.reply(args[0] + 1)
            return
        inner = (worker.number << 40) + 1
        worker.send(
            wire.Define(1, list(worker.templates[execute.template])),
            wire.Submit(inner, 1, 0, pickle.dumps(((41,), {})), [], [], execute.call, None, ""),
            wire.Want([inner], True),
            wire.Blocked(execute.call, [inner], True, []),
        )
        value = yield wire.Value
        worker.send(wire.Unblocked(execute.call), wire.Handles([], [inner]))
        worker.reply(pickle.loads(value.payload))

    with testing.scripted_runtime(step) as stage:
        assert get(task.remote()) == 42
        assert len(stage.workers) == 2


# --- cancels ---------------------------------------------------------------------------------


def test_a_reply_that_comes_after_its_cancel_still_counts(until: Until) -> None:
    with testing.scripted_runtime(testing.silence()) as stage:
        ref = task.remote()
        until(lambda: stage.workers and stage.workers[0].current)
        (worker,) = stage.workers
        snakepit.cancel(ref)
        until(lambda: any(type(m) is wire.Cancel for m in worker.received))
        worker.reply("too late")
        assert get(ref) == "too late"
        ref = task.remote()
        until(lambda: worker.current)
        snakepit.cancel(ref)
        worker.answer(wire.CANCELLED, [])
        with pytest.raises(TaskCancelledError):
            get(ref)


def test_a_reply_that_comes_after_get_gave_up_is_kept(until: Until) -> None:
    with testing.scripted_runtime(testing.silence()) as stage:
        ref = task.remote()
        until(lambda: stage.workers and stage.workers[0].current)
        with pytest.raises(GetTimeoutError):
            snakepit.get(ref, timeout=0)
        stage.workers[0].reply(5)
        assert get(ref) == 5


def test_a_reply_that_nobody_waits_for_any_more_is_dropped(until: Until) -> None:
    with testing.scripted_runtime(testing.silence()) as stage:
        ref = task.remote()
        until(lambda: stage.workers and stage.workers[0].current)
        del ref
        stage.workers[0].reply(5)
        core = stage.runtime._core
        until(lambda: core.update(lambda: not core.entries))
        assert stage.workers[0].alive


# --- spawns ----------------------------------------------------------------------------------


def cooled_down(stage: Any) -> None:
    """Let the cool-down of the pool be over."""
    scheduler = stage.runtime._scheduler
    pool = scheduler.placement.pools["default"]
    assert pool.state is FAILED
    stage.runtime._core.update(lambda: scheduler.tick(f"retry:{pool.turn}:default"))
    assert pool.state is TRIAL


def test_spawns_that_fail_are_told_and_heal(until: Until) -> None:
    with testing.scripted_runtime(testing.reply(1), **IMPATIENT) as stage:
        until(lambda: stage.workers)  # one on its way would be forked all the same, and live
        stage.zygote.spawn_failure = "no more processes"
        for worker in stage.workers:
            worker.die()
        for _ in range(2):
            with pytest.raises(PoolFailedError, match="no more processes") as caught:
                get(task.remote())
            assert caught.value.cool_down == COOL_DOWN
            # Until the cool-down is over nobody is asked again.
            asked = stage.zygote.spawns
            with pytest.raises(PoolFailedError):
                get(task.remote())
            assert stage.zygote.spawns == asked
            cooled_down(stage)
        stage.zygote.spawn_failure = ""
        assert get(task.remote()) == 1


def test_workers_that_die_at_their_start_fail_the_pool_with_their_last_words(until: Until) -> None:
    words = ["no module named x\n"]

    def birth(worker: ScriptedWorker) -> None:
        if words:
            worker.die(7, words[0])
        else:
            worker.hello()

    with testing.scripted_runtime(testing.reply(1), birth=birth, **IMPATIENT) as stage:
        refs = [task.remote() for _ in range(3)]
        for ref in refs:
            with pytest.raises(PoolFailedError, match="no module named x") as caught:
                get(ref)
            error = caught.value
            assert (error.exit_code, error.signal, error.stderr) == (7, None, words[0])
            assert (error.pool, error.restarts, error.period) == ("default", 2, 3600)
        assert stage.zygote.spawns == 2
        words.clear()
        cooled_down(stage)
        assert get(task.remote()) == 1


def test_the_zygote_goes_while_workers_are_on_their_way(until: Until) -> None:
    with testing.scripted_runtime(testing.reply(1), num_cpus=1) as stage:
        assert get(task.remote()) == 1
        stage.zygote.paused = True
        stage.workers[0].die()
        ref = task.remote()
        until(lambda: stage.zygote.spawns == 2)
        assert snakepit.wait([ref], timeout=0) == ([], [ref])
        stage.zygote.crash()
        assert get(ref) == 1
        assert len(stage.zygotes) == 2


def test_the_zygote_goes_with_calls_begun_and_not_begun(until: Until) -> None:
    with testing.scripted_runtime(lambda worker, execute: steps[0](worker, execute)) as stage:
        steps = [testing.reply(0)]
        get(once.remote())
        steps[0] = testing.silence()
        refs = [once.remote() for _ in range(3)]
        until(lambda: len(stage.workers[0].queue) == 2)
        steps[0] = testing.reply(1)
        stage.zygote.crash(-9, "out of memory\n")
        with pytest.raises(WorkerCrashedError, match=r"zygote(.|\n)*out of memory"):
            get(refs[0])
        assert get(refs[1:]) == [1, 1]


def test_no_zygote_can_be_had_any_more(until: Until) -> None:
    with testing.scripted_runtime(testing.silence(), **IMPATIENT) as stage:
        ref = task.remote()
        until(lambda: stage.workers and stage.workers[0].current)
        stage.start_failure = "the interpreter is gone"
        stage.zygote.crash()
        for failed in (ref, task.remote()):
            with pytest.raises(RuntimeFailedError, match="the interpreter is gone"):
                get(failed)


def test_zygotes_that_end_at_once_are_given_up_with_the_reason(until: Until) -> None:
    @snakepit.remote
    class Actor:
        def method(self) -> int:
            return 1

    with testing.scripted_runtime(testing.silence(), **IMPATIENT) as stage:
        start = stage.start_zygote

        def stillborn(**settings: Any) -> Any:
            zygote = start(**settings)
            zygote.crash(3, "no such file")
            return zygote

        stage.runtime._processes.zygotes._start = stillborn
        actor = Actor.remote()
        refs = [task.remote(), actor.method.remote()]
        stage.zygote.crash(3, "no such file")
        for ref in (*refs, task.remote(), actor.method.remote()):
            with pytest.raises(RuntimeFailedError, match="no such file") as caught:
                get(ref)
            error = caught.value
            assert (error.exit_code, error.restarts, error.period) == (3, 2, 3600)
        assert len(stage.zygotes) == 2


def test_a_zygote_that_dies_again_and_again_is_replaced_while_calls_flow() -> None:
    with testing.scripted_runtime(testing.reply(1), **IMPATIENT) as stage:
        for _ in range(6):
            assert get(task.remote()) == 1
            stage.zygote.crash()
        assert get(task.remote()) == 1
        assert len(stage.zygotes) == 7


# --- ends ------------------------------------------------------------------------------------


def test_a_shutdown_resolves_what_is_pending(until: Until) -> None:
    found: list[BaseException] = []

    def wait(ref: Any) -> None:
        try:
            get(ref)
        except RuntimeClosedError as error:
            found.append(error)

    with testing.scripted_runtime(testing.silence(), num_cpus=2) as stage:
        refs = [task.remote() for _ in range(4)]
        until(lambda: sum(worker.current is not None for worker in stage.workers) == 2)
        threads = [threading.Thread(target=wait, args=(ref,)) for ref in refs]
        for thread in threads:
            thread.start()
        snakepit.shutdown()
        for thread in threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()
    assert len(found) == 4
    with pytest.raises(RuntimeClosedError):
        get(refs[0])


@pytest.mark.parametrize("waiters", [1, 3])
def test_a_bug_in_the_shell_ends_the_runtime_and_no_call_hangs(
    until: Until, waiters: int, caplog: pytest.LogCaptureFixture
) -> None:
    found: list[BaseException] = []

    def wait(ref: Any) -> None:
        try:
            get(ref)
        except BaseException as error:
            found.append(error)

    def broken(*_: Any) -> None:
        raise ZeroDivisionError("a bug")

    with testing.scripted_runtime(testing.silence()) as stage:
        refs = [task.remote() for _ in range(waiters)]
        until(lambda: stage.workers and stage.workers[0].current)
        future = refs[-1].future()
        threads = [threading.Thread(target=wait, args=(ref,)) for ref in refs]
        for thread in threads:
            thread.start()
        stage.runtime._scheduler.result = broken
        stage.workers[0].reply(1)
        for thread in threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()
        assert [type(error) for error in found] == [RuntimeFailedError] * waiters
        assert "ZeroDivisionError" in str(found[0])
        assert snakepit.wait(refs, timeout=0) == (refs[:1], refs[1:])
        assert type(future.exception(PATIENCE)) is RuntimeFailedError
        assert "Traceback" in caplog.text
        with pytest.raises(RuntimeClosedError):
            task.remote()
