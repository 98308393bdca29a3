"""An app on a devhost in this process, whose time the test moves, asked over HTTP as any client would."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp

from devhost.durable.engine import Engine
from devhost.host import MEMORY, Host
from devhost.logs import LogLine
from devhost.testing.clock import VirtualClock, settle

WEBHOOK = "/runtime/webhooks/durabletask"
PATIENCE_SECONDS = 20
_NOTHING = object()


@dataclass(frozen=True)
class Answer:
    """A response; `body` is parsed where it is JSON."""

    status: int
    body: Any
    headers: Mapping[str, str]


@dataclass
class RunningApp:
    host: Host
    clock: VirtualClock
    session: aiohttp.ClientSession
    lines: list[LogLine]

    @property
    def engine(self) -> Engine:
        return self.host.hub.engine

    async def ask(
        self, method: str, path: str, body: Any = _NOTHING, *, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One request; `body` is sent as JSON."""
        sent = {} if body is _NOTHING else {"json": body}
        async with self.session.request(method, self.host.url + path, headers=headers, **sent) as response:
            text = await response.text()
            return Answer(response.status, _parsed(text), dict(response.headers))

    async def start(self, name: str, value: Any = _NOTHING, instance_id: str = "") -> str:
        """Start an instance, with the input encoded as by the SDK; return its id once all has come to rest."""
        body = value if value is _NOTHING else json.dumps(value)
        answer = await self.ask("POST", f"{WEBHOOK}/orchestrators/{name}/{instance_id}".rstrip("/"), body)
        assert answer.status == 202, answer
        await self.quiet()
        started: str = answer.body["id"]
        return started

    async def status(self, instance_id: str, query: str = "") -> dict[str, Any]:
        found: dict[str, Any] = (await self.ask("GET", f"{WEBHOOK}/instances/{instance_id}{query}")).body
        return found

    async def post(self, instance_id: str, operation: str, body: Any = _NOTHING) -> None:
        """`operation` as in the path: `raiseEvent/go`, `suspend?reason=why`."""
        answer = await self.ask("POST", f"{WEBHOOK}/instances/{instance_id}/{operation}", body)
        assert answer.status == 202, answer
        await self.quiet()

    async def quiet(self) -> None:
        """Return when nothing is under way but timers and waits."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            await settle()
            while tasks := set(self.engine._tasks):
                await asyncio.wait(tasks)
                await settle()

    async def pass_time(self, **by: float) -> None:
        """Move the clock on (arguments of timedelta), stopping at each timer until what it set off is done."""
        target = self.clock.now() + timedelta(**by)
        while (due := self.engine._timers.next_due()) is not None and due <= target:
            await self.clock.advance(max(due - self.clock.now(), timedelta(0)))
            await self.quiet()
        await self.clock.advance(target - self.clock.now())
        await self.quiet()


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


@asynccontextmanager
async def running(app_dir: Path, *, state: Path | str = MEMORY, **more: Any) -> AsyncIterator[RunningApp]:
    """The app of `app_dir` on a devhost of its own; `more` are further options of `Host`."""
    clock, lines = VirtualClock(), list[LogLine]()
    host = Host(app_dir, port=0, state=state, clock=clock, grace=timedelta(0), sink=lines.append, **more)
    async with host, aiohttp.ClientSession() as session:
        yield RunningApp(host, clock, session, lines)
