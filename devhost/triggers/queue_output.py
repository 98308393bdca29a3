"""The output binding `queue`: from what a function has set or returned to messages in a queue."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from azure.functions.meta import Datum

from devhost.triggers.message_queue import QueueAccount
from devhost.triggers.queue import open_account
from devhost.triggers.queue_options import QueueOptions

if TYPE_CHECKING:
    from devhost.functions import Function
    from devhost.settings import Connection, HostSettings

LARGEST_MESSAGE = 64 * 1024


class OutputError(Exception):
    """What the function has put out can't be sent."""


async def send(
    settings: HostSettings,
    function: Function,
    binding: dict[str, Any],
    datum: Datum,
    *,
    open_account: Callable[[Connection], QueueAccount] = open_account,
) -> None:
    """Send the messages of one output binding, in order; the queue is created when it is missing.

    Raises OutputError for a value that can't be sent, SettingsError for a queue name or connection that can't
    be found, StorageError when the storage does not take it.
    """
    is_base64 = QueueOptions.read(settings).base64
    try:
        texts = [_encoded(message, is_base64) for message in messages(datum)]
    except ValueError as error:
        raise OutputError(f"Output '{binding['name']}' of '{function.name}' can't be sent: {error}") from error
    if not texts:
        return
    name = settings.resolve(binding["queueName"]).lower()
    if "{" in name:
        raise OutputError(
            f"Output '{binding['name']}' of '{function.name}' can't be sent: devhost knows no binding "
            f"expressions such as '{name}'; write the queue's name or %SETTING%."
        )
    account = open_account(settings.connection(binding.get("connection")))
    try:
        queue = account.queue(name)
        for text in texts:
            await queue.put(text)
    finally:
        await account.close()


def messages(datum: Datum) -> list[bytes]:
    """The bodies that a value stands for: one for each item of a JSON array, none for None, else one.

    Text that is a JSON object is written anew with an indent of two, as the live host does.
    Raises ValueError for text that begins and ends as JSON does but is not, which fails on the live host too.
    """
    if datum.type is None or datum.value is None:
        return []
    bodies = _BY_TYPE.get(datum.type)
    if bodies is None:
        raise ValueError(f"a value of type '{datum.type}' has no form as a queue message")
    return [body.encode() if isinstance(body, str) else body for body in bodies(datum.value)]


def _from_text(text: str) -> list[str]:
    bare = text.strip()
    if bare[:1] + bare[-1:] not in ("{}", "[]"):
        return [text]
    return _from_json(text)


def _from_json(text: str) -> list[str]:
    value = json.loads(text)
    if isinstance(value, str):
        return _from_text(value)
    return [_item(item) for item in value] if isinstance(value, list) else [_item(value)]


def _item(value: Any) -> str:
    """One JSON value as .NET turns it into text."""
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, bool):
        return "" if value is None else str(value)
    return json.dumps(value, ensure_ascii=False, indent=2)


_BY_TYPE: dict[str, Callable[[Any], list[str] | list[bytes]]] = {
    "string": _from_text,
    "json": _from_json,
    "bytes": lambda value: [bytes(value)],
    "int": lambda value: [str(value)],
    "double": lambda value: [str(value)],
}


def _encoded(body: bytes, is_base64: bool) -> str:
    if is_base64:
        text = base64.b64encode(body).decode("ascii")
    else:
        try:
            text = body.decode()
        except UnicodeDecodeError:
            raise ValueError("it is bytes that are not UTF-8 text, and host.json has messageEncoding 'none'") from None
    size = len(text.encode())
    if size > LARGEST_MESSAGE:
        raise ValueError(f"the message is {size} bytes long, and a queue takes at most {LARGEST_MESSAGE}")
    return text
