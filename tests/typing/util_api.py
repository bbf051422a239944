"""What type checkers must make of snakepit.util; read by them, never run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_type

import snakepit
from snakepit import ActorHandle, ObjectRef
from snakepit.util import (
    ActorPool,
    as_completed,
    get_current_placement_group,
    inspect_serializability,
    list_named_actors,
    map_unordered,
    placement_group_table,
    register_serializer,
    tqdm,
)
from snakepit.util.multiprocessing import AsyncResult, Pool
from snakepit.util.queue import Queue


@snakepit.remote
def double(number: int) -> int:
    return 2 * number


class Worker:
    def double(self, number: int) -> int:
        return 2 * number


def call(actor: ActorHandle[Worker], number: int) -> ObjectRef[int]:
    return double.remote(number)


def several(actor: ActorHandle[Worker], number: int) -> list[ObjectRef[int]]:
    return [double.remote(number)]


def actor_pools() -> None:
    made = snakepit.remote(Worker)
    pool = ActorPool([made.remote() for _ in range(2)])
    assert_type(pool.map(call, [1, 2]), Iterator[int])
    assert_type(pool.map_unordered(several, [1, 2]), Iterator[list[int]])
    assert_type(pool.has_next(), bool)
    pool.map(call, ["a"])  # type: ignore[arg-type]
    ActorPool(Worker)  # type: ignore[arg-type]


def bars() -> None:
    for number in tqdm(range(3), desc="numbers"):
        assert_type(number, int)
    tqdm(desc=3)  # type: ignore[arg-type]


def groups() -> None:
    group = get_current_placement_group()
    if group is not None:
        assert_type(placement_group_table(group)["bundles"], dict[int, dict[str, float]])
        assert_type(placement_group_table()["id"]["state"], str)
        placement_group_table(group)["stats"]  # type: ignore[typeddict-item]


async def queues() -> None:
    made: Queue[int] = Queue(maxsize=3, actor_options={"name": "line"})
    assert_type(made.get(timeout=1), int)
    assert_type(await made.get_async(), int)
    assert_type(made.get_nowait_batch(2), list[int])
    made.put("a")  # type: ignore[arg-type]
    Queue("3")  # type: ignore[arg-type]


def join(left: int, right: str) -> str:
    return left * right


def halve(number: int) -> float:
    return number / 2


def pools() -> None:
    with Pool(2) as pool:
        assert_type(pool.map(halve, [1]), list[float])
        assert_type(pool.starmap(join, [(1, "a")]), list[str])
        assert_type(pool.apply(join, (1, "a")), str)
        assert_type(pool.apply_async(halve, (1,)), AsyncResult[float])
        assert_type(pool.map_async(halve, [1]).get(), list[float])
        assert_type(next(pool.imap(halve, [1])), float)
        pool.map(halve, ["a"])  # type: ignore[arg-type]
    Pool("2")  # type: ignore[arg-type]


def names_and_serializers() -> None:
    assert_type(list_named_actors(), list[str])
    assert_type(list_named_actors(all_namespaces=True)[0]["name"], str)
    assert_type(inspect_serializability(1)[0], bool)
    register_serializer(Worker, serializer=vars, deserializer=lambda state: Worker())
    register_serializer(Worker, serializer=halve, deserializer=int)  # type: ignore[arg-type]


def as_they_come() -> None:
    refs = [double.remote(1)]
    assert_type(as_completed(refs), Iterator[int])
    assert_type(as_completed(refs, yield_obj_refs=True), Iterator[ObjectRef[int]])
    assert_type(map_unordered(double, [1]), Iterator[int])
    assert_type(map_unordered(double, [1], yield_obj_refs=True), Iterator[ObjectRef[int]])
    map_unordered(abs, [1])  # type: ignore[call-overload]
