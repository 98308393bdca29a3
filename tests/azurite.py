"""The storage emulator as a process of its own, on ports that it picks itself."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import threading
from pathlib import Path
from types import TracebackType
from typing import IO, Self

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = ROOT / "node_modules" / "azurite" / "dist" / "src" / "azurite.js"
ACCOUNT = "devstoreaccount1"
# The emulator's account and key are public and the same everywhere.
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
SERVICES = ("blob", "queue", "table")
_READY = re.compile(r"Azurite (\w+) service is successfully listening at http://127\.0\.0\.1:(\d+)")
_START_SECONDS = 30
_STOP_SECONDS = 10


class Azurite:
    """Azurite with its data in `folder`; as a context manager it runs from `with` to the end of the block.

    A service whose port is not given gets a free one; `ports` tells which. Stopping keeps the data.
    """

    def __init__(self, folder: Path, ports: dict[str, int] | None = None) -> None:
        self._folder = folder
        self.ports = dict.fromkeys(SERVICES, 0) | (ports or {})
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._output: list[str] = []
        self._ready = threading.Event()

    def start(self) -> Self:
        """Return when all three services listen. Raises RuntimeError with what Azurite said if not."""
        # node is started directly: stopping the wrapper that npm makes for Windows would leave node running.
        node = shutil.which("node")
        if node is None or not SCRIPT.is_file():
            raise RuntimeError("Azurite is not installed: Node.js 20 or newer is needed, then run `npm ci`.")
        self._folder.mkdir(parents=True, exist_ok=True)
        self._ready.clear()
        self._output.clear()
        listening = [f"--{service}Port={self.ports[service]}" for service in SERVICES]
        options = ["--silent", "--skipApiVersionCheck", "--disableTelemetry", "--location", str(self._folder)]
        self._process = subprocess.Popen(
            [node, str(SCRIPT), *options, *listening],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "NODE_NO_WARNINGS": "1"},
        )
        assert self._process.stdout is not None
        self._reader = threading.Thread(target=self._read, args=(self._process.stdout,), daemon=True)
        self._reader.start()
        in_time = self._ready.wait(_START_SECONDS)
        if not in_time or self._process.poll() is not None:
            self.stop()
            raise RuntimeError("Azurite did not start:\n" + "".join(self._output))
        return self

    def stop(self) -> None:
        """Stop by SIGTERM, which keeps everything that was sent."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._reader is not None:
            self._reader.join(_STOP_SECONDS)
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._process = self._reader = None

    @property
    def connection_string(self) -> str:
        """For any Azure Storage client, and for `AzureWebJobsStorage`."""
        endpoints = (
            f"{service.capitalize()}Endpoint=http://127.0.0.1:{self.ports[service]}/{ACCOUNT}" for service in SERVICES
        )
        account = ["DefaultEndpointsProtocol=http", f"AccountName={ACCOUNT}", f"AccountKey={KEY}"]
        return ";".join([*account, *endpoints])

    def _read(self, output: IO[str]) -> None:
        listening = set()
        for line in output:
            self._output.append(line)
            if announced := _READY.match(line):
                service = announced[1].lower()
                self.ports[service] = int(announced[2])
                listening.add(service)
                if listening == set(SERVICES):
                    self._ready.set()
        self._ready.set()  # it has ended; whoever waits finds that out

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
