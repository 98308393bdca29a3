"""The HTTP start of a job: check everything first, then start, so that nothing half-right is ever running."""

import logging
import os
from typing import Any

import azure.functions as func
import msgspec

from video_jobs.answers import bad_request, refusal, too_large
from video_jobs.contract import (
    MAX_START_BYTES,
    ORCHESTRATOR,
    ContractError,
    StartRequest,
    builtins,
    decode_start,
    is_instance_id,
)
from video_jobs.durable import DurableClient, InstanceStatus
from video_jobs.redaction import one_line
from video_jobs.settings import SettingError, default_timeout_seconds

RETRY_AFTER_SECONDS = 5


async def start(request: func.HttpRequest, client: DurableClient) -> func.HttpResponse:
    """Start a job: 202 with the management links, or 400, 404, 409, 413, 503 and nothing is started."""
    name = request.route_params.get("name", "")
    if name.lower() != ORCHESTRATOR:
        message = f"There is no orchestrator {name!r}; the one to start is {ORCHESTRATOR}"
        return refusal(404, "unknown_orchestrator", message)
    body = request.get_body()
    if len(body) > MAX_START_BYTES:
        return too_large(MAX_START_BYTES)
    try:
        wanted = _complete(decode_start(body))
        key = _key(request)
    except ContractError as error:
        return bad_request(error)
    except SettingError as error:
        logging.error("No job can be started: %s", error)
        return refusal(500, "bad_setting", str(error))
    return await _start(request, client, wanted, key)


async def _start(
    request: func.HttpRequest, client: DurableClient, wanted: StartRequest, key: str | None
) -> func.HttpResponse:
    try:
        # The host would replace an ended instance of this id without a word, and its result would be gone.
        if key and (job := await client.get_status(key, show_input=True)):
            return _again(request, client, wanted, key, job)
        try:
            instance_id = await client.start_new(ORCHESTRATOR, key, builtins(wanted))
        except Exception as error:
            # The SDK raises plain exceptions, and tells a taken id from a host in trouble only by their text.
            if not (key and "already exists" in str(error)):
                raise
            return _again(request, client, wanted, key, await client.get_status(key, show_input=True))
    except Exception as error:
        logging.error("A job could not be started: %s", one_line(error))
        return refusal(
            503,
            "host_unavailable",
            "The job could not be started; try again",
            retry_after=RETRY_AFTER_SECONDS,
        )
    logging.info("Job %s started for %s", instance_id, one_line(wanted.blob_name))
    return client.create_check_status_response(request, instance_id)


def _again(
    request: func.HttpRequest, client: DurableClient, wanted: StartRequest, key: str, job: InstanceStatus
) -> func.HttpResponse:
    """The answer when the key has its job: the same one for the same body, 409 for another."""
    given = _input_of(job)
    if (job.name or "").lower() != ORCHESTRATOR or not isinstance(given, dict):
        return refusal(409, "key_reused", f"There is an instance {key} already that is no such job; choose another key")
    asked = builtins(wanted)
    different = [field for field in {**asked, **given} if asked.get(field) != given.get(field)]
    if not different:
        logging.info("Job %s was started before", key)
        return client.create_check_status_response(request, key)
    fields = ", ".join(different)
    message = f"There is a job {key} already, started with another {fields}; choose another key or ask for its status"
    return refusal(409, "key_reused", message, f"$.{different[0]}")


def _input_of(job: InstanceStatus) -> Any:
    # What the SDK started it with is shown as text; by the host's own start it may be anything.
    if not isinstance(job.input_, str):
        return job.input_
    try:
        return msgspec.json.decode(job.input_)
    except msgspec.DecodeError:
        return None


def _complete(given: StartRequest) -> StartRequest:
    if given.timeout_seconds is not msgspec.UNSET:
        return given
    return msgspec.structs.replace(given, timeout_seconds=default_timeout_seconds(os.environ))


def _key(request: func.HttpRequest) -> str | None:
    given = {
        "instanceId": request.params.get("instanceId"),
        "Idempotency-Key": request.headers.get("Idempotency-Key"),
    }
    keys: set[str] = {value for value in given.values() if value is not None}
    if not keys:
        return None
    if len(keys) > 1:
        raise ContractError("bad_key", "instanceId and Idempotency-Key differ; send one of them", "instanceId")
    key = keys.pop()
    if not is_instance_id(key):
        path = next(name for name, value in given.items() if value is not None)
        raise ContractError(
            "bad_key", "The key must be 1 to 100 letters, digits, '-', '_' or '.', and not only dots", path
        )
    return key
