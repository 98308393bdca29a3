"""Our app on the test kit: its storage calls meet the kit's queues in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any, TypeVar
from unittest import mock

from azure.core.exceptions import ServiceRequestError

# Loaded before any host loads the app, which then keeps them: what is replaced here stays replaced.
from devhost.testing import TestHost
from video_jobs import delivery, storage

ROOT = Path(__file__).resolve().parents[3]
START = "/api/orchestrators/video_orchestrator"
BODY: dict[str, Any] = {"blobURL": "http://127.0.0.1:1/videos/a.avi", "blobName": "videos/a.avi"}
# Later than the real present, which the app reads for the time to live of its messages.
NOW = datetime(2030, 1, 1, tzinfo=UTC)
T = TypeVar("T")
SETTINGS = {"VideoStorage": "UseDevelopmentStorage=true"}


class Storage:
    """Takes the place of the functions of `video_jobs.storage`. `outages` is how many of the next calls fail.

    `failed` has the queue of each call that did.
    """

    def __init__(self, host: TestHost) -> None:
        self._host = host
        self._loop = asyncio.get_running_loop()
        self._numbers = count(1)
        self._texts: dict[str, str] = {}
        self.outages = 0
        self.failed: list[str] = []

    def put(self, queue: str, text: str, seconds_to_live: int) -> dict[str, Any]:
        """Called on a thread, as the app's code that talks to storage is."""

        def in_the_loop() -> dict[str, Any]:
            self._host.queue(queue).put_raw(text)
            message_id = f"m{next(self._numbers)}"
            self._texts[message_id] = text
            return {"queue": queue, "message_id": message_id, "pop_receipt": "p"}

        return self._called(queue, in_the_loop)

    def delete_untaken(self, queue: str, message_id: str, pop_receipt: str) -> bool:
        """A worker of these tests takes a message out of its queue at once."""

        def in_the_loop() -> bool:
            messages = self._host.queue(queue)
            texts = messages.take_all()
            found = self._texts[message_id] in texts
            if found:
                texts.remove(self._texts[message_id])
            for text in texts:
                messages.put_raw(text)
            return found

        return self._called(queue, in_the_loop)

    def _called(self, queue: str, work: Callable[[], T]) -> T:
        async def in_the_loop() -> T:
            if self.outages:
                self.outages -= 1
                self.failed.append(queue)
                raise ServiceRequestError("the storage is out of reach")
            return work()

        return asyncio.run_coroutine_threadsafe(in_the_loop(), self._loop).result()


@asynccontextmanager
async def app_on_kit(**options: Any) -> AsyncIterator[tuple[TestHost, Storage]]:
    """The app on a TestHost with these options, and its storage."""
    async with TestHost(ROOT, environment=SETTINGS, now=NOW, **options) as host:
        taken_place = Storage(host)
        with (
            mock.patch.object(storage, "put", taken_place.put),
            mock.patch.object(storage, "delete_untaken", taken_place.delete_untaken),
            # Whether a request still has time to live is a matter of the test's time.
            mock.patch("video_jobs.requests.utc_now", host.clock.now),
            # A report over HTTP for a job that has not started is held in real time.
            mock.patch.object(delivery, "HOLD_SECONDS", 0),
        ):
            yield host, taken_place
