"""The role of the pump, and how it is handed on."""

from __future__ import annotations

import threading

from snakepit.runtime.role import Role, Waiter


def test_one_thread_has_it() -> None:
    role = Role()
    assert role.take()
    assert not role.take()
    assert not role.leave()
    assert role.take()


def test_it_is_never_free_while_somebody_stands_in_line() -> None:
    role, first, second = Role(), Waiter(1), Waiter(1)
    assert role.take()
    assert not role.line_up(first)
    assert not role.line_up(second)
    assert role.wanted
    assert role.leave()
    # The heir has not woken yet, and nobody can be faster.
    assert not role.take()
    first.sleep(None)
    assert role.step_out(first)
    assert role.leave()
    assert role.step_out(second)
    assert not role.leave()
    assert not role.wanted


def test_whoever_lines_up_for_a_free_role_has_it() -> None:
    role, waiter = Role(), Waiter(1)
    assert role.line_up(waiter)
    assert not role.wanted


def test_who_has_what_it_waited_for_is_passed_over() -> None:
    role, done, waiting = Role(), Waiter(1), Waiter(1)
    assert role.take()
    role.line_up(done)
    role.line_up(waiting)
    done.arrived(0)
    assert role.leave()
    assert not role.step_out(done)
    assert role.step_out(waiting)


def test_who_leaves_the_line_is_not_chosen() -> None:
    role, gone, waiting = Role(), Waiter(1), Waiter(1)
    assert role.take()
    role.line_up(gone)
    role.line_up(waiting)
    assert not role.step_out(gone)
    assert role.leave()
    assert role.step_out(waiting)


def test_a_ring_is_only_a_look() -> None:
    role, waiter = Role(), Waiter(1)
    assert role.take()
    role.line_up(waiter)
    role.ring()
    waiter.sleep(None)
    assert not role.step_out(waiter)
    assert not role.take()


def test_many_threads_take_turns_and_none_starves() -> None:
    role, turns = Role(), [0] * 8
    together = threading.Barrier(len(turns))
    inside = threading.Lock()

    def work(place: int) -> None:
        together.wait()
        waiter = Waiter(1)
        while turns[place] < 200:
            if not role.line_up(waiter):
                waiter.sleep(None)
                if not role.step_out(waiter):
                    continue
            assert inside.acquire(blocking=False)
            turns[place] += 1
            inside.release()
            role.leave()

    threads = [threading.Thread(target=work, args=(place,)) for place in range(len(turns))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert turns == [200] * len(turns)
    assert role.take()
