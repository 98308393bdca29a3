"""A recorded app on a running devhost whose time the test moves: no timer and no sleeping activity is waited for."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import aiohttp
from azure.durable_functions.entity import Entity
from azure.durable_functions.models import DurableOrchestrationContext
from azure.durable_functions.orchestrator import Orchestrator
from azure.functions.durable_functions import ActivityTriggerConverter

from devhost.durable.taskhub import TaskHub
from devhost.host import Host
from devhost.testing.clock import VirtualClock, settle
from tests.integration.devhost.golden_instances import GOLDEN

WEBHOOK = "/runtime/webhooks/durabletask"
PATIENCE_SECONDS = 20

Json = dict[str, Any]
_NO_BODY = object()


class Naps:
    """Stands in for `time.sleep` of the app: returns at once, or blocks while `hold` is in force."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._open = threading.Event()
        self._open.set()
        self._count = threading.Lock()
        self.held = 0
        self.changed = asyncio.Event()

    def sleep(self, _: float) -> None:
        if self._open.is_set():
            return
        with self._count:
            self.held += 1
        self._loop.call_soon_threadsafe(self.changed.set)
        if not self._open.wait(PATIENCE_SECONDS):
            raise TimeoutError("the test never let the app go on")

    def hold(self) -> None:
        """From now on who sleeps does not come back before `release`."""
        self._open.clear()

    def release(self) -> None:
        self.held = 0
        self._open.set()


@dataclass
class Answer:
    """Status and body (JSON where it is some) of a response."""

    status: int
    body: Any
    headers: Mapping[str, str]


@dataclass
class GoldenHost:
    """A running app. `scratch` is where it keeps its notes, `clock` the time that it sees."""

    host: Host
    clock: VirtualClock
    naps: Naps
    scratch: Path
    session: aiohttp.ClientSession
    logged: list[str] = field(default_factory=list)

    @property
    def hub(self) -> TaskHub:
        return self.host.hub

    async def request(self, method: str, path: str, body: Any = _NO_BODY, content_type: str | None = None) -> Answer:
        """`body` is sent as JSON, text with a `content_type` as it is."""
        data = None if body is _NO_BODY else body if content_type else json.dumps(body)
        headers = {"Content-Type": content_type or "application/json"} if data is not None else {}
        url = f"http://127.0.0.1:{self.host.port}{path}"
        async with self.session.request(method, url, data=data, headers=headers) as response:
            text = await response.text()
            return Answer(response.status, _json_or_text(text), dict(response.headers))

    async def start(self, name: str, value: Any = _NO_BODY, instance_id: str | None = None) -> str:
        """Start through the SDK (the app's own route) and wait until all has come to rest."""
        query = f"?id={instance_id}" if instance_id else ""
        return await self._started(await self.request("POST", f"/api/start/{name}{query}", value))

    async def start_by_webhook(self, name: str, value: Any = _NO_BODY, query: str = "") -> str:
        return await self._started(await self.request("POST", f"{WEBHOOK}/orchestrators/{name}{query}", value))

    async def _started(self, answer: Answer) -> str:
        assert answer.status == 202, answer
        await self.quiet()
        instance_id: str = answer.body["id"]
        return instance_id

    async def post(self, instance_id: str, operation: str, body: Any = _NO_BODY) -> None:
        """`operation` as in the path: `raiseEvent/go`, `suspend?reason=why`."""
        answer = await self.request("POST", f"{WEBHOOK}/instances/{instance_id}/{operation}", body)
        assert (answer.status, answer.body) == (202, ""), answer
        await self.quiet()

    async def event(self, instance_id: str, name: str, value: Any) -> None:
        await self.post(instance_id, f"raiseEvent/{name}", value)

    async def status(self, instance_id: str, query: str = "") -> Json:
        answer = await self.request("GET", f"{WEBHOOK}/instances/{instance_id}{query}")
        assert answer.status in (200, 202), answer
        found: Json = answer.body
        return found

    async def runtime_status(self, instance_id: str) -> str:
        return str((await self.status(instance_id))["runtimeStatus"])

    async def quiet(self) -> None:
        """Return when nothing is under way but timers, waits and naps that are held."""
        engine = self.hub.engine
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                await settle()
                if len(engine._tasks) == self.naps.held:
                    return
                self.naps.changed.clear()
                changed = asyncio.ensure_future(self.naps.changed.wait())
                try:
                    await asyncio.wait([*engine._tasks, changed], return_when=asyncio.FIRST_COMPLETED)
                finally:
                    changed.cancel()

    async def let_go(self) -> None:
        """Let held naps end, and all that follows."""
        self.naps.release()
        await self.quiet()

    async def pass_time(self, **by: float) -> None:
        """Move the clock on (arguments of timedelta), stopping at each timer until what it set off is done."""
        target = self.clock.now() + timedelta(**by)
        while (due := self.hub.engine._timers.next_due()) is not None and due <= target:
            await self.clock.advance(max(due - self.clock.now(), timedelta(0)))
            await self.quiet()
        await self.clock.advance(target - self.clock.now())
        await self.quiet()

    def episodes(self, instance_id: str) -> list[Json]:
        """What the orchestrators of the app `durable` were given, as that app wrote it down."""
        lines = (self.scratch / f"body-{instance_id}.jsonl").read_text("utf-8").splitlines()
        return [json.loads(line) for line in lines]

    def activities(self) -> list[list[Any]]:
        """[name, input] of each activity that the app `durable` ran."""
        notes = self.scratch / "activities.jsonl"
        lines = notes.read_text("utf-8").splitlines() if notes.exists() else []
        return [json.loads(line)[1:] for line in lines]


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


@contextmanager
def _undone() -> Iterator[None]:
    """Takes back what the recorded apps put into the libraries in order to listen."""
    with (
        patch.object(Orchestrator, "create", Orchestrator.__dict__["create"]),
        patch.object(Entity, "create", Entity.__dict__["create"]),
        patch.object(DurableOrchestrationContext, "from_json", DurableOrchestrationContext.__dict__["from_json"]),
        patch.object(ActivityTriggerConverter, "decode", ActivityTriggerConverter.__dict__["decode"]),
        patch.object(ActivityTriggerConverter, "encode", ActivityTriggerConverter.__dict__["encode"]),
        patch.object(aiohttp.ClientSession, "_request", aiohttp.ClientSession._request),
    ):
        yield


@asynccontextmanager
async def golden_host(
    app: str, scratch: Path, *, state: Path | str = ":memory:", environment: Mapping[str, str] | None = None
) -> AsyncIterator[GoldenHost]:
    """The recorded app `app` on a devhost of its own."""
    clock, naps, logged = VirtualClock(), Naps(), list[str]()
    fixed = {
        "GOLDEN_SCRATCH": str(scratch),
        "AzureWebJobs.on_event.Disabled": "true",
        # One at a time: their results come in the order in which they were scheduled.
        "AzureFunctionsJobHost__extensions__durableTask__maxConcurrentActivityFunctions": "1",
        **(environment or {}),
    }
    host = Host(
        GOLDEN / "apps" / app,
        port=0,
        state=state,
        clock=clock,
        environment=fixed,
        grace=timedelta(0),
        sink=lambda line: logged.append(line.text),
    )
    with _undone(), patch.object(time, "sleep", naps.sleep):
        async with host, aiohttp.ClientSession() as session:
            try:
                yield GoldenHost(host, clock, naps, scratch, session, logged)
            finally:
                naps.release()
