"""What the events told a job: its report, a wish to cancel it, and what was ignored because it fits nothing."""

import json
from collections.abc import Callable

from video_jobs.contract import (
    CANCEL_EVENT,
    EVENT_NAME,
    OLDER_EVENT_NAME,
    Cancellation,
    ContractError,
    Report,
    decode_cancel_event,
    decode_event,
)

EVENTS = (EVENT_NAME, OLDER_EVENT_NAME, CANCEL_EVENT)


# reason, detail, and the event's text unless it need not be kept
Ignore = Callable[[str, str, str | None], None]


class Inbox:
    """Takes each event once. `report` is the first one that counts for the current attempt.

    `ignore` is told of each event that has no effect, but for a second cancel.
    """

    def __init__(self, instance_id: str, ignore: Ignore) -> None:
        self.attempt = 0
        self.report: Report | None = None
        self.cancellation: Cancellation | None = None
        self._instance_id = instance_id
        self._ignore = ignore
        self._earlier: list[Report] = []
        self._closed = False

    def next_attempt(self) -> None:
        """From now on only a report for the next attempt counts."""
        self._earlier += [self.report] if self.report else []
        self.attempt += 1
        self.report = None

    def close(self) -> None:
        """The job is decided: what comes now is late."""
        self._closed = True

    def reported(self) -> bool:
        """Whether the current attempt has its report."""
        return self.report is not None

    def decided(self) -> bool:
        """Whether there is a reason to wait no longer."""
        return self.report is not None or self.cancellation is not None

    def hear(self, name: str, text: str) -> None:
        """Read an event; `text` is its JSON."""
        message = text
        try:
            data = json.loads(text)
            message = data if isinstance(data, str) else text
            if name == CANCEL_EVENT:
                self.cancellation = self.cancellation or decode_cancel_event(data)
            else:
                self._hear_report(decode_event(data, self._instance_id), message)
        except ContractError as error:
            self._ignore(error.code, f"the event '{name}': {error}", message)
        except (ValueError, TypeError, RecursionError) as error:
            self._ignore("not_json", f"the event '{name}': {error}", message)

    def _hear_report(self, report: Report, text: str) -> None:
        given = report.attempt or self.attempt
        if any(_same(report, earlier) for earlier in self._earlier) or (
            self.report and report.body == self.report.body
        ):
            self._ignore("repeated", "the same report came before", None)
        elif given < self.attempt:
            self._ignore("stale_attempt", f"a report for attempt {given}; attempt {self.attempt} is on", text)
        elif given > self.attempt:
            self._ignore("breaks_contract", f"a report for attempt {given}; only {self.attempt} was published", text)
        elif self.report is not None:
            self._ignore("late", f"attempt {self.attempt} has its report already", text)
        elif self._closed:
            self._ignore("late", "the job was decided already", text)
        else:
            self.report = report


def _same(report: Report, earlier: Report) -> bool:
    """Whether the queue gave one report twice.

    One that names its attempt is stale the second time; without a time in it, it may as well be a new one.
    """
    return report.body == earlier.body and report.body.get("stop_timestamp") is not None
