"""A host for tests of its HTTP side: an app on disk, served on a free port, and a client that sends raw bytes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from azure.functions.meta import Datum

from devhost.clock import Clock
from devhost.functions import AppIndex, Function, index_app
from devhost.http.cors import Cors
from devhost.http.keys import KeyStore
from devhost.http.server import HttpServer
from devhost.invoke import Invoker
from devhost.logs import HostLog, LogLine
from devhost.settings import HostSettings
from devhost.testing.clock import VirtualClock

PATIENCE = 30.0


class ServedApp:
    """The parts of a host that HTTP needs, around one app; `lines` is the log."""

    def __init__(
        self,
        app_dir: Path,
        environment: Mapping[str, str] | None = None,
        *,
        enable_auth: bool = True,
        clock: Clock | None = None,
        cors: Cors | None = None,
    ) -> None:
        self.clock: Clock = clock or VirtualClock()
        self.lines: list[LogLine] = []
        self.settings = HostSettings(app_dir, environment=dict(environment or {}))
        self.index: AppIndex = index_app(self.settings)
        log = HostLog(self.clock, sink=self.lines.append)
        self.invoker = Invoker(self.settings, self.clock, _no_client, _no_output, log)
        self.keys = KeyStore(None)
        self.enable_auth = enable_auth
        self.errors: Sequence[str] = [self.index.host_error] if self.index.host_error else []
        self.state = "Error" if self.errors else "Running"
        self.restarts = 0
        self.server = HttpServer(self, "127.0.0.1", 0, cors=cors)

    async def restart(self) -> None:
        self.restarts += 1

    async def __aenter__(self) -> ServedApp:
        await self.server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.server.stop()
        self.invoker.close()
        self.index.unload()
        self.settings.restore()

    def function(self, name: str) -> Function:
        found = self.index.function(name)
        assert found is not None, f"the app has no function {name}"
        return found

    async def send(
        self,
        method: str,
        path: str,
        *,
        headers: Sequence[tuple[str, str]] = (),
        body: bytes = b"",
    ) -> Answered:
        """One request on its own connection, with just the headers that HTTP needs and those given."""
        return await raw_exchange(self.server.port, request_bytes(self.server.port, method, path, headers, body))


def _no_client(_: dict[str, Any]) -> str:
    return json.dumps({"taskHubName": "HubH1", "creationUrls": {}, "managementUrls": {}})


async def _no_output(function: Function, _: dict[str, Any], __: Datum) -> None:
    raise AssertionError(f"{function.name} has no outputs")


@dataclass(frozen=True)
class Answered:
    """A response as it came: headers in order, the body without its chunks."""

    status: int
    reason: str
    headers: list[tuple[str, str]]
    body: bytes
    interim: list[int] = field(default_factory=list)

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def json(self) -> Any:
        return json.loads(self.body)


def request_bytes(
    port: int, method: str, path: str, headers: Sequence[tuple[str, str]] = (), body: bytes = b""
) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", f"Host: localhost:{port}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers]
    given = {name.lower() for name, _ in headers}
    if body and not given & {"transfer-encoding", "content-length"}:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


async def raw_exchange(port: int, request: bytes) -> Answered:
    """Send bytes, read until the server closes."""
    async with asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(request)
            await writer.drain()
            return parse_response(await reader.read())
        finally:
            writer.close()
            await writer.wait_closed()


def parse_response(data: bytes) -> Answered:
    interim: list[int] = []
    while True:
        head, _, body = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        _, status, reason = (first + "  ").split(" ", 2)
        if int(status) >= 200:
            break
        interim.append(int(status))
        data = body
    headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    if ("Transfer-Encoding", "chunked") in headers:
        body = _without_chunks(body)
    return Answered(int(status), reason.strip(), headers, body, interim)


def _without_chunks(data: bytes) -> bytes:
    pieces: list[bytes] = []
    while data:
        size, _, data = data.partition(b"\r\n")
        length = int(size, 16)
        pieces.append(data[:length])
        data = data[length + 2 :]
    return b"".join(pieces)


def write_app(folder: Path, code: str, host: Mapping[str, Any] | None = None) -> Path:
    """An app of a few lines; `app`, `func`, `json` and `threading` are there already."""
    top = [
        "import json, threading",
        "import azure.functions as func",
        "app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)",
    ]
    (folder / "function_app.py").write_text("\n".join([*top, code]), "utf-8")
    (folder / "host.json").write_text(json.dumps({"version": "2.0", **(host or {})}), "utf-8")
    return folder
