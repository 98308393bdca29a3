"""The Event Grid webhook: `POST /runtime/webhooks/eventgrid?functionName=<name>`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from aiohttp import web
from azure.functions.meta import Datum

from devhost.clock import Clock, SystemClock
from devhost.http.answers import Answer
from devhost.invoke import FunctionFailed
from devhost.triggers.timestamps import round_trip

if TYPE_CHECKING:
    from devhost.functions import AppIndex, Function
    from devhost.invoke import Invoker


class EventGridWebhook:
    """Takes what Event Grid posts and runs the named `eventGridTrigger` function once for each event."""

    def __init__(self, index: AppIndex, invoker: Invoker, clock: Clock | None = None) -> None:
        self._index = index
        self._invoker = invoker
        self._clock = clock or SystemClock()
        self._by_event_type: dict[str, Callable[[Function, web.Request], Awaitable[web.Response]]] = {
            "subscriptionvalidation": self._validate,
            "notification": self._notify,
            "unsubscribe": self._unsubscribe,
        }

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one request; who may send it was decided before.

        404 names a function that is not there (the name's case counts), 400 an unknown `aeg-event-type`,
        500 a body that is no JSON or an event whose function failed. 202: all events were handled.
        """
        name = request.query.get("functionName", "")
        function = self._function(name)
        if function is None:
            return _text(404, f"cannot find function: '{name}'")
        if request.method == "OPTIONS":
            return _agree_to_cloud_events(request)
        answer = self._by_event_type.get(request.headers.get("aeg-event-type", "").lower())
        if answer is None:
            return Answer(status=400)
        return await answer(function, request)

    def _function(self, name: str) -> Function | None:
        functions = self._index.by_trigger("eventGridTrigger")
        return next((function for function in functions if function.name == name), None)

    async def _validate(self, function: Function, request: web.Request) -> web.Response:
        try:
            code = json.loads(await request.read())[0]["data"]["validationCode"]
        except (ValueError, LookupError, TypeError):
            return Answer(status=500)
        return _text(200, json.dumps({"validationResponse": code}, separators=(",", ":")))

    async def _notify(self, function: Function, request: web.Request) -> web.Response:
        try:
            body = json.loads(await request.read())
        except ValueError:
            return Answer(status=500)
        events = body if isinstance(body, list) else [body]
        succeeded = await asyncio.gather(*(self._run(function, event) for event in events))
        if not all(succeeded):
            return _text(500, f"Exception while executing function: Functions.{function.name}")
        return Answer(status=202)

    async def _unsubscribe(self, function: Function, request: web.Request) -> web.Response:
        return Answer(status=202)

    async def _run(self, function: Function, event: Any) -> bool:
        reason = f"EventGrid trigger fired at {round_trip(self._clock.now())}"
        trigger = Datum(json.dumps(event, ensure_ascii=False), "json")
        try:
            await self._invoker.invoke(function, trigger, reason=reason)
        except FunctionFailed:  # the invoker has logged it; Event Grid learns by the 500 and sends again
            return False
        return True


def _agree_to_cloud_events(request: web.Request) -> web.Response:
    """The CloudEvents handshake: whoever asks may send."""
    origin = request.headers.get("WebHook-Request-Origin")
    return Answer(status=200, headers={} if origin is None else {"Webhook-Allowed-Origin": origin})


def _text(status: int, text: str) -> web.Response:
    return Answer(status=status, text=text, content_type="text/plain", charset="utf-8")
