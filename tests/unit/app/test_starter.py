"""The start over HTTP: what is started, and what is refused with which answer."""

import json
from typing import Any

import azure.functions as func
import pytest

from tests.unit.app.fakes import FakeClient, FakeStatus, status
from video_jobs.starter import start

BODY: dict[str, Any] = {"blobURL": "http://a/v/a.avi?sig=SeCrEt", "blobName": "v/a.avi"}


def request(
    body: Any = BODY,
    *,
    name: str = "video_orchestrator",
    params: dict[str, str] | None = None,
    headers: dict[str, str] | None = None,
) -> func.HttpRequest:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return func.HttpRequest(
        "POST",
        "http://h/api",
        body=raw,
        route_params={"name": name},
        params=params or {},
        headers=headers or {},
    )


async def refused(asked: func.HttpRequest, client: FakeClient | None = None) -> tuple[int, dict[str, Any]]:
    client = client or FakeClient()
    response = await start(asked, client)
    assert client.started == []
    assert response.mimetype == "application/json"
    body = json.loads(response.get_body())
    assert body["ok"] is False
    assert list(body["error"]) == ["code", "message", "path"]
    assert b"SeCrEt" not in response.get_body()
    return response.status_code, body["error"]


async def test_start_with_the_default_timeout() -> None:
    client = FakeClient()
    response = await start(request(), client)
    assert response.status_code == 202
    assert client.started == [
        ("video_orchestrator", None, {**BODY, "timeoutSeconds": 360, "maxAttempts": 1}),
    ]


async def test_start_with_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDEO_JOB_TIMEOUT_SECONDS", "77")
    client = FakeClient()
    body = {**BODY, "timeoutSeconds": 5, "maxAttempts": 3}
    await start(request(body, params={"instanceId": "night-7"}), client)
    await start(request(headers={"Idempotency-Key": "night-8"}), client)
    assert client.started == [
        ("video_orchestrator", "night-7", body),
        ("video_orchestrator", "night-8", {**BODY, "timeoutSeconds": 77, "maxAttempts": 1}),
    ]


async def test_unknown_orchestrator() -> None:
    code, error = await refused(request(name="other"))
    assert (code, error["code"]) == (404, "unknown_orchestrator")
    assert "video_orchestrator" in error["message"]


async def test_bad_bodies() -> None:
    assert (await refused(request(b"{")))[0] == 400
    assert (await refused(request(b"")))[1]["code"] == "not_json"
    code, error = await refused(request({**BODY, "retries": 1}))
    assert (code, error["path"]) == (400, "$.retries")
    assert (await refused(request(b" " * (32 * 1024 + 1))))[0] == 413


@pytest.mark.parametrize("key", ["", "a b", "a/b", "..", "x" * 101, "ä"])
async def test_bad_keys(key: str) -> None:
    assert (await refused(request(params={"instanceId": key})))[0] == 400
    assert (await refused(request(headers={"Idempotency-Key": key})))[1]["path"] == "Idempotency-Key"


async def test_two_different_keys() -> None:
    code, _ = await refused(request(params={"instanceId": "a"}, headers={"Idempotency-Key": "b"}))
    assert code == 400


COMPLETE = {**BODY, "timeoutSeconds": 360, "maxAttempts": 1}


@pytest.mark.parametrize("by_sdk", [True, False])
@pytest.mark.parametrize("state", ["Running", "Pending", "Completed", "Terminated"])
async def test_same_key_and_body_is_the_same_job(state: str, by_sdk: bool) -> None:
    job = status(state, started_with=json.dumps(COMPLETE) if by_sdk else COMPLETE)
    client = FakeClient([job])
    response = await start(request(params={"instanceId": "a"}), client)
    assert (response.status_code, response.headers["Location"]) == (202, "/instances/a")
    assert client.started == []


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({**BODY, "timeoutSeconds": 5}, "timeoutSeconds"),
        ({**BODY, "blobName": "v/b.avi", "maxAttempts": 2}, "blobName, maxAttempts"),
        ({**BODY, "blobURL": "http://a/v/b.avi?sig=SeCrEt"}, "blobURL"),
    ],
)
async def test_same_key_and_another_body(body: dict[str, Any], fields: str) -> None:
    client = FakeClient([status("Running", started_with=json.dumps(COMPLETE))])
    code, error = await refused(request(body, params={"instanceId": "a"}), client)
    assert (code, error["code"], error["path"]) == (409, "key_reused", f"$.{fields.split(',', maxsplit=1)[0]}")
    assert f"with another {fields};" in error["message"]


@pytest.mark.parametrize("started_with", [None, "hello", "[", 5, [1]])
async def test_key_of_an_instance_that_is_no_job_of_ours(started_with: Any) -> None:
    for job in (status("Running", started_with=started_with), status("Running", name="other", started_with=COMPLETE)):
        code, error = await refused(request(params={"instanceId": "a"}), FakeClient([job]))
        assert (code, error["code"], error["path"]) == (409, "key_reused", None)


async def test_key_taken_between_the_look_and_the_start() -> None:
    text = {"Message": "An Orchestration instance with the status Running already exists."}
    now_there = status("Pending", started_with=json.dumps(COMPLETE))
    client = FakeClient([FakeStatus(), now_there], start_error=Exception(text))
    assert (await start(request(params={"instanceId": "a"}), client)).status_code == 202
    client = FakeClient([FakeStatus(), now_there], start_error=Exception(text))
    assert (await refused(request({**BODY, "maxAttempts": 2}, params={"instanceId": "a"}), client))[0] == 409


async def test_host_in_trouble() -> None:
    client = FakeClient(start_error=Exception({"Message": "Something went wrong", "StackTrace": "..."}))
    code, error = await refused(request(), client)
    assert (code, error["code"]) == (503, "host_unavailable")
    response = await start(request(), client)
    assert response.headers["Retry-After"]


@pytest.mark.parametrize("value", ["soon", "0", "432001", "-1", "1.5", "²"])
async def test_default_timeout_that_makes_no_sense(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDEO_JOB_TIMEOUT_SECONDS", value)
    code, error = await refused(request())
    assert (code, error["code"]) == (500, "bad_setting")
    assert "VIDEO_JOB_TIMEOUT_SECONDS" in error["message"]
