"""What goes in and what comes out: the shapes of start, request, report, result and failure notification.

Nothing here does I/O. Every decoder raises `ContractError` with one readable line and the path of the field.
"""

import base64
import binascii
import contextlib
import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit

import msgspec

from video_jobs.redaction import one_line

ORCHESTRATOR = "video_orchestrator"
EVENT_NAME = "processed"
# An existing notebook raises the same event by this name.
OLDER_EVENT_NAME = "PROCESSING_VIDEO_COMPLITED"
CANCEL_EVENT = "cancel"

REQUEST_QUEUE = "video-to-processing"
REPORT_QUEUE = "video-processed"
REJECTED_QUEUE = "video-processed-rejected"
FAILED_QUEUE = "video-failed"

MAX_START_BYTES = 32 * 1024
MAX_MESSAGE_BYTES = 64 * 1024
MAX_CANCEL_BYTES = 1024
# The host reads no JSON of more than 64 levels, and what an orchestrator answers wraps its report in a few more.
MAX_REPORT_DEPTH = 48
# Nor a whole number of more than 380 digits.
MAX_WHOLE_NUMBER = 10**300
DEFAULT_TIMEOUT_SECONDS = 360
MAX_TIMEOUT_SECONDS = 432_000

_INSTANCE_ID = re.compile(r"[A-Za-z0-9._-]{1,100}")
_QUEUE_NAME = re.compile(r"(?=.{3,63}$)[a-z0-9]+(?:-[a-z0-9]+)*")
_BASE64_TEXT = re.compile(r"[A-Za-z0-9+/\s]+={0,2}\s*")
_MSGSPEC_PATH = re.compile(r" - at `(?P<path>\$[^`]*)`$")
_FIELD = re.compile(r"^Object (?:contains unknown|missing required) field `(?P<field>.*)`", re.DOTALL)


T = TypeVar("T")
BlobName = Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]
TimeoutSeconds = Annotated[int, msgspec.Meta(ge=1, le=MAX_TIMEOUT_SECONDS)]
MaxAttempts = Annotated[int, msgspec.Meta(ge=1, le=5)]
CancelReason = Annotated[str, msgspec.Meta(max_length=1024)]
AwareTime = Annotated[datetime, msgspec.Meta(tz=True)]


class ContractError(ValueError):
    """Input that breaks the contract.

    `code` is for programs, `message` (one line) for people, `path` names the field, as in `$.blobURL`.
    """

    def __init__(self, code: str, message: str, path: str | None = None) -> None:
        self.code = code
        self.message = one_line(message)
        self.path = path
        super().__init__(self.message if path in (None, "$") else f"{self.message} (at {path})")


class StartRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a start, and the input of the orchestration."""

    blob_url: str = msgspec.field(name="blobURL")
    blob_name: BlobName = msgspec.field(name="blobName")
    timeout_seconds: TimeoutSeconds | msgspec.UnsetType = msgspec.field(name="timeoutSeconds", default=msgspec.UNSET)
    max_attempts: MaxAttempts = msgspec.field(name="maxAttempts", default=1)


class ProcessingRequest(msgspec.Struct, frozen=True):
    """The message on `video-to-processing`. Times are aware; unknown keys are ignored when read."""

    blob_url: str = msgspec.field(name="blobUrl")
    blob_name: str = msgspec.field(name="blobName")
    posted: AwareTime
    instance_id: str
    attempt: int
    deadline: AwareTime
    reply_queue: str


class WorkerError(msgspec.Struct, frozen=True):
    """Why a worker gave up."""

    code: str = "worker_failed"
    message: str = "The worker reported FAILED and gave no reason."
    retryable: bool = False


class Report(msgspec.Struct, frozen=True):
    """A worker's report. `body` is all of it as it came, unknown keys included, `status` in upper case."""

    instance_id: str
    status: Literal["PROCESSED", "FAILED"]
    attempt: int | None
    error: WorkerError | None
    body: dict[str, Any]


class Cancellation(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The body of a cancel, and the data of its event; `reason` is for people."""

    reason: CancelReason | None = None


class JobError(msgspec.Struct, frozen=True):
    """Where a job failed, the code for programs, one readable line for people."""

    step: str
    code: str
    message: str


class Notification(msgspec.Struct, frozen=True):
    """What became of the failure notification."""

    delivered: bool
    channels: list[str]


class Result(msgspec.Struct, frozen=True):
    """The orchestration's output. Times are ISO 8601 in UTC; `blobUrl` has no signature in it."""

    status: Literal["processed", "timeout", "failed"]
    instance_id: str
    blob_name: str | None = msgspec.field(name="blobName")
    blob_url: str | None = msgspec.field(name="blobUrl")
    attempts: int
    requested_at: datetime
    finished_at: datetime
    report: dict[str, Any] | None
    error: JobError | None
    notification: Notification | None


class FailureNotification(msgspec.Struct, frozen=True):
    """The message on `video-failed`; neither `blobUrl` nor the URLs in `links` have a key or a signature in them."""

    instance_id: str
    blob_name: str | None = msgspec.field(name="blobName")
    blob_url: str | None = msgspec.field(name="blobUrl")
    status: Literal["timeout", "failed"]
    attempts: int
    requested_at: datetime
    error: JobError
    links: dict[str, str] = {}


def is_instance_id(text: str) -> bool:
    """Whether the text may name a job: it becomes a path segment, so `.` and `..` may not."""
    return _INSTANCE_ID.fullmatch(text) is not None and text.strip(".") != ""


def utc(moment: datetime) -> datetime:
    """The same moment in UTC; a naive one is taken as UTC."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def utc_text(moment: datetime) -> str:
    """ISO 8601 in UTC, as in `2025-12-14T18:00:30.761319Z`."""
    return utc(moment).isoformat().replace("+00:00", "Z")


def builtins(value: msgspec.Struct) -> dict[str, Any]:
    """A shape as plain JSON values, keys in the contract's order."""
    plain: dict[str, Any] = msgspec.to_builtins(value)
    return plain


def decode_start(body: bytes) -> StartRequest:
    """The body of a start, or the input of an orchestration as JSON."""
    start = _decode(body, StartRequest)
    _check_url(start.blob_url)
    return start


def decode_request(text: str | bytes) -> ProcessingRequest:
    """A message from `video-to-processing`."""
    request = _decode(_without_bom(_as_bytes(text)), ProcessingRequest)
    if not is_instance_id(request.instance_id):
        raise ContractError("breaks_contract", "instance_id is not the id of a job", "$.instance_id")
    if not _QUEUE_NAME.fullmatch(request.reply_queue):
        raise ContractError("breaks_contract", "reply_queue is not the name of a queue", "$.reply_queue")
    return request


def encode_request(request: ProcessingRequest) -> str:
    """Plain UTF-8 JSON text: the existing worker reads no base64 here."""
    return msgspec.json.encode(request).decode()


def encode_report(body: dict[str, Any]) -> str:
    """A report as the worker sends it: base64 of JSON."""
    return base64.b64encode(msgspec.json.encode(body)).decode()


def decode_report(text: str | bytes) -> Report:
    """A report as base64 of JSON or as plain JSON, with or without a byte-order mark."""
    body = _decode(_report_json(_as_bytes(text)), dict[str, Any])
    _check_readable(body)
    instance_id = body.get("instance_id")
    if not isinstance(instance_id, str) or not is_instance_id(instance_id):
        raise ContractError("breaks_contract", "instance_id must be the id of a job", "$.instance_id")
    status = body.get("status")
    if not isinstance(status, str) or status.upper() not in ("PROCESSED", "FAILED"):
        raise ContractError("breaks_contract", "status must be PROCESSED or FAILED", "$.status")
    attempt = body.get("attempt")
    if attempt is not None and (not isinstance(attempt, int) or isinstance(attempt, bool) or attempt < 1):
        raise ContractError("breaks_contract", "attempt must be a whole number from 1", "$.attempt")
    failed = status.upper() == "FAILED"
    return Report(
        instance_id=instance_id,
        status="FAILED" if failed else "PROCESSED",
        attempt=attempt,
        error=_worker_error(body.get("error")) if failed else None,
        body={**body, "status": status.upper()},
    )


def decode_event(data: Any, instance_id: str) -> Report:
    """The data of an event, as an object (from curl) or as text with JSON in it (from the SDK)."""
    if isinstance(data, str) and data.startswith('"'):
        data = _decode(_as_bytes(data), str)
    report = decode_report(data if isinstance(data, str) else msgspec.json.encode(data))
    if report.instance_id != instance_id:
        raise ContractError("breaks_contract", "the report names another job", "$.instance_id")
    return report


def decode_cancel(body: bytes) -> Cancellation:
    """The body of a cancel; it may be empty."""
    text = _without_bom(body)
    return _decode(text, Cancellation) if text else Cancellation()


def decode_cancel_event(data: Any) -> Cancellation:
    """The data of a cancel event, as an object (from curl), as text with JSON in it (from the SDK), or nothing."""
    if data in (None, "null"):
        return Cancellation()
    return decode_cancel(_as_bytes(data) if isinstance(data, str) else msgspec.json.encode(data))


def _as_bytes(text: str | bytes) -> bytes:
    return text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text


def _without_bom(raw: bytes) -> bytes:
    return raw.strip().removeprefix(b"\xef\xbb\xbf").strip()


def _report_json(raw: bytes) -> bytes:
    text = _without_bom(raw)
    if not _looks_like_base64(text):
        return text
    try:
        inner = _from_base64(text)
    except binascii.Error as error:
        raise ContractError("not_json", f"The report is neither JSON nor base64: {error}") from error
    if _looks_like_base64(inner):
        with contextlib.suppress(binascii.Error):
            if _from_base64(inner).startswith(b"{"):
                raise ContractError("nested_base64", "The report is base64 of base64; encode the JSON once")
    return inner


def _from_base64(raw: bytes) -> bytes:
    return _without_bom(base64.b64decode(b"".join(raw.split()), validate=True))


def _looks_like_base64(raw: bytes) -> bool:
    # JSON objects start with a brace, which base64 does not have.
    return len(raw) >= 4 and _BASE64_TEXT.fullmatch(raw.decode("utf-8", "replace")) is not None


def _decode(raw: bytes, shape: type[T]) -> T:
    try:
        return msgspec.json.decode(raw, type=shape)
    except msgspec.ValidationError as error:
        text = str(error)
        found = _MSGSPEC_PATH.search(text)
        field = _FIELD.match(text)
        path = (found["path"] if found else "$") + (f".{one_line(field['field'])}" if field else "")
        raise ContractError("breaks_contract", _MSGSPEC_PATH.sub("", text), path) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ContractError("not_json", f"Not valid JSON: {error}") from error


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        good = parts.scheme.lower() in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good or any(character.isspace() or not character.isprintable() for character in url):
        raise ContractError("breaks_contract", "blobURL must be an http or https URL", "$.blobURL")


def _check_readable(body: dict[str, Any]) -> None:
    """Refuse what is JSON and still more than the host can read: the report becomes part of the job's output."""
    level: list[Any] = [body]
    for _ in range(MAX_REPORT_DEPTH):
        level = [
            child
            for value in level
            if isinstance(value, dict | list)
            for child in (value.values() if isinstance(value, dict) else value)
        ]
        if any(isinstance(value, int) and abs(value) > MAX_WHOLE_NUMBER for value in level):
            raise ContractError("breaks_contract", "The report has a whole number of more than 300 digits")
        if not level:
            return
    raise ContractError("breaks_contract", f"The report is nested more than {MAX_REPORT_DEPTH} levels deep")


def _worker_error(error: Any) -> WorkerError:
    if error is None:
        return WorkerError()
    if isinstance(error, str):
        return WorkerError(message=error or WorkerError().message)
    try:
        given = msgspec.convert(error, WorkerError)
    except msgspec.ValidationError as problem:
        text = str(problem)
        found = _MSGSPEC_PATH.search(text)
        path = "$.error" + (found["path"].removeprefix("$") if found else "")
        raise ContractError("breaks_contract", _MSGSPEC_PATH.sub("", text), path) from problem
    nothing = WorkerError()
    return WorkerError(given.code or nothing.code, given.message or nothing.message, given.retryable)
