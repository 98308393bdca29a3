"""dev.py and the parts as processes of their own, and the proof that none of them stays behind."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import IO, Self
from uuid import uuid4

import psutil

from tools.installation import ROOT, Places

WAIT_SECONDS = 120
MARK = "DEV_TEST_MARK"


def places() -> Places:
    """What runs these tests, for the parts that they start: nothing is installed again."""
    return Places.of(ROOT, sys.prefix, os.environ.get("DEV_NODE_MODULES") or str(ROOT / "node_modules"))


def copy_of_project(target: Path) -> Path:
    """What a fresh clone of this working tree would hold: nothing that git ignores."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0")
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    return target


@dataclass(frozen=True)
class Mark:
    """A word in the environment of a process, which all that it starts inherit: by it they are found again."""

    word: str = field(default_factory=lambda: uuid4().hex)

    def environment(self) -> dict[str, str]:
        return {**os.environ, **places().environment(), MARK: self.word}

    def alive(self) -> list[psutil.Process]:
        """The processes that carry the mark and have not ended."""
        return [process for process in psutil.process_iter() if self._is_on(process)]

    def commands(self) -> list[str]:
        """The command lines of what is alive, for a message."""
        return [" ".join(process.cmdline()) for process in self.alive()]

    def _is_on(self, process: psutil.Process) -> bool:
        try:
            ended = process.status() == psutil.STATUS_ZOMBIE
            return not ended and process.environ().get(MARK) == self.word
        except psutil.Error:
            return False  # it has ended meanwhile, or it is somebody else's


class DevPy:
    """One run of dev.py: its lines as they come, then its exit code. Leaving the block ends all of it."""

    def __init__(self, folder: Path, arguments: Sequence[str]) -> None:
        self.mark = Mark()
        self.lines: list[str] = []
        self._come: SimpleQueue[str | None] = SimpleQueue()
        self.process = subprocess.Popen(
            [sys.executable, "dev.py", *arguments],
            cwd=folder,
            env=self.mark.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
        )
        assert self.process.stdout is not None
        self._reader = threading.Thread(target=self._read, args=(self.process.stdout,))
        self._reader.start()

    @property
    def output(self) -> str:
        return "".join(self.lines)

    def until(self, text: str) -> str:
        """Wait for a line with `text`; the line. Fails when dev.py ends or falls silent before."""
        while (line := self._come.get(timeout=WAIT_SECONDS)) is not None:
            if text in line:
                return line
        raise AssertionError(f"dev.py ended without {text!r}:\n{self.output}")

    def send(self, number: int) -> None:
        self.process.send_signal(number)

    def end(self) -> int:
        """Wait for the end; the exit code."""
        code = self.process.wait(WAIT_SECONDS)
        self._reader.join(WAIT_SECONDS)
        return code

    def part(self, word: str) -> psutil.Process:
        """The one process of this run whose command line has `word` in it."""
        (found,) = [process for process in self.mark.alive() if word in " ".join(process.cmdline())]
        return found

    def _read(self, output: IO[str]) -> None:
        for line in output:
            self.lines.append(line)
            self._come.put(line)
        self._come.put(None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            for process in self.mark.alive():
                process.kill()
        self.end()
        assert self.process.stdout is not None
        self.process.stdout.close()


def run(folder: Path, *arguments: str) -> tuple[int, str]:
    """Run dev.py to its end: exit code and output. Fails when a process stays behind."""
    with DevPy(folder, arguments) as dev:
        code = dev.end()
        assert dev.mark.commands() == []
        return code, dev.output


def json_in(output: str) -> Iterator[str]:
    """The lines of the JSON object in `output`, from its `{` to its `}` at the start of a line."""
    inside = False
    for line in output.splitlines():
        inside = inside or line == "{"
        if inside:
            yield line
        if line == "}":
            return
