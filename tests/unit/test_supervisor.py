"""The supervisor of dev.py: what it starts, it also ends."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tools.failures import Interrupted, PartFailed
from tools.supervisor import Part, StopSignals, Supervisor

# Says that it is there, then waits; when asked to end it notes that down.
WAITER = """
import pathlib, signal, sys, threading
name, folder = sys.argv[1], pathlib.Path(sys.argv[2])
end = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: end.set())
(folder / f"{name}.ready").touch()
end.wait()
with (folder / "ended").open("a") as file:
    file.write(name + " ")
"""
DEAF = """
import pathlib, signal, sys, threading
signal.signal(signal.SIGTERM, signal.SIG_IGN)
pathlib.Path(sys.argv[2], f"{sys.argv[1]}.ready").touch()
threading.Event().wait()
"""
PARENT = """
import pathlib, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import threading; threading.Event().wait()"])
folder = pathlib.Path(sys.argv[2])
(folder / "child").write_text(str(child.pid))
(folder / f"{sys.argv[1]}.ready").touch()
child.wait()
"""


def part(name: str, folder: Path, program: str = WAITER, *, grace_seconds: float = 10) -> Part:
    command = [sys.executable, "-c", program, name, str(folder)]
    return Part(name, command, folder, ready=(folder / f"{name}.ready").exists, grace_seconds=grace_seconds)


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    with Supervisor(tmp_path / "logs") as one:
        yield one


def test_parts_are_stopped_the_last_one_first(tmp_path: Path) -> None:
    with Supervisor(tmp_path / "logs") as supervisor:
        for name in ("storage", "host", "worker"):
            supervisor.start(part(name, tmp_path))
    assert (tmp_path / "ended").read_text() == "worker host storage "


def test_parts_are_stopped_when_the_block_fails(tmp_path: Path) -> None:
    def fail() -> None:
        with Supervisor(tmp_path / "logs") as supervisor:
            supervisor.start(part("host", tmp_path))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert (tmp_path / "ended").read_text() == "host "


def test_a_part_that_does_not_listen_is_killed_after_its_grace_period(
    tmp_path: Path, supervisor: Supervisor, capsys: pytest.CaptureFixture[str]
) -> None:
    running = supervisor.start(part("deaf", tmp_path, DEAF, grace_seconds=0.1))
    supervisor.stop()
    assert running.process.returncode == -signal.SIGKILL
    assert "deaf did not stop" in capsys.readouterr().err


def test_the_children_of_a_part_end_with_it(tmp_path: Path, supervisor: Supervisor) -> None:
    supervisor.start(part("parent", tmp_path, PARENT))
    child = psutil.Process(int((tmp_path / "child").read_text()))
    supervisor.stop()
    psutil.wait_procs([child], timeout=10)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_a_part_that_dies_is_reported_with_the_end_of_its_log(tmp_path: Path, supervisor: Supervisor) -> None:
    program = "import sys; print('storage is down', file=sys.stderr); sys.exit(3)"
    dying = Part("host", [sys.executable, "-c", program], tmp_path, ready=lambda: False)
    with pytest.raises(PartFailed, match=r"(?s)host ended with exit code 3\..*host\.log.*storage is down"):
        supervisor.start(dying)


def test_a_part_that_dies_while_another_runs_is_noticed(tmp_path: Path, supervisor: Supervisor) -> None:
    host = supervisor.start(part("host", tmp_path))
    host.process.kill()
    with pytest.raises(PartFailed, match="host ended with exit code -9"):
        supervisor.run(part("client", tmp_path))


def test_a_part_that_never_gets_ready_is_given_up(tmp_path: Path, supervisor: Supervisor) -> None:
    never = Part("slow", part("slow", tmp_path).command, tmp_path, ready=lambda: False)
    with pytest.raises(PartFailed, match=r"slow was not ready after 0 s\. The log is .*slow\.log and is empty"):
        supervisor.start(never, timeout_seconds=0)


def test_a_program_that_is_not_there_is_one_clear_line(tmp_path: Path, supervisor: Supervisor) -> None:
    with pytest.raises(PartFailed, match=r"nothing cannot be started: .*No such file"):
        supervisor.start(Part("nothing", [str(tmp_path / "no-such-program")], tmp_path))


def test_a_request_to_stop_ends_the_wait(tmp_path: Path) -> None:
    signals: list[str] = []
    with Supervisor(tmp_path / "logs", asked_to_stop=lambda: signals[0] if signals else None) as supervisor:
        supervisor.start(part("host", tmp_path))
        signals.append("SIGTERM")
        with pytest.raises(Interrupted, match="SIGTERM"):
            supervisor.stay()
    assert (tmp_path / "ended").read_text() == "host "


def test_run_gives_the_exit_code_and_outcome_the_reason(tmp_path: Path, supervisor: Supervisor) -> None:
    program = [sys.executable, "-c", "import sys; print('no luck'); sys.exit(4)"]
    assert supervisor.run(Part("fails", program, tmp_path)) == 4
    assert "no luck" in (supervisor.outcome(Part("fails", program, tmp_path)) or "")
    assert supervisor.outcome(Part("works", [sys.executable, "-c", ""], tmp_path)) is None


def test_a_killed_part_can_be_started_again_and_its_log_goes_on(tmp_path: Path, supervisor: Supervisor) -> None:
    ready = tmp_path / "host.ready"
    talking = part("host", tmp_path, "print('here', flush=True)\n" + WAITER)
    supervisor.kill(supervisor.start(talking))
    supervisor.watch()
    ready.unlink()
    supervisor.start(talking)
    assert (tmp_path / "logs" / "host.log").read_text().split() == ["here", "here"]


def test_ctrl_c_becomes_a_flag_and_the_old_handler_comes_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    with StopSignals() as asked_to_stop:
        assert asked_to_stop() is None
        signal.raise_signal(signal.SIGINT)
        assert asked_to_stop() == "SIGINT"
    assert signal.getsignal(signal.SIGINT) is before
