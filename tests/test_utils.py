"""The notebook's helper: one object that starts a job, follows it, reports for it and cleans up after it.

Configured by `.env` at the top of the repository (the environment wins over it):
ORCHESTRATOR_HOST, STORAGE_CONNECTION_STRING and, for an app in Azure, ORCHESTRATOR_KEY (its function key).
"""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import requests
from azure.core.exceptions import ResourceExistsError
from azure.storage.queue import QueueClient
from dotenv import dotenv_values

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "tests" / "data"
ORCHESTRATOR = "video_orchestrator"
REPORT_QUEUE = "video-processed"
MANAGEMENT = "runtime/webhooks/durabletask/instances"

ENDED = ("Completed", "Failed", "Terminated", "Canceled")
PURGE_FILTERS = ("createdTimeFrom", "createdTimeTo", "runtimeStatus")
HTTP_SECONDS = 30
LOOK_SECONDS = 0.25

Json = dict[str, Any]


class HelperError(Exception):
    """The host refused, or what was asked for would do harm; the text says what to change."""


def load(name: str) -> Json:
    """One of the JSON files in tests/data."""
    data: Json = json.loads((DATA / name).read_text("utf-8"))
    return data


class DurableHelper:
    """Talks to one host about one job at a time: the last one that `start` began."""

    def __init__(
        self,
        host: str | None = None,
        storage_connection_string: str | None = None,
        *,
        show: Callable[[str], None] = print,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        settings = {**dotenv_values(ROOT / ".env"), **os.environ}
        self.host = (host or _needed(settings, "ORCHESTRATOR_HOST")).rstrip("/")
        self.storage = storage_connection_string or _needed(settings, "STORAGE_CONNECTION_STRING")
        self.links: dict[str, str] = {}
        self._show = show
        self._sleep = sleep
        self._http = requests.Session()
        if key := settings.get("ORCHESTRATOR_KEY"):
            self._http.headers["x-functions-key"] = key

    @property
    def instance_id(self) -> str:
        """The job's id. Raises HelperError before the first start."""
        return self._link("id")

    def start(self, payload: Mapping[str, Any], *, instance_id: str | None = None) -> str:
        """Start a job; its id. Raises HelperError with the host's reason when it refuses."""
        query = {"instanceId": instance_id} if instance_id else None
        url = f"{self.host}/api/orchestrators/{ORCHESTRATOR}"
        answer = self._send("POST", url, params=query, json=dict(payload), expected=(202,))
        self.links = answer.json()
        self._show(f"Job {self.instance_id} started.")
        return self.instance_id

    def status(self) -> Json:
        """The job's status as the host gives it: runtimeStatus, customStatus, input, output, times."""
        status: Json = self._send("GET", self._link("statusQueryGetUri"), expected=(200, 202)).json()
        return status

    def monitor(
        self, until: Collection[str] = ENDED, *, stage: str | None = None, timeout_seconds: float = 600
    ) -> Json:
        """Follow the job, telling each change, until its runtimeStatus is in `until` or it reaches `stage`.

        Also comes back when the job has ended otherwise. Raises HelperError after `timeout_seconds`.
        """
        told, waited = "", 0.0
        while True:
            status = self.status()
            reached = (status.get("customStatus") or {}).get("stage")
            now = f"{status['runtimeStatus']}: {reached}" if reached else str(status["runtimeStatus"])
            if now != told:
                self._show(f"{waited:6.1f} s  {now}")
                told = now
            if status["runtimeStatus"] in (*until, *ENDED) or (stage and reached == stage):
                return status
            if waited >= timeout_seconds:
                raise HelperError(f"Job {self.instance_id} is still {now} after {timeout_seconds:.0f} s.")
            self._sleep(LOOK_SECONDS)
            waited += LOOK_SECONDS

    def terminate(self, reason: str) -> bool:
        """End the job now; False when it had ended already."""
        answer = self._send("POST", self._link("terminatePostUri", text=reason), expected=(202, 410))
        return self._tell(answer, 202, "Asked to terminate.", "The job had ended already.")

    def purge(self) -> int:
        """Delete the job's state; how many were deleted. Raises HelperError while it runs (412)."""
        return self._purge(self._link("purgeHistoryDeleteUri"), {})

    def purge_finished(self, filters: Mapping[str, Any]) -> int:
        """Delete all ended jobs that the filters choose; how many were deleted.

        `createdTimeFrom` (required) and `createdTimeTo` are ISO 8601 times, `runtimeStatus` a list of ended
        statuses; without it, all of them. The filters are checked here: to a host a status that it does not
        know, or none, means "everything", jobs that still run included.
        """
        unknown = set(filters) - set(PURGE_FILTERS)
        if unknown:
            raise HelperError(f"Unknown filters {sorted(unknown)}; there are {', '.join(PURGE_FILTERS)}.")
        if not filters.get("createdTimeFrom"):
            raise HelperError("The filter createdTimeFrom is needed, such as 2025-01-01T00:00:00Z.")
        asked = filters.get("runtimeStatus", ENDED)
        statuses = asked.split(",") if isinstance(asked, str) else list(asked)
        wrong = [each for each in statuses if each not in ENDED]
        if wrong or not statuses:
            raise HelperError(f"runtimeStatus may only name ended jobs ({', '.join(ENDED)}), not {wrong}.")
        times = {name: filters[name] for name in PURGE_FILTERS[:2] if filters.get(name)}
        # The links of a started job carry what the host wants beside the filters: task hub, connection, key.
        common = dict(parse_qsl(urlsplit(self.links.get("purgeHistoryDeleteUri", "")).query))
        query = {**common, **times, "runtimeStatus": ",".join(statuses)}
        return self._purge(f"{self.host}/{MANAGEMENT}", query)

    def report_by_http(self, report: Mapping[str, Any]) -> bool:
        """Report through the app's own route; False when the job had ended already."""
        url = f"{self.host}/api/jobs/{self.instance_id}/processed"
        answer = self._send("POST", url, json=self._addressed(report), expected=(200, 202, 409, 410))
        return self._tell(answer, 202, "Reported by HTTP.", "Too late: the job had ended already.")

    def report_by_event(self, report: Mapping[str, Any], event_name: str = "processed") -> bool:
        """Report through the host's own route for events; False when the job had ended already."""
        # To a job that is still Pending the host says 202 and may lose the event.
        self.monitor(("Running",))
        url = self._link("sendEventPostUri").replace("{eventName}", event_name)
        answer = self._send("POST", url, json=self._addressed(report), expected=(202, 410))
        return self._tell(answer, 202, f"Raised {event_name}.", "Too late: the job had ended already.")

    def report_by_queue(self, report: Mapping[str, Any]) -> str:
        """Report as a worker does, by a base64 message in the queue; the message's id."""
        text = base64.b64encode(json.dumps(self._addressed(report)).encode()).decode("ascii")
        with QueueClient.from_connection_string(self.storage, REPORT_QUEUE) as queue:
            try:
                queue.create_queue()
            except ResourceExistsError:
                self._show(f"Queue {REPORT_QUEUE} is there.")
            message_id = str(queue.send_message(text).id)
        self._show(f"Reported by the queue {REPORT_QUEUE}, message {message_id}.")
        return message_id

    def _addressed(self, report: Mapping[str, Any]) -> Json:
        return {**report, "instance_id": self.instance_id}

    def _link(self, name: str, **placeholders: str) -> str:
        if name not in self.links:
            raise HelperError("No job has been started yet: call start() first.")
        link = self.links[name]
        for placeholder, value in placeholders.items():
            link = link.replace(f"{{{placeholder}}}", quote(value, safe=""))
        return link

    def _purge(self, url: str, query: Mapping[str, str]) -> int:
        answer = self._send("DELETE", url, params=dict(query), expected=(200, 404))
        deleted = int(answer.json()["instancesDeleted"]) if answer.status_code == 200 else 0
        self._show(f"Deleted: {deleted}.")
        return deleted

    def _tell(self, answer: requests.Response, success: int, done: str, too_late: str) -> bool:
        accepted = answer.status_code in (200, success)
        self._show(done if accepted else too_late)
        return accepted

    def _send(self, method: str, url: str, *, expected: Collection[int], **given: Any) -> requests.Response:
        try:
            answer = self._http.request(method, url, timeout=HTTP_SECONDS, **given)
        except requests.ConnectionError as error:
            raise HelperError(f"Nobody answers at {self.host}. Is `python dev.py up` running?") from error
        if answer.status_code not in expected:
            path = urlsplit(url).path
            raise HelperError(f"{method} {path} was answered with {answer.status_code}: {answer.text}")
        return answer


def _needed(settings: Mapping[str, str | None], name: str) -> str:
    value = settings.get(name)
    if not value:
        raise HelperError(f"{name} is not set: write it into {ROOT / '.env'} or into the environment.")
    return value
