"""The host of one app: its parts, started and stopped in order."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, Protocol

import aiohttp
from azure.functions.meta import Datum

from devhost.clock import Clock, SystemClock
from devhost.durable.engine import Engine
from devhost.durable.taskhub import TaskHub
from devhost.functions import AppIndex, Function, index_app, start_up_lines
from devhost.http.cors import Cors
from devhost.http.keys import KeyStore
from devhost.http.server import HttpServer
from devhost.invoke import Invoker
from devhost.logs import STARTUP_CATEGORY, ConsoleCapture, HostLog, Level, LogLine, RecordHandler, Sink, default_levels
from devhost.sdk_session import SdkSession
from devhost.settings import Connection, HostSettings, SettingsError
from devhost.triggers.event_grid import EventGridWebhook
from devhost.triggers.message_queue import QueueAccount
from devhost.triggers.queue import QueueListeners, open_account
from devhost.triggers.queue_output import send as send_to_queue
from devhost.triggers.timer import TimerTriggers

MEMORY: Final = ":memory:"
STATE_FOLDER: Final = ".devhost"
GRACE: Final = timedelta(seconds=10)


class _Part(Protocol):
    async def start(self) -> None: ...

    async def stop(self) -> None: ...


@dataclass(frozen=True)
class Parts:
    """What a host is put together from; the test kit brings its own.

    - `engine` makes the durable engine, `open_account` the queues that triggers and output bindings use.
    - `sdk_session` gives the session by which the SDK reaches the host, None leaves that to the SDK.
    - `listen` opens ports; without it the host is reached in memory.
    - `loaded` is called with the host when the app is loaded and nothing of it runs yet.
    """

    engine: Callable[..., Engine] = Engine
    open_account: Callable[[Connection], QueueAccount] = open_account
    sdk_session: Callable[[], aiohttp.ClientSession] | None = None
    listen: bool = True
    loaded: Callable[[Host], None] | None = None


class Host:
    """Runs the Functions app of `app_dir`.

    - `port` 0 takes a free one: see `.port` and `.url` after the start.
    - `state` is the folder for what outlives the process (`<app_dir>/.devhost` unless given), `":memory:"` for
      nothing.
    - `functions` are the only ones to run; none given means all.
    - `environment` is set for the app on top of the process environment while the host runs.
    - `grace` is how long a stop waits for running functions before it cancels them.
    - `sink` takes the log instead of the console; with `capture_print` what the app prints goes there too.
    - `parts` replaces what the host is put together from.
    - `strict` fails an instance that would wait for ever, such as for an activity that does not exist; the live
      host leaves it Running.

    `.state` is "Running", or "Error" with `.error` saying why: then every request is answered with 503.
    """

    def __init__(
        self,
        app_dir: Path | str,
        *,
        port: int = 7071,
        address: str = "127.0.0.1",
        state: Path | str | None = None,
        clock: Clock | None = None,
        enable_auth: bool = False,
        functions: Sequence[str] | None = None,
        cors: Sequence[str] = (),
        cors_credentials: bool = False,
        environment: Mapping[str, str] | None = None,
        grace: timedelta = GRACE,
        sink: Sink | None = None,
        verbose: bool = False,
        user_log_level: Level | None = None,
        capture_print: bool = False,
        strict: bool = False,
        parts: Parts | None = None,
    ) -> None:
        self.app_dir = Path(app_dir).resolve()
        self.address = address
        self.port = port
        self.clock: Clock = clock or SystemClock()
        self.enable_auth = enable_auth
        self.state = "Default"
        self._state_folder = _state_folder(self.app_dir, state)
        self._functions = list(functions or [])
        self._cors = Cors(cors, credentials=cors_credentials)
        self._environment = dict(environment or {})
        self._grace = grace
        self._sink = sink
        self._verbose = verbose
        self._user_log_level = user_log_level
        self._capture_print = capture_print
        self._strict = strict
        self._parts = parts or Parts()
        self._errors: list[str] = []
        self._started = contextlib.AsyncExitStack()
        self._undo = contextlib.ExitStack()
        self._restarts: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """Where HTTP clients find the host."""
        return f"http://localhost:{self.port}"

    @property
    def errors(self) -> list[str]:
        """Why the state is Error."""
        return list(self._errors)

    @property
    def error(self) -> str | None:
        """The first of them."""
        return self._errors[0] if self._errors else None

    async def start(self) -> None:
        """Load the app and start all parts; the port is open when this returns.

        Raises `SettingsError` for a local.settings.json that can't be used and `OSError` for a busy port;
        after that nothing is left running. What is wrong with host.json leads to state Error instead.
        """
        self.state = "Starting"
        self._errors = []
        try:
            self._prepare()
            await self._start_parts()
        except BaseException:
            await self._stop_parts()
            self._undo.close()
            self.state = "Stopped"
            raise

    async def stop(self) -> None:
        """Stop all parts, the last started first. Running functions may end within the grace, then they are
        cancelled. A second call does nothing."""
        if self.state in ("Default", "Stopped"):
            return
        self.state = "Stopping"
        if running := self.invoker.running():
            self.log.show(
                STARTUP_CATEGORY,
                Level.INFORMATION,
                f"Stopping; up to {self._grace.total_seconds():g} s are left to: {', '.join(running)}.",
            )
        await self._stop_parts()
        self._undo.close()
        self.state = "Stopped"

    async def restart(self) -> None:
        """Stop, load the app again, start on the same port."""
        # A task of its own: the caller may be a request that the stop cancels.
        task = asyncio.create_task(self._restart(), name="devhost restart")
        self._restarts.add(task)
        task.add_done_callback(self._restarts.discard)
        await asyncio.shield(task)

    async def _restart(self) -> None:
        await self.stop()
        await self.start()

    async def __aenter__(self) -> Host:
        await self.start()
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.stop()

    def _prepare(self) -> None:
        """All that needs no loop: settings, log, the app's functions."""
        self.port = self.port or (_free_port(self.address) if self._parts.listen else 7071)
        self.settings = HostSettings(self.app_dir, extra=self._fixed_environment(), defaults=_DEFAULT_ENVIRONMENT)
        self._undo.callback(self.settings.restore)
        self._fail(self.settings.host_error)
        self.log = self._open_log()
        records = RecordHandler(self.log)
        records.install()
        self._undo.callback(records.uninstall)
        if self._capture_print:
            capture = ConsoleCapture(self.log)
            capture.install()
            self._undo.callback(capture.uninstall)
        for note in self.settings.notes:
            self.log.write(STARTUP_CATEGORY, Level.INFORMATION, note)
        self.keys = KeyStore(self._state_folder)
        self.index = AppIndex(host_error=self.error) if self._errors else index_app(self.settings)
        self._undo.callback(self.index.unload)
        if not self._errors:
            self._fail(self.index.host_error)
        prefix = str(self.settings.get("extensions.http.routePrefix", "api"))
        for level, category, text in start_up_lines(self.index, prefix):
            self.log.write(category, level, text)

    def _fixed_environment(self) -> dict[str, str]:
        return {
            "WEBSITE_HOSTNAME": f"localhost:{self.port}",
            "AzureWebJobsScriptRoot": str(self.app_dir),
            "FUNCTIONS_APPLICATION_DIRECTORY": str(self.app_dir),
            **{f"AzureFunctionsJobHost__functions__{position}": name for position, name in enumerate(self._functions)},
            **self._environment,
        }

    def _open_log(self) -> HostLog:
        sink = self._sink
        try:
            if sink is None and not self.settings.flag("logging.console.isEnabled", True):
                sink = _drop
            levels = default_levels(self.settings.get("logging.logLevel", {}), verbose=self._verbose)
        except (SettingsError, ValueError, AttributeError) as error:
            self._fail(f"host.json: 'logging' can't be used: {error}")
            levels = default_levels()
        return HostLog(self.clock, levels, sink, self._user_log_level)

    def _fail(self, error: str | None) -> None:
        if error is not None:
            self._errors.append(error)

    async def _start_parts(self) -> None:
        if not self._errors:
            try:
                await self._start_functions()
                return
            except (SettingsError, ValueError) as error:
                # A value of host.json that only its user can judge.
                await self._stop_parts()
                self._fail(str(error))
                self.log.write(STARTUP_CATEGORY, Level.ERROR, str(error))
        self.state = "Error"
        self.index.host_error = self.error
        self._make_invoker(unlimited=True)
        self.server = HttpServer(self, self.address, self.port, cors=self._cors, listen=self._parts.listen)
        await self._start(self.server)

    async def _start_functions(self) -> None:
        self._make_invoker()
        self.hub = TaskHub(
            self.settings,
            self.index,
            self.invoker,
            self.clock,
            self._state_folder,
            system_key=self.keys.extension_key("durabletask"),
            log=self.log,
            strict=self._strict,
            engine=self._parts.engine,
            listen=self._parts.listen,
        )
        self.server = server = HttpServer(self, self.address, self.port, cors=self._cors, listen=self._parts.listen)
        server.webhooks["durabletask"] = self.hub.handle
        server.webhooks["eventgrid"] = EventGridWebhook(self.index, self.invoker, self.clock).handle
        # The hub first: whoever finds the port open may start an instance at once. Queues and timers last:
        # what they run may call the app's own routes.
        if self._parts.loaded is not None:
            self._parts.loaded(self)
        await self._start(SdkSession(self._parts.sdk_session))
        await self._start(self.hub)
        self.state = "Running"
        await self._start(server)
        listeners = QueueListeners(
            self.settings, self.index, self.invoker, self.clock, open_account=self._parts.open_account
        )
        await self._start(listeners)
        timers = TimerTriggers(self.settings, self.index, self.invoker, self.clock, self._state_folder)
        await self._start(timers)

    def _make_invoker(self, *, unlimited: bool = False) -> None:
        self.invoker = Invoker(
            self.settings, self.clock, self._client_json, self._send_output, self.log, unlimited=unlimited
        )

    def _client_json(self, binding: dict[str, Any]) -> str:
        return self.hub.client_json(binding)

    async def _send_output(self, function: Function, binding: dict[str, Any], datum: Datum) -> None:
        await send_to_queue(self.settings, function, binding, datum, open_account=self._parts.open_account)

    async def _start(self, part: _Part) -> None:
        # Noted before it is started: what broke off halfway has to be stopped too.
        self._started.push_async_callback(part.stop)
        await part.start()

    async def _stop_parts(self) -> None:
        if not hasattr(self, "invoker"):
            return
        cut_off = asyncio.create_task(self._cut_off(self.clock.now() + self._grace), name="devhost grace")
        try:
            await self._started.aclose()
            await self.invoker.drained()
        finally:
            cut_off.cancel()
            self.invoker.close()
        for name in self.invoker.on_threads():
            self.log.write(
                STARTUP_CATEGORY,
                Level.WARNING,
                f"Function '{name}' still runs on a thread, which nothing can stop: it ends with the process.",
            )

    async def _cut_off(self, when: datetime) -> None:
        await self.clock.sleep_until(when)
        while True:
            # Also those that begin while the stop goes on, such as a retry of a message.
            self.invoker.cancel_all()
            await self.clock.sleep_until(self.clock.now() + timedelta(seconds=1))


_DEFAULT_ENVIRONMENT: Final = {
    "AZURE_FUNCTIONS_ENVIRONMENT": "Development",
    "FUNCTIONS_WORKER_RUNTIME": "python",
}


def _state_folder(app_dir: Path, state: Path | str | None) -> Path | None:
    if state is None:
        return app_dir / STATE_FOLDER
    return None if str(state) == MEMORY else Path(state).resolve()


def _free_port(address: str) -> int:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.bind((address, 0))
        port: int = probe.getsockname()[1]
        return port


def _drop(line: LogLine) -> None:
    """For `logging.console.isEnabled: false`."""
