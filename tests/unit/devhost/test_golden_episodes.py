"""Every recorded episode as a literal history: what devhost gives to Python must equal what the host gave."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from devhost.durable.episode import Execution, Reply, begin, body, finish
from devhost.durable.events import Event, EventType, dump
from devhost.durable.failures import STATE_MARKER, UserError
from devhost.durable.names import Names
from devhost.durable.scheduled import ReplaySettings

GOLDEN = Path(__file__).parents[2] / "data" / "golden"
NOW = datetime(2026, 11, 23, 20, 0, 0, tzinfo=UTC)
TIME = "2026-11-23T20:00:00Z"

NAMES = Names.of(
    ["child_ok", "child_bad"],
    ["echo", "aecho", "slow", "boom", "flaky", "excs"],
    ["Counter"],
)

DIFFERENT_ON_PURPOSE = {
    "error text with a credential-like token": "shows the user's text where the host says Non-Deterministic",
    "error text with a line that starts with Stack:": "shows the user's text where the host says Non-Deterministic",
    "error text that holds the state marker": "shows the user's text where the host says Non-Deterministic",
}


@dataclass
class Case:
    title: str
    episodes: list[dict[str, Any]]
    settings: ReplaySettings


def cases() -> Iterator[Case]:
    for name in ("07-orchestrator-protocol", "09-history"):
        for case in json.loads((GOLDEN / f"{name}.json").read_text("utf-8"))["cases"]:
            text = json.dumps(case.get("episodes", [])).replace("<time>+00:00", "<time>").replace("<time>", TIME)
            episodes = [one for one in json.loads(text) if "history" in one["given_to_python"]]
            if not episodes:
                continue
            version = "1.0" if "defaultVersion" in case["title"] else None
            inputs = any(kept_input(event) for one in episodes for event in one["given_to_python"]["history"])
            yield Case(case["title"], episodes, ReplaySettings(store_inputs=inputs, default_version=version))


def kept_input(event: Event) -> bool:
    """Whether the host that was recorded ran with `storeInputsInOrchestrationHistory`."""
    return event["EventType"] in (4, 7) and event["Input"] is not None


def split(history: list[Event]) -> tuple[list[Event], list[Event]]:
    """Earlier events, and those of this episode: from its OrchestratorStarted on."""
    start = max(i for i, event in enumerate(history) if event["EventType"] == EventType.ORCHESTRATOR_STARTED)
    return history[:start], history[start:]


def execution_of(given: dict[str, Any], opening: list[Event], settings: ReplaySettings) -> Execution:
    started = next(e for e in given["history"] if e["EventType"] == EventType.EXECUTION_STARTED)
    return Execution(
        instance_id=given["instanceId"],
        execution_id=started["OrchestrationInstance"]["ExecutionId"],
        name=started["Name"],
        input=None if given["input"] is None else dump(given["input"]),
        created=NOW,
        updated=NOW,
        version=started["Version"],
        parent=started["ParentInstance"],
        continued=opening[-1]["EventType"] == EventType.ORCHESTRATOR_COMPLETED,
    )


def reply_of(returned: dict[str, Any]) -> Reply:
    if "raised" not in returned:
        return Reply(state=returned)
    data = returned.get("out_of_proc_data")
    text = returned["message"] + (STATE_MARKER + json.dumps(data) if data else "")
    return Reply(error=UserError(returned["raised"], text, "<stack>"))


def comparable(value: object) -> str:
    """JSON text with the volatile parts replaced; key order counts."""
    text = json.dumps(value)
    text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)?", "<time>", text)
    text = text.replace("0001-01-01T00:00:00", "<time>")
    return re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}", "<message id>", text)


@pytest.mark.parametrize("case", list(cases()), ids=lambda case: case.title)
def test_what_python_is_given_equals_the_recording(case: Case) -> None:
    for number, episode in enumerate(case.episodes):
        given = episode["given_to_python"]
        earlier, opening = split(given["history"])
        execution = execution_of(given, opening, case.settings)
        messages = [e for e in opening if e["EventType"] not in (12, 13)]
        assert comparable(begin(messages, NOW, continued=execution.continued)) == comparable(opening)
        assert comparable(json.loads(body(execution, [dump(e) for e in earlier], opening))) == comparable(given)

        decision = finish(
            execution,
            earlier,
            opening,
            reply_of(episode["returned_by_python"]),
            names=NAMES,
            settings=case.settings,
            now=NOW,
        )
        if case.title in DIFFERENT_ON_PURPOSE:
            continue
        expected = next_history(case.episodes[number + 1 :], execution)
        if expected is None:
            continue
        stored = [*earlier, *decision.history]
        assert comparable(stored) == comparable(expected[: len(stored)])
        assert len(expected) > len(stored), "the next episode begins where this one ended"
        assert expected[len(stored)]["EventType"] == EventType.ORCHESTRATOR_STARTED


def next_history(later: list[dict[str, Any]], execution: Execution) -> list[Event] | None:
    """The next recorded history of the same execution; children are recorded between their parent's episodes."""
    for episode in later:
        given = episode["given_to_python"]
        earlier, _ = split(given["history"])
        if given["instanceId"] == execution.instance_id and earlier:
            history: list[Event] = given["history"]
            return history
        if given["instanceId"] == execution.instance_id:
            return None
    return None
