"""Each report ends in one place: with its job, back on the queue, or among the rejected with a reason."""

import base64
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import azure.functions as func
import pytest
from azure.functions.queue import QueueMessage

from tests.unit.app.fakes import FakeClient, FakeQueues, FakeStatus, status
from video_jobs import delivery
from video_jobs.contract import encode_report
from video_jobs.delivery import NotYetDelivered
from video_jobs.queues import QueueError
from video_jobs.rejected import keep, rejection
from video_jobs.reports import take_message, take_post

REPORT = {"instance_id": "job-1", "status": "PROCESSED", "details": {}}
NOW = datetime(2026, 11, 23, 20, 0, tzinfo=UTC)
RUNNING = status("Running", stage="waiting")
HOST = Path(__file__).parents[3] / "host.json"


def message(text: str | bytes | None = None, dequeue_count: int = 1) -> func.QueueMessage:
    body = encode_report(REPORT) if text is None else text
    raw = body if isinstance(body, bytes) else body.encode()
    made: func.QueueMessage = cast(Any, QueueMessage)(id="m", body=raw, dequeue_count=dequeue_count, pop_receipt="p")
    return made


def post(body: Any = REPORT, instance_id: str = "job-1") -> func.HttpRequest:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return func.HttpRequest("POST", "http://h/api", body=raw, route_params={"instanceId": instance_id})


def rejected(queues: FakeQueues) -> dict[str, Any]:
    ((queue, text, seconds_to_live),) = queues.sent
    assert queue == "video-processed-rejected"
    assert seconds_to_live == -1
    kept: dict[str, Any] = json.loads(text)
    assert list(kept) == ["reason", "detail", "received_at", "message"]
    assert kept["received_at"] == "2026-11-23T20:00:00Z"
    return kept


async def no_time(_: float) -> None:
    return


async def take(given: func.QueueMessage, client: FakeClient, queues: FakeQueues | None = None) -> FakeQueues:
    queues = queues or FakeQueues()
    await take_message(given, client, send=queues, now=lambda: NOW, sleep=no_time)
    return queues


async def answer(
    request: func.HttpRequest, client: FakeClient, queues: FakeQueues | None = None
) -> tuple[int, dict[str, Any]]:
    response = await take_post(request, client, send=queues or FakeQueues(), now=lambda: NOW, sleep=no_time)
    assert response.mimetype == "application/json"
    if response.status_code == 503:
        assert response.headers["Retry-After"]
    return response.status_code, json.loads(response.get_body())


@pytest.mark.parametrize("state", ["Running", "Suspended", "ContinuedAsNew"])
@pytest.mark.parametrize("text", [encode_report(REPORT), json.dumps(REPORT), "\ufeff" + json.dumps(REPORT)])
async def test_report_of_a_running_job_is_raised(text: str, state: str) -> None:
    client = FakeClient([status(state, stage="publishing")])
    queues = await take(message(text), client)
    assert client.raised == [("job-1", "processed", REPORT)]
    assert queues.sent == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("hello", "not_json"),
        ("", "not_json"),
        (b"\xff\xfe", "not_json"),
        ("{}", "breaks_contract"),
        (encode_report({"instance_id": "job-1", "status": "DONE"}), "breaks_contract"),
        (encode_report({"a": encode_report(REPORT)}), "breaks_contract"),
        (base64.b64encode(encode_report(REPORT).encode()), "nested_base64"),
    ],
)
async def test_what_is_no_report_is_moved_at_once(text: str | bytes, reason: str) -> None:
    client = FakeClient([RUNNING])
    kept = rejected(await take(message(text), client))
    assert kept["reason"] == reason
    if isinstance(text, str):
        assert kept["message"] == text
    assert client.raised == []


@pytest.mark.parametrize("state", [FakeStatus(), status("Pending"), status("Running", name="something_else")])
async def test_report_without_a_running_job_is_tried_again_then_kept(state: FakeStatus) -> None:
    for count in range(1, delivery.MAX_TRIES):
        with pytest.raises(NotYetDelivered):
            await take(message(dequeue_count=count), FakeClient([state]))
    kept = rejected(await take(message(dequeue_count=delivery.MAX_TRIES), FakeClient([state])))
    assert kept["reason"] == (
        "pending" if state.runtime_status and state.runtime_status.name == "Pending" else "unknown_job"
    )
    assert kept["message"] == encode_report(REPORT)


async def test_report_of_a_job_that_starts_late_waits_for_it() -> None:
    client = FakeClient([status("Pending"), status("Pending"), RUNNING])
    assert (await take(message(), client)).sent == []
    assert len(client.raised) == 1


def test_a_report_outlasts_the_minute_that_a_crash_hides_the_start_of_its_job() -> None:
    extensions = json.loads(HOST.read_text())["extensions"]
    storage = extensions["durableTask"]["storageProvider"]
    assert storage["controlQueueVisibilityTimeout"] == storage["workItemQueueVisibilityTimeout"] == "00:01:00"
    assert extensions["queues"]["visibilityTimeout"] == "00:00:15"
    held = delivery.HOLDS * delivery.HOLD_SECONDS
    assert (delivery.MAX_TRIES - 1) * 15 + delivery.MAX_TRIES * held > 60


def test_last_try_is_the_hosts_last_try() -> None:
    host = json.loads(HOST.read_text())
    assert host["extensions"]["queues"]["maxDequeueCount"] == delivery.MAX_TRIES


@pytest.mark.parametrize(
    "state",
    [status("Completed"), status("Failed"), status("Terminated"), status("Running", stage="notifying")],
)
async def test_report_for_an_ended_job_is_kept_as_late(state: FakeStatus) -> None:
    client = FakeClient([state])
    assert rejected(await take(message(), client))["reason"] == "late"
    assert client.raised == []


@pytest.mark.parametrize("attempt", [2, 3, None])
async def test_report_for_the_current_attempt_or_one_that_is_not_shown_yet_is_raised(attempt: int | None) -> None:
    client = FakeClient([status("Running", stage="waiting", attempt=2)])
    given = {**REPORT, **({"attempt": attempt} if attempt else {})}
    assert (await take(message(json.dumps(given)), client)).sent == []
    assert client.raised == [("job-1", "processed", given)]


async def test_report_for_an_older_attempt_is_kept() -> None:
    second = FakeClient([status("Running", stage="publishing", attempt=2)])
    stale = {**REPORT, "attempt": 1}
    assert rejected(await take(message(json.dumps(stale)), second))["reason"] == "stale_attempt"
    queues = FakeQueues()
    code, body = await answer(post(stale), second, queues)
    assert (code, body["error"]["code"], rejected(queues)["reason"]) == (409, "stale_attempt", "stale_attempt")
    assert second.raised == []


async def test_report_that_ended_the_job_is_acknowledged_when_it_comes_again() -> None:
    secret = {**REPORT, "blobUrl": "http://a/v?sig=SeCrEt"}
    ended = status("Completed")
    ended.output = {"status": "processed", "report": {**REPORT, "blobUrl": "http://a/v?sig=hidden"}}
    client = FakeClient([ended])
    assert (await take(message(json.dumps(secret)), client)).sent == []
    assert await answer(post(secret), client) == (202, {"ok": True, "instance_id": "job-1"})
    assert client.raised == []
    assert rejected(await take(message(json.dumps({**secret, "details": 1})), client))["reason"] == "late"


async def test_job_that_ends_between_the_look_and_the_event() -> None:
    gone = Exception("Instance with ID job-1 is gone: either completed or failed")
    assert rejected(await take(message(), FakeClient([RUNNING], raise_error=gone)))["reason"] == "late"


@pytest.mark.parametrize(
    "client",
    [
        FakeClient(status_error=Exception("The operation failed with an unexpected status code 503")),
        FakeClient([RUNNING], raise_error=Exception("Webhook returned unrecognized status code 500")),
    ],
)
async def test_host_in_trouble_leaves_the_message_on_the_queue(client: FakeClient) -> None:
    with pytest.raises(Exception, match="status code"):
        await take(message(), client)
    code, body = await answer(post(), client)
    assert (code, body["error"]["code"]) == (503, "host_unavailable")


async def test_rejected_queue_that_is_down_leaves_the_message_on_the_queue() -> None:
    queues = FakeQueues(QueueError("storage_unavailable", "down"))
    with pytest.raises(QueueError):
        await take(message("hello"), FakeClient(), queues)
    code, _ = await answer(post(), FakeClient([status("Completed")]), queues)
    assert code == 503


async def test_report_by_http() -> None:
    client = FakeClient([RUNNING])
    assert await answer(post(), client) == (202, {"ok": True, "instance_id": "job-1"})
    assert client.raised == [("job-1", "processed", REPORT)]


async def test_report_by_http_waits_for_a_job_that_is_starting() -> None:
    client = FakeClient([FakeStatus(), status("Pending"), status("Pending"), RUNNING])
    assert (await answer(post(), client))[0] == 202


@pytest.mark.parametrize(("state", "code"), [(FakeStatus(), "unknown_job"), (status("Pending"), "pending")])
async def test_report_by_http_without_a_running_job(state: FakeStatus, code: str) -> None:
    status_code, body = await answer(post(), FakeClient([state]))
    assert (status_code, body["error"]["code"]) == (503, code)


async def test_report_by_http_for_an_ended_job() -> None:
    queues = FakeQueues()
    status_code, body = await answer(post(), FakeClient([status("Completed")]), queues)
    assert (status_code, body["error"]["code"]) == (409, "late")
    assert rejected(queues)["message"] == json.dumps(REPORT)


@pytest.mark.parametrize(
    ("body", "path"),
    [(b"{", None), ({"instance_id": "job-1"}, "$.status"), ({**REPORT, "instance_id": "x"}, "$.instance_id")],
)
async def test_bad_reports_by_http(body: Any, path: str | None) -> None:
    status_code, answered = await answer(post(body), FakeClient([RUNNING]))
    assert status_code == 400
    assert answered["error"]["path"] == path


async def test_report_by_http_that_no_message_could_hold() -> None:
    assert (await answer(post(b" " * 65_537), FakeClient([RUNNING])))[0] == 413


@pytest.mark.parametrize("text", ["x" * 65_536, '"' * 65_536, "\x01" * 65_536, "ä" * 30_000 + '"' * 20_000])
def test_rejected_message_always_fits_the_queue(text: str) -> None:
    kept = rejection("not_json", "why", text, "2026-11-23T20:00:00Z")
    assert len(kept.encode()) <= 65_536
    assert json.loads(kept)["message"]


IGNORED = {"reason": "late", "detail": "why", "received_at": "2026-11-23T20:00:00Z", "message": "hello"}


def test_events_that_a_job_ignored_are_kept() -> None:
    queues = FakeQueues()
    assert keep({"instance_id": "job-1", "rejected": [IGNORED, IGNORED]}, send=queues) == {"ok": True}
    assert [(queue, json.loads(text), seconds) for queue, text, seconds in queues.sent] == [
        ("video-processed-rejected", IGNORED, -1)
    ] * 2


def test_ignored_events_with_storage_down_are_tried_again() -> None:
    queues = FakeQueues(QueueError("storage_unavailable", "down"))
    kept = keep({"instance_id": "job-1", "rejected": [IGNORED]}, send=queues)
    assert kept == {"ok": False, "error": {"code": "storage_unavailable", "message": "down"}}
