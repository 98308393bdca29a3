"""How the cases of `08-activities-entities.json` come about on the app `protocol`, and what its recorder wrote down:
what activities and entities were given, and what they gave back."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from tests.integration.devhost.golden_instances import differences
from tests.integration.devhost.golden_instances_host import WEBHOOK, GoldenHost, Json

Scenario = Callable[[GoldenHost, Json], Awaitable[None]]

ENVIRONMENTS = {
    "AZURE_FUNCTIONS_DURABLE_STRICT_TYPING=1 and a custom class as input": {
        "AZURE_FUNCTIONS_DURABLE_STRICT_TYPING": "1"
    }
}

BATCHES_BY_CHANCE = "entity: ten signals through the SDK client"
_SORTER = "Azure's notes on what came from whom are left out: its queues may deliver out of order, devhost's cannot"

DIFFERENT = {
    BATCHES_BY_CHANCE: "how many signals share a batch depends on when each arrives; the outcome is compared",
    "entity: call add 5, signal add 2, call get": _SORTER,
    "entity: failing operation by call; state set before the raise is kept": _SORTER,
    "entity: ten signals and a read from an orchestrator: one batch, in order": _SORTER,
}
"""Cases of which a part is not compared, and why."""

ACTIVITY_CASES = {
    "inputs of every JSON type, echoed": "types_in",
    "annotations on the parameter; async activity; func.Context": "types_ann",
    "return values of every type": "types_out",
    "exceptions": "excs_all",
    "AZURE_FUNCTIONS_DURABLE_STRICT_TYPING=1 and a custom class as input": "types_in",
}
"""The orchestrator that calls the activities."""


def notes(host: GoldenHost, kind: str) -> list[Json]:
    """What the app's recorder wrote: `entity`, `act_in` (before an activity), `act_out` (after it)."""
    lines = (host.scratch / "capture.jsonl").read_text("utf-8").splitlines()
    return [note for note in map(json.loads, lines) if note["kind"] == kind]


async def activity_differences(host: GoldenHost, case: Json) -> list[str]:
    """Run the case's orchestrator; each activity's input, argument and history row, and the instance's end."""
    instance_id = await host.start(ACTIVITY_CASES[case["title"]])
    given = [_given(note) for note in notes(host, "act_in")]
    calls = [one for one in case["exchange"] if "datum_type" in one["request"]]
    if any("raised" in one["response"] for one in calls):
        given = [one for one in given if "raised" in one["response"]]
    else:
        rows = [event for event in host.hub.store.history(instance_id) if event["EventType"] in (5, 6)]
        for one, row in zip(given, rows, strict=True):
            one["response"] |= _row(row)
    found = differences(calls, given)
    ends = [one["response"] for one in case["exchange"] if "method" in one["request"]]
    for end in ends:
        found += differences(end["body"], await host.status(instance_id))
    return found


def _given(note: Json) -> Json:
    request = {"datum_type": note["dtype"], "datum_value": note["value"]}
    if "raised" in note:
        return {"request": request, "response": {"raised": note["raised"]}}
    return {"request": request, "response": {"python_argument": note["py"], "python_type": note["pytype"]}}


def _row(event: Json) -> Json:
    """A completion as the recording of the bodies shows it."""
    if event["EventType"] == 5:
        return {"TaskCompleted": {"Result": event["Result"]}}
    return {"TaskFailed": {key: event[key] for key in ("Reason", "Details", "FailureDetails")}}


def _orchestrated(name: str) -> Scenario:
    async def scenario(host: GoldenHost, case: Json) -> None:
        await host.start(name)

    return scenario


async def _signal(host: GoldenHost, key: str, operation: str, value: Any = None) -> None:
    """By the SDK client, which sends no input for None."""
    path = f"/api/signal/Counter/{key}/{operation}"
    answer = await (host.request("POST", path) if value is None else host.request("POST", path, value))
    assert answer.status == 200, answer
    await host.quiet()


def _signals(key: str, *operations: tuple[str, Any]) -> Scenario:
    async def scenario(host: GoldenHost, case: Json) -> None:
        for operation, value in operations:
            await _signal(host, key, operation, value)

    return scenario


def _by_webhook(key: str, body: str | None, content_type: str = "application/json", query: str = "?op=add") -> Scenario:
    async def scenario(host: GoldenHost, case: Json) -> None:
        path = f"{WEBHOOK}/entities/Counter/{key}{query}"
        answer = await (host.request("POST", path) if body is None else host.request("POST", path, body, content_type))
        assert answer.status == 202, answer
        await host.quiet()

    return scenario


async def _one_batch(host: GoldenHost, case: Json) -> None:
    """What comes while an operation runs makes the next batch."""
    host.naps.hold()
    await _signal(host, "batch", "slow")
    for operation, value in (("add", 4), ("noresult", None), ("fail", 9), ("get", None), ("reset", None), ("add", 2)):
        await _signal(host, "batch", operation, value)
    await host.let_go()


ENTITY_CASES: dict[str, Scenario] = {
    "entity: call add 5, signal add 2, call get": _orchestrated("ent_call"),
    "entity: failing operation by call; state set before the raise is kept": _orchestrated("ent_fail"),
    "entity: ten signals and a read from an orchestrator: one batch, in order": _orchestrated("sig_then_read"),
    "entity: ten signals through the SDK client": _signals("s10", *[("add", 1)] * 10),
    "entity: webhook signal, application/json body 5": _by_webhook("rawj5", "5"),
    'entity: webhook signal, application/json body "5"': _by_webhook("rawjs5", '"5"'),
    "entity: webhook signal, application/json body null": _by_webhook("rawjnull", "null"),
    "entity: webhook signal, text/plain body 5": _by_webhook("rawt5", "5", "text/plain"),
    'entity: webhook signal, application/json body {"a":1}': _by_webhook("rawjobj", '{"a":1}'),
    "entity: webhook signal without body": _by_webhook("rawnone", None),
    "entity: webhook signal without op": _by_webhook("noop", None, query=""),
    "entity: context properties": _signals("miscwho", ("who", None)),
    "entity: get_state only": _signals("miscpeek", ("peek", None)),
    "entity: operation that does nothing": _signals("miscnoresult", ("noresult", None)),
    "entity: destruct_on_exit": _signals("res", ("add", 3), ("reset", None)),
    "entity: batch: slow, then add 4, noresult, fail 9, get, reset, add 2": _one_batch,
}


async def entity_differences(host: GoldenHost, case: Json) -> list[str]:
    """Play the case; each batch as the entity got it, its row in the list of instances, its state and its history."""
    await ENTITY_CASES[case["title"]](host, case)
    found = []
    if case["title"] != BATCHES_BY_CHANCE:
        seen = [
            {"given_to_python": json.loads(note["given"]), "returned_by_python": json.loads(note["returned"])}
            for note in notes(host, "entity")
        ]
        found = differences(_timeless(case["episodes"]), _timeless(seen))
    for one in case["exchange"]:
        path = one["request"]["url"].removeprefix("<base>").removesuffix("?code=<key>")
        answer = await host.request("GET", path)
        found += differences(without_sorter(one["response"]), {"status": answer.status, "body": answer.body})
    row = case["history"][0]
    shown = await host.status(row["FunctionName"], "?showHistory=true&showHistoryOutput=true")
    return found + differences([_plain_input(row)], shown["historyEvents"], "history")


def _timeless(episodes: list[Json]) -> list[Json]:
    """How long an operation took, and when, is the machine's."""
    for episode in episodes:
        for result in episode["returned_by_python"]["results"]:
            result["duration"], result["startTime"] = 0, 0
    return episodes


def without_sorter(response: Json) -> Json:
    """The status of an entity as devhost keeps it: see `DIFFERENT`."""
    body = response["body"]
    if isinstance(body, dict):
        return {**response, "body": {**body, "input": {**body["input"], "sorter": {}}}}
    return response


def _plain_input(row: Json) -> Json:
    kept = {**json.loads(row["Input"]), "sorter": {}}
    return {**row, "Input": json.dumps(kept, separators=(",", ":"))}
