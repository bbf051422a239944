"""The register of runs: who may write to it, who counts as dead, and what the commands say."""

from __future__ import annotations

import errno
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

import snakepit
from snakepit import ids, registry
from snakepit.cli.commands import command
from snakepit.deadline import Deadline
from snakepit.ids import new_run, start_time
from snakepit.registry import ALIVE, DEAD, ELSEWHERE, Process, dead_runs, own_record, records
from snakepit.runtime.registration import Registration
from snakepit.transport.sweep import await_zygotes, sweep_registered


@pytest.fixture(autouse=True)
def register(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty register for each test."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path / "snakepit"


def fallback(folder: Path) -> Path:
    return folder / f"snakepit-{os.geteuid()}"


def recycled() -> str:
    """A run whose driver's pid is this process's now."""
    return f"{os.getpid()}-{start_time(os.getpid()) - 1}-aaaa"


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder)) if folder.exists() else []


def test_a_record_is_read_as_it_was_written(register: Path) -> None:
    record = own_record(new_run())._replace(zygotes=(Process(7, 8), Process(9, 10)))
    odd = own_record(new_run())._replace(script="a\n\udcff\t", since=record.since + 1)
    assert registry.write(record) and registry.write(odd)
    assert records() == [record, odd]
    assert record.state() == ALIVE and record.pid == os.getpid()
    assert register.stat().st_mode & 0o777 == 0o700
    assert {(register / name).stat().st_mode & 0o777 for name in names(register)} == {0o600}
    (register / f"{record.run}.sock").touch()
    assert sorted(registry.remove(record.run)) == [f"{record.run}.json", f"{record.run}.sock"]
    registry.remove(odd.run)
    assert names(register) == []


def test_a_pid_that_is_anothers_now_and_another_boot_are_dead(register: Path) -> None:
    old = own_record(recycled())
    rebooted = own_record(new_run())._replace(boot="another")
    here = own_record(new_run())
    foreign = own_record("4194999-1-bbbb")._replace(namespace="pid:[1]")
    for record in (old, rebooted, here, foreign):
        assert registry.write(record)
    states = [record.state() for record in (old, rebooted, here, foreign)]
    assert states == [DEAD, DEAD, ALIVE, ELSEWHERE]
    assert {record.run for record in dead_runs()} == {old.run, rebooted.run}
    sweep_registered(dead_runs())
    assert {record.run for record in records()} == {here.run, foreign.run}


def test_a_driver_that_nobody_has_waited_for_is_dead() -> None:
    with subprocess.Popen(["/bin/true"]) as process:
        started = start_time(process.pid)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        run = f"{process.pid}-{started or 1}-aaaa"
        assert own_record(run).state() == DEAD


@pytest.mark.parametrize("text", ["", "{", "[]", '{"script": 1}', "\0" * 99, "nul", '"' * 70_000])
def test_a_torn_file_goes_with_its_driver(register: Path, text: str) -> None:
    alive, dead = own_record(new_run()), own_record(recycled())
    for record in (alive, dead):
        assert registry.write(record)
        (register / f"{record.run}.json").write_text(text)
    assert [record.run for record in dead_runs()] == [dead.run]
    sweep_registered(dead_runs())
    assert names(register) == [f"{alive.run}.json"]


def test_what_is_no_file_of_a_run_stays(register: Path) -> None:
    registry.write(own_record(recycled()))
    for name in ("notes.txt", "1-2.json", "x-1-aa.json", "1-x-aa.json", "1-1-a_a.json"):
        (register / name).touch()
    sweep_registered(dead_runs())
    assert len(names(register)) == 5


def test_a_directory_that_others_may_enter_is_refused(tmp_path: Path, register: Path) -> None:
    register.mkdir()
    register.chmod(0o750)
    record = own_record(new_run())
    assert registry.write(record)
    assert names(register) == [] and names(fallback(tmp_path)) == [f"{record.run}.json"]
    assert records() == [record]


def test_a_link_in_its_place_is_refused(tmp_path: Path, register: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    for place in (register, fallback(tmp_path)):
        place.symlink_to(elsewhere)
    (elsewhere / f"{recycled()}.json").touch()
    assert not registry.write(own_record(new_run()))
    assert registry.remove(recycled()) == [] and records() == []
    assert len(names(elsewhere)) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_another_users_directory_is_refused(tmp_path: Path, register: Path) -> None:
    for place in (register, fallback(tmp_path)):
        place.mkdir(mode=0o700)
        os.chown(place, 12345, 12345)
    assert not registry.write(own_record(new_run()))
    assert names(register) == names(fallback(tmp_path)) == []


def test_anothers_runtime_directory_is_not_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "relative")
    assert registry.write(own_record(new_run()))
    assert len(names(fallback(tmp_path))) == 1


def test_a_full_disk_leaves_no_half_of_a_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, register: Path
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(registry.os, "write", lambda fd, text: 1)
        assert not registry.write(own_record(new_run()))
    assert names(register) == names(fallback(tmp_path)) == []

    def full(fd: int, text: bytes) -> int:
        raise OSError(errno.ENOSPC, "no space left")

    with monkeypatch.context() as patch:
        patch.setattr(registry.os, "write", full)
        assert not registry.write(own_record(new_run()))
    assert names(register) == names(fallback(tmp_path)) == []


def test_without_a_directory_it_is_said_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("XDG_RUNTIME_DIR", "TMPDIR"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    caplog.set_level(logging.DEBUG, "snakepit")
    with snakepit.init(num_cpus=1):
        assert snakepit.get(snakepit.put(1)) == 1
        assert CliRunner().invoke(command, ["ps"]).output == "no snakepit runs here\n"
    said = [entry for entry in caplog.records if "not in the register" in entry.message]
    assert [entry.levelno for entry in said] == [logging.DEBUG]


def test_a_runtime_is_registered_until_it_ends(register: Path) -> None:
    with snakepit.init(num_cpus=1) as facts:
        [record] = records()
        assert record.run == facts["run"] and record.state() == ALIVE
        assert len(record.zygotes) == 1 and record.zygotes[0].lives()
        [shown] = json.loads(CliRunner().invoke(command, ["ps", "--json"]).output)
        assert (shown["run"], shown["pid"]) == (record.run, os.getpid())
        assert shown["zygotes"] == [record.zygotes[0].pid]
        head, line = CliRunner().invoke(command, ["ps"]).output.splitlines()
        assert head.split() == ["RUN", "PID", "SINCE", "WORKERS", "SCRIPT"]
        assert line.startswith(f"{record.run}  {os.getpid()}  20")
    assert names(register) == []


def test_ps_counts_the_workers_and_names_the_script(register: Path) -> None:
    with snakepit.init(num_cpus=2):

        @snakepit.remote
        class Actor:
            def ready(self) -> bool:
                return True

        actors = [Actor.options(num_cpus=0).remote() for _ in range(3)]
        assert all(snakepit.get([actor.ready.remote() for actor in actors]))
        [shown] = json.loads(CliRunner().invoke(command, ["ps", "--json"]).output)
        assert shown["workers"] >= 3
        assert shown["script"] == registry._script()


def test_a_zygote_that_replaces_another_is_written(register: Path) -> None:
    registration = Registration(new_run())
    with subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE) as first:
        registration._began(first.pid)
        assert [zygote.pid for zygote in records()[0].zygotes] == [first.pid]
        assert first.communicate() == (None, None)
    registration._began(os.getpid())
    assert [zygote.pid for zygote in records()[0].zygotes] == [os.getpid()]
    registration.end()
    assert names(register) == []


def test_only_a_zygote_that_lives_is_waited_for() -> None:
    me = start_time(os.getpid())
    gone = own_record(recycled())._replace(
        zygotes=(Process(os.getpid(), me - 1), Process(4194999, 1), Process(os.getpid(), 0))
    )
    looked: list[bool] = []
    await_zygotes([gone], Deadline.after(60), lambda: bool(looked.append(True)))
    assert looked == []
    alive = gone._replace(zygotes=(Process(os.getpid(), me),))
    await_zygotes([alive], Deadline.after(60), lambda: len(looked) > 2 or bool(looked.append(True)))
    assert len(looked) == 3


@pytest.fixture
def orphan(monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[bytes]]:
    """A marked process whose run is dead to this process alone; others' sweeps spare it."""
    run = new_run()
    registry.write(own_record(run))
    monkeypatch.setattr(ids, "run_is_alive", lambda asked: asked != run)
    monkeypatch.setattr(registry, "run_is_alive", lambda asked: asked != run)
    environment = {**os.environ, "SNAKEPIT_RUN": f"{run}:3"}
    with subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE, env=environment) as process:
        yield process
        process.kill()


def test_cleanup_says_what_it_does(orphan: subprocess.Popen[bytes], register: Path) -> None:
    [file] = names(register)
    run = file.removesuffix(".json")
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as unrelated:
        told = CliRunner().invoke(command, ["cleanup", "--dry-run"])
        assert told.output == (
            f"would end process {orphan.pid} (cat) of run {run}\nwould remove file {file}\n"
        )
        assert names(register) == [file] and orphan.poll() is None
        told = CliRunner().invoke(command, ["cleanup"])
        assert (
            told.output == f"ended process {orphan.pid} (cat) of run {run}\nremoved file {file}\n"
        )
        assert orphan.wait() == -9
        assert CliRunner().invoke(command, ["cleanup"]).output == "nothing to clean up\n"
        assert unrelated.poll() is None
        unrelated.communicate(b"\n")
    assert unrelated.returncode == 0
