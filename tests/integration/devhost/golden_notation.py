"""The recordings' own notation: placeholders filled for a request, and our answers written with placeholders."""

from __future__ import annotations

import ast
import base64
import binascii
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from tests.integration.devhost.golden_bench import Bench
from tests.integration.devhost.http_host import Answered

TOKEN = "x-ms-continuation-token"
COMPARED_HEADERS = ("Content-Type", "Location", "Retry-After", "Content-Length", "Transfer-Encoding", TOKEN)
SENT_HEADERS = ("X-Azure-Functions-InvocationId", "Content-Length", "Content-Type")

# As long as the recording's, so that lengths of bodies can be compared.
_RECORDED_BASE = "http://localhost:7120"
# The host's times have seven digits of a second where ours have six.
_UNMEASURABLE = re.compile(r"<stack>|<cut>|<guid>|\$type|historyEvents|lastOperationTime")

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)?")
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_HEX = re.compile(r"[0-9a-f]{32}")
_TIMES_X = re.compile(r"x{100,}")
_VOLATILE: list[tuple[re.Pattern[str], str]] = [
    (re.compile(r'\{"\$type".*', re.DOTALL), "<serialised .NET exception>"),
    (re.compile(r"(?<=\nStack: ).*", re.DOTALL), "<stack>"),
]
_KNOWN = re.compile(r"(?<=known orchestrator functions: )[^.]*")


@dataclass
class Given:
    """What the placeholders of one exchange stand for: the instance, and the times in their order."""

    id: str = ""
    times: tuple[str, ...] = ()


def fill(text: str, bench: Bench, given: Given) -> str:
    """A recorded request's text with real values."""
    for mark, value in [("<key>", bench.key), ("<rpc>", bench.rpc), ("<id>", given.id)]:
        text = text.replace(mark, value)
    text = re.sub(r"<(\d+) times x>", lambda found: "x" * int(found.group(1)), text)
    times: Iterator[str] = iter(given.times)
    return re.sub("<time>", lambda _: next(times, "2026-11-23T20:00:00Z"), text)


def read_call(text: str) -> dict[str, Any]:
    """`client.rewind('a', 'why')` -> what the app's `sdk` route takes."""
    call = ast.parse(text, mode="eval").body
    assert isinstance(call, ast.Call)
    assert isinstance(call.func, ast.Attribute)
    arguments = [ast.literal_eval(one) for one in call.args]
    with_request = call.func.attr == "create_check_status_response" or (
        call.func.attr == "get_client_response_links" and arguments[0] is not None
    )
    return {
        "op": call.func.attr,
        "args": arguments,
        "kw": {one.arg: ast.literal_eval(one.value) for one in call.keywords},
        "req": with_request,
    }


def known_ids(body: Any, given: Given) -> set[str]:
    """The ids that `<id>` may stand for: the request's, the started instance's and those of listed rows."""
    rows = body if isinstance(body, list) else [body]
    found = {str(row.get(key, "")) for row in rows if isinstance(row, dict) for key in ("id", "instanceId")}
    return {one for one in {given.id, *found} if _HEX.fullmatch(one)}


class Notation:
    """Writes what devhost answered as the recording would have written it."""

    def __init__(self, bench: Bench, ids: Iterable[str]) -> None:
        self._names = [(bench.base, "<base>"), (bench.rpc, "<rpc>"), (bench.key, "<key>")]
        self._names += [(one, "<id>") for one in ids]

    def text(self, text: str) -> str:
        for value, mark in self._names:
            text = text.replace(value, mark)
        text = _TIMES_X.sub(lambda found: f"<{len(found.group())} times x>", text)
        return volatile(_GUID.sub("<guid>", _TIME.sub("<time>", text)))

    def value(self, value: Any) -> Any:
        return mapped(value, self.text)


def mapped(value: Any, change: Callable[[str], str]) -> Any:
    """The value with every text in it changed; a stack trace is only there or not."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [mapped(one, change) for one in value]
    if isinstance(value, dict):
        return {change(key): "<stack>" if key == "StackTrace" else mapped(one, change) for key, one in value.items()}
    return value


def volatile(text: str) -> str:
    """Without stacks and serialised .NET exceptions, functions in alphabetic order; so is the recording."""
    for pattern, shown in _VOLATILE:
        text = pattern.sub(shown, text)
    return _KNOWN.sub(lambda found: ", ".join(sorted(found.group().split(", "))), text)


def recorded(value: Any) -> Any:
    return mapped(value, volatile)


def read_body(body: bytes) -> Any:
    """Objects, arrays and strings as values; of numbers and null the recordings hold the text."""
    text = body.decode()
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, dict | list | str) else text


def shortened(ours: Any, theirs: Any) -> tuple[Any, Any]:
    """Of a list the rows that the recording kept; its last, `... 98 more`, says that it left out some."""
    if not (isinstance(ours, list) and isinstance(theirs, list)):
        return ours, theirs
    if not theirs or not (isinstance(theirs[-1], str) and theirs[-1].startswith("...")):
        return ours, theirs
    return ours[: len(theirs) - 1], theirs[:-1]


def response_of(
    answered: Answered, response: dict[str, Any], bench: Bench, notation: Notation
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Our answer and the recorded one in the same notation."""
    body, their_body = shortened(read_body(answered.body), response["body"])
    ours: dict[str, Any] = {"status": answered.status, "body": notation.value(body)}
    theirs: dict[str, Any] = {"status": response["status"], "body": recorded(their_body)}
    if "headers" in response:
        measurable = _UNMEASURABLE.search(json.dumps(response["body"])) is None
        ours["headers"] = _our_headers(answered, bench, notation, measurable=measurable)
        theirs["headers"] = _their_headers(response["headers"], measurable=measurable)
    return ours, theirs


def _our_headers(answered: Answered, bench: Bench, notation: Notation, *, measurable: bool) -> dict[str, str]:
    found = {name: value for name in COMPARED_HEADERS if (value := answered.header(name)) is not None}
    if "Content-Length" in found:
        assert int(found["Content-Length"]) == len(answered.body)
        base = bench.base.encode()
        length = len(answered.body) - answered.body.count(base) * (len(base) - len(_RECORDED_BASE))
        found["Content-Length"] = str(length) if measurable else "<length>"
    return {name: _token(value) if name == TOKEN else notation.text(value) for name, value in found.items()}


def _their_headers(headers: dict[str, str], *, measurable: bool) -> dict[str, str]:
    found = {name: headers[name] for name in COMPARED_HEADERS if name in headers}
    if "Content-Length" in found and not measurable:
        found["Content-Length"] = "<length>"
    return {name: _token(value) if name == TOKEN else value for name, value in found.items()}


def _token(value: str) -> str:
    """A paging token with the id that it stands for; a blank at its end is kept."""
    try:
        inside = base64.b64decode(value, validate=False).decode()
    except (binascii.Error, UnicodeDecodeError):
        return value
    return f"base64({'<id>' if _HEX.fullmatch(inside) else inside}){value[len(value.rstrip()) :]}"
