"""The HTTP server over real sockets, beyond what was recorded with a live host."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from devhost.http.cors import Cors
from devhost.http.keys import HOST_KEYS, function_scope
from devhost.settings import SettingsError
from tests.integration.devhost.http_host import PATIENCE, ServedApp, raw_exchange, request_bytes, write_app

APP = """
import azure.functions as f
gate = threading.Event()
begun = threading.Semaphore(0)
seen = []
done = threading.Semaphore(0)

@app.route(route="echo/{*rest}")
def echo(req: f.HttpRequest):
    return f.HttpResponse(json.dumps([req.method, req.url, len(req.get_body())]), mimetype="application/json")

@app.route(route="slow")
def slow(req: f.HttpRequest):
    begun.release()
    gate.wait(30)
    seen.append("slow ended")
    done.release()
    return "slow done"

@app.route(route="bad")
def bad(req: f.HttpRequest):
    return f.HttpResponse("x", headers={"X-Bad": "žluť"})

@app.route(route="keyed", auth_level=f.AuthLevel.FUNCTION)
def keyed(req: f.HttpRequest):
    return "keyed"

@app.queue_trigger(arg_name="msg", queue_name="work", connection="")
def queued(msg: f.QueueMessage):
    seen.append([msg.get_body().decode(), msg.id, msg.pop_receipt, msg.dequeue_count, msg.expiration_time.year])
    done.release()

@app.timer_trigger(arg_name="timer", schedule="0 0 0 1 1 *")
def timed(timer: f.TimerRequest):
    seen.append(["timer", timer.past_due])
    done.release()

@app.event_grid_trigger(arg_name="event")
def grid(event: f.EventGridEvent):
    seen.append(["event", event.subject, event.get_json()])
    done.release()

@app.route(route="by-hand")
def by_hand(req: f.HttpRequest):
    seen.append([req.method, req.get_body().decode()])
    done.release()
    return "x"
"""
ENVIRONMENT = {"AzureWebJobsStorage": "UseDevelopmentStorage=true", "FUNCTIONS_REQUEST_BODY_SIZE_LIMIT": "1000"}


@pytest_asyncio.fixture
async def app(tmp_path: Path) -> AsyncIterator[ServedApp]:
    async with ServedApp(write_app(tmp_path, APP), ENVIRONMENT) as served:
        yield served
        globals_of(served)["gate"].set()


def globals_of(served: ServedApp) -> dict[str, Any]:
    found: dict[str, Any] = served.function("slow").call.__globals__
    return found


async def acquired(semaphore: Any) -> bool:
    return bool(await asyncio.to_thread(semaphore.acquire, timeout=PATIENCE))


def master(served: ServedApp) -> list[tuple[str, str]]:
    return [("x-functions-key", served.keys.master)]


async def test_a_client_that_leaves_does_not_stop_the_function(app: ServedApp) -> None:
    inside = globals_of(app)
    _, writer = await asyncio.open_connection("127.0.0.1", app.server.port)
    writer.write(request_bytes(app.server.port, "GET", "/api/slow"))
    await writer.drain()
    assert await acquired(inside["begun"])
    writer.transport.abort()
    assert (await app.send("GET", "/api/echo/x")).status == 200
    inside["gate"].set()
    assert await acquired(inside["done"])
    await app.invoker.drained()
    assert inside["seen"] == ["slow ended"]
    assert any("Executed 'Functions.slow' (Succeeded" in line.text for line in app.lines)


async def test_a_stop_lets_the_running_request_end_and_closes_idle_connections(app: ServedApp) -> None:
    inside = globals_of(app)
    reader, idle = await asyncio.open_connection("127.0.0.1", app.server.port)
    idle.write(b"GET /admin/host/ping HTTP/1.1\r\nHost: x\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    asked = asyncio.create_task(app.send("GET", "/api/slow"))
    assert await acquired(inside["begun"])
    stopping = asyncio.create_task(app.server.stop())
    async with asyncio.timeout(PATIENCE):
        assert await reader.read() == b""
    inside["gate"].set()
    assert (await asked).body == b"slow done"
    await stopping
    idle.close()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", app.server.port)


async def test_a_busy_port_is_an_error_of_the_caller(app: ServedApp, tmp_path: Path) -> None:
    folder = tmp_path / "second"
    folder.mkdir()
    second = ServedApp(write_app(folder, "@app.route()\ndef x(req): return 'x'"))
    second.server.port = app.server.port
    with pytest.raises(OSError, match="in use"):
        await second.server.start()
    second.invoker.close()
    second.index.unload()


@pytest.mark.parametrize(
    ("request_text", "status"),
    [
        (b"\x16\x03\x01\x00\xa5\x01\x00\x00", 400),
        (b"nonsense\r\n\r\n", 400),
        (b"GET /api/echo/x HTTP/9.9\r\nHost: x\r\n\r\n", 400),
        (b"GET /api/echo/x HTTP/1.1\r\nConnection: close\r\n\r\n", 400),
        (b"GET /api/echo/x HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400),
        ("GET /api/echo/ž HTTP/1.1\r\nHost: x\r\n\r\n".encode(), 400),
        (b"GET /api/echo/%00 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET /api/echo/x HTTP/1.1\r\nHost: x\r\nBad Header: y\r\n\r\n", 400),
        (b"POST /api/echo/x HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST /api/echo/x HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n", 400),
        (b"GET /api/echo/x HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 40000 + b"\r\n\r\n", 431),
        (b"GET /" + b"y" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        (b"FOO /" + b"y" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        (b"GET * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 400),
        (b"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 404),
    ],
)
async def test_a_malformed_request_is_answered_and_the_server_lives(
    app: ServedApp, request_text: bytes, status: int
) -> None:
    answered = await raw_exchange(app.server.port, request_text)
    assert (answered.status, answered.body) == (status, b"")
    assert answered.header("Server") == "Kestrel"
    assert (await app.send("GET", "/api/echo/x")).status == 200


async def test_a_verb_nobody_knows_reaches_the_function(app: ServedApp) -> None:
    answered = await app.send("FOO", "/api/echo/x", body=b"12345")
    assert answered.json()[0::2] == ["FOO", 5]


async def test_old_clients_get_a_length_instead_of_chunks(app: ServedApp) -> None:
    answered = await raw_exchange(app.server.port, b"GET /api/echo/x HTTP/1.0\r\nHost: x\r\n\r\n")
    assert answered.status == 200
    assert answered.header("Transfer-Encoding") is None
    assert answered.header("Content-Length") == str(len(answered.body))


async def test_a_body_over_the_limit_is_500_and_one_at_the_limit_is_fine(app: ServedApp) -> None:
    assert (await app.send("POST", "/api/echo/x", body=b"x" * 1000)).json()[2] == 1000
    refused = await app.send("POST", "/api/echo/x", body=b"x" * 1001)
    assert (refused.status, refused.body) == (500, b"")


async def test_a_client_that_waits_for_permission_gets_it(app: ServedApp) -> None:
    answered = await app.send("POST", "/api/echo/x", headers=[("Expect", "100-continue")], body=b"12345")
    assert (answered.interim, answered.status) == ([100], 200)
    refused = await app.send("POST", "/api/echo/x", headers=[("Expect", "100-continue")], body=b"1" * 2000)
    assert (refused.interim, refused.status) == ([], 500)


async def test_a_body_that_breaks_off_harms_nobody(app: ServedApp) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", app.server.port)
    writer.write(b"POST /api/echo/x HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\nhalf")
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert (await app.send("GET", "/api/echo/x")).status == 200
    assert app.lines[-1].text.startswith("Executed 'Functions.echo' (Succeeded")


async def test_a_header_that_http_does_not_allow_is_not_sent(app: ServedApp, caplog: pytest.LogCaptureFixture) -> None:
    answered = await app.send("GET", "/api/bad")
    assert (answered.status, answered.body) == (500, b"")
    assert answered.header("X-Bad") is None
    assert "Functions.bad: The header 'X-Bad'" in caplog.text


async def test_a_function_takes_its_own_key_the_hosts_and_the_master_key(app: ServedApp) -> None:
    own = app.keys.ring(function_scope("keyed"))["default"]
    other = app.keys.ring(function_scope("echo"))["default"]
    host = app.keys.ring(HOST_KEYS)["default"]
    answers = {
        key: (await app.send("GET", "/api/keyed", headers=[("x-functions-key", key)])).status
        for key in (own, other, host, app.keys.master)
    }
    assert list(answers.values()) == [200, 401, 200, 200]
    assert (await app.send("GET", f"/api/keyed?code={own}")).status == 200
    assert (await app.send("GET", "/admin/host/status", headers=[("x-functions-key", host)])).status == 401


async def test_without_enforced_auth_everybody_is_admin(app: ServedApp) -> None:
    app.enable_auth = False
    assert (await app.send("GET", "/api/keyed")).status == 200
    assert (await app.send("GET", "/admin/host/status", headers=[("x-functions-key", "wrong")])).status == 200


async def test_a_webhook_is_reached_with_its_own_key(app: ServedApp) -> None:
    async def webhook(request: web.Request) -> web.StreamResponse:
        if request.path.endswith("missing"):
            raise web.HTTPNotFound
        return web.json_response([request.method, request.raw_path, (await request.read()).decode()])

    app.server.webhooks["eventgrid"] = webhook
    key = [("x-functions-key", app.keys.extension_key("eventgrid"))]
    path = "/runtime/webhooks/EventGrid?functionName=a%2Fb"
    assert (await app.send("POST", path)).status == 401
    answered = await app.send("POST", path, headers=key, body=b"{}")
    assert answered.json() == ["POST", path, "{}"]
    assert answered.header("Server") == "Kestrel"
    missing = await app.send("GET", "/runtime/webhooks/eventgrid/missing", headers=key)
    assert (missing.status, missing.body) == (404, b"")
    assert (await app.send("GET", "/runtime/webhooks/durabletask/x", headers=key)).status == 401


async def test_a_webhook_that_fails_is_500_and_logged(app: ServedApp, caplog: pytest.LogCaptureFixture) -> None:
    async def webhook(_: web.Request) -> web.StreamResponse:
        raise LookupError("lost")

    app.server.webhooks["durabletask"] = webhook
    answered = await app.send("GET", "/runtime/webhooks/durabletask/x", headers=master(app))
    assert (answered.status, answered.body) == (500, b"")
    assert "LookupError: lost" in caplog.text


@pytest.mark.parametrize(
    ("function", "text", "expected"),
    [
        ("queued", "hello", ["hello", None, None, 0, 9999]),
        ("TIMED", "", ["timer", False]),
        (
            "grid",
            json.dumps({"id": "1", "topic": "t", "subject": "s", "eventType": "e", "dataVersion": "1", "data": [1]}),
            ["event", "s", [1]],
        ),
        ("by_hand", "body", ["POST", "body"]),
    ],
)
async def test_a_function_run_by_hand_gets_the_text(
    app: ServedApp, function: str, text: str, expected: list[Any]
) -> None:
    inside = globals_of(app)
    headers = [*master(app), ("Content-Type", "application/json")]
    answered = await app.send(
        "POST", f"/admin/functions/{function}", headers=headers, body=json.dumps({"input": text}).encode()
    )
    assert answered.status == 202
    assert await acquired(inside["done"])
    assert inside["seen"] == [expected]


async def test_a_restart_is_asked_for_once_the_answer_is_sent(app: ServedApp) -> None:
    assert (await app.send("POST", "/admin/host/restart")).status == 401
    assert (await app.send("POST", "/admin/host/restart", headers=master(app))).status == 200
    await app.send("GET", "/admin/host/ping")
    assert app.restarts == 1


async def test_the_keys_of_a_function_and_of_the_system_are_managed(app: ServedApp) -> None:
    async def ask(method: str, path: str, body: str = "") -> tuple[int, Any]:
        headers = [*master(app), ("Content-Type", "application/json")]
        answered = await app.send(method, path, headers=headers, body=body.encode())
        return answered.status, json.loads(answered.body or b"null")

    own = "/admin/functions/Echo/keys"
    assert (await ask("PUT", f"{own}/mine", '{"name": "mine", "value": "v"}'))[0] == 201
    listed = (await ask("GET", own))[1]["keys"]
    assert [key["name"] for key in listed] == ["default", "mine"]
    assert (await ask("DELETE", f"{own}/mine"))[0] == 204
    assert (await ask("GET", "/admin/functions/none/keys"))[0] == 404
    assert (await ask("PUT", f"{own}/mine", '{"name": "other", "value": "v"}'))[0] == 400
    assert (await ask("PUT", f"{own}/mine", "{}"))[0] == 400
    assert (await ask("PUT", f"{own}/_mine", '{"value": "v"}'))[0] == 400
    assert (await ask("DELETE", "/admin/host/systemkeys/_master"))[0] == 400
    assert (await ask("GET", "/admin/host/systemkeys"))[1]["keys"] == [{"name": "_master", "value": app.keys.master}]
    assert (await ask("GET", "/admin/host/none"))[0] == 404
    old = app.keys.master
    assert (await ask("POST", "/admin/host/systemkeys/_master"))[0] == 200
    assert app.keys.master != old


async def test_a_limit_that_is_no_number_is_refused_at_the_start(tmp_path: Path) -> None:
    write_app(tmp_path, "@app.route()\ndef x(req): return 'x'")
    with pytest.raises(SettingsError, match="FUNCTIONS_REQUEST_BODY_SIZE_LIMIT"):
        ServedApp(tmp_path, {"FUNCTIONS_REQUEST_BODY_SIZE_LIMIT": "many"})


PREFLIGHT = [("Origin", "http://a.example"), ("Access-Control-Request-Method", "PUT")]


async def cors_of(folder: Path, cors: Cors, method: str, headers: list[tuple[str, str]]) -> dict[str, str]:
    write_app(folder, "@app.route()\ndef x(req): return 'x'")
    async with ServedApp(folder, cors=cors) as served:
        answered = await served.send(method, "/api/x", headers=headers)
        assert answered.status == (204 if cors.is_preflight(method, dict(headers)) else 200)
        return {name: value for name, value in answered.headers if name.startswith("Access-") or name == "Vary"}


async def test_a_preflight_is_answered_before_routing(tmp_path: Path) -> None:
    asked = [*PREFLIGHT, ("Access-Control-Request-Headers", "x-a,x-b")]
    assert await cors_of(tmp_path, Cors(["http://a.example/"]), "OPTIONS", asked) == {
        "Access-Control-Allow-Origin": "http://a.example",
        "Access-Control-Allow-Methods": "PUT",
        "Access-Control-Allow-Headers": "x-a,x-b",
    }


async def test_an_origin_that_is_not_allowed_gets_no_headers(tmp_path: Path) -> None:
    assert await cors_of(tmp_path, Cors(["http://b.example"]), "OPTIONS", PREFLIGHT) == {}


async def test_a_star_allows_every_origin_and_with_credentials_names_it(tmp_path: Path) -> None:
    assert await cors_of(tmp_path, Cors(["*"]), "GET", PREFLIGHT) == {"Access-Control-Allow-Origin": "*"}
    assert await cors_of(tmp_path, Cors(["*"], credentials=True), "GET", PREFLIGHT) == {
        "Access-Control-Allow-Origin": "http://a.example",
        "Access-Control-Allow-Credentials": "true",
        "Vary": "Origin",
    }


async def test_without_cors_nothing_is_added_and_options_reaches_the_function(tmp_path: Path) -> None:
    assert await cors_of(tmp_path, Cors(), "OPTIONS", PREFLIGHT) == {}
