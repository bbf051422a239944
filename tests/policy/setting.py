"""What an episode is about: resources, pools, kinds of calls, and how often things go wrong."""

from __future__ import annotations

from random import Random
from typing import NamedTuple

from snakepit.checks import INTERPRETER
from snakepit.policy.heartbeats import Beat
from snakepit.policy.lifespans import Lifespan
from snakepit.policy.resources import UNIT
from snakepit.wire.messages import CREATE, METHOD, PLAIN, TASK, Template

NEEDS: tuple[tuple[tuple[str, int], ...], ...] = (
    (("CPU", UNIT),),
    (("CPU", UNIT),),
    (("CPU", UNIT),),
    (),
    (("CPU", 0),),
    (("CPU", UNIT // 2),),
    (("CPU", 2 * UNIT),),
    (("gpu", UNIT),),
    (("CPU", UNIT), ("gpu", UNIT // 2)),
)


WAITS = (0.05, 0.2, 5.0)
"""Seconds until an open circuit lets a call through."""


class Setting(NamedTuple):
    """One episode's parameters. Rates are per mille of the occasions for what they name."""

    resources: dict[str, float]
    pools: tuple[tuple[str, int, int], ...]  # name, size, limit
    tasks: tuple[Template, ...]
    actors: tuple[Template, ...]
    methods: tuple[Template, ...]
    calls: int
    steps: int
    kill: int
    start_fails: int
    spawn_fails: int
    zygote_fails: int
    zygote_dies: int
    undeliverable: int
    cancel: int
    hang: int
    soft: int
    asks_unread: bool
    closes: bool
    prestart: int
    most_starting: int
    most_in_mailbox: int
    cores: int
    intensity: int
    period: float
    groups: int
    lines: dict[str, tuple[int | None, float | None]]
    budgets: dict[str, tuple[int, float]]  # of retries, in so many seconds
    taints: dict[str, float]  # seconds
    circuits: dict[str, tuple[int, float, float]]  # failures, window, reset_after
    slots: dict[str, int]  # of the workers of those pools that have several
    lifespans: dict[str, Lifespan]
    batches: dict[str, int]  # how many of a pool's workers start at one time
    patience: dict[str, float]  # in how many seconds each must be ready
    initializers: frozenset[str]  # pools whose workers do something before their first call
    stuck: int
    widths: dict[str, int]  # of the slots of those workers, how many are given calls
    pythons: dict[str, str]  # the interpreter of those pools that have one of their own
    eager: frozenset[str]  # pools that start another worker for each call beside another
    recycle: int
    sessions: int
    heartbeats: dict[str, Beat]  # by pool; "" for actors
    stick: int


GROUPS: tuple[tuple[tuple[str, int], ...], ...] = (
    (), (), (("", 1), ("io", 2)), (("", 3), ("io", 1)),
)  # fmt: skip
"""What an actor runs side by side; half of them run one call after the other."""


def template(kind: int, name: str, **fields: object) -> Template:
    """Return a template with the defaults of everything that is not said."""
    values: dict[str, object] = {
        "code": b"", "method": "", "returns": 1, "resources": (), "pool": "main",
        "max_retries": 0, "retry_exceptions": b"", "priority": 0,
        "max_restarts": 0, "max_task_retries": 0, "actor_name": "", "namespace": "ns", "env": (),
        "flavour": PLAIN, "groups": (), "group": "", "backpressure": 0,
        "detached": 0, "max_pending": 0, "timeout": 0.0, "retry_timeout": 0,
        "pooled": 0,
    }  # fmt: skip
    unknown = set(fields) - set(values)
    if unknown:
        raise TypeError(f"a template has no {unknown}")
    return Template(kind, name, **{**values, **fields})  # type: ignore[arg-type]


def make_setting(random: Random, steps: int) -> Setting:
    """Draw an episode's parameters."""
    cpus = random.choice((0, 1, 1, 2, 2, 3, 4))
    resources: dict[str, float] = {"CPU": cpus}
    if random.random() < 0.5:
        resources["gpu"] = random.choice((1, 2))
    pools = [("main", max(1, cpus), random.choice((2, 2, 3, 4, 6, 10)))]
    if random.random() < 0.25:
        pools.append(("other", 1, random.randint(1, 4)))
    lines: dict[str, tuple[int | None, float | None]] = {}
    for name, size, limit in list(pools):
        if random.random() < 0.25:
            lines[name] = random.choice((None, 0, 1, 5, 50)), random.choice((None, 0.1, 10.0))
            pools.remove((name, size, limit))
            pools.append((name, random.randint(0, limit), limit))
    names = [name for name, _, _ in pools]
    slots = {name: random.choice((2, 3, 8)) for name in names if random.random() < 0.3}
    lifespans = {
        name: Lifespan(
            random.choice((None, None, 0.5, 5.0)),
            random.choice((None, 1, 2, 3, 10, 40)),
            random.choice((None, None, 900)),
        )
        for name in names
        if random.random() < 0.25
    }

    others = random.choice((0, 0, 1, 2))
    ranks = random.choice(((0,), (0,), (-1, 0, 3)))

    def env() -> tuple[tuple[str, str], ...]:
        number = random.randint(0, others)
        return ((INTERPRETER, f"python{number}"),) if number else ()

    def needs() -> tuple[tuple[str, int], ...]:
        while True:
            chosen = random.choice(NEEDS)
            fits = all(resources.get(n, 0) * UNIT >= amount for n, amount in chosen)
            if fits or random.random() < 0.05:
                return chosen

    def timeout() -> dict[str, float | int]:
        seconds = random.choice((0.0, 0.0, 0.0, 0.02, 1.0, 60.0))
        return {"timeout": seconds, "retry_timeout": random.randint(0, 1)} if seconds else {}

    tasks = tuple(
        template(
            TASK, f"task{i}", env=env(),
            returns=random.choice((0, 1, 1, 1, 2, 3, -1)), resources=needs(),
            backpressure=random.choice((0, 2)), pool=random.choice(names),
            priority=random.choice(ranks),
            max_retries=random.choice((0, 0, 1, 3, 3, -1)), **timeout(),
        )
        for i in range(random.randint(1, 5))
    )  # fmt: skip
    actors = tuple(
        template(
            CREATE, f"Actor{i}", env=env(), resources=random.choice(((), (), (), needs())),
            pool=random.choice(names), max_restarts=random.choice((0, 0, 1, 2, -1)),
            actor_name=random.choice(("", "", "one")), groups=random.choice(GROUPS),
        )
        for i in range(random.randint(1, 3))
    )  # fmt: skip
    methods = tuple(
        template(
            METHOD, f"method{i}", method="m", returns=random.choice((0, 1, 1, 2, -1)),
            backpressure=random.choice((0, 2)), max_retries=random.choice((0, 0, 1, -1)),
            group=random.choice(("", "", "io")), **timeout(),
        )
        for i in range(3)
    )  # fmt: skip
    # Of dice of its own, so that the episodes are those that they were before there were any.
    dice = Random(repr(random.getstate()))
    actors = tuple(actor._replace(pooled=dice.randint(0, 1)) for actor in actors)
    if dice.random() < 0.1:
        # Seldom else do actors live among tasks, since all of this must come together.
        lines = {name: lines.get(name, (None, None)) for name in names}
        slots = {name: slots.get(name, dice.choice((2, 3))) for name in names}
        actors = tuple(actor._replace(pooled=1) for actor in actors)
    beats = Random(repr(random.getstate()))  # of its own: all else is as if there were none
    calm = random.random() < 0.3
    # Of a generator of its own, so that the episodes of a seed stay what they were.
    more = Random()
    more.setstate(random.getstate())
    return Setting(
        batches={name: more.choice((1, 1, 2, 10)) for name in lines if more.random() < 0.4},
        patience={name: more.choice((0.1, 2.0, 60.0)) for name in lines if more.random() < 0.4},
        initializers=frozenset(name for name in names if more.random() < 0.3),
        widths={name: more.randint(1, 2) for name in slots if more.random() < 0.4},
        pythons={name: "python1" for name in lines if more.random() < 0.2},
        eager=frozenset(name for name in slots if more.random() < 0.4),
        stuck=0 if calm else more.choice((0, 20, 200, 900)),
        resources=resources,
        pools=tuple(pools),
        tasks=tasks,
        actors=actors,
        methods=methods,
        calls=random.choice((20, 60, 200, 400)),
        steps=steps,
        kill=0 if calm else random.choice((3, 10, 30, 100)),
        start_fails=0 if calm else random.choice((0, 0, 20, 100, 400)),
        zygote_fails=0 if calm else random.choice((0, 0, 100, 500, 900)),
        zygote_dies=0 if calm else random.choice((0, 0, 100, 500, 900)),
        spawn_fails=0 if calm else random.choice((0, 0, 10, 100)),
        undeliverable=0 if calm else random.choice((0, 0, 3)),
        cancel=random.choice((0, 2, 20, 50)),
        hang=random.choice((0, 0, 20, 60)),
        soft=random.choice((0, 100, 400)),
        asks_unread=random.random() < 0.5,
        closes=random.random() < 0.1,
        groups=random.choice((0, 0, 1, 3)),
        lines=lines,
        budgets={
            name: (random.choice((0, 1, 3, 20)), random.choice((0.1, 1.0, 60.0)))
            for name in lines
            if random.random() < 0.4
        },
        taints={n: random.choice((0.1, 2.0, 60.0)) for n in lines if random.random() < 0.4},
        circuits={
            name: (random.choice((1, 2, 4)), random.choice((0.1, 1.0, 60.0)), random.choice(WAITS))
            for name in lines
            if random.random() < 0.5
        },
        slots=slots,
        lifespans=lifespans,
        recycle=random.choice((0, 0, 100, 500)),
        sessions=random.choice((0, 0, 1, 4)),
        prestart=random.choice((0, 0, 1, cpus)),
        most_starting=random.choice((1, 2, 16)),
        most_in_mailbox=random.choice((1, 2, 5, 512)),
        cores=random.choice((1, 2, 2, 64)),
        intensity=random.choice((0, 1, 2, 5)),
        period=random.choice((0.6, 2.0, 10.0, 60.0)),
        heartbeats={
            name: Beat(*beats.choice(((0.5, 0.5, 1), (0.5, 1.0, 2), (2.0, 10.0, 3))))
            for name in ("", *names)
            if beats.random() < 0.15
        },
        stick=beats.choice((0, 2, 10)),
    )
