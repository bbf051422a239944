"""A driver to be killed: workers with subprocesses, daemons and forking daemons, then a wait."""

from __future__ import annotations

import os
import signal
import sys

from zygote_harness import Zygote

START = """
import os, subprocess
subprocess.Popen(['sleep', '1000'])
subprocess.Popen(['sleep', '1000'], start_new_session=True)
subprocess.Popen(['sleep', '1000'], start_new_session=True, env={})
"""
FORKING = """
import subprocess
loop = 'while :; do sleep 1000 & sleep 0.02; done'
subprocess.Popen(['sh', '-c', loop], start_new_session=True)
"""


def main(count: int, fork: bool) -> None:
    """Print the run, then the pids of the fork (or 0) and of the zygote, once all is up."""
    zygote = Zygote()
    workers = [zygote.spawn() for _ in range(count)]
    for worker in workers:
        worker.run(START)
    for worker in workers[:2]:
        worker.run(FORKING)
    child = 0
    if fork:
        child = os.fork()
        if not child:
            signal.pause()
    print(zygote.run, child, zygote.client.pid, *(w.pid for w in workers), flush=True)
    signal.pause()


main(int(sys.argv[1]), sys.argv[2] == "fork")
