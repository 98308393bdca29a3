"""The test kit's host: the real app, the real SDK and the real engine in this process, time in the test's hands."""

from __future__ import annotations

import asyncio
import base64
import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Self

import aiohttp
import azure.durable_functions as df

from devhost.clock import SystemClock
from devhost.durable.episode import TERMINAL
from devhost.durable.store import ORCHESTRATION, Filter
from devhost.durable.taskhub import RPC_PORT, TaskHub
from devhost.host import Host, Parts
from devhost.logs import LogLine
from devhost.settings import Connection
from devhost.testing.activities import Activity
from devhost.testing.bad_days import BadDays, Dice
from devhost.testing.clock import VirtualClock, settle
from devhost.testing.engine import Interrupted, VirtualEngine
from devhost.testing.instance import Instance
from devhost.testing.leftovers import Before, LeftoverError, alive_since
from devhost.testing.queues import MemoryAccount
from devhost.testing.transport import MemoryConnector
from devhost.testing.waits import waits_of
from devhost.triggers.queue_options import QueueOptions

PATIENCE_SECONDS = 30.0
"""How long the app's own code may work (in real time) before a test gives up on it."""


@dataclass(frozen=True)
class Response:
    """An HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    def json(self) -> Any:
        return json.loads(self.body)


class TestHost:
    """Runs the Functions app of `app_dir` for one test; an async context manager.

    - No port is opened and no storage is needed: HTTP goes through memory, and the app's queue triggers and queue
      outputs use queues in memory (`queue`). What the app's own code calls is real, its clock included.
    - Time stands still until the test moves it (`advance`) or awaits a result, which skips to whatever is due next.
      Schedules of timer triggers are no reason to skip; they run when time moves over them.
    - `now` is where time begins, the present unless given; it is timezone-aware.
    - `environment` is set for the app while the host runs; AzureWebJobsStorage, which nothing connects to unless the
      app does, is the emulator's unless given. `state` is the folder for its instances, a temporary one
      unless given.
    - `bad_days` plays what a live host does on a bad day.
    - `forced_replay` gives every step of an orchestrator the same history twice and fails the test when it does
      something else the second time.
    - `leftovers`: "fail" (default) raises LeftoverError at the end for what `leftovers()` finds and for threads and
      tasks that are still alive, "ignore" does not look.
    """

    __test__ = False  # the name is no test's

    def __init__(
        self,
        app_dir: Path | str,
        *,
        now: datetime | None = None,
        environment: Mapping[str, str] | None = None,
        state: Path | str | None = None,
        bad_days: BadDays | None = None,
        forced_replay: bool = True,
        leftovers: str = "fail",
    ) -> None:
        if leftovers not in ("fail", "ignore"):
            raise ValueError(f"leftovers must be 'fail' or 'ignore', not {leftovers!r}.")
        if now is not None and now.tzinfo is None:
            raise ValueError("now must be timezone-aware, such as datetime(2026, 1, 1, tzinfo=UTC).")
        self.app_dir = Path(app_dir).resolve()
        self.clock = VirtualClock(now or SystemClock().now())
        self.log: list[LogLine] = []
        self.deaths = 0
        self._environment = {"AzureWebJobsStorage": "UseDevelopmentStorage=true", **(environment or {})}
        self._dice = Dice(bad_days or BadDays())
        self._problems: list[Exception] | None = [] if forced_replay else None
        self._reported = leftovers == "fail"
        self._temporary = tempfile.TemporaryDirectory(prefix="devhost-test-") if state is None else None
        self._state = Path(self._temporary.name if self._temporary else str(state))
        self._account = MemoryAccount(self.clock, wakes=True, comes_twice=self._dice.delivers_twice)
        self._activities: dict[str, Activity] = {}
        self._interrupted = Interrupted()
        self._turn = asyncio.Lock()
        self._dying: asyncio.Task[None] | None = None
        self._host: Host | None = None

    # --- life ---------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        self._before = Before()
        await self.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *exception: object) -> None:
        try:
            found = await self.leftovers() if kind is None and self._reported and self._host is not None else []
        finally:
            await self.stop()
        if kind is not None:
            return
        if self._problems:
            raise self._problems[0]
        if self._reported:
            await settle()  # what the stop has cancelled comes to its end
            found += alive_since(self._before)
        if found:
            raise LeftoverError("The test has ended, and this is left:\n" + "\n".join(f"- {one}" for one in found))

    async def start(self) -> None:
        """Start on the present state: at the beginning, and again after `kill`."""
        if self._host is not None:
            raise RuntimeError("The host runs already: `kill` it first.")
        parts = Parts(
            engine=partial(VirtualEngine, dice=self._dice, interrupted=self._interrupted, problems=self._problems),
            open_account=self._open_account,
            sdk_session=lambda: aiohttp.ClientSession(connector=MemoryConnector(self._servers)),
            listen=False,
            loaded=self._loaded,
        )
        host = Host(
            self.app_dir,
            port=0,
            state=self._state,
            clock=self.clock,
            environment=self._environment,
            grace=timedelta(0),
            sink=self.log.append,
            parts=parts,
        )
        await host.start()
        self._host = host
        self._base64_queues = host.error is None and QueueOptions.read(host.settings).base64
        if (problem := _problem_of(host)) is not None:
            await self.stop()
            raise RuntimeError(f"The app in {self.app_dir} can't be tested: {problem}")
        self._session = aiohttp.ClientSession(connector=MemoryConnector(self._servers))

    async def stop(self) -> None:
        """Stop in order, as at Ctrl-C. The state stays as it is until the test ends."""
        if self._dying is not None:
            await self._dying
        host, self._host = self._host, None
        if host is not None:
            if hasattr(self, "_session"):
                await self._session.close()
            await host.stop()
        if self._temporary is not None and self._dying is None:
            self._temporary.cleanup()

    async def kill(self) -> None:
        """Die as by SIGKILL: what is not committed is gone, what runs is cut off. `start` begins again after it.

        A plain (not async) function can't be cut off: it runs on to its end on its thread, and its result is dropped.
        """
        host, self._host = self._running, None
        engine = host.hub.engine
        assert isinstance(engine, VirtualEngine)  # noqa: S101 - the kit has made it
        engine.kill()
        _cut_connections(host)
        self.deaths += 1
        await self._session.close()
        await host.stop()

    def kill_at_commit(self, number: int) -> None:
        """Die instead of the commit of that number, counted from now (1 is the next), and start again at once.

        What was done for that commit has been done, such as an activity's call of the outside world, but the state
        knows nothing of it. A request to the host that is under way fails with a connection error, as it does for
        clients of a host that dies. `deaths` tells whether it came to that.
        """
        if number < 1:
            raise ValueError(f"The commits are counted from 1, not {number}.")
        host = self._running
        store = host.hub.store
        left = number

        def before_commit() -> None:
            nonlocal left
            left -= 1
            if left == 0:
                store.before_commit = None
                store.abandon()
                self._dying = asyncio.get_running_loop().create_task(self._die_and_rise(), name="devhost dies")
                _cut_connections(host)

        store.before_commit = before_commit

    async def _die_and_rise(self) -> None:
        try:
            await self.kill()
            await self.start()
        finally:
            self._dying = None

    @property
    def _running(self) -> Host:
        if self._host is None:
            raise RuntimeError("The host does not run: `start` it.")
        return self._host

    # --- what a test does ---------------------------------------------------------------------------------

    @property
    def hub(self) -> TaskHub:
        return self._running.hub

    @property
    def client(self) -> df.DurableOrchestrationClient:
        """The SDK's own client of the host, as a function gets it by `durable_client_input`."""
        return df.DurableOrchestrationClient(self.hub.client_json({}))

    async def start_orchestration(self, name: str, value: Any = None, instance_id: str | None = None) -> Instance:
        """Start an instance by the SDK's client, with `value` as its input."""
        names = [*self._orchestrators()]
        if name not in names:
            raise LookupError(f"The app has no orchestrator '{name}'; it has {_listed(names)}.")
        return self.instance(await self.client.start_new(name, instance_id, value))

    def instance(self, instance_id: str) -> Instance:
        """The handle of an instance that something else started."""
        return Instance(self, instance_id)

    def instances(self) -> list[Instance]:
        """All orchestration instances, oldest first."""
        rows = self.hub.store.find(Filter(kind=ORCHESTRATION), -1)
        return [Instance(self, row.instance_id) for row in sorted(rows, key=lambda row: row.created)]

    async def request(self, method: str, path: str, **options: Any) -> Response:
        """Send an HTTP request, such as `request("POST", "/api/orders", json={"sku": 7})`; the options are those of
        aiohttp. Redirects are not followed."""
        url = path if path.startswith("http") else self._running.url + path
        async with self._session.request(method, url, allow_redirects=False, **options) as response:
            return Response(response.status, dict(response.headers), await response.read())

    def activity(self, name: str) -> Activity:
        """The activity of that name, to be replaced, broken or slowed down for this test."""
        known = [function.name for function in self._running.index.by_trigger("activityTrigger")]
        if name not in known:
            raise LookupError(f"The app has no activity '{name}'; it has {_listed(known)}.")
        if name not in self._activities:
            self._activities[name] = Activity(name, self.clock)
            self._activities[name].install(self._running)
        return self._activities[name]

    def queue(self, name: str) -> TestQueue:
        """A queue in memory, made when it is missing."""
        return TestQueue(self._account, name.lower(), base64_text=self._base64_queues)

    # --- time ---------------------------------------------------------------------------------------------

    async def settle(self) -> None:
        """Run until nothing is left but time: no function runs, no message is on its way, all wait for timers,
        events or messages. Raises TimeoutError when the app's own code works longer than half a minute."""
        async with self._turn:
            await self._settle()

    async def advance(self, by: timedelta | None = None, **units: float) -> None:
        """Move time, as `advance(timedelta(days=5))` or `advance(days=5)`, stopping wherever something is due."""
        target = self.clock.now() + (by or timedelta(0)) + timedelta(**units)
        if target < self.clock.now():
            raise ValueError("Time goes forward only.")
        async with self._turn:
            await self._advance_to(target)

    async def step(self, reached: Callable[[], bool], limit: datetime) -> bool:
        """Skip from one due moment to the next until `reached`; False when nothing comes any more before `limit`."""
        while True:
            async with self._turn:
                await self._settle()
                if self._problems:
                    raise self._problems[0]
                if reached():
                    return True
                due = self._next_due()
                if due is None or due > limit:
                    return False
                await self._advance_to(max(due, self.clock.now()))

    async def _advance_to(self, target: datetime) -> None:
        await self._settle()
        while (due := self.clock.next_due()) is not None and due <= target:
            self.clock.move_to(due)
            await self._settle()
        self.clock.move_to(target)

    async def _settle(self) -> None:
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while True:
                    await settle()
                    if self._dying is not None:
                        await asyncio.shield(self._dying)
                    elif busy := self._busy():
                        await self.clock.until_rest(busy)
                    else:
                        return
        except TimeoutError:
            names = self._running.invoker.running()
            raise TimeoutError(
                f"After {PATIENCE_SECONDS:g} s of real time this still runs: {', '.join(names) or 'the host'}. "
                "Only durable timers pass in virtual time; replace an activity that really waits."
            ) from None

    def _busy(self) -> set[asyncio.Task[Any]]:
        host = self._running
        return self.clock.awake({*host.hub.engine.tasks, *host.invoker.tasks()})

    def _next_due(self) -> datetime | None:
        """When something is due that may move an instance: no schedules of timer triggers, no time limits."""
        moments = [self.hub.engine.next_due()]
        moments += [activity.next_due() for activity in self._activities.values()]
        moments += [self._account.next_visible(name) for name in self._triggering_queues()]
        return min((moment for moment in moments if moment is not None), default=None)

    def hanging(self) -> list[str]:
        """What runs and never returns, as the test has asked for."""
        names = set(self._running.invoker.tasks().values())
        return [
            f"activity '{one.name}' never returns"
            for one in self._activities.values()
            if one.hangs() and one.name in names
        ]

    # --- leftovers ----------------------------------------------------------------------------------------

    async def leftovers(self) -> list[str]:
        """What is still open: instances that have not ended, timers that keep instances from ending, messages that
        nobody took."""
        await self.settle()
        found = []
        for instance in self.instances():
            row = instance.row()
            if row.status not in TERMINAL:
                waits = await waits_of(self.hub.engine, instance.id)
                found.append(f"instance '{instance.id}' ({row.name}) is still {row.status}: it {waits}")
        for name, messages in self._account.queues.items():
            if messages:
                first = _cut(self.queue(name).messages()[0])
                found.append(f"{len(messages)} message(s) in queue '{name}' that nobody took: {first}")
        return found

    # --- parts --------------------------------------------------------------------------------------------

    def _loaded(self, host: Host) -> None:
        for activity in self._activities.values():
            activity.install(host)

    def _open_account(self, connection: Connection) -> MemoryAccount:
        return self._account

    def _servers(self) -> dict[int, Callable[[], asyncio.BaseProtocol]]:
        if self._host is None or self._dying is not None:
            return {}
        return {self._host.port: self._host.server.connections, RPC_PORT: self._host.hub.rpc_server}

    def _orchestrators(self) -> list[str]:
        return self.hub.engine.code.orchestrator_names

    def _triggering_queues(self) -> list[str]:
        host = self._running
        return [
            host.settings.resolve(one.trigger["queueName"]).lower() for one in host.index.by_trigger("queueTrigger")
        ]


class TestQueue:
    """A queue in memory, in the encoding that host.json sets for the app."""

    __test__ = False

    def __init__(self, account: MemoryAccount, name: str, *, base64_text: bool) -> None:
        self.name = name
        self._account = account
        self._base64 = base64_text

    def put(self, message: Any) -> None:
        """Put a message: text as it is, anything else as JSON."""
        text = message if isinstance(message, str) else json.dumps(message)
        self.put_raw(base64.b64encode(text.encode()).decode() if self._base64 else text)

    def put_raw(self, text: str) -> None:
        """Put exactly this text, whatever encoding the app expects."""
        self._account.put(self.name, text)

    def messages(self) -> list[str]:
        """The texts of all messages in the queue, hidden ones too; one that is not base64 as it is."""
        return [self._decoded(text) for text in self._account.texts(self.name)]

    def take(self) -> str:
        """Take the oldest message out. Raises LookupError when there is none."""
        kept = self._account.queues.get(self.name, {})
        if not kept:
            raise LookupError(f"There is no message in queue '{self.name}'.")
        return self._decoded(kept.pop(next(iter(kept))).text)

    def take_all(self) -> list[str]:
        """Take all messages out, the oldest first."""
        return [self.take() for _ in self.messages()]

    def _decoded(self, text: str) -> str:
        if not self._base64:
            return text
        try:
            return base64.b64decode(text, validate=True).decode()
        except ValueError:
            return text  # what `put_raw` has put, or the poison queue holds of it


def _cut_connections(host: Host) -> None:
    """As the system does when a process dies: who waits for an answer learns that none will come."""
    for server in (host.server.connections, host.hub.rpc_server):
        for connection in server.connections:
            if connection.transport is not None:
                connection.transport.abort()


def _problem_of(host: Host) -> str | None:
    """What keeps the app, or a function of it, from running. A live host goes on without the function."""
    in_error = [
        f"function '{one.name}' is in error: {' '.join(one.errors)}" for one in host.index.functions if one.errors
    ]
    return next((text for text in [host.error, host.index.error, *in_error] if text is not None), None)


def _listed(names: list[str]) -> str:
    return ", ".join(f"'{name}'" for name in sorted(names)) or "none"


def _cut(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:200]}…"
