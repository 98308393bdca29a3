"""Each exchange recorded with a live host (golden/02-http.json), sent again over real HTTP to devhost."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from devhost.http.keys import HOST_KEYS
from devhost.testing.clock import VirtualClock
from tests.integration.devhost.http_host import Answered, ServedApp, write_app

GOLDEN = Path(__file__).parents[2] / "data" / "golden"
CASES: list[dict[str, Any]] = json.loads((GOLDEN / "02-http.json").read_text("utf-8"))["cases"]
TITLES = [case["title"] for case in CASES]
ENVIRONMENT = {"SETROUTE": "mid", "AzureWebJobs_dis_Disabled": "1", "AzureWebJobs.dis2.Disabled": "true"}

# (title of the case, number of the exchange) -> why devhost answers otherwise.
HOME = "The page says that devhost runs: 150 KB of Azure's own HTML are not ours to ship. The rest is compared."
DIFFERENT: dict[tuple[str, int], str] = {("home page", number): HOME for number in range(3)}

PLACEHOLDER = re.compile(r"<(base|base-https|port|app|testdata|key|hostid|commit|id|time)>")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def served() -> AsyncIterator[ServedApp]:
    async with ServedApp(GOLDEN / "apps" / "http", ENVIRONMENT) as app:
        app.keys.set(HOST_KEYS, "gen")
        yield app


def normalise(app: ServedApp, text: str) -> str:
    """What differs from run to run, in the recording's own placeholders."""
    port = app.server.port
    for found, shown in [
        (f"http://localhost:{port}", "<base>"),
        (f"https://localhost:{port}", "<base-https>"),
        (f"localhost:{port}", "localhost:<port>"),
        (app.settings.app_dir.as_posix(), "<app>"),
        ("/data/Functions/sampledata", "<testdata>"),
    ]:
        text = text.replace(found, shown)
    text = re.sub(r"[\w-]{44}AzFu[\w-]{6}==", "<key>", text)
    text = re.sub(r'"id":"[0-9a-f]{32}"', '"id":"<hostid>"', text)
    text = re.sub(r"(4\.1037\.0\+)[^\"]*", r"\1<commit>", text)
    return re.sub(r'"processUptime":\d+', '"processUptime":0', text)


def shown_body(app: ServedApp, recorded: Any, body: bytes) -> Any:
    """Our body in the recording's own notation: hex, text, or a value where it is JSON."""
    if isinstance(recorded, dict):
        return {"hex": body.hex()}
    text = normalise(app, body.decode())
    if recorded.endswith("..."):
        return text[: len(recorded) - 3] + "..."
    return as_json(text) if as_json(recorded) is not None else text


def as_json(text: Any) -> Any:
    """Objects and arrays only: of other values the spelling matters."""
    try:
        value = json.loads(text)
    except (ValueError, TypeError):
        return None
    compact_or_echo = text.startswith(('{"', '[{"', '["'))
    return value if compact_or_echo else None


def shown_headers(app: ServedApp, headers: list[Any], *, any_length: bool) -> list[tuple[str, str]]:
    shown = []
    for name, value in headers:
        if name == "Connection":
            continue  # the recorder left it out
        values = {"Date": "<time>", "Content-Length": "<length>" if any_length else value}
        shown.append((name, normalise(app, values.get(name, value))))
    return sorted(shown)


def compare(app: ServedApp, recorded: dict[str, Any], answered: Answered) -> None:
    body = recorded["body"]
    any_length = isinstance(body, str) and (PLACEHOLDER.search(body) is not None or body.endswith("..."))
    ours = {
        "status": answered.status,
        "headers": shown_headers(app, answered.headers, any_length=any_length),
        "body": shown_body(app, body, answered.body),
    }
    theirs = {
        "status": recorded["status"],
        "headers": shown_headers(app, recorded["headers"], any_length=any_length),
        "body": as_json(body) or body,
    }
    assert ours == theirs
    if recorded.get("reason") is not None:
        assert answered.reason == recorded["reason"]
    if recorded.get("length") is not None and not any_length:
        assert len(answered.body) == recorded["length"]


async def replay(app: ServedApp, request: dict[str, Any]) -> Answered:
    def filled(text: str) -> str:
        return text.replace("<key>", app.keys.master).replace("<9000 times y>", "y" * 9000)

    body = request.get("body", "")
    return await app.send(
        request["method"],
        filled(request["path"]),
        headers=[(name, filled(value)) for name, value in request.get("headers", [])],
        body=bytes.fromhex(body["hex"]) if isinstance(body, dict) else body.encode(),
    )


async def replay_in_order(app: ServedApp, case: dict[str, Any]) -> None:
    for number, exchange in enumerate(case["exchange"]):
        if (case["title"], number) not in DIFFERENT:
            compare(app, exchange["response"], await replay(app, exchange["request"]))


async def play_empty_prefix(case: dict[str, Any], folder: Path) -> None:
    code = """
@app.route(route="a/{id:int}")
def a(req): return func.HttpResponse(json.dumps(dict(req.route_params)), mimetype="application/json")
@app.route(route="slash/")
def slash(req): return "slash"
@app.route(route="/lead")
def lead(req): return "lead"
@app.route(route="ok")
def ok(req): return "ok"
"""
    write_app(folder, code, {"extensions": {"http": {"routePrefix": ""}}})
    async with ServedApp(folder, {"AzureWebJobsDisableHomepage": "true"}) as app:
        await replay_in_order(app, case)


async def play_state_error(case: dict[str, Any], folder: Path) -> None:
    write_app(folder, '@app.route(route="x/{")\ndef x(req): return "x"')
    async with ServedApp(folder) as app:
        await replay_in_order(app, case)
        status = await app.send("GET", "/admin/host/status", headers=[("x-functions-key", app.keys.master)])
        assert status.json()["state"] == "Error"
        assert "x/{" in status.json()["errors"][0]


SLOW = """
gate = threading.Event()
begun = threading.Semaphore(0)
@app.route(route="slow")
def slow(req):
    begun.release()
    gate.wait(30)
    return "slow done"
"""


async def play_throttling(case: dict[str, Any], folder: Path) -> None:
    write_app(folder, SLOW, {"extensions": {"http": {"maxOutstandingRequests": 1, "maxConcurrentRequests": 1}}})
    async with ServedApp(folder) as app:
        slow = app.function("slow").call.__globals__
        first, *others = [exchange["request"] for exchange in case["exchange"]]
        held = asyncio.create_task(replay(app, first))
        assert await asyncio.to_thread(slow["begun"].acquire, timeout=30)
        refused = await asyncio.gather(*(replay(app, request) for request in others))
        slow["gate"].set()
        answers = [await held, *refused]
        for exchange, answered in zip(case["exchange"], answers, strict=True):
            compare(app, exchange["response"], answered)


async def play_timeout(case: dict[str, Any], folder: Path) -> None:
    write_app(folder, SLOW)
    clock = VirtualClock()
    environment = {"AzureFunctionsJobHost__functionTimeout": "00:00:03"}
    async with ServedApp(folder, environment, clock=clock) as app:
        slow = app.function("slow").call.__globals__
        waiting = asyncio.create_task(replay(app, case["exchange"][0]["request"]))
        assert await asyncio.to_thread(slow["begun"].acquire, timeout=30)
        await clock.advance(timedelta(seconds=3))
        compare(app, case["exchange"][0]["response"], await waiting)
        slow["gate"].set()
        assert (await app.send("GET", "/api/slow")).status == 200


PLAYERS: dict[str, Callable[[dict[str, Any], Path], Awaitable[None]]] = {
    'routePrefix "" and a constraint': play_empty_prefix,
    "host in state Error (a malformed route template)": play_state_error,
    "throttling": play_throttling,
    "function timeout": play_timeout,
}
OF_ONE_APP = [case for case in CASES if case["title"] not in PLAYERS]
OF_THEIR_OWN = [case for case in CASES if case["title"] in PLAYERS]


def titled(case: dict[str, Any]) -> str:
    return str(case["title"]).replace("[", "(").replace("]", ")")


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("case", OF_ONE_APP, ids=titled)
async def test_a_case_of_the_recorded_app(served: ServedApp, case: dict[str, Any]) -> None:
    await replay_in_order(served, case)


@pytest.mark.parametrize("case", OF_THEIR_OWN, ids=titled)
async def test_a_case_with_an_app_of_its_own(case: dict[str, Any], tmp_path: Path) -> None:
    await PLAYERS[case["title"]](case, tmp_path)


@pytest.mark.asyncio(loop_scope="module")
async def test_the_home_page_has_the_recorded_form(served: ServedApp) -> None:
    case = CASES[TITLES.index("home page")]
    for exchange in case["exchange"]:
        answered = await replay(served, exchange["request"])
        recorded = exchange["response"]
        assert (answered.status, answered.reason) == (recorded["status"], recorded["reason"])
        assert shown_headers(served, answered.headers, any_length=True) == shown_headers(
            served, recorded["headers"], any_length=True
        )
        assert (answered.body == b"") == (recorded["body"] == "")


def test_every_exchange_is_compared_or_listed_with_a_reason() -> None:
    everything = {(case["title"], number) for case in CASES for number in range(len(case["exchange"]))}
    replayed = {
        (case["title"], number)
        for case in [*OF_ONE_APP, *OF_THEIR_OWN]
        for number in range(len(case["exchange"]))
        if (case["title"], number) not in DIFFERENT
    }
    assert len(set(TITLES)) == len(CASES)
    assert set(PLAYERS) <= set(TITLES)
    assert replayed | set(DIFFERENT) == everything
    assert not replayed & set(DIFFERENT)
    assert len(replayed) >= 140
    assert all(len(reason) > 20 for reason in DIFFERENT.values())
