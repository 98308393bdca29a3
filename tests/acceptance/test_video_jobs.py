"""Our app as its clients meet it: over HTTP and Storage queues only, on devhost, on `func` or at any URL.

`--functions-host` chooses the host; a URL needs the app's storage in `AzureWebJobsStorage`. No worker may run there:
these tests are the worker. Other messages in the queues are left alone.
"""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.storage.queue import QueueClient

from tests.acceptance.host_under_test import (
    DEVHOST,
    FUNC,
    OPTION,
    ROOT,
    Instance,
    RunningHost,
    local_storage,
    running_app,
    wait_until,
)
from tests.azurite import Azurite

START = "/api/orchestrators/video_orchestrator"
BODY = {"blobURL": "http://127.0.0.1:1/videos/a.avi", "blobName": "videos/a.avi"}


@pytest.fixture(scope="module")
def host(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHost]:
    choice = str(request.config.getoption(OPTION))
    if choice in (DEVHOST, FUNC):
        azurite: Azurite = request.getfixturevalue("azurite")
        storage = azurite.connection_string
    else:
        storage = local_storage()
    with running_app(ROOT, choice, tmp_path_factory.mktemp("video"), storage) as running:
        yield running


def _start(host: RunningHost, **fields: Any) -> Instance:
    return host.start(START, json={**BODY, **fields})


def _waiting(job: Instance) -> dict[str, Any]:
    shown = job.until(lambda status: (status["customStatus"] or {}).get("stage") == "waiting", "waiting")
    status: dict[str, Any] = shown["customStatus"]
    return status


def _report(job: Instance, status: str = "PROCESSED", **more: Any) -> dict[str, Any]:
    return {"instance_id": job.id, "blobName": "videos/a.avi", "status": status, "details": {}, **more}


def _queue(host: RunningHost, name: str) -> QueueClient:
    assert host.storage is not None
    return QueueClient.from_connection_string(host.storage, name)


def _send(host: RunningHost, text: str) -> None:
    with _queue(host, "video-processed") as queue:
        with contextlib.suppress(ResourceExistsError):
            queue.create_queue()
        queue.send_message(text)


def _message(host: RunningHost, queue_name: str, sign: str) -> dict[str, Any]:
    """The message of a queue that has `sign` in it; it stays there."""

    def look() -> dict[str, Any] | None:
        try:
            with _queue(host, queue_name) as queue:
                texts = [str(message.content) for message in queue.peek_messages(max_messages=32)]
        except ResourceNotFoundError:
            return None
        found: list[dict[str, Any]] = [json.loads(text) for text in texts if sign in text]
        return found[0] if found else None

    return wait_until(look, f"a message with {sign} in {queue_name}")


def test_a_request_goes_to_the_worker_and_its_report_ends_the_job(host: RunningHost) -> None:
    job = _start(host)
    waiting = _waiting(job)
    request = _message(host, "video-to-processing", job.id)
    assert request["blobUrl"] == BODY["blobURL"]
    assert (request["attempt"], request["deadline"]) == (1, waiting["deadline"])
    _send(host, base64.b64encode(json.dumps(_report(job)).encode()).decode())
    output = job.output()
    assert (output["status"], output["report"]["status"]) == ("processed", "PROCESSED")


def test_a_report_as_plain_text(host: RunningHost) -> None:
    job = _start(host)
    _waiting(job)
    _send(host, json.dumps(_report(job, "processed")))
    assert job.output()["status"] == "processed"


@pytest.mark.parametrize("name", ["processed", "PROCESSING_VIDEO_COMPLITED"])
def test_a_report_by_the_standard_link(host: RunningHost, name: str) -> None:
    answer = host.request("POST", START, json=BODY)
    job = host.instance(answer.json()["id"])
    _waiting(job)
    url = answer.json()["sendEventPostUri"].replace("{eventName}", name)
    path = "/" + url.split("/", 3)[3]
    assert host.request("POST", path, json=_report(job)).status_code == 202
    assert job.output()["status"] == "processed"


def test_a_report_over_http(host: RunningHost) -> None:
    job = _start(host)
    _waiting(job)
    assert host.request("POST", f"/api/jobs/{job.id}/processed", json=_report(job)).status_code == 202
    assert job.output()["status"] == "processed"


def test_a_failure_of_the_worker_is_told(host: RunningHost) -> None:
    job = _start(host)
    _waiting(job)
    error = {"code": "no_video", "message": "The file holds no video", "retryable": False}
    _send(host, json.dumps(_report(job, "FAILED", error=error)))
    output = job.output()
    assert (output["status"], output["error"]["code"]) == ("failed", "no_video")
    assert _message(host, "video-failed", job.id)["status"] == "failed"


def test_no_report_is_a_timeout_and_a_late_one_is_kept(host: RunningHost) -> None:
    job = _start(host, timeoutSeconds=1)
    assert job.output()["status"] == "timeout"
    assert _message(host, "video-failed", job.id)["status"] == "timeout"
    _send(host, json.dumps(_report(job)))
    assert _message(host, "video-processed-rejected", job.id)["reason"] == "late"


def test_garbage_is_kept_with_its_reason(host: RunningHost) -> None:
    sign = uuid4().hex
    _send(host, f"no json {sign}")
    assert _message(host, "video-processed-rejected", sign)["reason"] == "not_json"


def test_what_can_not_be_started_is_refused(host: RunningHost) -> None:
    key = f"key-{uuid4().hex}"
    refusals: list[tuple[str, dict[str, Any], int]] = [
        (START, {"json": {**BODY, "nonsense": 1}}, 400),
        ("/api/orchestrators/nobody", {"json": BODY}, 404),
        (START, {"data": b"x" * 40_000}, 413),
    ]
    for path, options, status in refusals:
        answer = host.request("POST", path, **options)
        assert answer.status_code == status, answer.text
        assert answer.json()["error"]["code"]
    assert host.request("POST", f"{START}?instanceId={key}", json={**BODY, "timeoutSeconds": 5}).status_code == 202
    assert host.request("POST", f"{START}?instanceId={key}", json=BODY).status_code == 409


def test_a_job_can_be_terminated(host: RunningHost) -> None:
    job = _start(host)
    _waiting(job)
    path = f"/runtime/webhooks/durabletask/instances/{job.id}/terminate?reason=enough"
    assert host.request("POST", path).status_code == 202
    assert job.end()["runtimeStatus"] == "Terminated"
