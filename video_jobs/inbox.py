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


class Inbox:
    """Takes each event once. `report` is the first one that counts for the current attempt.

    `ignore` is told, in one line, of each event that has no effect, but for a second cancel.
    """

    def __init__(self, instance_id: str, ignore: Callable[[str], None]) -> None:
        self.attempt = 0
        self.report: Report | None = None
        self.cancellation: Cancellation | None = None
        self._instance_id = instance_id
        self._ignore = ignore
        self._earlier: list[Report] = []

    def next_attempt(self) -> None:
        """From now on only a report for the next attempt counts."""
        self._earlier += [self.report] if self.report else []
        self.attempt += 1
        self.report = None

    def reported(self) -> bool:
        """Whether the current attempt has its report."""
        return self.report is not None

    def decided(self) -> bool:
        """Whether there is a reason to wait no longer."""
        return self.report is not None or self.cancellation is not None

    def hear(self, name: str, text: str) -> None:
        """Read an event; `text` is its JSON."""
        try:
            data = json.loads(text)
            if name == CANCEL_EVENT:
                self.cancellation = self.cancellation or decode_cancel_event(data)
            else:
                self._hear_report(decode_event(data, self._instance_id))
        except ContractError as error:
            self._ignore(f"{error.code}: {error}")
        except (ValueError, TypeError, RecursionError) as error:
            self._ignore(f"not_json: {error}")

    def _hear_report(self, report: Report) -> None:
        if self.report is not None:
            self._ignore(f"repeated: attempt {self.attempt} has its report")
        elif report.attempt is not None and report.attempt < self.attempt:
            self._ignore(f"stale_attempt: a report for attempt {report.attempt}; attempt {self.attempt} is on")
        elif report.attempt is not None and report.attempt > self.attempt:
            self._ignore(f"breaks_contract: a report for attempt {report.attempt}; only {self.attempt} was published")
        elif any(_same(report, earlier) for earlier in self._earlier):
            self._ignore("repeated: the same report came for an earlier attempt")
        else:
            self.report = report


def _same(report: Report, earlier: Report) -> bool:
    """Whether the queue gave one report twice.

    One that names its attempt is stale the second time; without a time in it, it may as well be a new one.
    """
    return report.body == earlier.body and report.body.get("stop_timestamp") is not None
