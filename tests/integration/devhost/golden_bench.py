"""A host that runs the recorded durable app (golden/apps/durable) alone, and short ways to prepare instances in it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from devhost.host import Host
from devhost.logs import LogLine
from tests.integration.devhost.http_host import Answered, parse_response, request_bytes

GOLDEN = Path(__file__).parents[2] / "data" / "golden"
WEBHOOK = "/runtime/webhooks/durabletask"
PATIENCE = 5.0
_ENVIRONMENT = {
    "OTHERHUB": "OtherHub",
    "AzureWebJobs.on_event.Disabled": "1",  # its queue is tested elsewhere
}


T = TypeVar("T")


async def until(probe: Callable[[], Awaitable[T]], good: Callable[[T], bool]) -> T:
    """What `probe` says once it is good; the last it said when patience ends, for the caller to complain of."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + PATIENCE
    while True:
        found = await probe()
        if good(found) or loop.time() > deadline:
            return found
        await asyncio.sleep(0.01)


class HurriedClock:
    """A clock whose hands run twenty times as fast: a wait of half a second takes 25 ms."""

    RATE = 20

    def __init__(self) -> None:
        self._began, self._start = time.monotonic(), datetime.now(UTC)

    def now(self) -> datetime:
        return self._start + self.RATE * timedelta(seconds=time.monotonic() - self._began)

    async def sleep_until(self, when: datetime) -> None:
        while (left := (when - self.now()).total_seconds()) > 0:  # noqa: ASYNC110 - a clock can only sleep
            await asyncio.sleep(left / self.RATE)


class NoNaps:
    """Stands in for the app's `time`: what its activities sleep for is no matter of the HTTP API."""

    time = staticmethod(time.time)

    @staticmethod
    def sleep(_: float) -> None:
        """Return at once."""


async def _exchange(port: int, request: bytes) -> Answered:
    async with asyncio.timeout(30):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(request)
            await writer.drain()
            data = await reader.read()
        finally:
            writer.close()
            await writer.wait_closed()
    answered = parse_response(data)
    # A paging token may end with a blank.
    token = re.search(rb"\r\n(x-ms-continuation-token): ?([^\r]*)\r\n", data)
    if token is not None:
        name, value = token[1].decode(), token[2].decode()
        answered.headers[:] = [*(one for one in answered.headers if one[0] != name), (name, value)]
    return answered


@dataclass
class Bench:
    """A running host. `last` is the id of the instance that was started last."""

    host: Host
    scratch: Path
    clock: HurriedClock
    lines: list[LogLine]
    rpc: str = ""
    last: str = ""
    key: str = field(init=False)

    def __post_init__(self) -> None:
        self.key = self.host.keys.extension_key("durabletask")

    @property
    def base(self) -> str:
        return self.host.url

    async def send(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: str | None = None
    ) -> Answered:
        """One request. A path that begins with the rpc address goes there, others to the host."""
        to_rpc = bool(self.rpc) and path.startswith(self.rpc)
        port = int(self.rpc.rpartition(":")[2]) if to_rpc else self.host.port
        target = path.removeprefix(self.rpc) if to_rpc else path
        wire = request_bytes(port, method, target, list((headers or {}).items()), (body or "").encode())
        return await _exchange(port, wire.replace(b"Host: localhost", b"Host: 127.0.0.1", 1) if to_rpc else wire)

    async def webhook(
        self, method: str, below: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Answered:
        """A call of the management API; `body` is sent as JSON unless it is None."""
        mark = "&" if "?" in below else "?"
        text = None if body is None else json.dumps(body)
        typed = {"Content-Type": "application/json"} if body is not None else {}
        return await self.send(method, f"{WEBHOOK}/{below}{mark}code={self.key}", {**typed, **(headers or {})}, text)

    async def sdk(self, call: Mapping[str, Any], *, context: bool = False) -> dict[str, Any]:
        """A method of the SDK's client, called by the app; `call` as the app's `sdk` route takes it."""
        route = "/api/sdkctx" if context else "/api/sdk"
        answered = await self.send("POST", route, {"Content-Type": "application/json"}, json.dumps(call))
        assert answered.status == 200, answered.body
        found: dict[str, Any] = answered.json()
        return found

    # --- instances ----------------------------------------------------------------------------------------

    async def start(self, name: str, instance_id: str = "", data: Any = None, *, reach: str | None = None) -> str:
        """Start an instance; `data` arrives as from the SDK, which sends a JSON string holding JSON."""
        body = None if data is None else json.dumps(data)
        answered = await self.webhook("POST", f"orchestrators/{name}" + (instance_id and f"/{instance_id}"), body)
        assert answered.status == 202, answered.body
        self.last = str(answered.json()["id"])
        if reach is not None:
            await self.reach(self.last, reach)
        return self.last

    async def status(self, instance_id: str, query: str = "") -> dict[str, Any]:
        answered = await self.webhook("GET", f"instances/{quote(instance_id, safe='')}{query}")
        found: dict[str, Any] = answered.json() if answered.body else {}
        return found

    async def reach(self, instance_id: str, status: str) -> None:
        found = await until(lambda: self.status(instance_id), lambda one: one.get("runtimeStatus") == status)
        assert found.get("runtimeStatus") == status, found

    async def operate(self, instance_id: str, operation: str, body: Any = None) -> None:
        answered = await self.webhook("POST", f"instances/{quote(instance_id, safe='')}/{operation}", body)
        assert answered.status == 202, answered.body

    async def entity(self, name: str, key: str, state: str) -> None:
        """Wait for the entity's state."""
        found = await until(
            lambda: self.webhook("GET", f"entities/{name}/{key}"), lambda one: one.body == state.encode()
        )
        assert found.body == state.encode(), found

    async def in_state(self, status: str, instance_id: str = "") -> str:
        """An instance in that state, as the recordings had them: the one that waits is `waitcs`."""
        if status == "Failed":
            return await self.start("genraise", instance_id, reach=status)
        if status == "Completed":
            return await self.start("plain", instance_id, 1, reach=status)
        found = await self.start("waitcs", instance_id, reach="Running")
        if status != "Running":
            await self.operate(found, _WAY_TO[status])
            await self.reach(found, status)
        return found

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Meanwhile no episode runs. Needs PYTHON_THREADPOOL_THREAD_COUNT=1: `nondet` waits on that one thread for a
        pipe to be written."""
        pipe = self.scratch / "variant"
        os.mkfifo(pipe)
        await self.start("nondet")
        end = await until(lambda: _writing_end(pipe), lambda one: one is not None)
        assert end is not None, "the orchestrator does not read its pipe"
        try:
            yield
        finally:
            os.write(end, b"4")
            os.close(end)


_WAY_TO = {"Suspended": "suspend?reason=why", "Terminated": "terminate?reason=end"}


async def _writing_end(pipe: Path) -> int | None:
    try:
        return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        return None  # nobody reads yet


@asynccontextmanager
async def running(
    scratch: Path, environment: Mapping[str, str] | None = None, *, state: Path | str = ":memory:"
) -> AsyncIterator[Bench]:
    """The recorded app on a host of its own; unless there is a `state`, nothing is in its task hub."""
    lines: list[LogLine] = []
    clock = HurriedClock()
    host = Host(
        GOLDEN / "apps" / "durable",
        port=0,
        state=state,
        clock=clock,
        enable_auth=True,
        environment={**_ENVIRONMENT, "GOLDEN_SCRATCH": str(scratch), **(environment or {})},
        sink=lines.append,
    )
    async with host:
        nap = host.index.function("nap")
        assert nap is not None, lines
        nap.call.__globals__["time"] = NoNaps
        bench = Bench(host, scratch, clock, lines)
        dumped = (await bench.send("GET", "/api/dump")).json()
        bench.rpc = json.loads(dumped["value"])["rpcBaseUrl"].removesuffix("/durabletask/")
        yield bench
