"""The register of runs: one small file for each runtime, where only its user can write.

A driver that is killed together with its zygote can leave processes behind. Its file tells a later
start, or `snakepit cleanup`, that there was such a run, and `snakepit ps` that there is one.

The files lie in `snakepit` in $XDG_RUNTIME_DIR, or else in `snakepit-UID` in the directory for
temporary files. A directory that another user owns or may enter is refused, and so is a link in
its place: in a directory that all may write to, that is how one user has another's files written
or removed. All that is done in it goes by its descriptor, so that nothing can be put in its place
between the look and the deed. Readers look at both: a shell may have the variable where a cron job
has none.

A run is judged by the boot, the pid namespace, the pid and the start time of its driver, so that a
recycled pid is nobody's. What another pid namespace wrote (a container that shares the directory)
cannot be judged, and is left alone.

Whoever writes bears every `OSError`: a full disk costs the file and nothing else. Names that begin
with a run's id and a dot are that run's, whatever made them, and go with it.
"""

from __future__ import annotations

import json
import os
import stat
import sys
import time
from collections.abc import Iterator
from typing import Final, NamedTuple

from .config import runtime_directories
from .ids import run_is_alive, start_time

ALIVE: Final = "alive"
DEAD: Final = "dead"
ELSEWHERE: Final = "elsewhere"
"""Of another pid namespace, where its pids mean other processes."""

_SUFFIX: Final = ".json"
_LARGEST: Final = 1 << 16
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
_OLD: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Process(NamedTuple):
    """A process that no other is mistaken for: its pid, and when it started (see `start_time`)."""

    pid: int
    started: int

    def lives(self) -> bool:
        """Tell whether it still runs."""
        return self.started != 0 and start_time(self.pid) == self.started


class Record(NamedTuple):
    """What the file of a run says.

    Attributes:
        run: the run's id, which names the driver's pid and its start time.
        script: the program that drives it.
        since: seconds since the epoch.
        boot: the kernel's id of the boot; "" where there is none.
        namespace: the pid namespace; "" where there is none.
        zygotes: the processes that its workers are forked from.
    """

    run: str
    script: str
    since: float
    boot: str
    namespace: str
    zygotes: tuple[Process, ...]

    @property
    def pid(self) -> int:
        """The driver's."""
        return int(self.run.partition("-")[0])

    def state(self) -> str:
        """Return `ALIVE`, `DEAD` or `ELSEWHERE`."""
        if self.boot != _boot():
            return DEAD
        if self.namespace != _namespace():
            return ELSEWHERE
        if not start_time(os.getpid()):  # no /proc here: the pid has to do
            return ALIVE if _answers(self.pid) else DEAD
        return ALIVE if run_is_alive(self.run) else DEAD


def own_record(run: str) -> Record:
    """Return the record of `run`, which this process drives, without zygotes yet."""
    return Record(run, _script(), time.time(), _boot(), _namespace(), ())


def write(record: Record) -> bool:
    """Write the file of a run, whole or not at all; return whether that was possible."""
    text = json.dumps(record._asdict()).encode()
    new, name = f"{record.run}.new", record.run + _SUFFIX
    for directory in _directories(create=True):
        try:
            fd = os.open(new, _NEW, 0o600, dir_fd=directory)
            try:
                whole = os.write(fd, text) == len(text)
            finally:
                os.close(fd)
            if whole:
                os.rename(new, name, src_dir_fd=directory, dst_dir_fd=directory)
                return True
        except OSError:
            pass
        _unlink(new, directory)
    return False


def remove(run: str, *, dry_run: bool = False) -> list[str]:
    """Remove all files of a run; return their names, also where they are only looked for."""
    removed = []
    for directory in _directories():
        for name in _listed(directory):
            if name.partition(".")[0] == run and (dry_run or _unlink(name, directory)):
                removed.append(name)
    return removed


def records() -> list[Record]:
    """Return the records of all runs that have one, the oldest first."""
    found = {}
    for directory in _directories():
        for run in {name.partition(".")[0] for name in _listed(directory)}:
            if _is_run(run):
                found[run] = _read(directory, run)
    return sorted(found.values(), key=lambda record: (record.since, record.run))


def dead_runs() -> list[Record]:
    """Return the records of the runs whose drivers have ended without removing them."""
    return [record for record in records() if record.state() == DEAD]


def _directories(*, create: bool = False) -> Iterator[int]:
    """Yield a descriptor of each directory that is this user's alone; open until the next."""
    for base, name in runtime_directories():
        try:
            directory = _open_own(base, name, create)
        except OSError:
            continue
        try:
            yield directory
        finally:
            os.close(directory)


def _open_own(base: str, name: str, create: bool) -> int:
    path = os.path.join(base, name)
    if create:
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:
            pass
    directory = os.open(path, _DIRECTORY)
    try:
        status = os.fstat(directory)
        if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o077:
            raise PermissionError(f"{path} must be this user's, with mode 0700")
    except BaseException:
        os.close(directory)
        raise
    return directory


def _unlink(name: str, directory: int) -> bool:
    try:
        os.unlink(name, dir_fd=directory)
    except OSError:
        return False
    return True


def _listed(directory: int) -> list[str]:
    try:
        return os.listdir(directory)
    except OSError:
        return []


def _read(directory: int, run: str) -> Record:
    """Return what the file of `run` says; what is missing or torn is as if of this very boot."""
    try:
        fd = os.open(run + _SUFFIX, _OLD, dir_fd=directory)
        try:
            said = json.loads(os.read(fd, _LARGEST))
        finally:
            os.close(fd)
        return Record(
            run,
            str(said["script"]),
            float(said["since"]),
            str(said["boot"]),
            str(said["namespace"]),
            tuple(Process(int(pid), int(started)) for pid, started in said["zygotes"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return Record(run, "", 0.0, _boot(), _namespace(), ())


def _is_run(text: str) -> bool:
    pid, _, rest = text.partition("-")
    started, _, token = rest.partition("-")
    return pid.isdecimal() and started.isdecimal() and token.isalnum() and text.isascii()


def _script() -> str:
    name = sys.argv[0] if getattr(sys, "argv", None) else ""
    return os.path.abspath(name) if os.path.exists(name) else name


def _boot() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return file.read().strip()
    except OSError:
        return ""


def _namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def _answers(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
