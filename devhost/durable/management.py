"""The management HTTP API under `/runtime/webhooks/durabletask`, and the same under the local rpc address.

One handler per route and verb (HOST_FACTS 5). Handlers are given a `Call` and return a `Reply`.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote_plus

from ..clock import Clock
from ..http.json_text import NotJsonError, read_json
from ..http.messages import Reply
from ..http.urls import query_values
from . import failures, status_view
from .client import AlreadyExists, Gone, HubClient, NotFound, WrongState
from .episode import TERMINAL, Execution
from .events import dump, format_time
from .links import WEBHOOK, Hub, check_status_body
from .status_view import Shown
from .store import ENTITY, Filter

_JSON = "application/json; charset=utf-8"
_PURGEABLE = ("Completed", "Terminated", "Canceled", "Failed")
_STATUSES = (*_PURGEABLE, "Running", "ContinuedAsNew", "Pending", "Suspended", "Unknown")
DEFAULT_TOP = 100
_MOST_LEVELS = 64  # Newtonsoft.Json's default


@dataclass(frozen=True)
class Call:
    """One request: decoded path segments below the base, query by lower-case name, body, and where it came from."""

    method: str
    segments: list[str]
    query: dict[str, str]
    body: bytes
    content_type: str
    headers: dict[str, str]
    origin: str
    url: str
    rpc: bool

    def flag(self, name: str, default: bool = False) -> bool:
        text = self.query.get(name.lower())
        return default if text is None else text.lower() == "true"

    @property
    def makes_hub(self) -> bool:
        """Whether a task hub that the call names, and that does not exist, comes into being by it."""
        return self.method != "GET" and self.segments[0].lower() in ("orchestrators", "entities")


@dataclass(frozen=True)
class Target:
    """The task hub that a call is for."""

    client: HubClient
    hub: Hub


class NoSuchConnection(Exception):
    """The query names a connection that no setting defines."""


class BadHubName(Exception):
    """The query names a task hub that can't exist."""


Handler = Callable[["Management", Call, Target], Awaitable[Reply]]


def json_reply(status: int, value: Any, headers: list[tuple[str, str]] | None = None) -> Reply:
    return Reply(status, [("Content-Type", _JSON), *(headers or [])], dump(value).encode(), sized=True)


def failure(status: int, message: str, error_type: str, text: str) -> Reply:
    return json_reply(
        status,
        {"Message": message, "ExceptionMessage": text, "ExceptionType": error_type, "StackTrace": ""},
    )


def bad_argument(text: str, error_type: str = "System.ArgumentException") -> Reply:
    return failure(400, "One or more of the arguments submitted is incorrect", error_type, text)


def went_wrong(error_type: str, text: str) -> Reply:
    return failure(500, "Something went wrong while processing your request", error_type, text)


def _read(body: bytes) -> str:
    """JSON as the host reads it, lenient with quotes and comments, written again. Raises NotJsonError."""
    text = body.decode("utf-8-sig", "replace")
    try:
        value = status_view.parsed(text)
    except (ValueError, RecursionError):  # also a number of more digits than Python reads
        if not text.strip():
            line, position = (1, len(text)) if text else (0, 0)
            at = f"Path '', line {line}, position {position}."
            raise NotJsonError(f"Error reading JToken from JsonReader. {at}") from None
        value = status_view.parsed(json.dumps(read_json(text)))
    if _levels(value) > _MOST_LEVELS:
        raise NotJsonError(f"The reader's MaxDepth of {_MOST_LEVELS} has been exceeded.")
    # Half a surrogate pair, which no UTF-8 text holds, is kept as the replacement character.
    return dump(value).encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _levels(value: Any) -> int:
    """How deep arrays and objects are nested."""
    level, levels = [value], 0
    while level := [one for one in level if isinstance(one, dict | list)]:
        level = [child for one in level for child in (one.values() if isinstance(one, dict) else one)]
        levels += 1
    return levels


def _read_input(body: bytes) -> str | None:
    """JSON text of a start's input. Blanks alone are an empty text, which fails in the orchestrator."""
    if not body.strip():
        return dump("") if body else None
    return _read(body)


def empty(status: int) -> Reply:
    return Reply(status)


_REFUSALS: dict[type[Exception], Callable[[Exception], Reply]] = {
    NotFound: lambda error: empty(404),
    Gone: lambda error: empty(410),
    NotJsonError: lambda error: failure(400, "Invalid JSON content", "Newtonsoft.Json.JsonReaderException", str(error)),
    NoSuchConnection: lambda error: went_wrong("System.InvalidOperationException", str(error)),
    BadHubName: lambda error: bad_argument(str(error)),
}


@dataclass
class Management:
    """`target_of(call)` finds the hub that the call is for; it raises NoSuchConnection or BadHubName."""

    target_of: Callable[[Call], Target]
    entity_names: list[str]
    clock: Clock

    async def handle(self, call: Call) -> Reply:
        handler = _find(call)
        if handler is None:
            return empty(404)
        try:
            return await handler(self, call, self.target_of(call))
        except tuple(_REFUSALS) as error:
            return _REFUSALS[type(error)](error)

    # --- orchestrators ------------------------------------------------------------------------------------

    async def start(self, call: Call, target: Target) -> Reply:
        name = call.segments[1]
        instance_id = call.segments[2] if len(call.segments) > 2 else None
        try:
            version = call.query.get("version")
            instance_id = await target.client.start(name, instance_id, _read_input(call.body), version)
        except AlreadyExists as error:
            return json_reply(409, {"Message": str(error)})
        return await self._started(call, target, instance_id)

    async def _started(self, call: Call, target: Target, instance_id: str) -> Reply:
        timeout, interval = _number(call.query.get("timeout")), _number(call.query.get("pollinginterval"))
        if timeout is not None and interval is not None:
            if interval > timeout:
                text = f"Total timeout {timeout:g} should be bigger than retry timeout {interval:g}"
                return json_reply(400, {"Message": text})
            end = self.clock.now() + timedelta(seconds=timeout)
            done = await self._wait(target, instance_id, end, timedelta(seconds=interval))
            if done is not None:
                return done
        body = check_status_body(call.origin, instance_id, target.hub)
        return json_reply(202, body, [("Location", body["statusQueryGetUri"]), ("Retry-After", "10")])

    async def _wait(self, target: Target, instance_id: str, end: datetime, interval: timedelta) -> Reply | None:
        """The answer once the instance has ended; None when it has not by `end`."""
        while True:
            found = target.client.get(instance_id)
            if found is not None and found.status in TERMINAL:
                shown = status_view.status(found)
                return json_reply(200, shown["output"] if found.status == "Completed" else shown)
            following = self.clock.now() + interval
            if following > end:
                return None
            await self.clock.sleep_until(following)

    # --- instances ----------------------------------------------------------------------------------------

    async def get(self, call: Call, target: Target) -> Reply:
        found = target.client.get(call.segments[1])
        if found is None:
            return empty(404)
        shown = Shown(call.flag("showInput", True), call.flag("showHistory"), call.flag("showHistoryOutput"))
        body = status_view.status(found, show_input=shown.input)
        if shown.history and found.status != "Pending":
            try:
                body["historyEvents"] = status_view.history(self._history(target, found), shown)
            except status_view.SameKeyTwice as error:
                return bad_argument(f"An item with the same key has already been added. Key: {error}")
        if found.status not in TERMINAL:
            return json_reply(202, body, [("Location", call.url), ("Retry-After", "5")])
        failed = found.status == "Failed" and call.flag("returnInternalServerErrorOnFailure")
        return json_reply(500 if failed else 200, body)

    @staticmethod
    def _history(target: Target, found: Execution) -> list[dict[str, Any]]:
        if target.client.store.kind_of(found.instance_id) == ENTITY:
            return status_view.entity_history(found)
        return target.client.history(found.instance_id)

    async def list_instances(self, call: Call, target: Target) -> Reply:
        wanted = _filter(call, _STATUSES)
        # Alone, or beside `top` alone, showInput is not looked at.
        filtered = bool(wanted.prefix or wanted.created_from or wanted.created_to or wanted.statuses)
        show_input = call.flag("showInput", True) or not filtered
        page = _page(call, target, wanted)
        if isinstance(page, Reply):
            return page
        found, token = page
        body = [status_view.status(one, show_input=show_input) for one in found]
        return json_reply(200, body, _token_header(call, token))

    async def purge(self, call: Call, target: Target) -> Reply:
        try:
            await target.client.purge(call.segments[1])
        except WrongState as error:
            return json_reply(412, str(error))
        return json_reply(200, {"instancesDeleted": 1})

    async def purge_where(self, call: Call, target: Target) -> Reply:
        wanted = _filter(call, _PURGEABLE)
        if wanted.created_from is None:
            return json_reply(400, "Please provide value for 'createdTimeFrom' parameter.")
        count = await target.client.purge_where(wanted)
        return json_reply(200, {"instancesDeleted": count}) if count else empty(404)

    async def raise_event(self, call: Call, target: Target) -> Reply:
        instance_id, name = call.segments[1], call.segments[3]
        found = target.client.get(instance_id)
        if found is None:
            return empty(404)
        if found.status in TERMINAL:
            return empty(410)
        if call.content_type.split(";", 1)[0].strip().lower() != "application/json":
            return json_reply(400, {"Message": "Only application/json request content is supported"})
        data = _read(call.body)
        await target.client.raise_event(instance_id, name, data)
        return empty(202)

    async def control(self, call: Call, target: Target) -> Reply:
        """terminate, suspend and resume."""
        operations = {
            "terminate": target.client.terminate,
            "suspend": target.client.suspend,
            "resume": target.client.resume,
        }
        try:
            await operations[call.segments[2].lower()](call.segments[1], call.query.get("reason"))
        except WrongState as error:
            return went_wrong("System.InvalidOperationException", str(error))
        return empty(202)

    async def rewind(self, call: Call, target: Target) -> Reply:
        instance_id = call.segments[1]
        try:
            await target.client.rewind(instance_id, call.query.get("reason"))
        except NotFound:
            return json_reply(404, f'No orchestration with instance ID "${instance_id}" found.')
        except WrongState as error:
            return json_reply(412, str(error))
        return empty(202)

    async def restart(self, call: Call, target: Target) -> Reply:
        instance_id = call.segments[1]
        try:
            new_id = call.flag("restartWithNewInstanceId", True)
            started = await target.client.restart(instance_id, new_id=new_id)
        except NotFound:
            text = f"No instance with ID '{instance_id}' was found. (Parameter 'instanceId')"
            message = "InstanceId does not match a valid orchestration instance."
            return failure(400, message, "System.ArgumentException", text)
        except AlreadyExists as error:
            message = "A non-terminal instance with this instance ID already exists."
            return failure(409, message, "DurableTask.Core.Exceptions.OrchestrationAlreadyExistsException", str(error))
        return await self._started(call, target, started)

    # --- entities -----------------------------------------------------------------------------------------

    async def get_entity(self, call: Call, target: Target) -> Reply:
        key = "" if call.segments[2] == "$" else call.segments[2]
        kept = target.client.entity(call.segments[1], key)
        if kept is None:
            return empty(404)
        return json_reply(200, status_view.value_of(kept.get("state")))

    async def list_entities(self, call: Call, target: Target) -> Reply:
        name = call.segments[1].lower() if len(call.segments) > 1 else None
        wanted = Filter(prefix=f"@{name}@" if name else "@", kind=ENTITY)
        page = _page(call, target, wanted)
        if isinstance(page, Reply):
            return page
        found, token = page
        fetch = call.flag("fetchState")
        rows = [_entity_row(one, fetch=fetch) for one in found]
        since, until = (
            _moment(call.query.get("lastoperationtimefrom")),
            _moment(call.query.get("lastoperationtimeto")),
        )
        rows = [
            row
            for row, one in zip(rows, found, strict=True)
            if (since is None or one.updated >= since) and (until is None or one.updated <= until)
        ]
        return json_reply(200, rows, _token_header(call, token))

    async def signal(self, call: Call, target: Target) -> Reply:
        name = call.segments[1]
        key = call.segments[2] if len(call.segments) > 2 and call.segments[2] != "$" else ""
        if name.lower() not in {one.lower() for one in self.entity_names}:
            return json_reply(400, {"Message": failures.unknown_entity(name, self.entity_names)})
        text = call.body.decode("utf-8-sig", "replace")
        operation = "delete" if call.method == "DELETE" else call.query.get("op", "")
        data: str | None = None
        if text and call.content_type.split(";", 1)[0].strip().lower() == "application/json":
            try:
                data = _read(call.body)
            except NotJsonError as error:
                return json_reply(400, {"Message": f"Could not parse JSON content: {error}"})
        elif text:
            data = dump(text)
        await target.client.signal_entity(name, key, operation, data)
        return empty(202)

    async def make_primary(self, call: Call, target: Target) -> Reply:
        return empty(200)


# --- routes -----------------------------------------------------------------------------------------------

_CONTROL = ("terminate", "suspend", "resume")


def _find(call: Call) -> Handler | None:
    if not call.segments or not all(call.segments):
        return None
    found = _FAMILIES.get(call.segments[0].lower())
    return found(call) if found else None


def _orchestrators(call: Call) -> Handler | None:
    return Management.start if call.method == "POST" and len(call.segments) in (2, 3) else None


def _entities(call: Call) -> Handler | None:
    if len(call.segments) > 3:
        return None
    if call.method == "GET":
        return Management.get_entity if len(call.segments) == 3 else Management.list_entities
    return Management.signal if call.method in ("POST", "DELETE") and len(call.segments) > 1 else None


def _instances(call: Call) -> Handler | None:
    route = _INSTANCE_ROUTES.get(len(call.segments))
    return route(call) if route else None


def _all_instances(call: Call) -> Handler | None:
    return {"GET": Management.list_instances, "DELETE": Management.purge_where}.get(call.method)


def _one_instance(call: Call) -> Handler | None:
    return {"GET": Management.get, "DELETE": Management.purge}.get(call.method)


def _operation(call: Call) -> Handler | None:
    if call.method != "POST":
        return None
    operation = call.segments[2].lower()
    if operation in _CONTROL:
        return Management.control
    return {"rewind": Management.rewind, "restart": Management.restart}.get(operation)


def _event(call: Call) -> Handler | None:
    is_event = call.method == "POST" and call.segments[2].lower() == "raiseevent"
    return Management.raise_event if is_event else None


_INSTANCE_ROUTES: dict[int, Callable[[Call], Handler | None]] = {
    1: _all_instances,
    2: _one_instance,
    3: _operation,
    4: _event,
}

_FAMILIES: dict[str, Callable[[Call], Handler | None]] = {
    "orchestrators": _orchestrators,
    "entities": _entities,
    "instances": _instances,
    "makeprimary": lambda call: Management.make_primary if len(call.segments) == 1 else None,
}


# --- reading a call ---------------------------------------------------------------------------------------


def segments_of(raw_path: str) -> list[str]:
    """Path segments, percent-decoded, `+` as a blank; an escaped slash counts as one, a last slash does not."""
    path = re.sub("%2f", "/", raw_path, flags=re.IGNORECASE)
    path = path.removesuffix("/")
    return [unquote_plus(one) for one in path.split("/")] if path else []


def query_of(raw_query: str) -> dict[str, str]:
    return {name.lower(): ",".join(values) for name, values in query_values(raw_query).items()}


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text is not None else None
    except ValueError:
        return None


def _moment(text: str | None) -> datetime | None:
    if not text:
        return None
    fraction = re.sub(r"(\.\d{6})\d+", r"\1", text.strip())
    try:
        when = datetime.fromisoformat(fraction)
    except ValueError:
        return None
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)


def _filter(call: Call, honoured: tuple[str, ...]) -> Filter:
    given = [one.strip() for one in call.query.get("runtimestatus", "").split(",")]
    return Filter(
        prefix=call.query.get("instanceidprefix", ""),
        created_from=_moment(call.query.get("createdtimefrom")),
        created_to=_moment(call.query.get("createdtimeto")),
        statuses=tuple(one for one in given if one in honoured),
    )


def _page(call: Call, target: Target, wanted: Filter) -> tuple[list[Execution], str | None] | Reply:
    try:
        top = int(call.query.get("top", DEFAULT_TOP))
    except ValueError:
        top = DEFAULT_TOP
    if top < 0:
        return went_wrong(
            "DurableTask.AzureStorage.Storage.DurableTaskStorageException",
            "An error occurred while communicating with Azure Storage",
        )
    token = call.headers.get("x-ms-continuation-token", "").strip()
    if token:
        try:
            start = base64.b64decode(token, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return json_reply(200, [], _token_header(call, None))
        wanted = Filter(**{**wanted.__dict__, "start": start})
    return target.client.find(wanted, top)


def _token_header(call: Call, following: str | None) -> list[tuple[str, str]]:
    if following is None:
        return [("x-ms-continuation-token", "")] if call.rpc else []
    token = base64.b64encode(following.encode()).decode()
    # The webhook's token ends with a blank on the wire, as recorded.
    return [("x-ms-continuation-token", token if call.rpc else f"{token} ")]


def _entity_row(execution: Execution, *, fetch: bool) -> dict[str, Any]:
    name, _, key = execution.instance_id[1:].partition("@")
    kept = status_view.value_of(execution.input) or {}
    state = status_view.value_of(kept.get("state")) if fetch else None
    return {
        "entityId": {"name": name, "key": key},
        "lastOperationTime": format_time(execution.updated),
        "state": state,
    }


__all__ = ["WEBHOOK", "BadHubName", "Call", "Management", "NoSuchConnection", "Target", "query_of", "segments_of"]
