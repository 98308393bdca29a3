"""Our app on the test kit: its storage calls meet the kit's queues in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any
from unittest import mock

from azure.core.exceptions import ServiceRequestError

# Loaded before any host loads the app, which then keeps them: what is replaced here stays replaced.
from devhost.testing import TestHost
from video_jobs import reports, storage

ROOT = Path(__file__).resolve().parents[3]
START = "/api/orchestrators/video_orchestrator"
BODY: dict[str, Any] = {"blobURL": "http://127.0.0.1:1/videos/a.avi", "blobName": "videos/a.avi"}
# Later than the real present, which the app reads for the time to live of its messages.
NOW = datetime(2030, 1, 1, tzinfo=UTC)
SETTINGS = {"VideoStorage": "UseDevelopmentStorage=true"}


class Storage:
    """Takes the place of the functions of `video_jobs.storage`. `outages` is how many of the next calls fail."""

    def __init__(self, host: TestHost) -> None:
        self._host = host
        self._loop = asyncio.get_running_loop()
        self._numbers = count(1)
        self.outages = 0

    def put(self, queue: str, text: str, seconds_to_live: int) -> dict[str, Any]:
        """Called on a thread, as the app's code that talks to storage is."""

        async def in_the_loop() -> dict[str, Any]:
            if self.outages:
                self.outages -= 1
                raise ServiceRequestError("the storage is out of reach")
            self._host.queue(queue).put_raw(text)
            return {"queue": queue, "message_id": f"m{next(self._numbers)}", "pop_receipt": "p"}

        return asyncio.run_coroutine_threadsafe(in_the_loop(), self._loop).result()


@asynccontextmanager
async def app_on_kit(**options: Any) -> AsyncIterator[tuple[TestHost, Storage]]:
    """The app on a TestHost with these options, and its storage."""
    async with TestHost(ROOT, environment=SETTINGS, now=NOW, **options) as host:
        taken_place = Storage(host)
        with (
            mock.patch.object(storage, "put", taken_place.put),
            # A report over HTTP for a job that has not started is held in real time.
            mock.patch.object(reports, "HOLD_SECONDS", 0),
        ):
            yield host, taken_place
