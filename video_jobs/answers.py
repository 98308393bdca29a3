"""HTTP answers of our own routes: JSON, errors as `{"ok": false, "error": {"code", "message", "path"}}`."""

import json
from collections.abc import Mapping
from typing import Any

import azure.functions as func

from video_jobs.contract import ContractError
from video_jobs.redaction import one_line


def answer(status: int, body: dict[str, Any], headers: Mapping[str, str] | None = None) -> func.HttpResponse:
    """A JSON answer."""
    return func.HttpResponse(
        json.dumps(body), status_code=status, mimetype="application/json", headers=dict(headers or {})
    )


def refusal(
    status: int, code: str, message: str, path: str | None = None, retry_after: int | None = None
) -> func.HttpResponse:
    """An error answer; `retry_after` in seconds says that the same call may work later."""
    error = {"code": code, "message": one_line(message), "path": path}
    headers = {"Retry-After": str(retry_after)} if retry_after is not None else {}
    return answer(status, {"ok": False, "error": error}, headers)


def bad_request(error: ContractError) -> func.HttpResponse:
    """400 for input that breaks the contract."""
    return refusal(400, error.code, error.message, error.path)


def too_large(limit: int) -> func.HttpResponse:
    """413 for a body over the limit in bytes."""
    return refusal(413, "too_large", f"The body is over {limit // 1024} KiB")
