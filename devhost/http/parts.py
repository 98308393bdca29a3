"""What the HTTP side needs of the host around it, and one request on its way through."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from aiohttp import web
from azure.functions.meta import Datum

from devhost.clock import Clock
from devhost.http.keys import AuthLevel, KeyStore
from devhost.http.messages import Reply
from devhost.http.urls import Target, query_value

if TYPE_CHECKING:
    from devhost.functions import AppIndex, Function
    from devhost.settings import HostSettings

CALLED_BY_API = "This function was programmatically called via the host APIs."
RUNNING = "Running"

Webhook = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Invokes(Protocol):
    """Runs a function: see `devhost.invoke.Invoker.invoke`."""

    async def invoke(
        self,
        function: Function,
        trigger: Datum,
        *,
        metadata: Mapping[str, Datum] | None = None,
        reason: str,
    ) -> Datum | None: ...


class HostParts(Protocol):
    """The host as the HTTP server sees it. `state` is a host state's name; functions answer in `Running`."""

    @property
    def settings(self) -> HostSettings: ...

    @property
    def index(self) -> AppIndex: ...

    @property
    def invoker(self) -> Invokes: ...

    @property
    def clock(self) -> Clock: ...

    @property
    def keys(self) -> KeyStore: ...

    @property
    def enable_auth(self) -> bool: ...

    @property
    def state(self) -> str: ...

    @property
    def errors(self) -> Sequence[str]:
        """Why the state is Error."""

    async def restart(self) -> None:
        """Load the app again; called after the caller has its answer."""


class BodyError(Exception):
    """The body broke off or is no valid HTTP: 400, and the connection ends."""


@dataclass(frozen=True)
class Call:
    """One request with what routing has read from it."""

    request: web.Request
    target: Target
    host: HostParts

    @property
    def base(self) -> str:
        """`http://<Host header>`, no slash at the end."""
        return f"{self.request.scheme}://{self.request.headers.get('Host', '')}"

    @property
    def key(self) -> str | None:
        """The access key sent: the header wins over the query, also when it is the wrong one."""
        return self.request.headers.get("x-functions-key") or query_value(self.target.query, "code")

    def level(self, function: str | None = None) -> AuthLevel:
        """What the caller may do; without `--enableAuth` everybody is admin, as with Core Tools."""
        if not self.host.enable_auth:
            return AuthLevel.ADMIN
        return self.host.keys.level(self.key, function)

    def opens_webhook(self, extension: str) -> bool:
        """Whether the caller may use a webhook."""
        return not self.host.enable_auth or self.host.keys.opens_webhook(self.key, extension)

    async def body(self) -> bytes:
        """The body, only when it came with a positive Content-Length. Raises BodyError."""
        if not self.request.content_length:
            return b""
        try:
            return await self.request.read()
        except (web.RequestPayloadError, web.HTTPException) as problem:
            raise BodyError(str(problem)) from problem


def empty(status: int, *headers: tuple[str, str]) -> Reply:
    return Reply(status, list(headers), b"", sized=True)


def unauthorized() -> Reply:
    """The 401 of the host's own paths; those of function routes name no scheme."""
    return empty(401, ("WWW-Authenticate", "Bearer"))


def json_reply(value: Any, status: int = 200, *headers: tuple[str, str]) -> Reply:
    """Compact JSON with its length."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return Reply(status, [("Content-Type", "application/json; charset=utf-8"), *headers], text.encode(), sized=True)
