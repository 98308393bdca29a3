"""A JSON object in a request's body, with the answers the host has for everything else."""

from __future__ import annotations

import json
from typing import Any

from devhost.http.parts import Call


class RequestJsonError(ValueError):
    """No JSON object was sent; `status` is the answer: 415 for another content type, else 400."""

    def __init__(self, status: int) -> None:
        super().__init__(f"The request needs a JSON object as application/json: {status}.")
        self.status = status


async def read_request_json(call: Call) -> dict[str, Any]:
    """The object in the body. Raises RequestJsonError."""
    given = call.request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if given not in ("application/json", "text/json") and not given.endswith("+json"):
        raise RequestJsonError(415)
    try:
        sent = json.loads(await call.body())
    except ValueError:
        raise RequestJsonError(400) from None
    if not isinstance(sent, dict):
        raise RequestJsonError(400)
    return sent
