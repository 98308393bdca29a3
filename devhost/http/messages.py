"""HTTP on one side, the SDK's datums on the other: what a function is given, and what its result becomes.

Pure: no sockets here. The datums are those that the converters of `azure.functions` take and give.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http.cookies import Morsel, SimpleCookie
from typing import Any
from urllib.parse import quote

from azure.functions.meta import Datum

from devhost.http.cookie_dates import rfc1123_date
from devhost.http.json_text import NotJsonError, bare_text, read_json, write_json
from devhost.http.urls import Target, query_params

TEXT = "text/plain; charset=utf-8"
_OURS = frozenset({"date", "transfer-encoding"})
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(r"[\t\x20-\x7e]*")


class ReplyError(ValueError):
    """What the function returned can't be sent as HTTP; the text says what to change. Becomes 500."""


@dataclass(frozen=True)
class Incoming:
    """One request; `headers` in the order and spelling sent, `body` only if a Content-Length came with it."""

    method: str
    scheme: str
    host: str
    target: Target
    headers: Iterable[tuple[str, str]]
    body: bytes


@dataclass(frozen=True)
class Reply:
    """One response; chunked unless `sized` or its headers hold a Content-Length or the body is empty."""

    status: int = 200
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    sized: bool = False


def text_datum(value: str) -> Datum:
    return Datum(value, "string")


def request_headers(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Lower-cased names; repeated headers joined with `,`, empty ones among several left out."""
    values: dict[str, list[str]] = {}
    for name, value in headers:
        values.setdefault(name.lower(), []).append(value.strip(" \t"))
    return {name: ",".join(filter(None, found)) for name, found in values.items()}


def request_datum(request: Incoming, route_values: Mapping[str, str]) -> Datum:
    """The datum that the SDK's httpTrigger converter turns into an `HttpRequest`."""

    def texts(values: Mapping[str, str]) -> dict[str, Datum]:
        return {name: text_datum(value) for name, value in values.items()}

    return Datum(
        {
            "method": text_datum(request.method),
            "url": text_datum(f"{request.scheme}://{request.host}{request.target.shown}"),
            "headers": texts(request_headers(request.headers)),
            "query": texts(query_params(request.target.query)),
            "params": texts(route_values),
            "body": Datum(request.body, "bytes"),
        },
        "http",
    )


def reply_of(datum: Datum | None) -> Reply:
    """The response a function's result becomes. Raises ReplyError."""
    if datum is None or datum.type is None:
        return Reply()
    build = _REPLIES.get(datum.type)
    if build is None:
        raise ReplyError(f"A result of type '{datum.type}' can't be sent as HTTP; return a str or an HttpResponse.")
    return build(datum.value)


def _from_response(value: Mapping[str, Any]) -> Reply:
    headers = {name: str(item.value) for name, item in value["headers"].items()}
    body = value["body"].value
    data = body.encode() if isinstance(body, str) else bytes(body or b"")
    cookies = [line for cookie in value.get("cookies") or () for line in _cookie_lines(cookie)]
    return Reply(_status(value["status_code"].value), _headers(headers, cookies, len(data)), data)


def _from_text(text: str) -> Reply:
    try:
        value = read_json(text)
    except NotJsonError:
        return Reply(200, [("Content-Type", TEXT)], text.encode("utf-8", "replace"))
    if isinstance(value, dict):
        properties = {name.lower(): item for name, item in value.items()}
        if "body" in properties:
            return _from_response_object(properties)
    return Reply(200, [("Content-Type", TEXT)], bare_text(value).encode("utf-8", "replace"))


def _from_response_object(properties: Mapping[str, Any]) -> Reply:
    """A JSON object with a key `body` describes a whole response; its cookies are ignored, as on the host."""
    body = properties["body"]
    text = write_json(body, indent=False) if isinstance(body, dict | list) else bare_text(body)
    given = properties.get("headers")
    headers = {name: bare_text(item) for name, item in given.items()} if isinstance(given, dict) else {}
    content_type = next((name for name in headers if name.lower() == "content-type"), None)
    if content_type is None:
        headers["Content-Type"] = TEXT
    elif "charset=" not in headers[content_type].lower():
        headers[content_type] += "; charset=utf-8"
    data = text.encode("utf-8", "replace")
    status = properties.get("statuscode", properties.get("status"))
    return Reply(200 if status is None else _status(status), _headers(headers, [], len(data)), data)


_REPLIES: dict[str, Callable[[Any], Reply]] = {
    "http": _from_response,
    "string": _from_text,
    "json": _from_text,
    "bytes": lambda value: Reply(200, [("Content-Type", "application/octet-stream")], bytes(value)),
    "int": lambda value: _from_text(str(value)),
    "double": lambda value: _from_text(repr(value)),
}


def _status(value: Any) -> int:
    try:
        status = int(value)
    except (TypeError, ValueError):
        raise ReplyError(f"The status code {value!r} is not a number.") from None
    if not 100 <= status <= 999:
        raise ReplyError(f"The status code {status} is outside 100 to 999.")
    return status


def _headers(headers: Mapping[str, str], cookies: list[str], length: int) -> list[tuple[str, str]]:
    """Names as given, the last of equal names, without those that only the server may set."""
    kept: dict[str, tuple[str, str]] = {}
    for name, value in headers.items():
        lower = name.lower()
        if lower in _OURS:
            continue
        if _NAME.fullmatch(name) is None or _VALUE.fullmatch(value) is None:
            raise ReplyError(f"The header {name!r} holds characters that HTTP does not allow; send it as plain ASCII.")
        if lower == "content-length" and value.strip() != str(length):
            raise ReplyError(f"Content-Length says {value}, the body has {length} bytes; leave it out.")
        kept[lower] = (name, value)
    return [*kept.values(), *(("Set-Cookie", line) for line in cookies)]


def _cookie_lines(cookie: SimpleCookie) -> list[str]:
    return [_cookie_line(morsel) for morsel in cookie.values()]


def _cookie_line(morsel: Morsel[str]) -> str:
    """A cookie in the web server's own order of attributes; `domain=` and `path=` are always there."""
    pieces = [f"{morsel.key}={quote(morsel.value, safe='')}"]
    expires = rfc1123_date(str(morsel["expires"]))
    if expires is not None:
        pieces.append(f"expires={expires}")
    if re.fullmatch(r"-?\d+", str(morsel["max-age"])):
        pieces.append(f"max-age={int(morsel['max-age'])}")
    pieces += [f"domain={morsel['domain']}", f"path={morsel['path']}"]
    if morsel["secure"]:
        pieces.append("secure")
    same_site = str(morsel["samesite"]).lower()
    if same_site in ("lax", "strict", "none"):
        pieces.append(f"samesite={same_site}")
    if morsel["httponly"]:
        pieces.append("httponly")
    line = "; ".join(pieces)
    if _VALUE.fullmatch(line) is None:
        raise ReplyError(
            f"The cookie {morsel.key!r} holds characters that HTTP does not allow; send it as plain ASCII."
        )
    return line
