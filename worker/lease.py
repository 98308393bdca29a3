"""Keeps a message invisible to other workers for as long as this one works on it."""

import logging
import threading
from types import TracebackType

from azure.core.exceptions import AzureError, HttpResponseError
from azure.storage.queue import QueueClient, QueueMessage

from worker.failures import LeaseLostError, StopRequestedError

# Renewed at each third of its time, so that it takes three failures in a row to lose it by silence.
RENEWALS = 3


class Lease:
    """A message's invisibility, renewed in the background.

    Every renewal changes the pop receipt, and only the newest one deletes the message: it is kept here. Use
    it as a context; the work calls `check` often.
    """

    def __init__(self, queue: QueueClient, message: QueueMessage, seconds: int, stop: threading.Event) -> None:
        self._queue = queue
        self._id: str = message.id
        self._receipt: str = message.pop_receipt or ""
        self._seconds = seconds
        self._stop = stop
        self._over = threading.Event()
        self.lost = threading.Event()
        self._thread = threading.Thread(target=self._keep_renewing, name="lease", daemon=True)

    def __enter__(self) -> "Lease":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def check(self) -> None:
        """Raises `LeaseLostError` or `StopRequestedError` when the work is to stop here."""
        if self.lost.is_set():
            raise LeaseLostError
        if self._stop.is_set():
            raise StopRequestedError

    def delete(self) -> None:
        """Acknowledge the message. Raises `LeaseLostError` when another worker has it by now."""
        self._end()
        try:
            self._queue.delete_message(self._id, self._receipt)
        except HttpResponseError as error:
            if _is_gone(error):
                raise LeaseLostError from error
            raise

    def give_back(self, seconds: int = 0) -> None:
        """Let others have the message after so many seconds."""
        self._end()
        try:
            self._queue.update_message(self._id, self._receipt, visibility_timeout=seconds)
        except AzureError as error:
            logging.warning("Message %s becomes visible by itself, giving it back failed: %s", self._id, error)

    def _end(self) -> None:
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()

    def _keep_renewing(self) -> None:
        failures = 0
        while not self._over.wait(self._seconds / RENEWALS):
            try:
                renewed = self._queue.update_message(self._id, self._receipt, visibility_timeout=self._seconds)
                self._receipt = renewed.pop_receipt or self._receipt
                failures = 0
            except AzureError as error:
                failures += 1
                if _is_gone(error) or failures >= RENEWALS:
                    self.lost.set()
                    return
                logging.warning("Message %s: renewing its invisibility failed: %s", self._id, error)


def _is_gone(error: AzureError) -> bool:
    """Whether the message was deleted (404) or handed to another worker, which changed its pop receipt (400)."""
    return isinstance(error, HttpResponseError) and error.status_code in (400, 404)
