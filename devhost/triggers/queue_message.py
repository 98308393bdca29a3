"""A message as the storage keeps it, and what a function is given of it."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from azure.functions.meta import Datum

from devhost.triggers.timestamps import milliseconds, seconds

NO_EXPIRY = datetime.max.replace(tzinfo=UTC)
_DOTNET_WHITESPACE = str.maketrans("", "", " \t\r\n")  # its base64 decoder skips these


class UndecodableError(Exception):
    """The text is not base64: the message can never run."""


class NotTextError(Exception):
    """The message holds bytes that are not UTF-8, and the function has not asked for bytes."""

    def __str__(self) -> str:
        return (
            "the message holds bytes that are not UTF-8 text; "
            "declare the trigger with data_type=func.DataType.BINARY to get bytes"
        )


@dataclass(frozen=True)
class StoredMessage:
    """One delivery of a message. `text` is exactly what lies in the queue; times are aware UTC."""

    id: str
    text: str
    dequeue_count: int
    inserted: datetime
    expires: datetime
    next_visible: datetime
    pop_receipt: str

    def body(self, is_base64: bool) -> bytes:
        """Raises UndecodableError."""
        if not is_base64:
            return self.text.encode()
        try:
            return base64.b64decode(self.text.translate(_DOTNET_WHITESPACE).encode("ascii"), validate=True)
        except (binascii.Error, UnicodeEncodeError) as error:
            raise UndecodableError(str(error)) from error

    def details(self) -> str:
        """For the log: `MessageId: <id>, DequeueCount: 1, InsertionTime: <time>`."""
        inserted = milliseconds(self.inserted)
        return f"MessageId: {self.id}, DequeueCount: {self.dequeue_count}, InsertionTime: {inserted}"


def trigger_datum(body: bytes, binding: dict[str, Any]) -> Datum:
    """The body as the worker gets it: text, or bytes for `dataType` BINARY. Raises NotTextError."""
    if str(binding.get("dataType", "")).upper() == "BINARY":
        return Datum(body, "bytes")
    try:
        return Datum(body.decode(), "string")
    except UnicodeDecodeError as error:
        raise NotTextError from error


def trigger_metadata(message: StoredMessage, body: bytes) -> dict[str, Datum]:
    """What `func.QueueMessage` is filled from; each value is JSON text."""
    metadata = {
        "Id": _json(message.id),
        "PopReceipt": _json(message.pop_receipt),
        "DequeueCount": _json(message.dequeue_count),
        "InsertionTime": _json(seconds(message.inserted)),
        "ExpirationTime": _json(seconds(message.expires)),
        "NextVisibleTime": _json(seconds(message.next_visible)),
    }
    try:
        metadata["QueueTrigger"] = _json(body.decode())
    except UnicodeDecodeError:
        return metadata  # the host leaves the key out then
    return metadata


def manual_metadata(text: str, now: datetime) -> dict[str, Datum]:
    """The metadata of a run asked for through `/admin/functions/<name>`, with no message behind it."""
    return {
        "QueueTrigger": _json(text),
        "DequeueCount": _json(0),
        "InsertionTime": _json(now.isoformat()),
        "ExpirationTime": _json(NO_EXPIRY.isoformat()),
        "NextVisibleTime": _json(NO_EXPIRY.isoformat()),
    }


def _json(value: str | int) -> Datum:
    return Datum(json.dumps(value), "json")
