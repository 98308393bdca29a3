"""Putting messages on the application's Storage Queues, and taking one back."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from azure.core.exceptions import AzureError

from video_jobs.redaction import one_line
from video_jobs.settings import SettingError

FOR_EVER = -1

Receipt = dict[str, Any]
# queue, text, seconds to live
Send = Callable[[str, str, int], Receipt]
# queue, message id, pop receipt
TakeBack = Callable[[str, str, str], bool]


class QueueError(Exception):
    """A queue could not be reached; `code` for programs, the text is one line without secrets."""

    def __init__(self, code: str, message: object) -> None:
        self.code = code
        super().__init__(one_line(message))


def send(queue: str, text: str, seconds_to_live: int) -> Receipt:
    """Put a message on a queue as plain text, creating the queue when it is missing.

    Retried with back-off for about ten seconds. The receipt names the message well enough to take it back
    later: `queue, message_id, pop_receipt, inserted_at, expires_at`. Raises `QueueError`.
    """
    from video_jobs import storage  # noqa: PLC0415 - heavy: see there

    with _one_kind_of_error(queue):
        return storage.put(queue, text, seconds_to_live)


def take_back(queue: str, message_id: str, pop_receipt: str) -> bool:
    """Delete a message by the receipt of `send`; whether it was there and nobody had taken it yet.

    Retried like `send`. Raises `QueueError`.
    """
    from video_jobs import storage  # noqa: PLC0415 - heavy: see there

    with _one_kind_of_error(queue):
        return storage.delete_untaken(queue, message_id, pop_receipt)


@contextmanager
def _one_kind_of_error(queue: str) -> Iterator[None]:
    try:
        yield
    except SettingError as error:
        raise QueueError("bad_setting", error) from error
    except AzureError as error:
        raise QueueError("storage_unavailable", f"Queue {queue}: {one_line(error)}") from error
    except ValueError as error:
        raise QueueError("bad_setting", f"The setting for the queue {queue} is malformed: {error}") from error
