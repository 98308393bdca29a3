"""The server that the recorded `call_http` cases called: the same answers, and a note of each request as it came."""

from __future__ import annotations

import asyncio
from typing import Any

_SERVER = ("Server", "BaseHTTP/0.6 Python/3.11.7")
_DATE = ("Date", "Mon, 23 Nov 2026 20:00:00 GMT")
_JSON = [("X-Multi", "a"), ("Content-Type", "application/json")]
_TEXT = [("X-One", "1"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("Content-Type", "text/plain; charset=utf-8")]

_ANSWERS: dict[str, tuple[str, list[tuple[str, str]], str]] = {
    "/json": ("200 OK", _JSON, '{"ok": 1}'),
    "/text": ("200 OK", _TEXT, "héllo"),
    "/err": ("500 Internal Server Error", _JSON, "no"),
    "/empty": ("204 No Content", [], ""),
    "/noloc": ("202 Accepted", _JSON, '{"ok": 1}'),
    "/post?x=1": ("200 OK", _JSON, '{"ok": 1}'),
    "/post2": ("200 OK", _JSON, '{"ok": 1}'),
    "/poll": ("202 Accepted", [("Location", "{url}/done"), ("Retry-After", "2")], ""),
}


class HttpTarget:
    """While entered, serves on a free port: `url`. `requests` are method, url, headers and body of each call."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.url = ""

    async def __aenter__(self) -> HttpTarget:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[:-2]
            method, path, _ = first.split(" ")
            headers = dict(line.split(": ", 1) for line in lines)
            body = await reader.readexactly(int(headers.get("Content-Length", 0)))
            self.requests.append({"method": method, "url": self.url + path, "headers": headers, "body": body.decode()})
            writer.write(self._answer(path))
            await writer.drain()
        finally:
            writer.close()

    def _answer(self, path: str) -> bytes:
        status, own, text = _ANSWERS[path]
        body = text.encode()
        headers = [_SERVER, _DATE, *own]
        if not status.startswith("204"):
            headers.append(("Content-Length", str(len(body))))
        lines = [f"HTTP/1.0 {status}", *(f"{name}: {value.format(url=self.url)}" for name, value in headers)]
        return "\r\n".join([*lines, "", ""]).encode() + body
