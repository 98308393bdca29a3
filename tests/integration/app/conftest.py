"""devhost with the real app on a real Azurite, all in this process; each test has a queue service of its own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from azure.storage.queue import TextBase64EncodePolicy
from azure.storage.queue.aio import QueueClient

from devhost.host import Host
from tests.azurite import Azurite

ROOT = Path(__file__).parents[3]
QUEUES = (
    "video-to-processing",
    "video-processed",
    "video-processed-poison",
    "video-processed-rejected",
    "video-failed",
)
START = "/api/orchestrators/video_orchestrator"
BODY = {"blobURL": "http://127.0.0.1:1/videos/a.avi", "blobName": "videos/a.avi"}


class Jobs:
    """What a client of the app does, with the queues that stand around it."""

    def __init__(self, host: Host, session: aiohttp.ClientSession, connection_string: str) -> None:
        self.host, self._session, self._connection_string = host, session, connection_string

    async def post(self, path: str, body: Any = None, **options: Any) -> tuple[int, Any]:
        """The status code and the JSON of the answer (None when it is empty)."""
        content = {"data": body} if isinstance(body, bytes) else {"json": body}
        async with self._session.post(self.host.url + path, **content, **options) as response:
            return response.status, await response.json() if await response.read() else None

    async def start(self, **fields: Any) -> str:
        code, links = await self.post(START, {**BODY, **fields})
        assert code == 202, links
        return str(links["id"])

    async def status(self, job: str) -> dict[str, Any]:
        url = f"{self.host.url}/runtime/webhooks/durabletask/instances/{job}?showHistory=true"
        async with self._session.get(url) as response:
            shown: dict[str, Any] = await response.json()
            return shown

    async def raise_event(self, job: str, name: str, data: Any) -> int:
        url = f"/runtime/webhooks/durabletask/instances/{job}/raiseEvent/{name}"
        code, _ = await self.post(url, json.dumps(data).encode(), headers={"Content-Type": "application/json"})
        return code

    async def until(self, reached: Callable[[], Awaitable[Any]]) -> Any:
        """What `reached` returns as soon as that is true; devhost works meanwhile."""
        async with asyncio.timeout(20):
            while True:  # each look is a request over a socket, which gives way to the host in this process
                if found := await reached():
                    return found

    async def waiting(self, job: str) -> dict[str, Any]:
        async def reached() -> dict[str, Any] | None:
            shown = await self.status(job)
            return shown if (shown["customStatus"] or {}).get("stage") == "waiting" else None

        found: dict[str, Any] = await self.until(reached)
        return found

    async def result(self, job: str) -> dict[str, Any]:
        async def reached() -> dict[str, Any] | None:
            shown = await self.status(job)
            return shown if shown["runtimeStatus"] not in ("Pending", "Running") else None

        shown = await self.until(reached)
        assert shown["runtimeStatus"] == "Completed", shown
        output: dict[str, Any] = shown["output"]
        return output

    def queue(self, name: str, *, base64: bool = False) -> QueueClient:
        policy = TextBase64EncodePolicy() if base64 else None
        return QueueClient.from_connection_string(self._connection_string, name, message_encode_policy=policy)

    async def send(self, queue: str, text: str, *, base64: bool = False) -> None:
        async with self.queue(queue, base64=base64) as client:
            await client.send_message(text)

    async def take(self, queue: str) -> str:
        """The text of the next message, taken out of the queue."""
        async with self.queue(queue) as client:

            async def reached() -> Any:
                return await client.receive_message()

            message = await self.until(reached)
            await client.delete_message(message)
            return str(message.content)


@pytest.fixture
async def jobs(azurite: Azurite, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Jobs]:
    for setting in ("AzureWebJobsStorage", "VideoStorage"):
        monkeypatch.setenv(setting, azurite.connection_string)
    # An idle listener looks again at once: the tests need no back-off.
    monkeypatch.setenv("AzureFunctionsJobHost__extensions__queues__maxPollingInterval", "00:00:00.1")
    monkeypatch.setenv("AzureFunctionsJobHost__extensions__queues__visibilityTimeout", "00:00:00")
    for name in QUEUES:
        async with QueueClient.from_connection_string(azurite.connection_string, name) as client:
            await _empty(client)
    async with Host(ROOT, port=0, state=":memory:") as host, aiohttp.ClientSession() as session:
        yield Jobs(host, session, azurite.connection_string)


async def _empty(client: QueueClient) -> None:
    from azure.core.exceptions import ResourceExistsError

    try:
        await client.create_queue()
    except ResourceExistsError:
        await client.clear_messages()
