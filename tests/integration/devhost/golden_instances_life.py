"""How each case of `06-instance-life.json` comes about: what is started, what it is told, and what is seen on the way.

A scenario returns the instance whose end the recording shows; what it saw itself, it has compared.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

from tests.integration.devhost.golden_instances import by_title, differences
from tests.integration.devhost.golden_instances_host import WEBHOOK, Answer, GoldenHost, Json

Scenario = Callable[[GoldenHost, Json], Awaitable[str | None]]


def _ends(name: str, value: Any = None, *, seconds: float = 0) -> Scenario:
    """Start, let the time pass, and that is all."""

    async def scenario(host: GoldenHost, case: Json) -> str:
        instance_id = await (host.start(name) if value is None else host.start(name, value))
        await host.pass_time(seconds=seconds)
        return instance_id

    return scenario


def _same(case: Json, number: int, answer: Answer) -> None:
    """The answer is that of the recorded exchange."""
    recorded = case["exchange"][number]["response"]
    assert answer.status == recorded["status"], answer
    assert differences(recorded["body"], answer.body) == []
    fixed = {name: value for name, value in recorded["headers"].items() if name in ("Content-Type", "Retry-After")}
    assert {name: answer.headers.get(name) for name in fixed} == fixed


def _custom_status(value: Any) -> Scenario:
    async def scenario(host: GoldenHost, case: Json) -> str:
        return await host.start("csval", value)

    return scenario


async def _custom_status_lost(host: GoldenHost, case: Json) -> None:
    instance_id = await host.start("cskeep")
    assert str((await host.status(instance_id))["customStatus"]).startswith("only when not replaying")
    for event in "ab":
        await host.event(instance_id, event, 1)
        assert (await host.status(instance_id))["customStatus"] is None
    assert await host.runtime_status(instance_id) == "Completed"


async def _custom_status_across_generations(host: GoldenHost, case: Json) -> str:
    instance_id = await host.start("cancs")
    await host.pass_time(seconds=2)
    return instance_id


async def _continued(host: GoldenHost, case: Json) -> str:
    instance_id = await host.start("can")
    first = await host.status(instance_id)
    await host.pass_time(seconds=10)
    executions: dict[str, str] = {}
    shown = []
    for number, body in enumerate(host.episodes(instance_id)):
        started = next(event for event in body["history"] if event["EventType"] == 0)
        execution = executions.setdefault(started["OrchestrationInstance"]["ExecutionId"], f"E{number}")
        shown.append(
            {
                "execution": execution,
                "input": started["Input"],
                "generation": started["Generation"],
                "history_length": len(body["history"]),
                "isReplaying": body["isReplaying"],
            }
        )
    assert shown == case["episodes"]
    assert (await host.status(instance_id))["createdTime"] > first["createdTime"]
    return instance_id


def _busy_wait(instance_id: str, waits: int, events: list[Any]) -> Scenario:
    """Events that come while an activity runs."""

    async def scenario(host: GoldenHost, case: Json) -> str:
        host.naps.hold()
        await host.start("busywait", {"n": waits}, instance_id)
        for value in events:
            await host.event(instance_id, "go", value)
        await host.let_go()
        return instance_id

    return scenario


async def _second_copy(host: GoldenHost, case: Json) -> None:
    """After the comparison: a second copy ends the instance, and its value does not count."""
    await host.event("bw2", "go", "second")
    shown = await host.status("bw2")
    assert (shown["runtimeStatus"], shown["output"]) == ("Completed", [1, 1])


async def _wait_then_busy(host: GoldenHost, case: Json) -> str:
    host.naps.hold()
    await host.start("waitbusy", instance_id="wb1")
    for value in (1, 2, 3):
        await host.event("wb1", "go", value)
    await host.let_go()
    return "wb1"


async def _two_waits(host: GoldenHost, case: Json) -> str:
    await host.start("wait2", instance_id="w2")
    for value in (1, 2):
        await host.event("w2", "go", value)
    return "w2"


async def _wrong_case(host: GoldenHost, case: Json) -> str:
    await host.start("waitGo", instance_id="wg")
    await host.event("wg", "go", "lower")
    assert await host.runtime_status("wg") == "Running"
    await host.event("wg", "Go", "right")
    return "wg"


def _outline(body: Json) -> Json:
    """An episode as the recording of continue-as-new shows it."""
    kinds = [
        [event["EventType"]] + ([event["Name"], event["Input"]] if event["EventType"] == 15 else [])
        for event in body["history"]
    ]
    return {"input": body["input"], "history": kinds}


async def _events_and_continue(host: GoldenHost, case: Json) -> str:
    host.naps.hold()
    await host.start("canev", instance_id="ce")
    for value in ("g0", "early1", "early2"):
        await host.event("ce", "go", value)
    await host.let_go()
    assert [_outline(body) for body in host.episodes("ce")] == case["episodes"]
    return "ce"


async def _four_events(host: GoldenHost, case: Json) -> str:
    instance_id = await host.start("cantight")
    for together in ((1, 2), (0, 3)):
        # In one turn of the loop: both messages are there when the next episode begins.
        await asyncio.gather(*(host.hub.client.raise_event(instance_id, "go", str(value)) for value in together))
        await host.quiet()
    assert [_outline(body) for body in host.episodes(instance_id)] == case["episodes"]
    return instance_id


async def _suspended(host: GoldenHost, case: Json) -> str:
    host.naps.hold()
    instance_id = await host.start("busywait", {"n": 1, "nap": 3})
    place = f"{WEBHOOK}/instances/{instance_id}"
    _same(case, 0, await host.request("POST", f"{place}/suspend?reason=pause"))
    await host.quiet()
    _same(case, 1, await host.request("POST", f"{place}/raiseEvent/go", {"e": 1}))
    await host.quiet()
    await host.let_go()
    _same(case, 2, await host.request("GET", f"{place}?showHistory=true"))
    _same(case, 3, await host.request("POST", f"{place}/resume?reason=goon"))
    await host.quiet()
    kinds = [[event["EventType"] for event in body["history"]] for body in host.episodes(instance_id)]
    assert kinds == case["episodes"]
    return instance_id


async def _terminated(host: GoldenHost, case: Json) -> str:
    before = len(host.activities())
    host.naps.hold()
    instance_id = await host.start("slow", 4)
    _same(case, 0, await host.request("POST", f"{WEBHOOK}/instances/{instance_id}/terminate?reason=enough"))
    await host.quiet()
    assert await host.runtime_status(instance_id) == "Terminated"
    await host.let_go()
    assert host.activities()[before:] == case["activities_seen"]
    return instance_id


def _rewound(name: str, key: str) -> Scenario:
    async def scenario(host: GoldenHost, case: Json) -> str:
        before = len(host.activities())
        instance_id = await host.start(name, key)
        assert await host.runtime_status(instance_id) == "Failed"
        (host.scratch / f"flag_{key}").touch()
        _same(case, 0, await host.request("POST", f"{WEBHOOK}/instances/{instance_id}/rewind?reason=fixed"))
        assert await host.runtime_status(instance_id) in ("Pending", "Running")
        await host.quiet()
        assert host.activities()[before:] == case["activities_seen"]
        if "raw_after" in case:
            assert differences(case["raw_after"], [_brief(e) for e in host.episodes(instance_id)[-1]["history"]]) == []
        return instance_id

    return scenario


def _brief(event: Json) -> Json:
    """The recording of the rewound history left out what is null."""
    return {key: value for key, value in event.items() if value is not None}


async def _restarted(host: GoldenHost, case: Json) -> str:
    instance_id = await host.start("inp", {"k": 1})
    place = f"{WEBHOOK}/instances/{instance_id}/restart"
    same = await host.request("POST", f"{place}?restartWithNewInstanceId=false")
    await host.quiet()
    other = await host.request("POST", place)
    await host.quiet()
    assert same.body["id"] == instance_id != other.body["id"]
    for number, answer in ((0, same), (1, other)):
        assert answer.status == case["exchange"][number]["response"]["status"]
        assert list(answer.body) == list(case["exchange"][number]["response"]["body"])
    _same(case, 2, await host.request("GET", f"{WEBHOOK}/instances/{other.body['id']}"))
    sleepers = len(host.clock.deadlines)
    waiting = asyncio.create_task(host.request("POST", f"{place}?timeout=5&pollingInterval=0.5"))
    await host.clock.sleepers(sleepers + 1)  # the host looks again after the interval
    await host.quiet()
    await host.pass_time(seconds=0.5)
    _same(case, 3, await waiting)
    return instance_id


def _changed(before: int, after: int) -> Scenario:
    """The orchestrator's code changes while it waits for an event."""

    async def scenario(host: GoldenHost, case: Json) -> str:
        variant = host.scratch / "variant"
        variant.write_text(str(before), "utf-8")
        instance_id = await host.start("nondet")
        variant.write_text(str(after), "utf-8")
        await host.event(instance_id, "go", 1)
        if "output" in case:
            assert (await host.status(instance_id))["output"] == case["output"]
        return instance_id

    return scenario


async def _wait_for_completion(host: GoldenHost, case: Json) -> None:
    """The client's call with five ends, each with the answers that the SDK saw on the way."""
    ids = [
        await host.start("waitcs"),
        await host.start("plain", {"a": 1}),
        await host.start("plain", "text"),
        await host.start("genraise"),
        await host.start("waitcs"),
        "missing",
    ]
    await host.post(ids[4], "terminate?reason=e")
    ends = [number for number, one in enumerate(case["exchange"]) if "sdk_result" in one]
    for instance_id, end in zip(ids, ends, strict=True):
        operation = "wait_for_completion_or_create_check_status_response"
        asked = {"op": operation, "req": True, "args": [instance_id, 40, 10]}
        told = (await host.request("POST", "/api/sdk", asked)).body
        recorded = case["exchange"][end]
        assert len(told["wire"]) > 1 or recorded["response"]["status"] == 200
        for seen in told["wire"]:
            assert seen["status"] == recorded["response"]["status"]
            body = json.loads(seen["resp_body"]) if seen["resp_body"] else ""
            assert differences(recorded["response"]["body"], body) == []
        assert differences(_result(recorded["sdk_result"]["result"]), _result(told["result"])) == []


def _result(answer: Json) -> Json:
    """The text of the body as JSON where it is some; the URLs in it are the management API's own tests."""
    body = answer["body"]
    if body.startswith("{"):
        body = json.loads(body)
    if "statusQueryGetUri" in body:
        body = list(body)
    headers = {name: value for name, value in answer["headers"].items() if name != "Location"}
    return {**answer, "headers": headers, "body": body}


def _called(name: str, path: str) -> Scenario:
    """`call_http` to the app's own routes."""

    async def scenario(host: GoldenHost, case: Json) -> str:
        return await host.start(name, f"http://127.0.0.1:{host.host.port}{path}")

    return scenario


async def _child_of_running(host: GoldenHost, case: Json) -> str:
    await host.start("waiter", instance_id="busy-child")
    parent = await host.start("parent", {"id": "busy-child", "input": 3})
    child = await host.status("busy-child")
    assert (child["name"], child["output"]) == ("inp", {"type": "int", "value": 3})
    return parent


async def _child_of_completed(host: GoldenHost, case: Json) -> str:
    await host.start("plain", 1, "done-child")
    return await host.start("parent", {"id": "done-child", "input": 3})


async def _parent_gone(host: GoldenHost, case: Json) -> None:
    parent = await host.start("parent", {"name": "waitcs", "id": "tchild"})
    place, child = f"{WEBHOOK}/instances/{parent}", f"{WEBHOOK}/instances/tchild"
    _same(case, 0, await host.request("POST", f"{place}/terminate?reason=t"))
    await host.quiet()
    _same(case, 1, await host.request("GET", child))
    _same(case, 2, await host.request("DELETE", place))
    _same(case, 3, await host.request("GET", child))
    await host.event("tchild", "go", 1)
    _same(case, 4, await host.request("GET", child))


async def _child_terminated(host: GoldenHost, case: Json) -> str:
    parent = await host.start("parentcatch", {"name": "waitcs", "id": "tchild2"})
    await host.post("tchild2", "terminate?reason=because")
    return parent


async def _default_child(host: GoldenHost, case: Json) -> str:
    parent = await host.start("parent", {"input": {"a": 1}})
    history = (await host.status(parent, "?showHistory=true"))["historyEvents"]
    child = history[1]["InstanceId"]
    recorded = {"child_id": child, "child_first_body": host.episodes(child.replace(":", "_"))[0]}
    assert differences({key: case["raw"][key] for key in recorded}, recorded) == []
    _same(case, 0, await host.request("GET", f"{WEBHOOK}/instances/{quote(child)}"))
    return parent


async def _named_child(host: GoldenHost, case: Json) -> str:
    return await host.start("parent", {"id": "child-1", "input": 3})


async def _raw_entity_history(host: GoldenHost, case: Json) -> str:
    instance_id = await host.start("entcall")
    last = host.episodes(instance_id)[-1]["history"]
    assert differences(case["raw"], [event for event in last if event["EventType"] in (14, 15)]) == []
    return instance_id


async def _raised_at_once(host: GoldenHost, case: Json) -> None:
    """Azure lost 4 of 60 events here; devhost delivers each."""
    started = await asyncio.gather(*(host.request("POST", "/api/startraise/waiter") for _ in range(12)))
    await host.quiet()
    for answer in started:
        assert answer.body["raise"] == "ok"
        assert await host.runtime_status(answer.body["id"]) == "Completed"


async def _raised_again(host: GoldenHost, case: Json) -> None:
    place = f"{WEBHOOK}/instances/{await host.start('waiter')}"
    _same(case, 0, await host.request("GET", place))
    _same(case, 1, await host.request("POST", f"{place}/raiseEvent/go", 1))
    await host.quiet()
    _same(case, 2, await host.request("GET", place))


async def _raised_through_the_sdk(host: GoldenHost, case: Json) -> None:
    """What a queue trigger's `raise_event` meets: the instance gets a str, a lost one is an exception."""
    outcomes = case["outcomes"]
    waiting = await host.start("waiter")
    told = (await host.request("POST", "/api/sdk", {"op": "raise_event", "args": [waiting, "go", {"n": 1}]})).body
    await host.quiet()
    shown = await host.status(waiting)
    assert told["type"] == "NoneType"
    assert (shown["runtimeStatus"], shown["output"]) == ("Completed", outcomes["output"])
    await host.start("plain", 1, "q-done")
    for recorded in outcomes["missing_and_completed"]:
        asked = {"op": "raise_event", "args": [recorded["id"], "go", 1]}
        told = (await host.request("POST", "/api/sdk", asked)).body
        assert told["text"] == recorded["exception"]


async def _long_first_episode(host: GoldenHost, case: Json) -> None:
    host.naps.hold()
    instance_id = await host.start("slowfirst")
    assert await host.runtime_status(instance_id) == "Pending"
    await host.event(instance_id, "go", 7)
    await host.let_go()
    shown = await host.status(instance_id)
    assert (shown["runtimeStatus"], shown["output"]) == ("Completed", 7)


SCENARIOS: dict[str, Scenario] = {
    "custom status of 9000 characters": _ends("cs", 9000),
    "custom status {}": _custom_status({}),
    'custom status ""': _custom_status(""),
    "custom status 0": _custom_status(0),
    "custom status null": _ends("csval"),
    "custom status false": _custom_status(False),
    "custom status []": _custom_status([]),
    'custom status "text"': _custom_status("text"),
    "custom status 5": _custom_status(5),
    'custom status {"a": "\\u017e"}': _custom_status({"a": "ž"}),
    "custom status [1]": _custom_status([1]),
    "custom status survives a failure": _ends("csfail"),
    "custom status set only when not replaying is lost in the next episode": _custom_status_lost,
    "continue_as_new three times": _continued,
    "continue_as_new with an open timer waits for it": _ends("canopen", seconds=12),
    "an open timer keeps the instance Running after Python is done": _ends("opentimer", seconds=12),
    "unknown activity: Running for ever": _ends("unknownact"),
    "unknown sub-orchestrator": _ends("unknownsub"),
    "unknown activity with retry": _ends("unknownretry", seconds=10),
    "sub-orchestration with the parent's own id": _ends("subself"),
    "sub-orchestration with an id starting with @": _ends("subat"),
    "a plain function orchestrator raises": _ends("plainraise"),
    "a generator orchestrator raises": _ends("genraise"),
    "uncaught activity failure": _ends("actfail"),
    "sub-orchestration, default id": _default_child,
    "sub-orchestration, explicit id": _named_child,
    "sub-orchestration fails, uncaught": _ends("parent", {"name": "actfail"}),
    "sub-orchestration fails, caught": _ends("parentcatch", {"name": "actfail"}),
    "a failing plain-function child makes the parent look non-deterministic": _ends("parent", {"name": "plainraise"}),
    "entity calls and signals in an orchestrator's history": _raw_entity_history,
    "one event before the wait, one wait": _busy_wait("bw1", 1, [1]),
    "one event before two waits: Python is done, the instance stays Running until a second copy": _busy_wait(
        "bw2", 2, [1]
    ),
    "two events before two waits: the last copy twice": _busy_wait("bw3", 2, [1, 2]),
    "wait, then 2 and 3 while busy": _wait_then_busy,
    "task_all of two waits on one name": _two_waits,
    "event 'go' for a wait on 'Go'": _wrong_case,
    "events and continue_as_new": _events_and_continue,
    "suspend: an event and a completion wait for resume": _suspended,
    "terminate while an activity runs": _terminated,
    "rewind a failed instance": _rewound("rew", "r1"),
    "rewind with a failed child": _rewound("rewparent", "r2"),
    "restart": _restarted,
    "changed orchestrator: activity renamed": _changed(1, 2),
    "changed orchestrator: activity became a timer": _changed(1, 3),
    "changed orchestrator: activity removed": _changed(1, 4),
    "changed orchestrator: only the case of the name changed": _changed(1, 5),
    "changed orchestrator: activity added before a wait": _changed(4, 1),
    "wait_for_completion_or_create_check_status_response": _wait_for_completion,
    "call_http": _called("http", "/api/echo"),
    "call_http POST with content": _called("http2", "/api/echo"),
    "call_http answered with 202 and Location": _called("http", "/api/poll"),
    "child with the id of a running instance": _child_of_running,
    "child with the id of a completed instance": _child_of_completed,
    "terminating a parent, purging a parent": _parent_gone,
    "terminating a child fails the parent": _child_terminated,
    "an event raised right after the start, 12 clients at once": _raised_at_once,
    "raising a lost event again": _raised_again,
    "raise_event from a queue trigger": _raised_through_the_sdk,
    "custom status across continue_as_new": _custom_status_across_generations,
    "four events raised together, one consumed per generation": _four_events,
    "event raised during a long first episode": _long_first_episode,
}

AFTERWARDS: dict[str, Callable[[GoldenHost, Json], Awaitable[None]]] = {
    "one event before two waits: Python is done, the instance stays Running until a second copy": _second_copy,
}
"""What follows the moment that the recording shows."""

CASES = by_title("06-instance-life")
