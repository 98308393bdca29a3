"""Starts the parts of the project as child processes, watches them, and leaves none behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, TracebackType
from typing import IO, Any, Self

from tools.failures import Interrupted, PartFailed

LOOK_SECONDS = 0.05
TAIL_LINES = 15
STOP_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)]


class StopSignals:
    """Turns Ctrl-C and its relatives into a flag while it is entered.

    A flag and no exception: an exception could strike between the birth of a child process and the line
    that notes it down, and that child would stay behind.
    """

    def __init__(self) -> None:
        self.received: str | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in STOP_SIGNALS:
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self.received = signal.Signals(number).name

    def __call__(self) -> str | None:
        """The name of the signal that asked to stop, None while nobody did."""
        return self.received


@dataclass(frozen=True)
class Part:
    """One program to run: `ready` says when it can be used; `shown` lets it print to this terminal.

    It is asked to end by `stop_with` (CTRL_BREAK on Windows) and killed `grace_seconds` later.
    """

    name: str
    command: Sequence[str]
    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    ready: Callable[[], bool] = lambda: True
    shown: bool = False
    stop_with: signal.Signals = signal.SIGTERM
    grace_seconds: float = 10.0


@dataclass(frozen=True)
class Running:
    part: Part
    process: subprocess.Popen[bytes]


class Supervisor:
    """Owns every process it started: leaving its `with` block stops them all, the last one first."""

    def __init__(self, logs: Path, *, asked_to_stop: Callable[[], str | None] = lambda: None) -> None:
        self.logs = logs
        self._asked_to_stop = asked_to_stop
        self._running: list[Running] = []
        self._logged: set[Path] = set()

    def __enter__(self) -> Self:
        self.logs.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self, part: Part, *, timeout_seconds: float = 60.0) -> Running:
        """Start `part` and come back once it is ready. Raises PartFailed, Interrupted."""
        running = self._spawn(part)
        deadline = time.monotonic() + timeout_seconds
        while not part.ready():
            self.watch()
            if time.monotonic() > deadline:
                raise PartFailed(f"{part.name} was not ready after {timeout_seconds:.0f} s.{_tail(self.logs, part)}")
            time.sleep(LOOK_SECONDS)
        self.watch()
        return running

    def run(self, part: Part) -> int:
        """Run `part` to its end, watching the others; its exit code. Raises PartFailed, Interrupted."""
        running = self._spawn(part)
        while (code := running.process.poll()) is None:
            self._watch(except_for=running)
            time.sleep(LOOK_SECONDS)
        self.end(running)
        return code

    def outcome(self, part: Part, *, lines: int = TAIL_LINES) -> str | None:
        """Run `part` to its end; None when all went well, else the exit code and the end of its log."""
        code = self.run(part)
        return None if code == 0 else f"{part.name} ended with exit code {code}.{_tail(self.logs, part, lines)}"

    def stay(self) -> None:
        """Watch for as long as all goes well; always ends in PartFailed or Interrupted."""
        while True:
            self.watch()
            time.sleep(LOOK_SECONDS)

    def watch(self) -> None:
        """Raise Interrupted when asked to stop, PartFailed when a part has ended by itself."""
        self._watch()

    def _watch(self, except_for: Running | None = None) -> None:
        if name := self._asked_to_stop():
            raise Interrupted(f"Stopped by {name}.")
        for running in self._running:
            code = running.process.poll()
            if code is not None and running is not except_for:
                raise PartFailed(f"{running.part.name} ended with exit code {code}.{_tail(self.logs, running.part)}")

    def kill(self, running: Running) -> None:
        """End one part at once, as a crash would, and watch it no more: what happens next is the caller's."""
        _end_at_once(running.process)
        running.process.wait()
        self._running.remove(running)

    def stop(self) -> None:
        """Stop everything, the last one first: ask, wait the grace period, then kill."""
        while self._running:
            self.end(self._running[-1])

    def end(self, running: Running) -> None:
        """Stop one part as `stop` does, and watch it no more; it can be started again."""
        part = running.part
        if running.process.poll() is None:
            _ask_to_end(running.process, part.stop_with)
            try:
                running.process.wait(part.grace_seconds)
            except subprocess.TimeoutExpired:
                print(f"{part.name} did not stop in {part.grace_seconds:.0f} s; killed.", file=sys.stderr)
        # Also when it ended well: its own children may have outlived it.
        _end_at_once(running.process)
        running.process.wait()
        self._running.remove(running)

    def _spawn(self, part: Part) -> Running:
        output = self._open_log(part)
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8", **part.environment}
        try:
            process = subprocess.Popen(  # noqa: S603 - the commands are this project's own
                list(part.command),
                cwd=part.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=None if output is None else subprocess.STDOUT,
                **_own_group(),
            )
        except OSError as error:
            raise PartFailed(f"{part.name} cannot be started: {error}.") from error
        finally:
            if output is not None:
                output.close()
        running = Running(part, process)
        self._running.append(running)
        return running

    def _open_log(self, part: Part) -> IO[bytes] | None:
        log = _log(self.logs, part)
        if log is None:
            return None
        # A part that is started again goes on in its log; one of an earlier run is overwritten.
        mode = "ab" if log in self._logged else "wb"
        self._logged.add(log)
        return log.open(mode)


def _log(logs: Path, part: Part) -> Path | None:
    return None if part.shown else logs / f"{part.name}.log"


def _tail(logs: Path, part: Part, count: int = TAIL_LINES) -> str:
    log = _log(logs, part)
    if log is None:
        return " Its output is above."
    lines = log.read_text("utf-8", errors="replace").splitlines()[-count:]
    shown = "".join(f"\n  | {line}" for line in lines)
    return f" The log is {log}" + (f"; it ends with:{shown}" if lines else " and is empty.")


# A group of its own keeps the terminal's Ctrl-C away from the parts (the supervisor stops them in order),
# and lets a part's own children be ended with it.
if sys.platform == "win32":

    def _own_group() -> dict[str, Any]:
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}

    def _ask_to_end(process: subprocess.Popen[bytes], _number: signal.Signals) -> None:
        process.send_signal(signal.CTRL_BREAK_EVENT)

    def _end_at_once(process: subprocess.Popen[bytes]) -> None:
        command = ["taskkill", "/T", "/F", "/PID", str(process.pid)]
        subprocess.run(command, capture_output=True, check=False)  # noqa: S603 - a number is all that varies

else:

    def _own_group() -> dict[str, Any]:
        return {"start_new_session": True}

    def _ask_to_end(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
        _signal_group(process, number)

    def _end_at_once(process: subprocess.Popen[bytes]) -> None:
        _signal_group(process, signal.SIGKILL)

    def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            return  # nobody of the group is left: what was wanted
        except PermissionError:
            return  # macOS answers so when only an ended leader is left in the group
