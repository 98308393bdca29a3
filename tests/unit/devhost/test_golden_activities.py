"""Every recorded result and failure of an activity: how the host writes it into the history."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from devhost.durable import activities
from devhost.durable.failures import UserError, activity_failure, sanitise
from tests.integration.devhost.golden_instances import by_title, differences

NOW = datetime(2026, 11, 23, 20, 0, 0, tzinfo=UTC)
CASES = by_title("08-activities-entities")

Json = dict[str, Any]

# What the recorded activity `rets` returned, as the SDK encodes it.
RETURNED = {
    "none": "null",
    "tuple": "[1, 2]",
    "nan": "NaN",
    "big": "1180591620717411303424",
    "uni": json.dumps("hé☃😀"),
    "empty": '""',
    "float": "1.0",
    "obj": '{"__class__": "Pt", "__module__": "function_app", "__data__": {"a": 1, "b": 2}}',
    "strjson": json.dumps('{"a": 1}'),
    "num": '"5"',
    "true": "true",
    "list": "[]",
    "dict": "{}",
    "isodate": '"2024-01-02T03:04:05Z"',
    "isooff": '{"d": "2024-01-02T03:04:05.1200000+02:00"}',
    "nbsp": json.dumps("a<b>&'\"\\/\n"),
}

# What the recorded activities raised: type and text.
RAISED = {
    "bytes": ("ValueError", "activity trigger output must be json serializable (b'ab')"),
    "set": ("ValueError", "activity trigger output must be json serializable ({1})"),
    "noargs": ("ValueError", ""),
    "custom": ("Und", "custom str"),
    "chain": ("RuntimeError", "outer"),
    "multi": ("ValueError", "line1\nline2"),
    "quote": ("ValueError", "say \"hi\" 'x' \\ <b> hé"),
    "key": ("KeyError", "'kk'"),
    "secret": ("ValueError", "url http://h/p?code=SECRET123 tail 'after' more"),
    "secret2": ("ValueError", "AccountKey=abc;EndpointSuffix=x"),
    "stackword": ("ValueError", "a\nStack: b\nException: c"),
}

ELSEWHERE = {
    "AZURE_FUNCTIONS_DURABLE_STRICT_TYPING=1 and a custom class as input": "the SDK's own refusal: compared on a "
    "running host in tests/integration/devhost/test_golden_instances.py",
}


def calls(title: str) -> list[Json]:
    """The recorded activity calls of a case; its last exchange is the instance's status."""
    return [one for one in CASES[title]["exchange"] if "datum_type" in one["request"]]


def results() -> Iterator[tuple[str, str, Json]]:
    """What the activity returned as JSON text, and the recorded row."""
    for call in calls("inputs of every JSON type, echoed"):
        yield f"echo {call['request']['datum_value']}", call["request"]["datum_value"], call["response"]
    outputs = CASES["annotations on the parameter; async activity; func.Context"]["exchange"][-1]["response"]["body"]
    annotated = calls("annotations on the parameter; async activity; func.Context")
    for call, (name, _, returned) in zip(annotated, outputs["output"], strict=True):
        yield f"{name} {call['request']['datum_value']}", json.dumps(returned), call["response"]
    for call in calls("return values of every type"):
        key = json.loads(call["request"]["datum_value"])
        if key in RETURNED:
            yield f"rets {key}", RETURNED[key], call["response"]


def failures() -> Iterator[tuple[str, str, Json]]:
    """Name of the activity, which failure, and the recorded row."""
    for title, name in (("return values of every type", "rets"), ("exceptions", "excs")):
        for call in calls(title):
            if "TaskFailed" in call["response"]:
                yield name, json.loads(call["request"]["datum_value"]), call["response"]["TaskFailed"]


@pytest.mark.parametrize(("shown", "returned", "recorded"), [*results()], ids=[one[0] for one in results()])
def test_a_result_is_written_again_as_the_host_does(shown: str, returned: str, recorded: Json) -> None:
    event = activities.completed(3, returned, NOW)
    assert event["Result"] == recorded["TaskCompleted"]["Result"]
    assert (event["EventType"], event["TaskScheduledId"]) == (5, 3)


@pytest.mark.parametrize(("name", "which", "recorded"), [*failures()], ids=[one[1] for one in failures()])
def test_a_failure_has_the_recorded_reason_and_details(name: str, which: str, recorded: Json) -> None:
    type_name, text = RAISED[which]
    event = activities.failed(3, name, UserError(type_name, text, '  File "f.py", line 1, in f\n'), NOW)
    assert differences(recorded, {key: event[key] for key in ("Reason", "Details", "FailureDetails")}) == []
    assert list(json.loads(event["Details"])) == list(json.loads(recorded["Details"]))
    assert "\n" not in event["Details"], "apps parse the exception's second line as JSON"


def test_a_registered_activity_that_is_gone_fails_with_its_name() -> None:
    event = activities.missing(0, "old", NOW)
    assert event["Reason"] == "Activity function 'old' failed: Activity function 'old' does not exist."
    assert event["Details"] is None


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Token=abc", "[Hidden Credential]"),
        ("a DefaultEndpointsProtocol=https;AccountName=x", "a [Hidden Credential]"),
        ('ACCOUNTKEY=abc then "more"', '[Hidden Credential]"more"'),
        ("Data Source=db;User=x", "[Hidden Credential]"),
        ("Server=db <tag>", "[Hidden Credential]<tag>"),
        ("Password=p and pwd=q", "[Hidden Credential]"),
        ("http://h/p?a=1&sig=abc", "http://h/p?a=1[Hidden Credential]"),
        ("http://h/p?a=1&amp;sig=abc", "http://h/p?a=1[Hidden Credential]"),
        ("http://h/p?sig=abc' x", "http://h/p[Hidden Credential]' x"),
        ("http://h/p?a=1&code=abc", "http://h/p?a=1[Hidden Credential]"),
        ("SharedAccessKey=abc", "[Hidden Credential]"),
        ("key=abc", "[Hidden Credential]"),
        ("amqp://user:pass@host/vhost", "amqp://[Hidden Credential]@host/vhost"),
        ("nothing to hide: monkey, codes, 5 tokens", "nothing to hide: monkey, codes, 5 tokens"),
    ],
)
def test_credentials_in_error_texts_are_hidden(text: str, shown: str) -> None:
    assert sanitise(text) == shown
    reason, details = activity_failure("a", UserError("ValueError", text, ""))
    assert reason == f"Activity function 'a' failed:  ValueError: {shown}"
    assert json.loads(details)["InnerException"]["RemoteMessage"] == f"ValueError: {shown}"


def test_each_recorded_activity_call_is_compared() -> None:
    names = {"inputs of every JSON type, echoed", "annotations on the parameter; async activity; func.Context"}
    names |= {"return values of every type", "exceptions"}
    recorded = sum(len(calls(title)) for title in names)
    assert len([*results()]) + len([*failures()]) == recorded
    of_activities = {title for title in CASES if not title.startswith("entity: ")}
    assert of_activities == names | set(ELSEWHERE)
