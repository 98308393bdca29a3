"""Where the small apps of these tests say what they were given; the test waits for it."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from devhost.clock import Clock

PATIENCE_SECONDS = 20


class Recorder:
    """Takes records from any thread; `wait_for` returns when there are enough of them."""

    def __init__(self) -> None:
        self.records: list[Any] = []
        self.clock: Clock | None = None  # for apps that must tell the time as the test does
        self._lock = threading.Lock()
        self._waiting: list[tuple[int, asyncio.AbstractEventLoop, asyncio.Event]] = []

    def clear(self) -> None:
        with self._lock:
            self.records.clear()
            self._waiting.clear()

    def record(self, what: Any) -> None:
        with self._lock:
            self.records.append(what)
            for count, loop, enough in self._waiting:
                if len(self.records) >= count:
                    loop.call_soon_threadsafe(enough.set)

    async def wait_for(self, count: int) -> list[Any]:
        """The records, once there are `count`; TimeoutError if they don't come."""
        enough = asyncio.Event()
        with self._lock:
            if len(self.records) >= count:
                return list(self.records)
            self._waiting.append((count, asyncio.get_running_loop(), enough))
        async with asyncio.timeout(PATIENCE_SECONDS):
            await enough.wait()
        return list(self.records)


RECORDER = Recorder()
record = RECORDER.record
