"""The conformance cases: what a Functions host does that an app or its clients can see, numbered, and for each the
tests that show it on devhost. Most replay what was recorded with a live host; the tests for the others are here."""

from __future__ import annotations

import ast
import asyncio
import json
import socket
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.integration.devhost.running_app import WEBHOOK, RunningApp, running
from tests.integration.devhost.test_cli import PATIENCE, devhost

HERE = Path(__file__).parent
TESTS = HERE.parents[1]
GOLDEN = TESTS / "data" / "golden"
APP = HERE / "conformance_app"

# Tests that replay recorded cases, each with the recordings that it takes.
INDEXING = "integration/devhost/test_indexing_golden.py::test_an_app_is_indexed_as_on_the_live_host"
HTTP = "integration/devhost/test_http_golden.py::test_a_case_of_the_recorded_app"
HTTP_OWN = "integration/devhost/test_http_golden.py::test_a_case_with_an_app_of_its_own"
API = "integration/devhost/test_golden_http_api.py::test_a_recorded_case"
LIFE = "integration/devhost/test_golden_instances.py::test_an_instance_lives_as_recorded"
PROTOCOL = "integration/devhost/test_golden_orchestrations.py::test_an_orchestration_ends_as_recorded"
BODIES = "integration/devhost/test_golden_orchestrations.py::test_activities_and_entities_are_given_what_was_recorded"
EPISODES = "unit/devhost/test_golden_episodes.py::test_what_python_is_given_equals_the_recording"
RECORDINGS = {
    INDEXING: ("01-indexing",),
    HTTP: ("02-http",),
    HTTP_OWN: ("02-http",),
    API: ("04-client-binding", "05-http-api"),
    LIFE: ("06-instance-life",),
    PROTOCOL: ("07-orchestrator-protocol", "09-history"),
    BODIES: ("08-activities-entities",),
    EPISODES: ("07-orchestrator-protocol", "09-history"),
}

QUEUES = "integration/devhost/test_queues_golden.py::"
LISTENER = "unit/devhost/test_queue_listener.py::"
CLI = "integration/devhost/test_cli.py::"
HANGS = "integration/devhost/test_hangs.py::"
ORCHESTRATIONS = "integration/devhost/test_golden_orchestrations.py::"
OWN = "integration/devhost/test_conformance.py::"


@dataclass(frozen=True)
class Case:
    number: int
    statement: str
    tests: tuple[str, ...]


def case(number: int, statement: str, *tests: str) -> Case:
    return Case(number, statement, tests)


CASES = [
    case(1, "A route without name and methods is the function's name, and every verb answers.", HTTP),
    case(
        2,
        "One app under two names loads no function, and devhost says why.",
        INDEXING,
        OWN + "test_one_app_under_two_names_loads_no_function_and_that_is_said",
    ),
    case(3, "A binding name with an underscore puts that function in error; the others run.", INDEXING),
    case(4, "A queue name from an unset setting puts that function in error; the others run.", INDEXING),
    case(5, "A verb that the route does not list is 404 with an empty body, never 405.", HTTP),
    case(6, "With routePrefix '' and `{id:int}` the case of the path does not matter, the type does.", HTTP_OWN),
    case(7, "Repeated query parameters are joined by commas, empty ones dropped.", HTTP),
    case(8, "A function that returns a dict or raises is 500 with an empty body, and a traceback in the log.", HTTP),
    case(9, "A returned str is 200 `text/plain; charset=utf-8`.", HTTP),
    case(10, "Bytes of an HttpResponse and their type go out unchanged.", HTTP),
    case(
        11,
        "A FUNCTION-level route needs no key, unless keys are enforced: then 401 without one.",
        HTTP,
        OWN + "test_a_key_is_asked_for_only_where_keys_are_enforced",
    ),
    case(
        12,
        "/admin/host/status tells the state, /admin/functions lists all by name.",
        HTTP,
        OWN + "test_a_running_host_tells_its_state_and_its_functions",
    ),
    case(
        13,
        "A base64 JSON message arrives decoded, with dequeue count 1, and is deleted.",
        QUEUES + "test_a_json_message",
    ),
    case(14, "An always failing message gets five runs, then its raw text is poison.", QUEUES + "test_always_failing"),
    case(
        15,
        "Text that is not base64 is never run and ends in the poison queue.",
        QUEUES + "test_not_base64",
        LISTENER + "test_text_that_is_not_base64_is_poisoned_at_once",
    ),
    case(16, "With visibilityTimeout 3 s the next try comes 3 s later or more.", QUEUES + "test_visibility_timeout"),
    case(
        17,
        "A run of 11 minutes is not delivered twice.",
        QUEUES + "test_eleven_minutes",
        QUEUES + "test_eleven_minutes_with_receipts_of_a_real_storage",
    ),
    case(18, "batchSize 1 and newBatchThreshold 0 run messages one after another.", QUEUES + "test_one_at_a_time"),
    case(19, "The durable client's JSON has the recorded keys and placeholders.", API),
    case(20, "`start_new` stores the input as a string of JSON; the status is 202, then 200.", API),
    case(21, "A webhook start stores the JSON itself; `get_input()` gives a dict.", API, PROTOCOL),
    case(22, "An unknown orchestrator is accepted, then Failed with the known names.", API),
    case(23, "A start under the id of a running instance is 409, of an ended one accepted.", API),
    case(24, "Unusual ids are taken, also with `@` or 257 characters; one with a slash is 404.", API),
    case(25, "What is asked of a missing instance is 404; `get_status` is falsy.", API),
    case(26, "An ended instance answers 410; it can be purged, a running one not (412).", API),
    case(27, "A list has 100 entries a page, by id, with a token for the rest.", API),
    case(28, "A purge without createdTimeFrom is 400.", API),
    case(
        29,
        "Two activities in a row take ids 0 and 1, and each runs once despite replays.",
        PROTOCOL,
        EPISODES,
        OWN + "test_each_activity_of_a_chain_runs_once_despite_replays",
    ),
    case(30, "`task_all` schedules all at once; results keep the order of the list.", PROTOCOL, EPISODES),
    case(
        31,
        "`task_any` of event and cancelled timer is Completed with the event.",
        PROTOCOL,
        EPISODES,
        OWN + "test_an_event_that_wins_over_a_cancelled_timer_completes_at_once",
    ),
    case(
        32,
        "Without `cancel` it stays Running until the timer fires.",
        PROTOCOL,
        EPISODES,
        OWN + "test_an_event_that_wins_over_an_uncancelled_timer_completes_when_that_fires",
    ),
    case(
        33,
        "A cancelled timer of 10 days holds the instance until its 3-day piece fires.",
        PROTOCOL,
        EPISODES,
        OWN + "test_a_cancelled_timer_of_ten_days_holds_the_instance_for_three",
    ),
    case(
        34,
        "Retry options of 3 tries: three runs, two timers, Completed.",
        PROTOCOL,
        EPISODES,
        OWN + "test_an_activity_that_fails_twice_completes_at_the_third_try",
    ),
    case(35, "An uncaught activity failure fails the instance with the activity's text.", LIFE, PROTOCOL, EPISODES),
    case(36, "Caught, its text has a line of reason and a line of JSON.", PROTOCOL, EPISODES),
    case(37, "An event of the webhook arrives as the JSON value, one of the SDK as str.", API),
    case(38, "An early event serves one wait; two waits need two copies.", LIFE),
    case(
        39,
        "An event whose name differs in case does not reach the wait.",
        LIFE,
        HANGS + "test_an_event_in_the_wrong_case_is_told_in_the_log",
    ),
    case(40, "continue_as_new keeps the instance, with a new execution and a short history.", LIFE),
    case(41, "A custom status over 16 KB fails the instance; a falsy one is null.", LIFE),
    case(42, "A failing child fails its parent with its text; its id is `<parent execution>:<n>`.", LIFE, PROTOCOL),
    case(43, "A suspended instance acts on nothing until it is resumed.", LIFE),
    case(44, "Terminated while an activity runs: Terminated with the reason, nothing further runs.", LIFE),
    case(45, "A rewound instance runs the failed activity again, and only that.", LIFE),
    case(46, "A restart under the same id keeps the input and begins a new history.", LIFE),
    case(
        47,
        "Ten signals and a read: first in, first out; the entity is listed.",
        BODIES,
        OWN + "test_an_entity_takes_signals_in_order_and_is_listed",
    ),
    case(48, "A failing operation raises in the caller; state set before is kept.", PROTOCOL, BODIES),
    case(
        49,
        "An activity cut off by the end of the host runs again; the instance completes once.",
        ORCHESTRATIONS + "test_an_activity_cut_off_by_a_stop_runs_again",
        OWN + "test_an_activity_cut_off_by_kill_9_runs_again_and_the_instance_completes_once",
    ),
    case(50, "A changed orchestrator fails with `Non-Deterministic workflow detected:`.", LIFE, PROTOCOL),
    case(51, "`showHistory` leaves out results, and episodes.", PROTOCOL),
    case(
        52,
        "An unknown activity leaves the instance Running; devhost says so, and --strict fails it.",
        LIFE,
        PROTOCOL,
        HANGS + "test_an_unknown_activity_is_told_in_the_log_and_the_instance_stays_running",
        HANGS + "test_in_strict_mode_the_instance_fails_with_the_reason",
    ),
    case(
        53,
        "The Event Grid webhook answers the validation, and runs a function once an event.",
        "unit/devhost/test_event_grid.py::test_recorded_exchange",
        OWN + "test_an_event_grid_notification_of_two_events_is_two_runs",
    ),
    case(54, "`wait_for_completion_or_create_check_status_response` gives 202 and 9 links when it takes long.", LIFE),
]


@cache
def defined_in(path: str) -> frozenset[str]:
    tree = ast.parse((TESTS / path).read_text("utf-8"))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, kinds) and node.name.startswith("test_"))


@cache
def recorded_numbers(name: str) -> frozenset[int]:
    cases = json.loads((GOLDEN / f"{name}.json").read_text("utf-8"))["cases"]
    return frozenset(one["case"] for one in cases if one["case"] is not None)


def test_all_54_cases_are_shown_by_tests_that_exist(capsys: pytest.CaptureFixture[str]) -> None:
    assert [one.number for one in CASES] == list(range(1, 55))
    for one in CASES:
        assert one.tests, one
        for test in one.tests:
            path, _, name = test.partition("::")
            assert name in defined_in(path), (one.number, test)
            if recordings := RECORDINGS.get(test):
                assert any(one.number in recorded_numbers(each) for each in recordings), (one.number, test)
    shown_by = {test for one in CASES for test in one.tests}
    with capsys.disabled():
        print(f"\nconformance: {len(CASES)} cases, shown by {len(shown_by)} tests")  # noqa: T201


# --- what no recording shows, or not on a whole host ---------------------------------------------------------


@pytest.fixture
async def app() -> AsyncIterator[RunningApp]:
    async with running(APP) as started:
        yield started


async def runs(app: RunningApp) -> dict[str, int]:
    found: dict[str, int] = (await app.ask("GET", "/api/runs")).body["runs"]
    return found


async def test_one_app_under_two_names_loads_no_function_and_that_is_said(tmp_path: Path) -> None:
    code = (
        "import azure.functions as func\napp = func.FunctionApp()\nagain = app\n@app.route()\ndef f(req): return 'x'\n"
    )
    (tmp_path / "function_app.py").write_text(code, encoding="utf-8")
    (tmp_path / "host.json").write_text('{"version": "2.0"}', encoding="utf-8")
    async with running(tmp_path) as app:
        assert (await app.ask("GET", "/admin/host/status")).body["state"] == "Running"
        assert (await app.ask("GET", "/api/f")).status == 404
        said = "\n".join(line.text for line in app.lines)
    assert "More than one FunctionApp or other top level function app instances are defined." in said


async def test_a_key_is_asked_for_only_where_keys_are_enforced(app: RunningApp) -> None:
    assert (await app.ask("GET", "/api/level")).status == 200
    async with running(APP, enable_auth=True) as strict:
        refused = await strict.ask("GET", "/api/level")
        assert (refused.status, refused.body) == (401, "")
        let_in = await strict.ask("GET", "/api/level", headers={"x-functions-key": strict.host.keys.master})
        assert (let_in.status, let_in.body) == (200, "in")


async def test_a_running_host_tells_its_state_and_its_functions(app: RunningApp) -> None:
    assert (await app.ask("GET", "/admin/host/status")).body["state"] == "Running"
    names = [one["name"] for one in (await app.ask("GET", "/admin/functions")).body]
    assert names == sorted(names)
    assert {"level", "shown_runs", "on_event", "chain", "first", "log_of"} <= set(names)


async def test_each_activity_of_a_chain_runs_once_despite_replays(app: RunningApp) -> None:
    status = await app.status(await app.start("chain"))
    assert (status["runtimeStatus"], status["output"]) == ("Completed", "a12")
    assert await runs(app) == {"first": 1, "second": 1}


async def test_an_event_that_wins_over_a_cancelled_timer_completes_at_once(app: RunningApp) -> None:
    started = await app.start("race", [3600, True])
    await app.post(started, "raiseEvent/go", 1)
    status = await app.status(started)
    assert (status["runtimeStatus"], status["output"]) == ("Completed", "event")
    assert status["lastUpdatedTime"] == status["createdTime"]


async def test_an_event_that_wins_over_an_uncancelled_timer_completes_when_that_fires(app: RunningApp) -> None:
    started = await app.start("race", [3600, False])
    await app.post(started, "raiseEvent/go", 1)
    await app.pass_time(seconds=3599)
    status = await app.status(started)
    assert (status["runtimeStatus"], status["output"]) == ("Running", None)
    await app.pass_time(seconds=1)
    status = await app.status(started)
    assert (status["runtimeStatus"], status["output"]) == ("Completed", "event")


async def test_a_cancelled_timer_of_ten_days_holds_the_instance_for_three(app: RunningApp) -> None:
    started = await app.start("race", [10 * 24 * 3600, True])
    await app.post(started, "raiseEvent/go", 1)
    await app.pass_time(days=3, seconds=-1)
    assert (await app.status(started))["runtimeStatus"] == "Running"
    await app.pass_time(seconds=1)
    assert (await app.status(started))["runtimeStatus"] == "Completed"


async def test_an_activity_that_fails_twice_completes_at_the_third_try(app: RunningApp) -> None:
    started = await app.start("patient")
    await app.pass_time(seconds=1)
    status = await app.status(started, "?showHistory=true")
    assert (status["runtimeStatus"], status["output"]) == ("Completed", "at last")
    kinds = Counter(event["EventType"] for event in status["historyEvents"])
    assert (kinds["TaskFailed"], kinds["TaskCompleted"], kinds["TimerFired"]) == (2, 1, 2)
    assert await runs(app) == {"fails_twice": 3}


async def test_an_entity_takes_signals_in_order_and_is_listed(app: RunningApp) -> None:
    status = await app.status(await app.start("speaker"))
    assert status["output"] == list(range(10))
    assert (await app.ask("GET", f"{WEBHOOK}/entities/log_of/k")).body == list(range(10))
    listed = (await app.ask("GET", f"{WEBHOOK}/instances")).body
    assert "@log_of@k" in [one["instanceId"] for one in listed]


async def test_an_event_grid_notification_of_two_events_is_two_runs(app: RunningApp) -> None:
    path = "/runtime/webhooks/eventgrid?functionName=on_event"

    def event(number: int, **more: Any) -> dict[str, Any]:
        fixed = {"topic": "t", "subject": "s", "eventType": "My.Type", "dataVersion": "1"}
        return {"id": str(number), **fixed, "eventTime": "2026-01-02T03:04:05Z", "data": more}

    validation = {"aeg-event-type": "SubscriptionValidation"}
    answer = await app.ask("POST", path, [event(0, validationCode="the-code")], headers=validation)
    assert (answer.status, answer.body) == (200, {"validationResponse": "the-code"})
    answer = await app.ask("POST", path, [event(1, n=1), event(2, n=2)], headers={"aeg-event-type": "Notification"})
    assert (answer.status, answer.body) == (202, "")
    seen = (await app.ask("GET", "/api/runs")).body["events"]
    assert sorted(seen, key=lambda one: str(one["id"])) == [
        {"id": "1", "subject": "s", "data": {"n": 1}},
        {"id": "2", "subject": "s", "data": {"n": 2}},
    ]


async def completed(status_url: str) -> dict[str, Any]:
    """The instance's status once it has ended; the host is another process, so it has to be asked again and again."""
    async with asyncio.timeout(PATIENCE), aiohttp.ClientSession() as client:
        while True:
            async with client.get(status_url) as response:
                if response.status != 202:
                    found: dict[str, Any] = await response.json()
                    return found
            await asyncio.sleep(0.05)


async def test_an_activity_cut_off_by_kill_9_runs_again_and_the_instance_completes_once(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://localhost:{port}{WEBHOOK}"
    arguments = ("start", "--app", str(APP), "--port", str(port), "--state", str(tmp_path / "state"))
    notes = tmp_path / "notes"
    async with devhost(*arguments, NOTES=str(notes)) as process:
        await process.until("Host lock lease acquired by instance ID '")
        async with aiohttp.ClientSession() as client, client.post(f"{url}/orchestrators/interrupted/one") as response:
            assert response.status == 202
        await process.until("run 1 of the activity")
        process.kill()
        assert await process.ended() != 0
    async with devhost(*arguments, NOTES=str(notes)) as process:
        await process.until("Host lock lease acquired by instance ID '")
        status = await completed(f"{url}/instances/one?showHistory=true")
    assert (status["runtimeStatus"], status["output"]) == ("Completed", "run 2")
    kinds = [event["EventType"] for event in status["historyEvents"]]
    assert kinds == ["ExecutionStarted", "TaskCompleted", "ExecutionCompleted"]
    assert notes.read_text("utf-8") == "began\n" * 2
