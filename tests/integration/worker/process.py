"""The worker as a process of its own, watched by what it logs."""

import os
import queue
import signal
import subprocess
import sys
import threading
from types import TracebackType

WAIT_SECONDS = 60


class WorkerProcess:
    """`python -m worker`, or another module of it, as a context: gone at the end, whatever happens."""

    def __init__(self, connection_string: str, *options: str, module: str = "worker") -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, "--poll", "0.2", *options],
            env={**os.environ, "VideoStorage": connection_string},
            stderr=subprocess.PIPE,
            text=True,
        )
        self.log: list[str] = []
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def wait_for(self, text: str) -> None:
        """Return when a line with the text is logged; an error when the worker ends or says nothing for long."""
        while True:
            line = self._lines.get(timeout=WAIT_SECONDS)
            assert line is not None, f"the worker ended without {text!r}:\n{''.join(self.log)}"
            if text in line:
                return

    def ended(self) -> int:
        """Wait until the worker ends by itself; returns its exit code."""
        return self._process.wait(WAIT_SECONDS)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(WAIT_SECONDS)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Ask the worker to end; returns its exit code."""
        self._process.send_signal(number)
        return self._process.wait(WAIT_SECONDS)

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self.log.append(line)
            self._lines.put(line)
        self._lines.put(None)

    def __enter__(self) -> "WorkerProcess":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self.kill()
        self._reader.join()
        assert self._process.stderr is not None
        self._process.stderr.close()
