"""The messages between orchestrators and entities, and how they look inside history events (HOST_FACTS 6.13)."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

from .events import dump, format_time

if TYPE_CHECKING:
    from .replay import Replay

_ASSEMBLY = "Microsoft.Azure.WebJobs.Extensions.DurableTask"
_REQUEST = f"{_ASSEMBLY}.RequestMessage, {_ASSEMBLY}"
_RESPONSE = f"{_ASSEMBLY}.ResponseMessage, {_ASSEMBLY}"
_NEVER = "0001-01-01T00:00:00"

Request = dict[str, Any]
"""A RequestMessage: `op`, `id`, optional `signal`, `input` (JSON text), `parent`, `parentExecution`."""


def new_request(replay: Replay, event_id: int, target: str, operation: str, input_json: str, *, signal: bool) -> str:
    """The request of an orchestrator's entity call or signal, as JSON text for EventSent's `Input`."""
    before = replay.last_request.get(target)
    message: Request = {"$type": _REQUEST, "op": operation}
    if signal:
        message["signal"] = True
    message |= {
        "input": input_json,
        "id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"{replay.execution_id}/{event_id}")),
        "parent": replay.instance_id,
        "parentExecution": replay.execution_id,
        "Timestamp": format_time(replay.now),
        "Predecessor": format_time(before) if before else _NEVER,
        "requestTime": format_time(replay.now).removesuffix("Z") + "+00:00",
    }
    replay.last_request[target] = replay.now
    return dump(message)


def client_signal(operation: str, input_json: str | None, message_id: str) -> Request:
    """A signal from outside any orchestration."""
    message: Request = {"$type": _REQUEST, "op": operation, "signal": True, "id": message_id}
    if input_json is not None:
        message["input"] = input_json
    return message


def request_of(text: str) -> Request | None:
    """Read a RequestMessage from an EventSent's `Input`; None when it is something else."""
    message = json.loads(text)
    return message if isinstance(message, dict) and message.get("$type") == _REQUEST else None


def response(result: str | None, *, is_error: bool) -> str:
    """The ResponseMessage for a caller, as JSON text for EventRaised's `Input`. `result` is JSON text."""
    message: dict[str, Any] = {"$type": _RESPONSE, "result": result}
    if is_error:
        message["exceptionType"] = "Error"
    return dump(message)
