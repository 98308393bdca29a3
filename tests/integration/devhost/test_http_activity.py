"""`call_http` with a token source: what is sent, and what happens when nobody is signed in."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from aiohttp import web
from aiohttp.test_utils import TestServer

from devhost.durable.events import EventType
from devhost.durable.http_activity import HttpActivity, TokenError

NOW = datetime(2026, 11, 23, tzinfo=UTC)


def request(url: str) -> str:
    source = {"resource": "https://example.org/", "kind": "AzureManagedIdentity"}
    return json.dumps({"method": "GET", "uri": url, "headers": {"X-A": "1"}, "content": None, "tokenSource": source})


async def echo(incoming: web.Request) -> web.Response:
    return web.json_response({name: incoming.headers.get(name) for name in ("Authorization", "X-A")})


async def test_the_token_of_the_resource_goes_along() -> None:
    async def token_of(resource: str) -> str:
        return f"token for {resource}"

    app = web.Application()
    app.router.add_get("/", echo)
    activity = HttpActivity(token_of)
    async with TestServer(app) as server:
        event = await activity.run(3, request(str(server.make_url("/"))), NOW)
        await activity.close()
    assert event["EventType"] == EventType.TASK_COMPLETED
    sent = json.loads(json.loads(event["Result"])["content"])
    assert sent == {"Authorization": "Bearer token for https://example.org/", "X-A": "1"}


async def test_without_a_token_nothing_is_sent_and_the_reason_is_told() -> None:
    async def token_of(resource: str) -> str:
        raise TokenError(f"No token for {resource}: sign in with `az login` first.")

    activity = HttpActivity(token_of)
    event = await activity.run(3, request("http://127.0.0.1:1/"), NOW)
    await activity.close()
    assert event["EventType"] == EventType.TASK_FAILED
    assert event["Reason"] == "No token for https://example.org/: sign in with `az login` first."
