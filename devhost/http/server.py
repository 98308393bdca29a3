"""The HTTP server: the host's own paths, the webhooks and the app's HTTP functions on one port."""

from __future__ import annotations

import asyncio
import logging
import ssl

from aiohttp import HttpVersion11, web

from devhost.functions import Function
from devhost.http.admin import Admin
from devhost.http.answers import SERVER, answer
from devhost.http.connection import Listener, accept_body
from devhost.http.cors import Cors
from devhost.http.home_page import HOME_PAGE
from devhost.http.keys import AuthLevel, level_of
from devhost.http.messages import Incoming, Reply, ReplyError, reply_of, request_datum
from devhost.http.parts import (
    CALLED_BY_API,
    RUNNING,
    BodyError,
    Call,
    HostParts,
    Webhook,
    empty,
    unauthorized,
)
from devhost.http.routing import RouteTable, is_http, route_table
from devhost.http.throttle import Throttle, TooManyRequestsError
from devhost.http.urls import TargetError, read_target
from devhost.invoke import FunctionFailed
from devhost.settings import SettingsError

DEFAULT_BODY_LIMIT = 104_857_600
BODY_LIMIT_SETTING = "FUNCTIONS_REQUEST_BODY_SIZE_LIMIT"
_ALWAYS_OPEN = ("/admin/host/ping", "/admin/host/status", "/admin/functions")
_NOT_RUNNING = Reply(503, [], b"Function host is not running.")
_log = logging.getLogger("devhost.http")


def _answers_in_error(path: str) -> bool:
    """A host that can't run the app still tells about it."""
    return any(path == one or path.startswith(f"{one}/") for one in _ALWAYS_OPEN)


class HttpServer:
    """Listens on `address` and `port` (0: a free one, see `.port` after `start`).

    `webhooks` maps the name behind `/runtime/webhooks/` (lower case) to what answers there; keys are checked
    before. The order is: CORS, the host's state, the host's own paths, functions.
    """

    def __init__(
        self,
        host: HostParts,
        address: str = "127.0.0.1",
        port: int = 7071,
        *,
        cors: Cors | None = None,
        ssl_context: ssl.SSLContext | None = None,
        stop_seconds: float = 10.0,
        listen: bool = True,
    ) -> None:
        """`stop_seconds`: how long `stop` lets requests run on. Without `listen` no port is opened: `connections` is
        then reached in memory. Raises SettingsError for a limit that is no number."""
        self.host = host
        self.port = port
        self.webhooks: dict[str, Webhook] = {}
        self._address = address
        self._cors = cors or Cors()
        self._ssl_context = ssl_context
        self._stop_seconds = stop_seconds
        # In state Error nothing runs, and the answer must come although the limits may be what is wrong.
        failed = host.index.host_error is not None
        self._max_body = DEFAULT_BODY_LIMIT if failed else _body_limit(host)
        self._throttle = Throttle() if failed else _throttle(host)
        self._admin = Admin(host)
        self.connections = Listener(self.handle, max_body=self._max_body)
        self._listen = listen
        self._runner: web.ServerRunner | None = None
        self.map_routes()

    def map_routes(self) -> None:
        """Read the routes of the index; call it again when the index has changed."""
        mapped = [] if self.host.index.host_error is not None else _mapped(self.host)
        self._routes: RouteTable[Function] = route_table(mapped, _prefix(self.host))

    async def start(self) -> None:
        """Open the port. Raises OSError when it is taken."""
        runner = web.ServerRunner(self.connections, shutdown_timeout=self._stop_seconds)
        await runner.setup()
        if not self._listen:
            self._runner = runner
            return
        try:
            await web.TCPSite(runner, self._address, self.port, ssl_context=self._ssl_context).start()
        except OSError:
            await runner.cleanup()
            raise
        self._runner = runner
        self.port = runner.addresses[0][1]

    async def stop(self) -> None:
        """Take no more requests, let those under way end (for `stop_seconds`), close the port."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        await self._admin.stop(self._stop_seconds)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request, whatever it is."""
        assert isinstance(request, web.Request)  # noqa: S101 - the Listener makes no others
        try:
            response = await self._respond(request)
        except (TargetError, BodyError) as problem:
            _log.debug("A request could not be read: %s", problem)
            response = answer(request, empty(400))
            response.force_close()
        except (ConnectionError, asyncio.CancelledError):
            raise
        except Exception:
            _log.exception("%s %s failed inside the host.", request.method, request.raw_path)
            response = answer(request, empty(500))
        if not response.prepared:
            self._add_headers(request, response)
        return response

    def _add_headers(self, request: web.Request, response: web.StreamResponse) -> None:
        response.headers.setdefault("Server", SERVER)
        preflight = self._cors.is_preflight(request.method, request.headers)
        for name, value in self._cors.headers(request.headers, preflight=preflight):
            if name == "Vary":
                response.headers.add(name, value)
            else:
                response.headers[name] = value

    async def _respond(self, request: web.Request) -> web.StreamResponse:
        target = read_target(request.raw_path)
        if request.version >= HttpVersion11 and len(request.headers.getall("Host", [])) != 1:
            raise TargetError("a request needs one Host header")
        if self._cors.is_preflight(request.method, request.headers):
            return answer(request, empty(204))
        call = Call(request, target, self.host)
        path = target.path.rstrip("/").lower()
        if self.host.state != RUNNING and not _answers_in_error(path):
            return answer(request, _NOT_RUNNING)
        if (request.content_length or 0) > self._max_body:
            _log.error(
                "%s %s: the body is over %d bytes (%s).",
                request.method,
                target.path,
                self._max_body,
                BODY_LIMIT_SETTING,
            )
            refusal = answer(request, empty(500))
            refusal.force_close()
            return refusal
        await accept_body(request)
        if path.startswith("/runtime/webhooks/"):
            return await self._webhook(call, path)
        return answer(request, await self._reply(call, path))

    async def _reply(self, call: Call, path: str) -> Reply:
        if call.target.path == "/":
            return self._home()
        if path == "/admin" or path.startswith("/admin/"):
            return await self._admin.handle(call)
        return await self._function(call)

    def _home(self) -> Reply:
        if self.host.settings.is_true("AzureWebJobsDisableHomepage"):
            return empty(204)
        return Reply(200, [("Content-Type", "text/html")], HOME_PAGE.encode(), sized=True)

    async def _webhook(self, call: Call, path: str) -> web.StreamResponse:
        name = path.split("/")[3]
        webhook = self.webhooks.get(name)
        if not (call.level() >= AuthLevel.ADMIN if webhook is None else call.opens_webhook(name)):
            return answer(call.request, unauthorized())
        if webhook is None:
            return answer(call.request, empty(404))
        try:
            return await webhook(call.request)
        except web.HTTPException as refusal:
            return answer(call.request, empty(refusal.status))

    async def _function(self, call: Call) -> Reply:
        method = call.request.method.upper()
        match = self._routes.match(method, call.target.path)
        if match is None:
            return empty(404)
        function, values = match
        level = call.level(function.name)
        if level < level_of(function.trigger.get("authLevel")):
            return empty(401)
        if function.disabled and level < AuthLevel.ADMIN:
            return empty(404)
        try:
            async with self._throttle.turn():
                incoming = Incoming(
                    method,
                    call.request.scheme,
                    call.request.headers.get("Host", ""),
                    call.target,
                    call.request.headers.items(),
                    await call.body(),
                )
                return await self._run(function, incoming, values)
        except TooManyRequestsError:
            return empty(429, ("X-FUNCTION-SCALEOUT", "1"))

    async def _run(self, function: Function, incoming: Incoming, values: dict[str, str]) -> Reply:
        try:
            result = await self.host.invoker.invoke(function, request_datum(incoming, values), reason=CALLED_BY_API)
        except FunctionFailed:
            return empty(500)  # The invoker has logged it.
        try:
            return reply_of(result)
        except ReplyError as problem:
            _log.error("Functions.%s: %s", function.name, problem)
            return empty(500)


def _mapped(host: HostParts) -> list[Function]:
    """HTTP functions that have a route: those disabled too, they answer 404 there."""
    return [each for each in host.index.functions if is_http(each) and not each.errors and not each.filtered_out]


def _prefix(host: HostParts) -> str:
    return str(host.settings.get("extensions.http.routePrefix", "api"))


def _throttle(host: HostParts) -> Throttle:
    return Throttle(
        host.settings.integer("extensions.http.maxOutstandingRequests", -1),
        host.settings.integer("extensions.http.maxConcurrentRequests", -1),
    )


def _body_limit(host: HostParts) -> int:
    text = host.settings.setting(BODY_LIMIT_SETTING)
    if text is None:
        return DEFAULT_BODY_LIMIT
    if not text.isdigit():
        raise SettingsError(f"{BODY_LIMIT_SETTING} must be a number of bytes, not {text!r}.")
    return int(text)
