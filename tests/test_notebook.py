"""The notebook of the examples runs in a kernel, and a kernel can be interrupted and killed.

The notebook is stored without outputs: those would grow stale, and what a cell gives stands in its
comment, which is compared here with what it gave.
"""

from __future__ import annotations

import ast
import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, final

import pytest

from snakepit.leftovers import wait_until

pytest.importorskip("ipykernel", reason="notebooks need a kernel")
pytest.importorskip("nbclient", reason="notebooks need something to run them")
nbformat = pytest.importorskip("nbformat", reason="notebooks need something to read them")

NOTEBOOK = Path(__file__).parents[1] / "examples" / "tour.ipynb"
PATIENCE_S = 60
TASKS = """
import snakepit, time
snakepit.init(num_cpus=2)

@snakepit.remote
def square(x):
    return x * x

@snakepit.remote
def announce(path):
    open(path, "w").close()
    time.sleep(600)

@snakepit.remote
class Counter:
    n = 0
    def add(self):
        self.n += 1
        return self.n

counter = Counter.remote()
print(snakepit.get(counter.add.remote()), snakepit.get_runtime_context().get_session_name())
"""
EXECUTE = """
import sys
import nbformat
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

source, sockets, target = sys.argv[1:]
notebook = nbformat.read(source, as_version=4)
manager = AsyncKernelManager(transport="ipc", ip=sockets)
NotebookClient(notebook, km=manager, timeout=60).execute()
nbformat.write(notebook, target)
"""
BURST = """
refs = []
while True:
    refs.append(square.remote(len(refs)))
    if len(refs) == 100:
        open({path!r}, "w").close()
"""


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where Jupyter keeps its sockets and settings: in a short path, as sockets want."""
    with tempfile.TemporaryDirectory(prefix="nb", dir="/tmp") as name:
        for variable in ("RUNTIME_DIR", "CONFIG_DIR", "DATA_DIR"):
            monkeypatch.setenv(f"JUPYTER_{variable}", f"{name}/{variable}")
        monkeypatch.setenv("IPYTHONDIR", f"{name}/ipython")
        monkeypatch.setenv("PYDEVD_DISABLE_FILE_VALIDATION", "1")
        yield Path(name)


@final
class Kernel:
    """A real kernel, whose sockets are in the file system."""

    def __init__(self, folder: Path) -> None:
        from jupyter_client.manager import KernelManager

        self.manager: Any = KernelManager(transport="ipc", ip=str(folder / "k"))
        self.manager.start_kernel()
        self.client: Any = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=PATIENCE_S)
        self.pid: int = self.manager.provisioner.pid

    def begin(self, code: str) -> str:
        """Send a cell; return what `end` needs."""
        asked: str = self.client.execute(code)
        return asked

    def end(self, asked: str) -> tuple[str, str]:
        """Wait for a cell; return what it printed, and the name of what it raised."""
        printed, raised = "", ""
        while True:
            message = self.client.get_iopub_msg(timeout=PATIENCE_S)
            if message["parent_header"].get("msg_id") != asked:
                continue
            content = message["content"]
            match message["msg_type"]:
                case "stream" if content["name"] == "stdout":
                    printed += content["text"]
                case "error":
                    raised = content["ename"]
                case "status" if content["execution_state"] == "idle":
                    return printed, raised

    def run(self, code: str) -> str:
        """Run a cell that raises nothing; return what it printed."""
        printed, raised = self.end(self.begin(code))
        assert not raised, raised
        return printed

    def close(self) -> None:
        """End the kernel, if it is alive, and what serves it here."""
        from jupyter_core.utils import ensure_event_loop

        self.client.stop_channels()
        self.manager.shutdown_kernel(now=not self.manager.is_alive())
        self.manager.context.destroy()
        ensure_event_loop().close()  # Jupyter keeps the one that it made
        asyncio.set_event_loop(None)


@pytest.fixture
def kernel(folder: Path) -> Iterator[Kernel]:
    """A kernel, ended after the test."""
    made = Kernel(folder)
    try:
        yield made
    finally:
        made.close()


def test_the_notebook_runs(folder: Path) -> None:
    notebook: Any = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    assert not any(cell.get("outputs") for cell in notebook.cells), "strip the outputs"
    done = folder / "done.ipynb"
    # In a process of its own, which takes the event loop and the sockets of nbclient with it.
    ran = subprocess.run(
        [sys.executable, "-c", EXECUTE, NOTEBOOK, folder / "k", done],
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert ran.returncode == 0, ran.stderr
    notebook = nbformat.read(done, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    said = 0
    for cell in code:
        last = cell.source.splitlines()[-1]
        if "  # " in last and not last.startswith("snakepit.init"):
            (output,) = (out for out in cell.outputs if out.output_type == "execute_result")
            claim = last.rsplit("  # ", 1)[1].split(":")[0]
            assert ast.literal_eval(output.data["text/plain"]) == ast.literal_eval(claim), last
            said += 1
    assert said == 6
    printed = "".join(out.text for cell in code for out in cell.outputs if "text" in out)
    assert "3\n2\n1\n" in printed and "interrupted\n" in printed
    assert "line 3, in parse\n    return int(text)\n" in printed and "ValueError" in printed


def test_an_interrupted_kernel_goes_on(kernel: Kernel, tmp_path: Path) -> None:
    kernel.run(TASKS)
    for cell in ("snakepit.get(announce.remote({path!r}))", BURST):
        path = tmp_path / f"begun{len(cell)}"
        asked = kernel.begin(cell.format(path=str(path)))
        assert wait_until(path.exists, timeout=PATIENCE_S)
        kernel.manager.interrupt_kernel()
        assert kernel.end(asked)[1] == "KeyboardInterrupt"
    later = "snakepit.get(refs[:100]) == [n * n for n in range(100)], await counter.add.remote()"
    assert kernel.run(f"print({later})") == "True 2\n"
    assert kernel.run("print(snakepit.get([square.remote(n) for n in range(5)]))") == (
        "[0, 1, 4, 9, 16]\n"
    )


@pytest.mark.parametrize("killed", [False, True], ids=["shut down", "killed"])
def test_a_kernel_that_ends_leaves_no_process(kernel: Kernel, killed: bool) -> None:
    import psutil

    kernel.run(TASKS)
    processes = psutil.Process(kernel.pid).children(recursive=True)
    assert len(processes) >= 3  # zygote, actor, workers
    if killed:
        os.kill(kernel.pid, signal.SIGKILL)
    else:
        kernel.manager.shutdown_kernel()
    assert not psutil.wait_procs(processes, timeout=PATIENCE_S)[1]
