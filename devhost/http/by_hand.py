"""The trigger value of a function run by hand (`POST /admin/functions/<name>`), by kind of trigger."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

from azure.functions.meta import Datum

from devhost.http.messages import Incoming, request_datum, text_datum
from devhost.http.parts import Call
from devhost.http.routing import full_route
from devhost.http.urls import Target
from devhost.triggers.queue_message import manual_metadata

if TYPE_CHECKING:
    from devhost.functions import Function

Metadata = dict[str, Datum]


def by_hand(function: Function, text: str, call: Call) -> tuple[Datum, Metadata]:
    """Trigger datum and metadata made of the text sent."""
    make = _BY_TRIGGER.get(function.trigger_type.lower())
    return make(function, text, call) if make else (text_datum(text), {})


def _queue(_: Function, text: str, call: Call) -> tuple[Datum, Metadata]:
    return text_datum(text), manual_metadata(text, call.host.clock.now())


def _http(function: Function, text: str, call: Call) -> tuple[Datum, Metadata]:
    prefix = str(call.host.settings.get("extensions.http.routePrefix", "api"))
    target = Target("/" + full_route(function, prefix), "")
    host = call.request.headers.get("Host", "")
    return request_datum(Incoming("POST", call.request.scheme, host, target, [], text.encode()), {}), {}


def _timer(_: Function, __: str, ___: Call) -> tuple[Datum, Metadata]:
    value = {"Schedule": {"AdjustForDST": True}, "ScheduleStatus": None, "IsPastDue": False}
    return Datum(json.dumps(value), "json"), {}


def _json(_: Function, text: str, __: Call) -> tuple[Datum, Metadata]:
    return Datum(text, "json"), {}


_BY_TRIGGER: dict[str, Callable[[Function, str, Call], tuple[Datum, Metadata]]] = {
    "queuetrigger": _queue,
    "httptrigger": _http,
    "timertrigger": _timer,
    "eventgridtrigger": _json,
}
