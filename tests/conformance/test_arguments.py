"""References among the arguments: at the top level their values arrive, deeper the references."""

from __future__ import annotations

from typing import Any

import pytest


def test_a_reference_at_the_top_level_arrives_as_its_value(ray: Any) -> None:
    @ray.remote
    def kind(x: Any) -> str:
        return type(x).__name__

    assert ray.get(kind.remote(ray.put(5))) == "int"


def test_a_reference_as_a_keyword_argument_arrives_as_its_value(ray: Any) -> None:
    @ray.remote
    def double(*, x: int) -> int:
        return 2 * x

    assert ray.get(double.remote(x=ray.put(5))) == 10


@pytest.mark.parametrize("wrap", [lambda r: [r], lambda r: (r,), lambda r: {"k": r}], ids="ltd")
def test_a_reference_in_a_container_stays_a_reference(ray: Any, wrap: Any) -> None:
    @ray.remote
    def look(box: Any) -> Any:
        (inner,) = box.values() if isinstance(box, dict) else box
        return isinstance(inner, ray.ObjectRef), ray.get(inner)

    assert ray.get(look.remote(wrap(ray.put("x")))) == (True, "x")


def test_a_reference_in_an_object_stays_a_reference(ray: Any) -> None:
    class Box:
        def __init__(self, ref: Any) -> None:
            self.ref = ref

    @ray.remote
    def open_box(box: Any) -> Any:
        return ray.get(box.ref)

    assert ray.get(open_box.remote(Box(ray.put("x")))) == "x"


def test_a_reference_that_a_function_closes_over_can_be_got(ray: Any) -> None:
    ref = ray.put("closed over")

    @ray.remote
    def look() -> Any:
        return ray.get(ref)

    assert ray.get(look.remote()) == "closed over"


def test_a_task_starts_when_its_arguments_are_there(ray: Any, gate: Any, tally: Any) -> None:
    @ray.remote
    def slow() -> int:
        gate.wait()
        return 1

    @ray.remote
    def after(x: int) -> int:
        tally.add()
        return x + 1

    ref = after.remote(slow.remote())
    assert ray.wait([ref], timeout=0.1)[0] == []
    assert tally.count == 0
    gate.open()
    assert ray.get(ref) == 2


def test_a_chain_of_tasks(ray: Any) -> None:
    @ray.remote
    def add(x: int) -> int:
        return x + 1

    ref: Any = 0
    for _ in range(20):
        ref = add.remote(ref)
    assert ray.get(ref) == 20


def test_a_tree_of_tasks(ray: Any) -> None:
    @ray.remote
    def join(a: list[int], b: list[int]) -> list[int]:
        return a + b

    leaves: list[Any] = [ray.put([i]) for i in range(8)]
    while len(leaves) > 1:
        leaves = [join.remote(*leaves[i : i + 2]) for i in range(0, len(leaves), 2)]
    assert ray.get(leaves[0]) == list(range(8))


def test_one_reference_for_several_tasks_and_parameters(ray: Any) -> None:
    @ray.remote
    def add(a: int, b: int) -> int:
        return a + b

    ref = ray.put(2)
    assert ray.get([add.remote(ref, ref), add.remote(ref, 1)]) == [4, 3]


def test_many_arguments(ray: Any) -> None:
    @ray.remote
    def total(*args: int) -> int:
        return sum(args)

    assert ray.get(total.remote(*[ray.put(i) for i in range(100)])) == 4950


def test_one_of_several_results_as_an_argument(ray: Any) -> None:
    @ray.remote(num_returns=2)
    def pair() -> tuple[int, int]:
        return 1, 2

    @ray.remote
    def double(x: int) -> int:
        return 2 * x

    _, second = pair.remote()
    assert ray.get(double.remote(second)) == 4


def test_the_callers_argument_is_not_changed(ray: Any) -> None:
    @ray.remote
    def change(items: list[int]) -> list[int]:
        items.append(4)
        return items

    mine = [1, 2, 3]
    assert ray.get(change.remote(mine)) == [1, 2, 3, 4]
    assert mine == [1, 2, 3]


def test_an_argument_is_taken_as_it_is_at_the_call(ray: Any, gate: Any) -> None:
    @ray.remote
    def look(items: list[int]) -> list[int]:
        gate.wait()
        return items

    mine = [1]
    ref = look.remote(mine)
    mine.append(2)
    gate.open()
    assert ray.get(ref) == [1]


def test_a_reference_outlives_the_name_that_held_it(ray: Any, gate: Any) -> None:
    @ray.remote
    def use(_: Any, x: str) -> str:
        return x

    @ray.remote
    def wait_first() -> None:
        gate.wait()

    ref = use.remote(wait_first.remote(), ray.put("kept"))
    gate.open()
    assert ray.get(ref) == "kept"


def test_a_reference_is_passed_on_by_a_task(ray: Any) -> None:
    @ray.remote
    def leaf(x: int) -> int:
        return x + 1

    @ray.remote
    def pass_on(box: Any) -> Any:
        return leaf.remote(box[0])

    assert ray.get(ray.get(pass_on.remote([ray.put(1)]))) == 2


def test_what_a_task_puts_outlives_it(ray: Any) -> None:
    @ray.remote
    def make() -> Any:
        return [ray.put("made inside")]

    (ref,) = ray.get(make.remote())
    assert ray.get(ref) == "made inside"


def test_a_large_argument_arrives(ray: Any) -> None:
    @ray.remote
    def size(data: bytes) -> int:
        return len(data)

    assert ray.get(size.remote(b"x" * 1_000_000)) == 1_000_000


def test_a_class_of_the_drivers_arrives(ray: Any) -> None:
    class Point:
        def __init__(self, x: int) -> None:
            self.x = x

    @ray.remote
    def move(point: Any) -> Any:
        point.x += 1
        return point

    assert ray.get(move.remote(Point(1))).x == 2


def test_a_function_as_an_argument(ray: Any) -> None:
    @ray.remote
    def apply(function: Any, x: int) -> Any:
        return function(x)

    assert ray.get(apply.remote(lambda x: x + 1, 1)) == 2
