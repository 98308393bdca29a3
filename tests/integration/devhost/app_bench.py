"""A small app, really loaded and really invoked, with the triggers under test around it."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from devhost.clock import Clock, SystemClock
from devhost.functions import AppIndex, Function, index_app
from devhost.invoke import Invoker
from devhost.logs import HostLog, Level, LogLine
from devhost.settings import Connection, HostSettings
from devhost.triggers import queue_output
from devhost.triggers.message_queue import QueueAccount
from devhost.triggers.queue import QueueListeners, open_account
from tests.integration.devhost.recorder import PATIENCE_SECONDS

PREAMBLE = """
import azure.functions as func
from tests.integration.devhost.recorder import record

app = func.FunctionApp()
"""


@dataclass
class AppBench:
    """The loaded app. `lines` are the entries of the host's log that come from runs."""

    settings: HostSettings
    index: AppIndex
    invoker: Invoker
    clock: Clock
    lines: list[LogLine] = field(default_factory=list)

    def function(self, name: str) -> Function:
        function = self.index.function(name)
        assert function is not None, self.index
        assert function.errors == []
        return function

    @property
    def log(self) -> list[str]:
        return [line for entry in self.lines for line in entry.text.splitlines()]

    @asynccontextmanager
    async def listening(
        self, open_account: Callable[[Connection], QueueAccount] = open_account
    ) -> AsyncIterator[QueueListeners]:
        """The queue triggers, running; at the end of the block what runs is waited for."""
        listeners = QueueListeners(self.settings, self.index, self.invoker, self.clock, open_account=open_account)
        await listeners.start()
        try:
            yield listeners
        finally:
            await listeners.stop()


@contextmanager
def app_bench(
    folder: Path,
    code: str,
    *,
    storage: str = "UseDevelopmentStorage=true",
    settings: dict[str, str] | None = None,
    queues: dict[str, Any] | None = None,
    clock: Clock | None = None,
) -> Iterator[AppBench]:
    """Load `code` (after PREAMBLE) as the app in `folder`; `queues` is host.json's `extensions.queues`."""
    polling = {"maxPollingInterval": "00:00:00.100"}
    host = {"version": "2.0", "extensions": {"queues": {**polling, **(queues or {})}}}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "host.json").write_text(json.dumps(host), encoding="utf-8")
    (folder / "function_app.py").write_text(PREAMBLE + code, encoding="utf-8")
    environment = {"AzureWebJobsStorage": storage, **(settings or {})}
    host_settings = HostSettings(folder, environment=environment)
    index = index_app(host_settings)
    clock = clock or SystemClock()
    lines: list[LogLine] = []
    send = partial(queue_output.send, host_settings)
    invoker = Invoker(host_settings, clock, lambda binding: "{}", send, HostLog(clock, {"": Level.TRACE}, lines.append))
    try:
        yield AppBench(host_settings, index, invoker, clock, lines)
    finally:
        invoker.close()
        index.unload()


class AwaitedLine(logging.Handler):
    """While installed (`with`), `seen` waits for a record of devhost that contains one of `texts`."""

    def __init__(self, *texts: str) -> None:
        super().__init__()
        self._texts = texts
        self._event = asyncio.Event()
        self._logger = logging.getLogger("devhost")

    def emit(self, record: logging.LogRecord) -> None:
        if any(text in record.getMessage() for text in self._texts):
            self._event.set()

    async def seen(self) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self._event.wait()

    def __enter__(self) -> AwaitedLine:
        self._logger.addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._logger.removeHandler(self)
