"""Every public member of the durable client, the orchestration context and the entity context does its work on a
running devhost: one test each, named `test_<which>_<member>`. The members are read from the SDK itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from azure.durable_functions import DurableEntityContext, DurableOrchestrationClient, DurableOrchestrationContext

from devhost.testing.clock import START
from tests.integration.devhost.running_app import WEBHOOK, RunningApp, running

APP = Path(__file__).parent / "sdk_app"
SURFACE = {
    "client": DurableOrchestrationClient,
    "context": DurableOrchestrationContext,
    "entity": DurableEntityContext,
}


@pytest.fixture
async def app() -> AsyncIterator[RunningApp]:
    async with running(APP) as started:
        yield started


async def call(app: RunningApp, method: str, *arguments: Any, **options: Any) -> Any:
    """What a method of the client returned inside the app."""
    body = {"arguments": arguments, "options": options}
    answer = await app.ask("POST", f"/api/client/{method}", body)
    assert answer.status == 200, answer
    await app.quiet()
    return answer.body["returned"]


async def failure(app: RunningApp, method: str, *arguments: Any) -> str:
    answer = await app.ask("POST", f"/api/client/{method}", {"arguments": arguments, "options": {}})
    assert answer.status == 500, answer
    text: str = answer.body
    return text


async def outcome(app: RunningApp, name: str, *value: Any) -> Any:
    """The output of an orchestration that ends at once."""
    status = await app.status(await app.start(name, *value))
    assert status["runtimeStatus"] == "Completed", status
    return status["output"]


def members(kind: type) -> list[str]:
    return [name for name in dir(kind) if not name.startswith("_")]


@pytest.mark.parametrize("which", SURFACE)
def test_each_member_has_a_test(which: str) -> None:
    tested = {name.removeprefix(f"test_{which}_") for name in globals() if name.startswith(f"test_{which}_")}
    assert tested == set(members(SURFACE[which]))


# --- the client ---------------------------------------------------------------------------------------------


async def test_client_start_new(app: RunningApp) -> None:
    assert await call(app, "start_new", "about", "one", {"a": 1}) == "one"
    status = await app.status("one")
    assert (status["name"], status["input"], status["output"]["input"]) == ("about", '{"a": 1}', {"a": 1})
    UUID(await call(app, "start_new", "about"))
    older = await call(app, "start_new", "about", version="0.9")
    assert (await app.status(older))["output"]["version"] == "0.9"
    assert "known orchestrator functions" in (await app.status(await call(app, "start_new", "nosuch")))["output"]
    await app.start("wait_for_external_event", instance_id="busy")
    assert "status Running already exists" in await failure(app, "start_new", "about", "busy")


async def test_client_get_status(app: RunningApp) -> None:
    await call(app, "start_new", "task_all", "one", "given")
    status = await call(app, "get_status", "one")
    assert (status["name"], status["instance_id"], status["runtime_status"]) == ("task_all", "one", "Completed")
    assert (status["input"], status["output"], status["custom_status"]) == ('"given"', [1, 2, 3], None)
    assert status["history"] is None
    assert status["created_time"] == START.isoformat()
    full = await call(app, "get_status", "one", show_history=True, show_history_output=True, show_input=True)
    assert [one["Result"] for one in full["history"] if one["EventType"] == "TaskCompleted"] == [1, 2, 3]
    assert not (await call(app, "get_status", "nosuch"))["found"]


async def test_client_get_status_all(app: RunningApp) -> None:
    for name in ("b", "a"):
        await app.start("task_all", instance_id=name)
    assert [one["instance_id"] for one in await call(app, "get_status_all")] == ["a", "b"]


async def test_client_get_status_by(app: RunningApp) -> None:
    await app.start("task_all", instance_id="old-1")
    await app.pass_time(hours=1)
    for name, instance_id in [("task_all", "new-1"), ("wait_for_external_event", "new-2")]:
        await app.start(name, instance_id=instance_id)

    async def found(**by: Any) -> list[str]:
        return [one["instance_id"] for one in await call(app, "get_status_by", **by)]

    half_past = {"time": (START + timedelta(minutes=30)).isoformat()}
    assert await found(created_time_from=half_past) == ["new-1", "new-2"]
    assert await found(created_time_to=half_past) == ["old-1"]
    assert await found(instance_id_prefix="new") == ["new-1", "new-2"]
    assert await found(runtime_status={"statuses": ["Running"]}) == ["new-2"]
    assert await found(runtime_status={"statuses": ["Completed"]}, created_time_from=half_past) == ["new-1"]


async def test_client_raise_event(app: RunningApp) -> None:
    await app.start("wait_for_external_event", instance_id="one")
    assert await call(app, "raise_event", "one", "on", {"a": 1}) is None
    assert (await app.status("one"))["output"] == '{"a": 1}'  # a str, which the orchestrator may parse
    assert "is gone" in await failure(app, "raise_event", "one", "on")
    assert "No instance with ID nosuch found." in await failure(app, "raise_event", "nosuch", "on")


async def test_client_terminate(app: RunningApp) -> None:
    await app.start("wait_for_external_event", instance_id="one")
    assert await call(app, "terminate", "one", "no more") is None
    status = await app.status("one")
    assert (status["runtimeStatus"], status["output"]) == ("Terminated", "no more")


async def test_client_suspend(app: RunningApp) -> None:
    await app.start("wait_for_external_event", instance_id="one")
    assert await call(app, "suspend", "one", "for a while") is None
    await call(app, "raise_event", "one", "on", 1)
    assert (await app.status("one"))["runtimeStatus"] == "Suspended"


async def test_client_resume(app: RunningApp) -> None:
    await app.start("wait_for_external_event", instance_id="one")
    await call(app, "suspend", "one", "for a while")
    await call(app, "raise_event", "one", "on", 1)
    assert await call(app, "resume", "one", "on we go") is None
    status = await app.status("one")
    assert (status["runtimeStatus"], status["output"]) == ("Completed", "1")


async def test_client_rewind(app: RunningApp) -> None:
    await app.start("flaky_child", "rewound", "one")
    for _ in range(2):
        assert (await app.status("one"))["runtimeStatus"] == "Failed"
        assert await call(app, "rewind", "one", "try again") is None
    assert (await app.status("one"))["output"] == "done at try 3"
    assert "can be rewound" in await failure(app, "rewind", "one", "once more")


async def test_client_restart(app: RunningApp) -> None:
    await call(app, "start_new", "child", "one", 4)
    await app.pass_time(minutes=1)
    other = (await call(app, "restart", "one"))["id"]
    assert other != "one"
    assert (await app.status(other))["output"]["value"] == 5
    assert (await call(app, "restart", "one", restart_with_new_instance_id=False))["id"] == "one"
    assert (await app.status("one"))["createdTime"] == "2026-11-23T20:01:00Z"


async def test_client_purge_instance_history(app: RunningApp) -> None:
    await app.start("task_all", instance_id="one")
    assert await call(app, "purge_instance_history", "one") == {"instances_deleted": 1}
    assert await call(app, "purge_instance_history", "one") == {"instances_deleted": 0}


async def test_client_purge_instance_history_by(app: RunningApp) -> None:
    for name in ("task_all", "wait_for_external_event"):
        await app.start(name, instance_id=name)
    window = {
        "created_time_from": {"time": START.isoformat()},
        "created_time_to": {"time": (START + timedelta(hours=1)).isoformat()},
    }
    completed = {"statuses": ["Completed"]}
    assert await call(app, "purge_instance_history_by", **window, runtime_status=completed) == {"instances_deleted": 1}
    assert await call(app, "purge_instance_history_by", **window, runtime_status=completed) == {"instances_deleted": 0}
    assert [one["instance_id"] for one in await call(app, "get_status_all")] == ["wait_for_external_event"]
    assert "created_time_from is required" in await failure(app, "purge_instance_history_by")


async def test_client_signal_entity(app: RunningApp) -> None:
    for number in (2, 3):
        assert await call(app, "signal_entity", {"entity": ["Counter", "one"]}, "add", number) is None
    assert (await app.ask("GET", f"{WEBHOOK}/entities/counter/one")).body == 5
    assert "400" in await failure(app, "signal_entity", {"entity": ["nosuch", "one"]}, "add", 1)


async def test_client_read_entity_state(app: RunningApp) -> None:
    one = {"entity": ["counter", "one"]}
    assert await call(app, "read_entity_state", one) == {"entity_exists": False, "entity_state": None}
    await call(app, "signal_entity", one, "add", 2)
    assert await call(app, "read_entity_state", one) == {"entity_exists": True, "entity_state": 2}


async def test_client_create_check_status_response(app: RunningApp) -> None:
    await app.start("task_all", instance_id="one")
    response = await call(app, "create_check_status_response", {"request": True}, "one")
    assert (response["status"], response["headers"]["Retry-After"], len(response["body"])) == (202, "10", 9)
    assert response["headers"]["Location"] == response["body"]["statusQueryGetUri"]
    path = response["body"]["statusQueryGetUri"].removeprefix(app.host.url)
    assert (await app.ask("GET", path)).body["output"] == [1, 2, 3]


async def test_client_create_http_management_payload(app: RunningApp) -> None:
    payload = await call(app, "create_http_management_payload", "one")
    assert payload["id"] == "one"
    assert all(
        url.startswith(f"{app.host.url}{WEBHOOK}/instances/one") for name, url in payload.items() if name != "id"
    )
    await app.start("wait_for_external_event", instance_id="one")
    path = payload["terminatePostUri"].removeprefix(app.host.url).replace("{text}", "by%20link")
    assert (await app.ask("POST", path)).status == 202
    await app.quiet()
    assert (await app.status("one"))["output"] == "by link"


async def test_client_get_client_response_links(app: RunningApp) -> None:
    links = await call(app, "get_client_response_links", {"request": True}, "one")
    assert links == await call(app, "create_http_management_payload", "one")
    assert await call(app, "get_client_response_links", None, "one") == links


async def test_client_wait_for_completion_or_create_check_status_response(app: RunningApp) -> None:
    method = "wait_for_completion_or_create_check_status_response"
    await app.start("task_all", instance_id="done")
    await app.start("wait_for_external_event", instance_id="waits")
    response = await call(app, method, {"request": True}, "done")
    assert (response["status"], response["body"]) == (200, [1, 2, 3])
    short = {"timeout_in_milliseconds": 20, "retry_interval_in_milliseconds": 10}
    response = await call(app, method, {"request": True}, "waits", **short)
    assert (response["status"], response["headers"]["Retry-After"]) == (202, "10")


# --- the orchestration context ------------------------------------------------------------------------------


async def test_context_call_activity(app: RunningApp) -> None:
    assert await outcome(app, "call_activity") == [2, 3]


async def test_context_call_activity_with_retry(app: RunningApp) -> None:
    await app.start("call_activity_with_retry", instance_id="one")
    await app.pass_time(minutes=1)
    assert (await app.status("one"))["runtimeStatus"] == "Running"
    await app.pass_time(minutes=1)
    assert (await app.status("one"))["output"] == "done at try 3"


async def test_context_call_entity(app: RunningApp) -> None:
    assert await outcome(app, "call_entity") == 5


async def test_context_signal_entity(app: RunningApp) -> None:
    assert await outcome(app, "signal_entity") == 5


async def test_context_call_http(app: RunningApp) -> None:
    as_json, as_text = await outcome(app, "call_http", f"{app.host.url}/api/echo")
    assert (as_json["statusCode"], as_json["headers"]["x-asked"], as_json["content"]) == (201, "kept", '{"a": 1}')
    assert as_text["content"] == "raw"


async def test_context_call_sub_orchestrator(app: RunningApp) -> None:
    await app.start("call_sub_orchestrator", instance_id="one")
    expected = {"value": 7, "instance": "the-child", "parent": "one"}
    assert (await app.status("one"))["output"] == expected
    assert (await app.status("the-child"))["output"] == expected


async def test_context_call_sub_orchestrator_with_retry(app: RunningApp) -> None:
    await app.start("call_sub_orchestrator_with_retry", instance_id="one")
    await app.pass_time(minutes=2)
    assert (await app.status("one"))["output"] == "done at try 3"


async def test_context_continue_as_new(app: RunningApp) -> None:
    await app.start("continue_as_new", 1, "one")
    status = await app.status("one")
    assert (status["runtimeStatus"], status["input"], status["output"]) == ("Completed", "3", 4)


async def test_context_will_continue_as_new(app: RunningApp) -> None:
    assert await outcome(app, "continue_as_new", 2) == 4
    said = [line.text for line in app.lines if line.text.startswith("continues as new")]
    assert said == ["continues as new: False, then True", "continues as new: False, then False"]


async def test_context_create_timer(app: RunningApp) -> None:
    await app.start("create_timer", instance_id="one")
    await app.pass_time(days=5, seconds=-1)
    assert (await app.status("one"))["runtimeStatus"] == "Running"
    await app.pass_time(seconds=1)
    due = (START + timedelta(days=5)).isoformat()
    assert (await app.status("one"))["output"] == [due, due]


async def test_context_current_utc_datetime(app: RunningApp) -> None:
    await app.start("create_timer", instance_id="one")
    await app.pass_time(days=6)
    # That of each episode's start, also when it is replayed a day later.
    assert (await app.status("one"))["output"] == [(START + timedelta(days=5)).isoformat()] * 2


async def test_context_set_custom_status(app: RunningApp) -> None:
    await app.start("set_custom_status", instance_id="one")
    assert (await app.status("one"))["customStatus"] == {"step": 1}
    await app.post("one", "raiseEvent/on", 1)
    assert (await app.status("one"))["customStatus"] == "ready"


async def test_context_custom_status(app: RunningApp) -> None:
    await app.start("set_custom_status", instance_id="one")
    await app.post("one", "raiseEvent/on", 1)
    assert (await app.status("one"))["output"] == [{"step": 1}, "ready"]


async def test_context_get_input(app: RunningApp) -> None:
    assert (await outcome(app, "about", {"a": [1]}))["input"] == {"a": [1]}
    assert (await outcome(app, "about"))["input"] is None


async def test_context_instance_id(app: RunningApp) -> None:
    await app.start("about", instance_id="one")
    assert (await app.status("one"))["output"]["instance_id"] == "one"


async def test_context_parent_instance_id(app: RunningApp) -> None:
    assert (await outcome(app, "about"))["parent_instance_id"] is None
    assert (await outcome(app, "call_sub_orchestrator"))["parent"] is not None


async def test_context_version(app: RunningApp) -> None:
    assert (await outcome(app, "about"))["version"] == "1.0"


async def test_context_is_replaying(app: RunningApp) -> None:
    # In the last episode what came before the activity is replayed, what follows is new.
    assert (await outcome(app, "about"))["is_replaying"] == [True, False]


async def test_context_histories(app: RunningApp) -> None:
    started, execution, scheduled, episode_end, completed = 12, 0, 4, 13, 5
    assert (await outcome(app, "about"))["histories"] == [
        *(started, execution, scheduled, episode_end),
        *(started, completed),
    ]


async def test_context_function_context(app: RunningApp) -> None:
    found = (await outcome(app, "about"))["function_context"]
    assert found == {"defaultHttpAsyncRequestSleepTimeMillseconds": 30000}


async def test_context_new_guid(app: RunningApp) -> None:
    guids = (await outcome(app, "about"))["ids"][::2]
    assert len({UUID(each) for each in guids}) == 2


async def test_context_new_uuid(app: RunningApp) -> None:
    ids = (await outcome(app, "about"))["ids"]
    assert len({UUID(each) for each in ids}) == 4


async def test_context_task_all(app: RunningApp) -> None:
    assert await outcome(app, "task_all") == [1, 2, 3]


async def test_context_task_any(app: RunningApp) -> None:
    for instance_id in ("early", "late"):
        await app.start("task_any", instance_id=instance_id)
    await app.post("early", "raiseEvent/on", "in time")
    await app.pass_time(days=1)
    assert (await app.status("early"))["output"] == "in time"
    assert (await app.status("late"))["output"] == "too late"


async def test_context_wait_for_external_event(app: RunningApp) -> None:
    await app.start("wait_for_external_event", instance_id="one")
    await app.post("one", "raiseEvent/on", {"a": 1})
    assert (await app.status("one"))["output"] == {"a": 1}


async def test_context_from_json(app: RunningApp) -> None:
    await app.start("from_json", {"a": 1}, "one")
    assert (await app.status("one"))["output"] == {"instance_id": "one", "input": {"a": 1}}


# --- the entity context -------------------------------------------------------------------------------------


async def ask_entity(app: RunningApp, key: str, operation: str, name: str = "counter") -> Any:
    """Through a call from an orchestrator; the input goes as the SDK would send it."""
    instance_id = await call(app, "start_new", "ask_entity", None, [name, key, operation])
    return await app.status(instance_id)


async def add(app: RunningApp, key: str, number: int) -> None:
    await call(app, "signal_entity", {"entity": ["counter", key]}, "add", number)


async def test_entity_entity_name(app: RunningApp) -> None:
    assert (await ask_entity(app, "K", "about"))["output"]["entity_name"] == "counter"


async def test_entity_entity_key(app: RunningApp) -> None:
    assert (await ask_entity(app, "K", "about"))["output"]["entity_key"] == "K"


async def test_entity_operation_name(app: RunningApp) -> None:
    assert (await ask_entity(app, "K", "about"))["output"]["operation_name"] == "about"


async def test_entity_is_newly_constructed(app: RunningApp) -> None:
    # False also for a new one: the SDK never sets it.
    assert (await ask_entity(app, "K", "about"))["output"]["is_newly_constructed"] is False


async def test_entity_get_input(app: RunningApp) -> None:
    await add(app, "one", 4)
    assert (await ask_entity(app, "one", "get"))["output"] == 4


async def test_entity_get_state(app: RunningApp) -> None:
    assert (await ask_entity(app, "one", "get"))["output"] is None
    await add(app, "one", 4)  # begins with the initial value
    await add(app, "one", 5)
    assert (await ask_entity(app, "one", "get"))["output"] == 9


async def test_entity_set_state(app: RunningApp) -> None:
    await add(app, "one", 4)
    assert (await app.ask("GET", f"{WEBHOOK}/entities/counter/one")).body == 4


async def test_entity_set_result(app: RunningApp) -> None:
    await add(app, "one", 4)
    assert (await ask_entity(app, "one", "get"))["output"] == 4
    status = await ask_entity(app, "one", "nosuch")
    assert (status["runtimeStatus"], "no operation nosuch" in status["output"]) == ("Failed", True)


async def test_entity_destruct_on_exit(app: RunningApp) -> None:
    await add(app, "one", 4)
    await ask_entity(app, "one", "forget")
    assert (await ask_entity(app, "one", "get"))["output"] is None


async def test_entity_from_json(app: RunningApp) -> None:
    status = await ask_entity(app, "one", "look", name="by_hand")
    assert status["output"] == {"name": "by_hand", "key": "one", "operations": ["look"]}
