"""The host's admin API (`/admin/...`): state, functions, keys, and running a function by hand."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from devhost.http.by_hand import by_hand
from devhost.http.key_admin import function_key_ring, host_key_ring, one_function_key, one_host_key
from devhost.http.keys import AuthLevel
from devhost.http.messages import Reply
from devhost.http.parts import CALLED_BY_API, Call, HostParts, empty, json_reply, unauthorized
from devhost.http.request_json import RequestJsonError, read_request_json
from devhost.http.routing import full_route, is_http
from devhost.http.templates import Template, parse_template
from devhost.invoke import FunctionFailed

if TYPE_CHECKING:
    from devhost.functions import Function

# The host whose recorded behaviour devhost is held to; clients look at the first number.
HOST_VERSION = "4.1037.0"
_log = logging.getLogger("devhost.http")
_NEVER_CACHED = (("Cache-Control", "no-store,no-cache"), ("Pragma", "no-cache"))
_SAMPLE_DATA = "/data/Functions/sampledata"

Handler = Callable[["Admin", Call, Mapping[str, str]], Awaitable[Reply]]


class Admin:
    """Answers `/admin/...`; owns the functions that were started by hand and still run."""

    def __init__(self, host: HostParts) -> None:
        self.host = host
        self.started = host.clock.now()
        self._tasks: set[asyncio.Task[None]] = set()
        self._restarting: asyncio.Task[None] | None = None

    async def handle(self, call: Call) -> Reply:
        """404 for what there is not, 401 without the master key, else the answer."""
        path = call.target.path.removeprefix("/")
        for route in _ROUTES:
            values = route.template.match(path) if call.request.method in route.verbs else None
            if values is None:
                continue
            if not route.open and call.level() < AuthLevel.ADMIN:
                return unauthorized()
            return await route.handler(self, call, values)
        return empty(404)

    def in_background(self, work: Awaitable[Any]) -> None:
        """Run a function on after the answer is sent; `stop` waits for it."""
        task = asyncio.create_task(_to_its_end(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def restart_host(self) -> None:
        """Restart after the answer is sent. `stop` doesn't wait for this one: it is what calls `stop`."""
        if self._restarting is None or self._restarting.done():
            self._restarting = asyncio.create_task(_to_its_end(self.host.restart()))

    async def stop(self, seconds: float) -> None:
        """Wait for what runs in the background, then cancel it."""
        if not self._tasks:
            return
        _, left = await asyncio.wait(self._tasks, timeout=seconds)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)


async def _to_its_end(work: Awaitable[Any]) -> None:
    try:
        await work
    except FunctionFailed:
        return  # The invoker has logged it, and the caller had its 202 long ago.
    except Exception:
        _log.exception("What was asked for over /admin has failed inside the host.")


async def _ping(_: Admin, __: Call, ___: Mapping[str, str]) -> Reply:
    return empty(200, *_NEVER_CACHED)


async def _status(admin: Admin, _: Call, __: Mapping[str, str]) -> Reply:
    host = admin.host
    uptime = (host.clock.now() - admin.started).total_seconds() * 1000
    status: dict[str, Any] = {
        "id": hashlib.sha256(str(host.settings.app_dir).encode()).hexdigest()[:32],
        "state": host.state,
        "version": f"{HOST_VERSION}.0",
        "versionDetails": f"{HOST_VERSION}+devhost",
        "platformVersion": "",
        "instanceId": "",
        "computerName": "",
        "processUptime": int(uptime),
    }
    if host.errors:
        status["errors"] = list(host.errors)
    status["functionAppContentEditingState"] = "Unknown"
    bundle = host.settings.get("extensionBundle")
    if isinstance(bundle, dict):
        status["extensionBundle"] = {"id": bundle.get("id"), "version": bundle.get("version")}
    return json_reply(status)


async def _restart(admin: Admin, _: Call, __: Mapping[str, str]) -> Reply:
    admin.restart_host()
    return empty(200)


async def _functions(admin: Admin, call: Call, _: Mapping[str, str]) -> Reply:
    base = "https://" + call.base.partition("://")[2]
    listed = [each for each in admin.host.index.functions if each.listed]
    return json_reply([describe(admin.host, each, base) for each in listed])


async def _function(admin: Admin, call: Call, values: Mapping[str, str]) -> Reply:
    function = admin.host.index.function(values["name"])
    if function is None or not function.listed:
        return empty(404)
    return json_reply(describe(admin.host, function, call.base))


async def _function_status(admin: Admin, _: Call, values: Mapping[str, str]) -> Reply:
    function = admin.host.index.function(values["name"])
    if function is None:
        return empty(404)
    return json_reply({"errors": function.errors} if function.errors else {})


async def _invoke(admin: Admin, call: Call, values: Mapping[str, str]) -> Reply:
    try:
        sent = await read_request_json(call)
    except RequestJsonError as problem:
        return empty(problem.status)
    text = {name.lower(): value for name, value in sent.items()}.get("input")
    if text is not None and not isinstance(text, str):
        return empty(400)
    function = admin.host.index.function(values["name"])
    if function is None or function.errors or function.filtered_out:
        return empty(404)
    trigger, metadata = by_hand(function, text or "", call)
    admin.in_background(admin.host.invoker.invoke(function, trigger, metadata=metadata, reason=CALLED_BY_API))
    return empty(202)


def describe(host: HostParts, function: Function, base: str) -> dict[str, Any]:
    """A function as `/admin/functions` shows it; addresses begin with `base`."""
    app = host.settings.app_dir.as_posix()
    prefix = str(host.settings.get("extensions.http.routePrefix", "api"))
    return {
        "name": function.name,
        "script_root_path_href": None,
        "script_href": f"{base}/admin/vfs{app}/{function.script_file}",
        "config_href": None,
        "test_data_href": f"{base}/admin/vfs{_SAMPLE_DATA}/{function.name}.dat",
        "href": f"{base}/admin/functions/{function.name}",
        "invoke_url_template": f"{base}/{full_route(function, prefix)}".lower() if is_http(function) else None,
        "language": "python",
        "config": {
            "name": function.name,
            "entryPoint": function.entry_point,
            "scriptFile": function.script_file,
            "language": "python",
            "functionDirectory": function.directory or app,
            "bindings": [_direction_first(binding) for binding in function.bindings],
        },
        "files": None,
        "test_data": "",
        "isDisabled": function.disabled,
        "isDirect": False,
        "isProxy": False,
    }


def _direction_first(binding: Mapping[str, Any]) -> dict[str, Any]:
    return {"direction": binding.get("direction"), **binding}


@dataclass(frozen=True)
class AdminRoute:
    verbs: frozenset[str]
    template: Template
    handler: Handler
    open: bool = False


def _route(verbs: str, template: str, handler: Handler, *, open_to_all: bool = False) -> AdminRoute:
    return AdminRoute(frozenset(verbs.split()), parse_template(template), handler, open_to_all)


_HOST_RING = "admin/host/{ring:regex(^(keys|functionkeys|systemkeys)$)}"
_KEY_VERBS = "GET PUT POST DELETE"
_ROUTES: tuple[AdminRoute, ...] = (
    _route("GET POST", "admin/host/ping", _ping, open_to_all=True),
    _route("GET", "admin/host/status", _status),
    _route("POST", "admin/host/restart", _restart),
    _route("GET", _HOST_RING, lambda admin, call, values: host_key_ring(call, values)),
    _route(_KEY_VERBS, _HOST_RING + "/{key}", lambda admin, call, values: one_host_key(call, values)),
    _route("GET", "admin/functions", _functions),
    _route("GET", "admin/functions/{name}", _function),
    _route("POST", "admin/functions/{name}", _invoke),
    _route("GET", "admin/functions/{name}/status", _function_status),
    _route("GET", "admin/functions/{name}/keys", lambda admin, call, values: function_key_ring(call, values)),
    _route(
        _KEY_VERBS,
        "admin/functions/{name}/keys/{key}",
        lambda admin, call, values: one_function_key(call, values),
    ),
)
