"""The Event Grid webhook, held to each recorded exchange."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import azure.functions as func
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from azure.functions.eventgrid import EventGridEventInConverter
from azure.functions.meta import Datum

from devhost.functions import AppIndex, Function
from devhost.invoke import FunctionFailed, Invoker
from devhost.testing.clock import VirtualClock
from devhost.triggers.event_grid import EventGridWebhook

GOLDEN = Path(__file__).parents[2] / "data" / "golden" / "03-queues.json"
CASE = next(
    case for case in json.loads(GOLDEN.read_text(encoding="utf-8"))["cases"] if case["title"] == "event grid webhook"
)
# Exchanges that this part of the host does not see.
ELSEWHERE = {0: "the key is missing: the server answers 401 before the webhook is asked"}
# The host adds these to every answer.
NOT_COMPARED = {"Date", "Server"}

Client = TestClient[web.Request, web.Application]


class Runs:
    """Stands for the app: `eg` fails for the subject `fail`."""

    def __init__(self) -> None:
        self.events: list[func.EventGridEvent] = []
        self.reasons: list[str] = []

    def by_trigger(self, trigger_type: str) -> list[Function]:
        assert trigger_type == "eventGridTrigger"
        return [cast(Function, SimpleNamespace(name="eg"))]

    async def invoke(self, function: Function, trigger: Datum, *, reason: str) -> None:
        event = EventGridEventInConverter.decode(trigger, trigger_metadata=None)
        assert isinstance(event, func.EventGridEvent)
        self.events.append(event)
        self.reasons.append(reason)
        if event.subject == "fail":
            raise FunctionFailed("RuntimeError", "eg fails")


@pytest.fixture
def runs() -> Runs:
    return Runs()


@pytest.fixture
async def client(runs: Runs) -> AsyncIterator[Client]:
    webhook = EventGridWebhook(cast(AppIndex, runs), cast(Invoker, runs), VirtualClock())
    app = web.Application()
    app.router.add_route("*", "/runtime/webhooks/eventgrid", webhook.handle)
    async with TestClient(TestServer(app)) as client:
        yield client


async def exchanged(client: Client, request: Any) -> tuple[int, dict[str, str], str]:
    answer = await client.request(
        request["method"], request["path"], headers=[tuple(each) for each in request["headers"]], data=request["body"]
    )
    return answer.status, dict(answer.headers), await answer.text()


@pytest.mark.parametrize("at", [at for at in range(len(CASE["exchange"])) if at not in ELSEWHERE])
async def test_recorded_exchange(client: Client, at: int) -> None:
    request, response = CASE["exchange"][at]["request"], CASE["exchange"][at]["response"]
    status, headers, body = await exchanged(client, request)
    assert (status, body) == (response["status"], response["body"])
    expected = {name: value for name, value in response["headers"] if name not in NOT_COMPARED}
    sent = {name: value for name, value in headers.items() if name not in NOT_COMPARED}
    assert sent == expected


async def test_each_event_is_one_run_and_all_run_though_one_fails(client: Client, runs: Runs) -> None:
    two = next(each["request"] for each in CASE["exchange"] if '"id":"4"' in each["request"]["body"])
    status, _, _ = await exchanged(client, two)
    assert status == 500
    assert [event.id for event in runs.events] == ["4", "5"]
    event = runs.events[0]
    assert (event.topic, event.subject, event.event_type, event.data_version) == ("t", "s", "My.Type", "1")
    assert event.event_time is not None
    assert event.event_time.isoformat() == "2026-01-02T03:04:05.678000+00:00"
    assert event.get_json() == {"n": 1}
    assert runs.reasons[0] == "EventGrid trigger fired at 2026-11-23T20:00:00.0000000+00:00"


async def test_a_validation_without_a_code_is_no_handshake(client: Client) -> None:
    for body in ("[]", "{}", '[{"data":{}}]', "{bad", "5"):
        answer = await client.post(
            "/runtime/webhooks/eventgrid?functionName=eg",
            data=body,
            headers={"aeg-event-type": "SubscriptionValidation"},
        )
        assert (answer.status, await answer.text()) == (500, "")
