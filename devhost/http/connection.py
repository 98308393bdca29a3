"""One client connection: what aiohttp can't parse is answered as the host's web server answers it."""

from __future__ import annotations

import asyncio
import logging
from http import HTTPMethod
from typing import Any

from aiohttp import HttpVersion11, hdrs, web
from aiohttp.http_exceptions import LineTooLong
from aiohttp.http_parser import HttpRequestParserPy
from aiohttp.web_protocol import RequestHandler

from devhost.http.answers import answer
from devhost.http.parts import empty

MAX_REQUEST_LINE = 8192
MAX_HEADER_LINE = 32768
MAX_HEADERS = 100
_READ_SIZE = 2**16
_KNOWN_VERBS = frozenset(verb.value.encode() for verb in HTTPMethod)
_log = logging.getLogger("devhost.http")


class Connection(RequestHandler):
    """Speaks HTTP/1.x with one client."""

    __slots__ = ("_verb_seen",)

    def __init__(self, manager: web.Server, *, loop: asyncio.AbstractEventLoop, **options: Any) -> None:
        super().__init__(manager, loop=loop, **options)
        self._verb_seen = False

    def data_received(self, data: bytes) -> None:
        if not self._verb_seen:
            self._verb_seen = True
            self._choose_parser(data)
        super().data_received(data)

    def _choose_parser(self, data: bytes) -> None:
        """aiohttp's fast parser refuses verbs it doesn't know; the host takes any, and so does the slow one."""
        verb, blank, _ = data[:64].partition(b" ")
        if not blank or verb in _KNOWN_VERBS or not verb.isalpha():
            return
        self._parser = HttpRequestParserPy(
            self,
            self._loop,
            _READ_SIZE,
            max_line_size=MAX_REQUEST_LINE,
            max_field_size=MAX_HEADER_LINE,
            max_headers=MAX_HEADERS,
            payload_exception=web.RequestPayloadError,
            auto_decompress=False,
        )

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """An empty answer of the right status; the connection ends, as nobody knows what its bytes mean."""
        if request.writer.output_size > 0:
            raise ConnectionError("The response has begun; the error can't be told any more.")
        if status == 400:
            status = _status_of(exc)
            _log.debug("A request could not be read: %s", message)
        else:
            _log.error("A request failed inside the host: %s", message or exc, exc_info=exc)
        response = answer(request, empty(status))
        response.force_close()
        return response


def _status_of(problem: BaseException | None) -> int:
    if not isinstance(problem, LineTooLong):
        return 400
    return 414 if str(problem.args[1]) == str(MAX_REQUEST_LINE) else 431


class Listener(web.Server):
    """Gives each client its Connection."""

    def __init__(self, handler: Any, *, max_body: int) -> None:
        self._options: dict[str, Any] = {
            "max_line_size": MAX_REQUEST_LINE,
            "max_field_size": MAX_HEADER_LINE,
            "max_headers": MAX_HEADERS,
            "read_bufsize": _READ_SIZE,
            "auto_decompress": False,
            "access_log": None,
        }
        self._max_body = max_body
        super().__init__(handler, request_factory=self._request)

    def __call__(self) -> Connection:
        return Connection(self, loop=self._loop, **self._options)

    def _request(self, message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.Request:
        return web.Request(message, payload, protocol, writer, task, self._loop, client_max_size=self._max_body)


async def accept_body(request: web.BaseRequest) -> None:
    """Tell a client that waits for it (`Expect: 100-continue`) to send its body."""
    if request.version >= HttpVersion11 and request.headers.get(hdrs.EXPECT, "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        # What counts as begun is the real response.
        request.writer.output_size = 0
