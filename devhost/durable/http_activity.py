"""`call_http`: the built-in activity that makes one HTTP request (HOST_FACTS 6.12)."""

from __future__ import annotations

import errno
import json
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from . import events
from .events import Event, dump

USER_AGENT = "Microsoft.Azure.WebJobs.Extensions.DurableTask/3.15.0"

_CONTENT_HEADERS = frozenset(
    [
        "allow",
        "content-disposition",
        "content-encoding",
        "content-language",
        "content-length",
        "content-location",
        "content-md5",
        "content-range",
        "content-type",
        "expires",
        "last-modified",
    ]
)


class TokenError(Exception):
    """No token for a request could be had; the text says what to do."""


class HttpActivity:
    """Runs the requests of all orchestrators over one client session, opened with the first of them.

    `token_of` gives the bearer token for a resource, such as `https://management.core.windows.net`.
    """

    def __init__(self, token_of: Callable[[str], Awaitable[str]] | None = None) -> None:
        self._session: aiohttp.ClientSession | None = None
        self._token_of = token_of or token_of_this_machine

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def run(self, event_id: int, request_json: str, now: datetime) -> Event:
        """TaskCompleted with the response, or TaskFailed when there was none."""
        request: dict[str, Any] = json.loads(request_json)
        try:
            headers = await self._headers(request)
        except TokenError as error:
            return _failed(event_id, str(error), now)
        if self._session is None:
            # The .NET client gives up after 100 seconds, and keeps cookies, also those of addresses.
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=100), cookie_jar=aiohttp.CookieJar(unsafe=True)
            )
        try:
            async with self._session.request(
                request["method"],
                request["uri"],
                data=request.get("content"),
                headers=headers,
                # The .NET client sends neither of its own accord.
                skip_auto_headers=("Accept", "Accept-Encoding"),
            ) as response:
                content = await response.text()
                answer = {
                    "statusCode": response.status,
                    "headers": dict(_response_headers(response)),
                    "content": content,
                }
        except aiohttp.ClientConnectorError as error:
            if not _is_refusal(error):
                return _failed(event_id, str(error), now)
            text = f"Connection refused ({_authority(request['uri'])})"
            return events.task_failed(event_id, text, dump(_refusal(text)), now)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            return _failed(event_id, str(error) or type(error).__name__, now)
        return events.task_completed(event_id, dump(answer), now)

    async def _headers(self, request: dict[str, Any]) -> dict[str, str]:
        headers = _request_headers(request)
        source = request.get("tokenSource")
        if source:
            headers["Authorization"] = f"Bearer {await self._token_of(source['resource'])}"
        return headers


async def token_of_this_machine(resource: str) -> str:
    """A token of whoever is signed in here: environment, managed identity, Azure CLI and the like."""
    try:
        # Half a second of import that only such requests need.
        from azure.identity.aio import DefaultAzureCredential  # noqa: PLC0415
    except ImportError:
        raise TokenError("call_http with a token source needs the package azure-identity: install it.") from None
    from azure.core.exceptions import ClientAuthenticationError  # noqa: PLC0415 - comes with azure-identity

    async with DefaultAzureCredential() as credential:
        try:
            token = await credential.get_token(f"{resource.rstrip('/')}/.default")
        except ClientAuthenticationError as error:
            reason = next(iter(str(error).splitlines()), "")
            raise TokenError(f"No token for {resource}: sign in with `az login` first. {reason}") from None
    return token.token


def _failed(event_id: int, text: str, now: datetime) -> Event:
    return events.task_failed(event_id, text, dump({"Message": text}), now)


def _is_refusal(error: aiohttp.ClientConnectorError) -> bool:
    # Of several addresses tried, each refusal is told in a text of its own.
    return (
        error.errno == errno.ECONNREFUSED
        or "refused" in str(error).lower()
        or isinstance(error.os_error, ConnectionRefusedError)
    )


def _refusal(text: str) -> dict[str, Any]:
    """The exception of the .NET client, serialised."""
    collection = {"$type": "System.Collections.ListDictionaryInternal, System.Private.CoreLib"}
    inner = {
        "$type": "System.Net.Sockets.SocketException, System.Net.Primitives",
        "ClassName": "System.Net.Sockets.SocketException",
        "Message": "Connection refused",
        "Data": None,
        "InnerException": None,
        "HelpURL": None,
        "StackTraceString": "",
        "RemoteStackTraceString": "",
        "RemoteStackIndex": 0,
        "ExceptionMethod": None,
        "HResult": -2147467259,
        "Source": "System.Private.CoreLib",
        "WatsonBuckets": None,
        "NativeErrorCode": 111,
    }
    return {
        "$type": "System.Net.Http.HttpRequestException, System.Net.Http",
        "HttpRequestError": 2,
        "StatusCode": None,
        "Message": text,
        "Data": collection,
        "InnerException": inner,
        "HelpLink": None,
        "Source": "System.Net.Http",
        "HResult": -2147467259,
        "StackTrace": "",
    }


def _authority(uri: str) -> str:
    parts = urlsplit(uri)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return f"{parts.hostname}:{port}"


def _request_headers(request: dict[str, Any]) -> dict[str, str]:
    headers = {"User-Agent": USER_AGENT, **(request.get("headers") or {})}
    has_type = any(name.lower() == "content-type" for name in headers)
    if request.get("content") is not None and not has_type:
        headers["Content-Type"] = "text/plain"
    return headers


def _response_headers(response: aiohttp.ClientResponse) -> Iterator[tuple[str, Any]]:
    for name in dict.fromkeys(response.headers):
        if name.lower() in _CONTENT_HEADERS:
            continue
        values = response.headers.getall(name)
        if name.lower() == "server":
            values = " ".join(values).split()
        yield name, values if len(values) > 1 else values[0]
