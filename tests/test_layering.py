"""The architecture, as tests: who may import whom, what is pure, what an import loads."""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]

FOUNDATION = [
    *"errors carried task_errors sources exceptions faults ids handles bars".split(),
    *"checks config runtime_env machine deadline leftovers neighbours registry".split(),
    *"endings finalizers heartbeats pools refusals sessions".split(),
]
LAYERS: dict[str, float] = {
    **dict.fromkeys(FOUNDATION, 0),
    "wire": 1,
    "policy": 1.5,  # pure too, and speaks of calls in the words of the messages
    "resolving": 1.8,
    "protocol": 1.7,  # values ask the runtime to carry the sockets inside them
    **dict.fromkeys(("payload", "store", "transport"), 2),
    # Payload, store and protocol put together, for both sides of the mailbox.
    **dict.fromkeys(("values", "definitions", "builtin_methods"), 2.5),
    "runtime": 3,
    "api": 4,
    **dict.fromkeys(
        (
            "util",
            "actor",
            "pytest_plugin",  # what pytest loads
            "aio",  # coroutines on top of the API
            "remote_function",
            "script",  # a program around the API
            "adapters",
            "telemetry",
            "gateway",
            "backends",
            "dashboard",
            "testing",
        ),
        5,
    ),
    "examples": 5,  # a user's view: the public names
    "cli": 6,  # shows the examples
}
INSTALLED = {
    "snakepit": "snakepit",
    "workers": "snakepit.workers",
    "examples": "snakepit.examples",
}
PURE = ("snakepit.wire", "snakepit.policy")
IMPURE = frozenset(
    "asyncio multiprocessing os random select selectors signal socket subprocess threading time"
    " ctypes datetime fcntl mmap pathlib secrets shutil tempfile uuid".split()
)
LAZY = (
    "asyncio cloudpickle grpc inspect logging multiprocessing numpy psutil pyarrow".split()
)  # what `import snakepit` must not cost
READS_ENVIRONMENT = ("snakepit.config", "snakepit.workers")
MUTABLE_CALLS = frozenset(
    "list dict set deque defaultdict OrderedDict Counter bytearray"
    " WeakSet WeakKeyDictionary WeakValueDictionary".split()
)


class Import(NamedTuple):
    """One imported name, where, and whether importing the module is enough to run it."""

    module: str
    target: str
    line: int
    eager: bool

    def __str__(self) -> str:
        return f"{self.module}:{self.line} imports {self.target}"


@functools.cache
def modules() -> dict[str, Path]:
    """Every module of the installed package, by its name there."""
    found = {}
    for folder, name in INSTALLED.items():
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            if parts[-1] == "__init__":
                parts = parts[:-1]
            found[".".join([name, *parts])] = path
    return found


@functools.cache
def tree(module: str) -> ast.Module:
    return ast.parse(modules()[module].read_bytes(), str(modules()[module]))


def is_type_checking(node: ast.AST) -> bool:
    test = node.test if isinstance(node, ast.If) else None
    return ast.unparse(test).endswith("TYPE_CHECKING") if test else False


def walk(node: ast.AST, eager: bool = True) -> Iterator[tuple[ast.AST, bool]]:
    """Every node below, and whether it runs when the module is imported."""
    for child in ast.iter_child_nodes(node):
        lazy = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        runs = eager and not lazy and not is_type_checking(child)
        yield child, runs
        yield from walk(child, runs)


def absolute(module: str, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    parts = module.split(".")
    up = node.level - (modules()[module].name == "__init__.py")
    base = parts[: len(parts) - up]
    return ".".join([*base, *([node.module] if node.module else [])])


@functools.cache
def imports(module: str) -> tuple[Import, ...]:
    found = []
    for node, eager in walk(tree(module)):
        if isinstance(node, ast.Import):
            found += [Import(module, a.name, node.lineno, eager) for a in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = absolute(module, node)
            for alias in node.names:
                whole = f"{base}.{alias.name}"
                found.append(
                    Import(module, whole if whole in modules() else base, node.lineno, eager)
                )
    return tuple(found)


def all_imports() -> Iterator[Import]:
    for module in modules():
        yield from imports(module)


def part(module: str) -> str:
    """The entry of the layer table that a module belongs to."""
    return module.split(".")[1] if "." in module else ""


def inside(module: str, packages: tuple[str, ...]) -> bool:
    return any(module == name or module.startswith(name + ".") for name in packages)


def may_import(importer: str, imported: str) -> bool:
    """The rule of the design's layout: what stands below, or oneself."""
    source, target = part(importer), part(imported)
    if source == target or source == "":  # the facade may name anything public
        return True
    if target == "":
        # The package itself holds the public names: only what stands above them may ask it.
        return source != "workers" and LAYERS[source] >= 5
    if target == "workers":
        return source == "testing"  # which makes workers of other parts
    if source == "workers":
        return LAYERS[target] < 3 and target != "policy"
    return LAYERS[target] < LAYERS[source] or LAYERS[source] == LAYERS[target] == 0


def test_every_module_has_a_layer() -> None:
    known = {*LAYERS, "", "workers"}
    assert [name for name in modules() if part(name) not in known] == []


def test_a_layer_imports_only_what_stands_below() -> None:
    inner = [item for item in all_imports() if inside(item.target, ("snakepit",))]
    wrong = [str(item) for item in inner if not may_import(item.module, item.target)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("importer", "imported", "allowed"),
    [
        ("snakepit.runtime.pump", "snakepit.policy.scheduler", True),
        ("snakepit.runtime.pump", "snakepit.runtime.timers", True),
        ("snakepit.faults", "snakepit.errors", True),
        ("snakepit.policy.calls", "snakepit.wire.messages", True),
        ("snakepit.wire.messages", "snakepit.policy.calls", False),
        ("snakepit.store.arena", "snakepit.payload", False),
        ("snakepit.store.arena", "snakepit.runtime", False),
        ("snakepit.api.refs", "snakepit.protocol", True),
        ("snakepit.api.refs", "snakepit", False),
        ("snakepit.cli.main", "snakepit", True),
        ("snakepit.cli.demo", "snakepit.examples.index_python", True),
        ("snakepit.examples.index_python", "snakepit", True),
        ("snakepit.examples.index_python", "snakepit.cli", False),
        ("snakepit.workers.process", "snakepit.transport.outbox", True),
        ("snakepit.workers.process", "snakepit.policy.calls", False),
        ("snakepit.workers.process", "snakepit.api.refs", False),
        ("snakepit.workers.process", "snakepit", False),
        ("snakepit.runtime.zygote", "snakepit.workers.zygote", False),
        ("snakepit.testing.mortal", "snakepit.workers.process", True),
        ("snakepit", "snakepit.api", True),
    ],
)
def test_the_rule_itself(importer: str, imported: str, allowed: bool) -> None:
    assert may_import(importer, imported) is allowed


def test_wire_and_policy_are_pure() -> None:
    core = [item for item in all_imports() if inside(item.module, PURE)]
    assert [str(item) for item in core if item.target.split(".")[0] in IMPURE] == []
    builtins = [
        f"{name}:{node.lineno} calls {node.func.id}"
        for name in modules()
        if inside(name, PURE)
        for node, _ in walk(tree(name))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in ("open", "print", "input", "exec", "eval", "__import__")
    ]
    assert builtins == []


def test_no_module_imports_itself_in_a_circle() -> None:
    graph = {
        name: {i.target for i in imports(name) if i.eager and i.target in modules()} - {name}
        for name in modules()
    }
    while graph:
        leaves = {name for name, needs in graph.items() if not needs & graph.keys()}
        assert leaves, f"a circle among {sorted(graph)}"
        for name in leaves:
            del graph[name]


def test_import_loads_nothing_costly() -> None:
    code = "import sys; import snakepit; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert sorted(set(LAZY) & set(run.stdout.split())) == []


def test_one_module_reads_the_environment() -> None:
    names = ("environ", "environb", "getenv", "getenvb")
    readers = [
        f"{name}:{node.lineno}"
        for name in modules()
        if not inside(name, READS_ENVIRONMENT)
        for node, _ in walk(tree(name))
        if (isinstance(node, ast.Attribute) and node.attr in names)
        or (isinstance(node, ast.alias) and node.name in names)
    ]
    assert readers == []


def is_mutable(value: ast.expr) -> bool:
    if isinstance(value, ast.Call):
        called = value.func.attr if isinstance(value.func, ast.Attribute) else None
        called = value.func.id if isinstance(value.func, ast.Name) else called
        return called in MUTABLE_CALLS
    kinds = ast.List | ast.Dict | ast.Set | ast.ListComp | ast.DictComp | ast.SetComp
    return isinstance(value, kinds)


def mutable_state(module: ast.Module) -> Iterator[str]:
    """Names that hold state at a module's level, tables declared Final apart."""
    for node, eager in walk(module):
        if isinstance(node, ast.Global):
            yield from (f"global {name}" for name in node.names)
        if not eager or node not in module.body:
            continue
        if isinstance(node, ast.AnnAssign) and node.value is not None and is_mutable(node.value):
            name = ast.unparse(node.target)
            if not (name.isupper() and "Final" in ast.unparse(node.annotation)):
                yield name
        elif isinstance(node, ast.Assign) and is_mutable(node.value):
            yield from (n for n in map(ast.unparse, node.targets) if n != "__all__")


def test_no_module_holds_mutable_state() -> None:
    found = [f"{name}: {held}" for name in modules() for held in mutable_state(tree(name))]
    assert found == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("cache = {}", ["cache"]),
        ("SEEN = set()", ["SEEN"]),
        ("queue: Any = collections.deque()", ["queue"]),
        ("TABLE: Final = {1: 2}", []),
        ("table: Final[dict[int, int]] = {1: 2}", ["table"]),
        ("__all__ = ['a']", []),
        ("def f():\n    global x\n    x = []", ["global x"]),
        ("def f():\n    x = []", []),
        ("class A:\n    y = ()", []),
    ],
)
def test_what_counts_as_mutable_state(source: str, found: list[str]) -> None:
    assert list(mutable_state(ast.parse(source))) == found


def test_files_stay_short_enough_to_see_whole() -> None:
    lengths = {str(path): len(path.read_bytes().splitlines()) for path in modules().values()}
    assert {path: length for path, length in lengths.items() if length > 440} == {}
