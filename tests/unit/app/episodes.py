"""Literal histories for an orchestrator, and the host's walk through what it scheduled.

`Instance` holds a history as the host would; `run` gives it to the SDK, which is all that is between the host
and our code. Nothing is started and no time passes.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from azure.durable_functions import Orchestrator

from video_jobs.orchestrator import run as video_orchestrator

Event = dict[str, Any]
START = datetime(2026, 11, 23, 20, 0, tzinfo=UTC)
JOB = "job-1"
BODY = {
    "blobURL": "http://127.0.0.1:10000/dev/videos/a.avi",
    "blobName": "videos/a.avi",
    "timeoutSeconds": 360,
}


def stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def event(kind: int, **fields: Any) -> Event:
    return {"EventType": kind, **fields, "EventId": -1, "IsPlayed": False, "Timestamp": stamp(START)}


RESULT_KEYS = [
    "status",
    "instance_id",
    "blobName",
    "blobUrl",
    "attempts",
    "requested_at",
    "finished_at",
    "report",
    "error",
    "notification",
]
RECEIPT: dict[str, Any] = {"queue": "video-to-processing", "message_id": "m", "pop_receipt": "p"}
SENT: dict[str, Any] = {"ok": True, "receipt": RECEIPT}
SECOND_RECEIPT = {**RECEIPT, "message_id": "m2"}
DOWN: dict[str, Any] = {"ok": False, "error": {"code": "storage_unavailable", "message": "Queue x: no answer"}}
RAISED = "Activity function 'x' failed:  TimeoutError: t"
WITHDRAWN = {"ok": True, "withdrawn": True}
NOTIFIED: dict[str, Any] = {"told": ["queue"], "failed": []}
KEPT = {"ok": True}
PUBLISH = "send_processing_request"
WITHDRAW = "withdraw_request"
NOTIFY = "SendFailureNotification"
REJECT = "keep_rejected_reports"


def completed(task: int, result: Any) -> Event:
    return event(5, TaskScheduledId=task, Result=json.dumps(result))


def failed(task: int, reason: str, details: str = '{"$type":"System.Exception"}') -> Event:
    return event(6, TaskScheduledId=task, Reason=reason, Details=details, FailureDetails=None)


def fired(timer: int) -> Event:
    return event(11, TimerId=timer, FireAt=stamp(START))


def raised(name: str, data: Any, *, by_sdk: bool = True) -> Event:
    """An event as the host keeps it: from the SDK a string with JSON in it, from curl the JSON itself."""
    return event(15, Name=name, Input=json.dumps(json.dumps(data) if by_sdk else data), ParentTraceContext=None)


def raised_text(name: str, text: str) -> Event:
    return event(15, Name=name, Input=text, ParentTraceContext=None)


def report(status: str = "PROCESSED", **more: Any) -> dict[str, Any]:
    return {
        "instance_id": JOB,
        "blobName": "videos/a.avi",
        "status": status,
        "details": {"segments": []},
        **more,
    }


def failure(attempt: int | None = None, *, retryable: bool = True, **more: Any) -> dict[str, Any]:
    error = {"code": "no_space", "message": "the disk is full", "retryable": retryable}
    which: dict[str, Any] = {"attempt": attempt} if attempt else {}
    return report("FAILED", error=error, **which, **more)


@dataclass
class Reply:
    """What the orchestrator answered in one episode."""

    state: dict[str, Any]
    events: list[Event]
    instance: "Instance"

    @property
    def done(self) -> bool:
        return bool(self.state["isDone"])

    @property
    def output(self) -> dict[str, Any]:
        assert self.done, self.state
        output: dict[str, Any] = self.state["output"]
        return output

    @property
    def shown(self) -> dict[str, Any]:
        """The custom status."""
        shown: dict[str, Any] = self.state["customStatus"]
        return shown

    @property
    def stage(self) -> str:
        return str(self.shown["stage"])

    @property
    def actions(self) -> list[dict[str, Any]]:
        (actions,) = self.state["actions"]
        return list(actions)

    @property
    def timers(self) -> list[dict[str, Any]]:
        return [action for action in self._atoms() if action["actionType"] == 5]

    @property
    def failure(self) -> dict[str, Any]:
        """The failure that people are told of."""
        failure: dict[str, Any] = self.called(NOTIFY)[0]["failure"]
        return failure

    @property
    def kept(self) -> list[dict[str, Any]]:
        """The ignored events that are kept."""
        return [entry for call in self.called(REJECT) for entry in call["rejected"]]

    def called(self, name: str) -> list[Any]:
        """The inputs of the calls of an activity."""
        return [json.loads(atom["input"]) for atom in self._atoms() if atom.get("functionName") == name]

    def started(self) -> list[int]:
        """The event ids of the activities that run."""
        ended = {event["TaskScheduledId"] for event in self.events if event["EventType"] in (5, 6)}
        return [number for number, atom in self._numbered() if atom["actionType"] in (0, 1) and number not in ended]

    def names(self) -> dict[int, str]:
        """The activities that were started, by event id."""
        return {number: atom["functionName"] for number, atom in self._numbered() if "functionName" in atom}

    def fires_at(self, timer: int) -> datetime:
        """When a timer is due."""
        return datetime.fromisoformat(dict(self._numbered())[timer]["fireAt"])

    def open_timers(self) -> list[int]:
        """The event ids of the timers that have neither fired nor been cancelled."""
        over = {event["TimerId"] for event in self.events if event["EventType"] == 11}
        return [
            number
            for number, atom in self._numbered()
            if atom["actionType"] == 5 and not atom["isCanceled"] and number not in over
        ]

    def unreached(self) -> list[dict[str, Any]]:
        """The actions that the host never comes to: it stands at the first one that nothing has ended."""
        copies = [event["Name"] for event in self.events if event["EventType"] == 15]
        ended = {event["TaskScheduledId"] for event in self.events if event["EventType"] in (5, 6)}
        ended |= {event["TimerId"] for event in self.events if event["EventType"] == 11}
        numbers = {id(atom): number for number, atom in self._numbered()}

        def over(action: dict[str, Any]) -> bool:
            if action["actionType"] in (11, 12):
                parts = [over(part) for part in action["compoundActions"]]
                return any(parts) if action["actionType"] == 11 else all(parts)
            if action["actionType"] == 6:
                return _take(copies, action["externalEventName"])
            return bool(action.get("isCanceled")) or numbers[id(action)] in ended

        actions = self.actions
        for place, action in enumerate(actions):
            if not over(action):
                return actions[place + 1 :]
        return []

    def _atoms(self) -> Iterator[dict[str, Any]]:
        def parts(action: dict[str, Any]) -> Iterator[dict[str, Any]]:
            if "compoundActions" not in action:
                yield action
            for part in action.get("compoundActions", []):
                yield from parts(part)

        for action in self.actions:
            yield from parts(action)

    def _numbered(self) -> Iterator[tuple[int, dict[str, Any]]]:
        # Waits for events take no event id.
        return enumerate(atom for atom in self._atoms() if atom["actionType"] != 6)


def _take(copies: list[str], name: str) -> bool:
    if name not in copies:
        return False
    copies.remove(name)
    return True


@dataclass
class Instance:
    """One instance's history; `run` adds an episode with the events that arrived together."""

    given: Any = field(default_factory=lambda: json.dumps(json.dumps(BODY)))
    orchestrator: Callable[[Any], Any] = video_orchestrator
    now: datetime = START
    history: list[Event] = field(default_factory=list)

    @property
    def last(self) -> Reply:
        """What the orchestrator answered last."""
        return self._episode(self.history)

    def start(self, *events: Event) -> Reply:
        execution = {
            "OrchestrationInstance": {"InstanceId": JOB, "ExecutionId": "e"},
            **event(0, ParentInstance=None, Name="video_orchestrator", Version=None, Input=self.given),
        }
        return self.run(execution, *events)

    def run(self, *events: Event, after: timedelta = timedelta(0)) -> Reply:
        self.now += after
        self.history += [self._mark(12), *({**each, "Timestamp": stamp(self.now)} for each in events)]
        reply = self._episode(self.history)
        self.history.append(self._mark(13))
        for each in self.history:
            each["IsPlayed"] = each["EventType"] in (0, 5, 6, 11, 15)
        return reply

    @property
    def activity(self) -> int:
        """The event id of the one activity that runs."""
        (number,) = self.last.started()
        return number

    @property
    def timer(self) -> int:
        """The event id of the one open timer."""
        (number,) = self.last.open_timers()
        return number

    def finish(self, result: Any) -> Reply:
        """The running activity returns."""
        return self.run(completed(self.activity, result))

    def fire(self, after: timedelta) -> Reply:
        """The open timer fires."""
        return self.run(fired(self.timer), after=after)

    def replayed(self) -> Iterator[Reply]:
        """What the orchestrator answers when the host knows only the first so many events: it may have died
        before the next were committed, and whatever came in one episode may have come in several.
        """
        for length in range(2, len(self.history) + 1):
            yield self._episode(self.history[:length])

    def _episode(self, history: list[Event]) -> Reply:
        body = {
            "history": history,
            "input": json.loads(self.given),
            "instanceId": JOB,
            "isReplaying": len(history) > 2,
            "parentInstanceId": None,
            "upperSchemaVersion": 1,
            "upperSchemaVersionNew": 3,
            "longRunningTimerIntervalDuration": "3.00:00:00",
            "maximumShortTimerDuration": "6.00:00:00",
            "defaultHttpAsyncRequestSleepTimeMillseconds": 30000,
        }
        state = json.loads(Orchestrator.create(self.orchestrator)(json.dumps(body)))
        return Reply(state, list(history), self)

    def _mark(self, kind: int) -> Event:
        return {**event(kind), "Timestamp": stamp(self.now)}


def ended(reply: Reply) -> dict[str, Any]:
    """The result, with all that must hold of every ended job and of the way to its end.

    What a decided job still does is to keep the events that it ignored.
    """
    while not reply.done:
        assert reply.names()[reply.instance.activity] == REJECT, reply.shown
        reply = reply.instance.finish(KEPT)
    assert list(reply.output) == RESULT_KEYS
    assert reply.open_timers() == [], "an uncancelled timer keeps the instance running"
    assert reply.unreached() == [], "the host would never come to these actions"
    for earlier in reply.instance.replayed():
        names, final = _names(earlier.actions), _names(reply.actions)
        assert names == final[: len(names)], "a replay took another way"
        assert earlier.started() or not earlier.unreached(), "the host waits for nothing that will end"
    return reply.output


def _names(actions: list[dict[str, Any]]) -> list[Any]:
    """The actions without what may change later: whether a timer is cancelled."""
    return [
        _names(action["compoundActions"])
        if "compoundActions" in action
        else {key: value for key, value in action.items() if key != "isCanceled"}
        for action in actions
    ]


def publishing(**fields: Any) -> Instance:
    """A job whose first request is being published; `fields` are for its start."""
    job = Instance(json.dumps(json.dumps({**BODY, **fields})))
    job.start()
    return job


def waiting(**fields: Any) -> Instance:
    """A job whose first request is published; `fields` are for its start."""
    job = publishing(**fields)
    assert job.run(completed(0, SENT)).stage == "waiting"
    return job


def second_attempt(**fields: Any) -> Instance:
    """A job that waits for the second of two attempts."""
    job = waiting(maxAttempts=2, **fields)
    assert job.run(raised("processed", failure(1))).stage == "publishing"
    assert job.finish({"ok": True, "receipt": SECOND_RECEIPT}).shown["attempt"] == 2
    return job
