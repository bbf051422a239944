"""Progress bars of workers, as they arrive at the driver."""

from __future__ import annotations

import io
import os
import re
from contextlib import redirect_stderr

import pytest

import snakepit
from snakepit import errors
from snakepit.util import tqdm
from tests.runtime.helpers import PATIENCE, wait_until


@pytest.mark.usefixtures("runtime")
def test_bars_of_tasks_and_actors() -> None:
    @snakepit.remote
    def fails(count: int) -> None:
        for n in tqdm(range(count), desc="fails"):
            assert n < 2

    @snakepit.remote(max_retries=0)
    def dies() -> None:
        held = tqdm(total=4, desc="dies", flush_interval_s=0)
        held.update()
        os._exit(3)

    @snakepit.remote
    class Counts:
        def __init__(self) -> None:
            self.bar = tqdm(total=3, desc="counts")

        def count(self) -> int:
            self.bar.update()
            return os.getpid()

        async def end(self) -> None:
            self.bar.close()

    with redirect_stderr(io.StringIO()) as stream:
        with pytest.raises(AssertionError):
            snakepit.get(fails.remote(4), timeout=PATIENCE)
        with pytest.raises(errors.WorkerCrashedError):
            snakepit.get(dies.remote(), timeout=PATIENCE)
        counts = Counts.remote()
        pid = snakepit.get([counts.count.remote() for _ in range(3)], timeout=PATIENCE)[0]
        snakepit.get(counts.end.remote(), timeout=PATIENCE)
        wanted = [
            r"^\(pid=\d+\) fails:  50%.* 2/4 .*/s\]$",
            r"^\(pid=\d+\) dies:  25%.* 1/4 .*\(its process has ended\)$",
            rf"^\(pid={pid}\) counts: 100%.* 3/3 ",
        ]

        def shown() -> bool:
            return all(re.search(each, stream.getvalue(), re.MULTILINE) for each in wanted)

        assert wait_until(shown), stream.getvalue()


@pytest.mark.usefixtures("runtime")
@pytest.mark.parametrize("kind", ["threads", "coroutines"])
def test_a_bar_that_is_given_up_beside_other_calls(kind: str) -> None:
    class Threads:
        def fails(self) -> None:
            for n in tqdm(range(4), desc="fails"):
                assert n < 2

    class Coroutines:
        async def fails(self) -> None:
            for n in tqdm(range(4), desc="fails"):
                assert n < 2

    made = snakepit.remote(max_concurrency=2)(Threads if kind == "threads" else Coroutines)
    with redirect_stderr(io.StringIO()) as stream:
        actor = made.remote()
        with pytest.raises(AssertionError):
            snakepit.get(actor.fails.remote(), timeout=PATIENCE)
        assert wait_until(lambda: "2/4" in stream.getvalue()), stream.getvalue()
