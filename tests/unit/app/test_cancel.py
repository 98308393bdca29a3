"""The cancel route: whom it tells, and what it answers."""

import json
from typing import Any

import azure.functions as func
import pytest

from tests.unit.app.fakes import FakeClient, FakeStatus, status
from video_jobs.cancel import cancel
from video_jobs.delivery import HOLDS

RUNNING = status("Running", stage="waiting")


def post(body: bytes = b"", instance_id: str = "job-1") -> func.HttpRequest:
    return func.HttpRequest("POST", "http://h/api", body=body, route_params={"instanceId": instance_id})


async def answer(request: func.HttpRequest, client: FakeClient) -> tuple[int, dict[str, Any]]:
    slept: list[float] = []

    async def no_time(seconds: float) -> None:
        slept.append(seconds)

    response = await cancel(request, client, sleep=no_time)
    assert response.mimetype == "application/json"
    assert len(slept) <= HOLDS
    assert ("Retry-After" in response.headers) == (response.status_code == 503)
    return response.status_code, json.loads(response.get_body())


@pytest.mark.parametrize(
    ("body", "data"),
    [(b"", {}), (b" \n", {}), (b"{}", {}), ('{"reason": "ні"}'.encode(), {"reason": "ні"}), (b'{"reason": null}', {})],
)
@pytest.mark.parametrize("state", [RUNNING, status("Running"), status("Suspended", stage="publishing")])
async def test_running_job_is_told(body: bytes, data: dict[str, Any], state: FakeStatus) -> None:
    client = FakeClient([state])
    assert await answer(post(body), client) == (202, {"ok": True, "instance_id": "job-1"})
    assert client.raised == [("job-1", "cancel", data)]


@pytest.mark.parametrize(
    ("body", "path"),
    [(b"{", None), (b"null", "$"), (b"[]", "$"), (b'{"why": 1}', "$.why"), (b'{"reason": 5}', "$.reason")],
)
async def test_bad_body_is_refused(body: bytes, path: str | None) -> None:
    client = FakeClient([RUNNING])
    code, refused = await answer(post(body), client)
    assert (code, refused["ok"], refused["error"]["path"]) == (400, False, path)
    assert client.raised == []


async def test_body_over_its_limit() -> None:
    code, refused = await answer(post(b" " * 1025), FakeClient([RUNNING]))
    assert (code, refused["error"]["code"]) == (413, "too_large")


@pytest.mark.parametrize("state", [FakeStatus(), status("Running", name="another_orchestrator")])
async def test_unknown_job(state: FakeStatus) -> None:
    client = FakeClient([state])
    code, refused = await answer(post(), client)
    assert (code, refused["error"]["code"], client.raised) == (404, "unknown_job", [])


@pytest.mark.parametrize("instance_id", ["", "..", "a/b", "a?b"])
async def test_what_is_no_id_is_not_asked_for(instance_id: str) -> None:
    client = FakeClient([RUNNING], status_error=AssertionError("asked"))
    assert (await answer(post(instance_id=instance_id), client))[0] == 404


@pytest.mark.parametrize(
    "state",
    [
        status("Completed"),
        status("Failed"),
        status("Terminated"),
        status("Running", stage="withdrawing"),
        status("Running", stage="notifying"),
    ],
)
async def test_job_that_ended_or_is_decided(state: FakeStatus) -> None:
    client = FakeClient([state])
    code, refused = await answer(post(), client)
    assert (code, refused["error"]["code"], client.raised) == (409, "late", [])


async def test_job_that_ends_between_the_look_and_the_event() -> None:
    gone = Exception("Instance with ID job-1 is gone: either completed or failed")
    assert (await answer(post(), FakeClient([RUNNING], raise_error=gone)))[0] == 409


async def test_pending_job_is_waited_for() -> None:
    client = FakeClient([status("Pending"), status("Pending"), RUNNING])
    assert (await answer(post(), client))[0] == 202


async def test_job_that_stays_pending_is_never_told() -> None:
    client = FakeClient([status("Pending")])
    code, refused = await answer(post(), client)
    assert (code, refused["error"]["code"], client.raised) == (503, "pending", [])


@pytest.mark.parametrize(
    "client",
    [
        FakeClient(status_error=Exception("The operation failed with an unexpected status code 503")),
        FakeClient([RUNNING], raise_error=Exception("Webhook returned unrecognized status code 500")),
    ],
)
async def test_host_in_trouble(client: FakeClient) -> None:
    code, refused = await answer(post(), client)
    assert (code, refused["error"]["code"]) == (503, "host_unavailable")
