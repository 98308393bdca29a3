"""`call_http`: the built-in activity that makes one HTTP request (HOST_FACTS 6.12)."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
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


class HttpActivity:
    """Runs the requests of all orchestrators over one client session, opened with the first of them."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def run(self, event_id: int, request_json: str, now: datetime) -> Event:
        """TaskCompleted with the response, or TaskFailed when there was none."""
        request: dict[str, Any] = json.loads(request_json)
        if self._session is None:
            # The .NET client gives up after 100 seconds.
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=100))
        try:
            async with self._session.request(
                request["method"],
                request["uri"],
                data=request.get("content"),
                headers=_request_headers(request),
                allow_redirects=True,
            ) as response:
                content = await response.text()
                answer = {
                    "statusCode": response.status,
                    "headers": dict(_response_headers(response)),
                    "content": content,
                }
        except aiohttp.ClientConnectorError as error:
            text = f"{error.os_error.strerror or 'Connection refused'} ({_authority(request['uri'])})"
            return events.task_failed(event_id, _dotnet_wording(text), dump({"Message": text}), now)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            text = str(error) or type(error).__name__
            return events.task_failed(event_id, text, dump({"Message": text}), now)
        return events.task_completed(event_id, dump(answer), now)


def _dotnet_wording(text: str) -> str:
    """Windows and macOS word a refused connection in their own ways; the host says it like this."""
    refused = "refused" in text.lower() or (sys.platform == "win32" and "10061" in text)
    return f"Connection refused {text[text.rindex('(') :]}" if refused else text


def _authority(uri: str) -> str:
    parts = urlsplit(uri)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return f"{parts.hostname}:{port}"


def _request_headers(request: dict[str, Any]) -> dict[str, str]:
    headers = {"User-Agent": USER_AGENT, **(request.get("headers") or {})}
    has_type = any(name.lower() == "content-type" for name in headers)
    if request.get("content") is not None and not has_type:
        headers["Content-Type"] = "text/plain; charset=utf-8"
    return headers


def _response_headers(response: aiohttp.ClientResponse) -> Iterator[tuple[str, Any]]:
    for name in dict.fromkeys(response.headers):
        if name.lower() in _CONTENT_HEADERS:
            continue
        values = response.headers.getall(name)
        if name.lower() == "server":
            values = " ".join(values).split()
        yield name, values if len(values) > 1 else values[0]
