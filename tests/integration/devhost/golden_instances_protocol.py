"""How the cases of `07-orchestrator-protocol.json` and `09-history.json` come about on the app `protocol`.

Most follow the recorded history: start with the recorded input, raise the events it shows, let each timer fire that
fired. What needs more is in `SCENARIOS`.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

from tests.integration.devhost.golden_instances import differences
from tests.integration.devhost.golden_instances_host import WEBHOOK, GoldenHost, Json
from tests.integration.devhost.golden_instances_target import HttpTarget

Scenario = Callable[[GoldenHost, Json], Awaitable[str]]

_SETTING = "AzureFunctionsJobHost__extensions__durableTask__"
_STORED_INPUTS = {f"{_SETTING}storeInputsInOrchestrationHistory": "true"}
_VERSION = {**_STORED_INPUTS, f"{_SETTING}defaultVersion": "1.0"}

ENVIRONMENTS: dict[str, dict[str, str]] = {
    "storeInputsInOrchestrationHistory true: chain": _STORED_INPUTS,
    "storeInputsInOrchestrationHistory true: parent_ok": _STORED_INPUTS,
    "host.json durableTask.defaultVersion 1.0: parent and child": _VERSION,
    "defaultVersion 1.0, started with ?version=0.9": _VERSION,
    "host stopped with SIGTERM in mid-activity, started again": _STORED_INPUTS,
}


def recorded_status(case: Json) -> Json:
    body: Json = case["exchange"][0]["response"]["body"]
    return body


async def follow(host: GoldenHost, case: Json) -> str:
    """Start what the recorded status names and do what the recorded history shows."""
    shown = recorded_status(case)
    host.naps.hold()
    value = _input_of(case)
    instance_id = await (host.start(shown["name"]) if value is None else host.start(shown["name"], json.loads(value)))
    await follow_history(host, instance_id, case["history"])
    return instance_id


_INPUTS = {
    "event and timer, showInput=false, no output": "15",
    "continue_as_new twice, custom status": "0",
    "continue-as-new": "0",
}
"""Inputs that the recorded status does not show."""


def _input_of(case: Json) -> str | None:
    """The input as JSON text."""
    return _INPUTS.get(case["title"], recorded_status(case)["input"])


async def follow_history(host: GoldenHost, instance_id: str, rows: list[Json]) -> None:
    for row in rows:
        step = _STEPS.get(row["EventType"])
        if step is not None:
            await step(host, instance_id, row)


async def _event_raised(host: GoldenHost, instance_id: str, row: Json) -> None:
    if row["Name"] == "<message id>":
        return  # an entity's answer
    value = json.loads(json.loads(row.get("Input", '"{\\"z\\": 1}"')))
    answer = await host.request("POST", f"/api/event/{instance_id}/{row['Name']}", value)
    assert answer.status == 200, answer
    await host.quiet()


async def _timer_fired(host: GoldenHost, instance_id: str, row: Json) -> None:
    due = host.hub.engine._timers.next_due()
    if due is not None:
        await host.pass_time(seconds=max(0.0, (due - host.clock.now()).total_seconds()))


async def _task_ended(host: GoldenHost, instance_id: str, row: Json) -> None:
    if row["FunctionName"] == "slow":
        await host.let_go()


async def _suspended(host: GoldenHost, instance_id: str, row: Json) -> None:
    await host.post(instance_id, f"suspend?reason={row['Reason']}")


async def _resumed(host: GoldenHost, instance_id: str, row: Json) -> None:
    await host.post(instance_id, f"resume?reason={row['Reason']}")


_STEPS: dict[str, Callable[[GoldenHost, str, Json], Awaitable[None]]] = {
    "EventRaised": _event_raised,
    "TimerFired": _timer_fired,
    "TaskCompleted": _task_ended,
    "ExecutionSuspended": _suspended,
    "ExecutionResumed": _resumed,
}


async def _changed(host: GoldenHost, case: Json) -> str:
    """Between two episodes the orchestrator calls another activity."""
    instance_id = await host.start("nondet")
    (host.scratch / "flag").touch()
    await host.request("POST", f"/api/event/{instance_id}/go", 1)
    await host.quiet()
    return instance_id


async def _signalled_entity(host: GoldenHost, case: Json) -> str:
    for _ in range(10):
        assert (await host.request("POST", "/api/signal/Counter/s10/add", 1)).status == 200
    await host.quiet()
    return "@counter@s10"


def _by_webhook(text: str | None) -> Scenario:
    async def scenario(host: GoldenHost, case: Json) -> str:
        place = f"{WEBHOOK}/orchestrators/get_in"
        answer = await (
            host.request("POST", place) if text is None else host.request("POST", place, text, "application/json")
        )
        await host.quiet()
        instance_id: str = answer.body["id"]
        return instance_id

    return scenario


async def _old_version(host: GoldenHost, case: Json) -> str:
    newer = await host.start_by_webhook("chain", query="?version=2.5")
    assert await host.runtime_status(newer) == "Pending"
    return await host.start_by_webhook("chain", query="?version=0.9")


def _calling(*earlier: str) -> Scenario:
    """`call_http` to a local server; `earlier` are paths that the same host has called before."""

    async def scenario(host: GoldenHost, case: Json) -> str:
        async with HttpTarget() as target:
            for path in earlier:
                await host.start("http_call", {"uri": target.url + path})
            value = json.loads(recorded_status(case)["input"].replace("<target>", target.url))
            instance_id = await host.start(recorded_status(case)["name"], value)
            called = next((one["request"] for one in case["exchange"][1:]), None)
            if called is not None:
                seen = target.requests[-1]
                assert differences(_sorted(called), _sorted(seen)) == []
        return instance_id

    return scenario


def _sorted(request: Json) -> Json:
    return {**request, "headers": dict(sorted(request["headers"].items()))}


SCENARIOS: dict[str, Scenario] = {
    "changed orchestrator": _changed,
    "non-deterministic": _changed,
    "an entity": _signalled_entity,
    "get_input after a webhook start: w_obj": _by_webhook('{"a":1}'),
    "get_input after a webhook start: w_arr": _by_webhook("[1,2]"),
    "get_input after a webhook start: w_num": _by_webhook("5"),
    "get_input after a webhook start: w_true": _by_webhook("true"),
    "get_input after a webhook start: w_str": _by_webhook('"abc"'),
    "get_input after a webhook start: w_jsonstr": _by_webhook('"{\\"q\\": 1}"'),
    "get_input after a webhook start: w_null": _by_webhook("null"),
    "get_input after a webhook start: w_none": _by_webhook(None),
    "get_input after a webhook start: w_numstr": _by_webhook('"5"'),
    "defaultVersion 1.0, started with ?version=0.9": _old_version,
    "call_http": _calling(),
    "call_http: http_json": _calling(),
    "call_http: http_text": _calling(),
    "call_http: http_err": _calling("/text"),
    "call_http: http_empty": _calling("/text"),
    "call_http: http_noloc": _calling("/text"),
    "call_http: http_post": _calling("/text"),
    "call_http: http_post2": _calling("/text"),
    "call_http: http_poll": _calling("/text"),
    "call_http: http_refused": _calling(),
    "call_http answering 202 with Location and Retry-After, then an activity": _calling(),
}


async def compared(host: GoldenHost, case: Json) -> list[str]:
    """Play the case and hold the status, asked for as recorded, and the history against the recording."""
    instance_id = await SCENARIOS.get(case["title"], follow)(host, case)
    return await compared_ends(host, case, instance_id)


async def compared_ends(host: GoldenHost, case: Json, instance_id: str) -> list[str]:
    recorded = case["exchange"][0]
    _, _, query = recorded["request"]["url"].partition("?")
    asked = query.removesuffix("code=<key>").removesuffix("&")
    place = f"{WEBHOOK}/instances/{quote(instance_id)}"
    answer = await host.request("GET", f"{place}?{asked}")
    body: Any = answer.body
    rows = body.pop("historyEvents", None)
    found = differences(recorded["response"], {"status": answer.status, "body": body})
    if case["history"] is not None and recorded["response"]["status"] < 400:
        if rows is None:
            full = await host.request("GET", f"{place}?showHistory=true&showHistoryOutput=true")
            rows = full.body["historyEvents"]
        found += differences(case["history"], rows, "history")
    return found
