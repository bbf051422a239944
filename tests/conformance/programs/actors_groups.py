"""Actors: health checks that long work does not hold up."""

from __future__ import annotations

import os
import tempfile
import time
from typing import Any

EXPECTED = (True, "worked")


def main(ray: Any) -> Any:
    flag = os.path.join(tempfile.mkdtemp(), "go")

    @ray.remote(concurrency_groups={"health": 1})
    class Server:
        def work(self):
            while not os.path.exists(flag):
                time.sleep(0.005)
            return "worked"

        @ray.method(concurrency_group="health")
        def healthy(self):
            return True

    server = Server.remote()
    work = server.work.remote()
    healthy = ray.get(server.healthy.remote())
    open(flag, "w").close()
    return healthy, ray.get(work)
