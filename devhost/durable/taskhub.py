"""The task hub of an app: engine, management API and the local rpc endpoint, put together.

`TaskHub` is the only name of this folder that the rest of devhost needs.
"""

from __future__ import annotations

import json
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from aiohttp import web
from azure.functions.meta import Datum

from ..clock import Clock
from ..functions import AppIndex, Function
from ..http.answers import answer
from ..http.messages import Reply
from ..invoke import FunctionFailed, Invoker
from ..logs import HostLog, Level
from ..settings import HostSettings, MissingConnection
from . import links
from .client import HubClient
from .delivery import Delivery
from .engine import Engine, UserCode, UserCodeFailed
from .failures import UserError
from .http_activity import HttpActivity
from .hub_options import HubOptions
from .management import BadHubName, Call, Management, NoSuchConnection, Target, bad_argument, query_of, segments_of
from .state_folder import StateError, StateFolder
from .store import Store

RPC_ADDRESS = "127.0.0.1"
RPC_PORT = 17071
RPC_PREFIX = "/durabletask/"
_RPC_TRIES = 10
_RPC_STOP_SECONDS = 0.1

CATEGORY = "Host.Triggers.DurableTask"


class TaskHub:
    """`state` is the folder for the hub's file, None keeps it in memory; `system_key` opens the webhook.
    `strict` fails instances that would wait for ever. `engine` makes the engine. Without `listen` the rpc endpoint
    opens no port: `rpc_server` is then reached in memory.

    Raises StateError when the state can't be used, SettingsError for a bad host.json.
    """

    def __init__(
        self,
        settings: HostSettings,
        index: AppIndex,
        invoker: Invoker,
        clock: Clock,
        state: Path | None,
        *,
        system_key: str,
        log: HostLog,
        strict: bool = False,
        engine: Callable[..., Engine] = Engine,
        listen: bool = True,
    ) -> None:
        self._settings, self._invoker, self._clock, self._state = settings, invoker, clock, state
        self._log = log
        self.options = HubOptions.of(settings)
        self._key = system_key
        self._http = HttpActivity()
        code = self._user_code(index)
        # From here on the folder is held: nothing that follows may fail without letting go of it.
        self._folder = StateFolder(state) if state is not None else None
        if self._folder is not None:
            self._folder.open()
        try:
            self.store = Store(self._path(self.options.name))
        except StateError:
            if self._folder is not None:
                self._folder.close()
            raise
        self._stores = {self.options.name.lower(): self.store}
        self._nothing = Store(None)
        self.engine = engine(
            self.store, code, clock, self.options.limits, self.options.replay, self._write_log, strict=strict
        )
        self.client = self._client(self.store, self.engine.deliver, self.engine.invalidate)
        self._management = Management(self._target, code.entity_names, clock)
        self.rpc_server = web.Server(self._handle_rpc, access_log=None)
        self._listen = listen
        self._rpc: web.ServerRunner | None = None
        self.rpc_base = ""

    def _path(self, hub: str) -> Path | None:
        return self._state / f"{hub.lower()}.db" if self._state is not None else None

    def _write_log(self, level: str, text: str) -> None:
        self._log.write(CATEGORY, Level[level], text)

    # --- life ---------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Open the rpc endpoint and take up what the state says is under way."""
        await self._start_rpc()
        self.engine.start()

    async def stop(self, grace: float = 5.0) -> None:
        await self.engine.stop(grace)
        await self._http.close()
        if self._rpc is not None:
            await self._rpc.cleanup()
        for store in (*self._stores.values(), self._nothing):
            store.close()
        if self._folder is not None:
            self._folder.close()

    async def _start_rpc(self) -> None:
        # At a stop the engine has stopped before: what it has not answered by then it never will.
        self._rpc = web.ServerRunner(self.rpc_server, access_log=None, shutdown_timeout=_RPC_STOP_SECONDS)
        await self._rpc.setup()
        if not self._listen:
            self.rpc_base = f"http://{RPC_ADDRESS}:{RPC_PORT}{RPC_PREFIX}"
            return
        ports = [RPC_PORT, *random.sample(range(30000, 31000), _RPC_TRIES)]
        for port in ports:
            site = web.TCPSite(self._rpc, RPC_ADDRESS, port)
            try:
                await site.start()
            except OSError:
                continue
            self.rpc_base = f"http://{RPC_ADDRESS}:{port}{RPC_PREFIX}"
            return
        raise OSError(f"No free port for the local rpc endpoint: tried {', '.join(map(str, ports))}.")

    # --- what the host's other rooms use ------------------------------------------------------------------

    def client_json(self, binding: dict[str, Any]) -> str:
        """The text for a durableClient binding."""
        hub = self._settings.resolve(binding.get("taskHub") or self.options.name)
        connection = self._settings.resolve(binding.get("connectionName") or self.options.connection)
        target = links.Hub(hub, connection, self._key)
        return links.client_json(self._origin(), self.rpc_base, target)

    def _origin(self) -> str:
        name = self._settings.environment.get("WEBSITE_HOSTNAME", "localhost:7071")
        return f"{'http' if name.startswith('localhost:') else 'https'}://{name}"

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """The webhook: everything below `/runtime/webhooks/durabletask`."""
        path, _, query = request.raw_path.partition("?")
        below = path[len(links.WEBHOOK) :].removeprefix("/")
        reply = await self._management.handle(await self._call(request, below, query, rpc=False))
        return answer(request, reply)

    async def _handle_rpc(self, request: web.BaseRequest) -> web.StreamResponse:
        path, _, query = request.raw_path.partition("?")
        if not path.startswith(RPC_PREFIX):
            return answer(request, _foreign_rpc_path(path))
        call = await self._call(request, path[len(RPC_PREFIX) :], query, rpc=True)
        reply = await self._management.handle(call)
        return answer(request, replace(reply, sized=False))

    async def _call(self, request: web.BaseRequest, below: str, query: str, *, rpc: bool) -> Call:
        origin = f"{request.scheme}://{request.headers.get('Host', request.host)}"
        return Call(
            method=request.method,
            segments=segments_of(below),
            query=query_of(query),
            body=await request.read(),
            content_type=request.headers.get("Content-Type", ""),
            headers={name.lower(): value for name, value in request.headers.items()},
            origin=origin,
            url=f"{origin}{request.raw_path}",
            rpc=rpc,
        )

    # --- hubs ---------------------------------------------------------------------------------------------

    def _client(
        self, store: Store, deliver: Callable[[Delivery], None], invalidate: Callable[[str], None]
    ) -> HubClient:
        return HubClient(
            store,
            self._clock,
            deliver,
            invalidate,
            any_state=self.options.any_state,
            default_version=self.options.replay.default_version,
        )

    def _target(self, call: Call) -> Target:
        name = call.query.get("taskhub") or self.options.name
        connection = call.query.get("connection") or self.options.connection
        if connection.lower() != self.options.connection.lower():
            try:
                self._settings.connection(connection)
            except MissingConnection:
                raise NoSuchConnection(
                    f"Unable to resolve the Azure Storage connection named '{connection}'."
                ) from None
        described = links.Hub(name, connection, self._key)
        if name.lower() == self.options.name.lower():
            return Target(self.client, described)
        # The name becomes that of a file.
        if not links.HUB_NAME.fullmatch(name):
            raise BadHubName(
                f"Task hub name '{name}' must have 3 to 45 letters and digits and begin with a letter. "
                "(Parameter 'taskHub')"
            )
        return Target(self._foreign_client(name, create=call.makes_hub), described)

    def _foreign_client(self, name: str, *, create: bool) -> HubClient:
        """A hub that no worker of this host serves: its instances stay Pending. One that nobody has made yet reads as
        empty, and reading does not make it."""
        store = self._stores.get(name.lower())
        path = self._path(name)
        if store is None and (create or (path is not None and path.exists())):
            store = self._stores[name.lower()] = Store(path)
        if store is None:
            store = self._nothing
        return self._client(store, lambda delivery: None, lambda instance_id: None)

    # --- the app's functions ------------------------------------------------------------------------------

    def _user_code(self, index: AppIndex) -> UserCode:
        return UserCode(
            {
                self._registered(function, "orchestration"): self._caller(function)
                for function in index.by_trigger("orchestrationTrigger")
            },
            {
                self._registered(function, "activity"): self._caller(function)
                for function in index.by_trigger("activityTrigger")
            },
            {
                self._registered(function, "entityName"): self._caller(function)
                for function in index.by_trigger("entityTrigger")
            },
            self._http.run,
        )

    def _registered(self, function: Function, key: str) -> str:
        """The name that orchestrations call the function by."""
        return self._settings.resolve(function.trigger.get(key) or function.name)

    def _caller(self, function: Function) -> Callable[[str | None], Awaitable[str]]:
        async def call(text: str | None) -> str:
            try:
                result = await self._invoker.invoke(
                    function, Datum(text if text is not None else "null", "string"), reason="(null)"
                )
            except FunctionFailed as failure:
                raise UserCodeFailed(UserError(failure.type_name, failure.text, failure.stack)) from None
            return "null" if result is None or result.value is None else _json_text(result)

        return call


def _json_text(result: Datum) -> str:
    """Orchestrators, activities and entities return JSON text; anything else is a plain string."""
    return str(result.value) if result.type == "json" else json.dumps(result.value)


def _foreign_rpc_path(path: str) -> Reply:
    if len(path) < len(RPC_PREFIX):
        text = "startIndex cannot be larger than length of string. (Parameter 'startIndex')"
        return replace(bad_argument(text, "System.ArgumentOutOfRangeException"), sized=False)
    return Reply(404)
