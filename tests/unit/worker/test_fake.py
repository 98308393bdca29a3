"""The misbehaving worker: what each mode sends, and what the contract says to it; its command line."""

import argparse
import re
import shlex
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.documents import DOCUMENTS, code, commands
from video_jobs.contract import ContractError, ProcessingRequest, Report, decode_report
from worker.fake.cli import BELONGS_TO, main, make_parser
from worker.fake.modes import MODES, Behaviour, Plan, Taken, plan
from worker.fake.wrong import ENCODINGS, GARBAGE

NOW = datetime(2026, 11, 23, 20, 0, tzinfo=UTC)
REQUEST = ProcessingRequest(
    blob_url="http://a/v/ніч.avi?sig=SeCrEt",
    blob_name="v/ніч.avi",
    posted=NOW,
    instance_id="job-1",
    attempt=3,
    deadline=NOW + timedelta(seconds=20),
    reply_queue="video-processed",
)


def planned(mode: str, *, number: int = 0, at: datetime = NOW, **fields: Any) -> Plan:
    return plan(Taken(REQUEST, at, number), Behaviour(mode, **fields))


def reports(found: Plan) -> list[Report]:
    return [decode_report(message.text) for message in found.messages]


def refusal(text: str) -> str:
    with pytest.raises(ContractError) as caught:
        decode_report(text)
    return caught.value.code


def waits(found: Plan) -> list[float]:
    return [(message.due - NOW).total_seconds() for message in found.messages]


def test_ok_is_a_good_report_at_once() -> None:
    found = planned("ok")
    (report,) = reports(found)
    assert report.body == {
        "instance_id": "job-1",
        "blobUrl": "http://a/v/ніч.avi",
        "blobName": "v/ніч.avi",
        "status": "PROCESSED",
        "start_timestamp": "2026-11-23T20:00:00.000000",
        "stop_timestamp": "2026-11-23T20:00:00.000000",
        "attempt": 3,
        "details": {"segments": []},
    }
    assert not found.messages[0].text.startswith("{"), "the contract's reports are base64"
    assert (waits(found), found.crash) == ([0], False)


@pytest.mark.parametrize(
    ("mode", "fields", "seconds"),
    [
        ("slow", {}, 30),
        ("slow", {"delay_seconds": 7}, 7),
        ("late", {}, 25),
        ("late", {"delay_seconds": 0}, 20),
    ],
)
def test_slow_and_late_send_a_good_report_when_it_is_due(mode: str, fields: dict[str, Any], seconds: float) -> None:
    found = planned(mode, **fields)
    (report,) = reports(found)
    assert waits(found) == [seconds]
    assert report.body["start_timestamp"] == "2026-11-23T20:00:00.000000"
    assert report.body["stop_timestamp"] == f"2026-11-23T20:00:{seconds:02.0f}.000000"


def test_late_is_late_at_once_when_the_deadline_has_passed() -> None:
    found = planned("late", at=NOW + timedelta(hours=1))
    assert waits(found) == [3600]


def test_crash_and_never_send_nothing() -> None:
    assert planned("crash") == Plan((), crash=True)
    assert planned("never") == Plan((), crash=False)


@pytest.mark.parametrize(("fields", "times"), [({}, 2), ({"times": 5}, 5)])
def test_duplicate_sends_the_very_same_report(fields: dict[str, Any], times: int) -> None:
    found = planned("duplicate", **fields)
    assert [report.status for report in reports(found)] == ["PROCESSED"] * times
    assert len({message.text for message in found.messages}) == 1


def test_garbage_is_refused_for_another_reason_each_time() -> None:
    found = planned("garbage")
    texts = {kind: message.text for kind, message in zip(GARBAGE, found.messages, strict=True)}
    assert decode_report(texts.pop("unknown-job")).instance_id == "no-such-job-job-1"
    assert {kind: refusal(text) for kind, text in texts.items()} == {
        "not-json": "not_json",
        "wrong-shape": "breaks_contract",
        "empty-object": "breaks_contract",
        "wrong-status": "breaks_contract",
    }
    assert planned("garbage").messages == found.messages


@pytest.mark.parametrize("kind", GARBAGE)
def test_one_kind_of_garbage(kind: str) -> None:
    (message,) = planned("garbage", garbage=kind).messages
    assert kind in message.what
    assert message.text == planned("garbage").messages[list(GARBAGE).index(kind)].text


def test_unknown_job_is_still_an_id_when_the_job_has_the_longest_one() -> None:
    long = ProcessingRequest(
        "http://a", "a", NOW, instance_id="j" * 100, attempt=1, deadline=NOW, reply_queue="video-processed"
    )
    (message,) = plan(Taken(long, NOW), Behaviour("garbage", garbage="unknown-job")).messages
    assert len(decode_report(message.text).instance_id) == 100
    assert decode_report(message.text).instance_id != long.instance_id


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("plain", None),
        ("bom", None),
        ("nested-base64", "nested_base64"),
        ("utf-16", "not_json"),
        ("latin-1", "not_json"),
    ],
)
def test_wrong_encodings(name: str, code: str | None) -> None:
    (message,) = planned("wrong-encoding", encoding=name).messages
    assert ENCODINGS[name].accepted == (code is None)
    if code is not None:
        assert refusal(message.text) == code
        return
    report = decode_report(message.text)
    assert (report.instance_id, report.attempt, report.body["blobName"]) == ("job-1", 3, "v/ніч.avi")


def test_encodings_take_turns() -> None:
    turns = [planned("wrong-encoding", number=number).messages[0].text for number in range(6)]
    named = [planned("wrong-encoding", encoding=name).messages[0].text for name in ENCODINGS]
    assert turns == [*named, named[0]]
    assert len(set(named)) == len(ENCODINGS)


def test_failed_says_why() -> None:
    (report,) = reports(planned("failed", code="no_disk", message="The disk is full", retryable=True))
    assert (report.status, report.attempt) == ("FAILED", 3)
    assert report.body["error"] == {"code": "no_disk", "message": "The disk is full", "retryable": True}
    (plain,) = reports(planned("failed"))
    assert plain.error is not None
    assert (plain.error.code, plain.error.retryable) == ("fake_failure", False)


def test_help_explains_every_mode_and_encoding(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    shown = capsys.readouterr().out
    assert caught.value.code == 0
    assert all(f"  {name:<15} {mode.summary}\n" in shown for name, mode in MODES.items())
    assert "accepts plain, bom and refuses nested-base64" in " ".join(shown.split()).replace("nested- ", "nested-")


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("", "--mode"),
        ("--mode nonsense", "invalid choice: 'nonsense'"),
        ("--mode ok --delay 5", "--delay belongs to --mode slow or late, not to ok"),
        ("--mode slow --retryable", "--retryable belongs to --mode failed, not to slow"),
        ("--mode slow --delay soon", "must be from 0 to"),
        ("--mode slow --delay nan", "must be from 0 to"),
        ("--mode duplicate --times 0", "must be a whole number from 1"),
        ("--mode duplicate --times 101", "must be at most 100"),
        ("--mode ok --count 1.5", "must be a whole number from 1"),
        ("--mode garbage --garbage all", "invalid choice: 'all'"),
        ("--mode ok --connection nonsense", "connection string"),
    ],
)
def test_misuse_is_told_in_a_line(line: str, complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(shlex.split(line))
    assert caught.value.code == 2
    assert complaint in capsys.readouterr().err.splitlines()[-1]


def documented() -> list[str]:
    written = [line for document in DOCUMENTS for line in [*commands(document), *code(document)]]
    return [line for line in written if line.startswith("python -m worker.fake --mode")]


def test_documented_commands_are_understood_and_show_every_mode() -> None:
    modes = set()
    for line in documented():
        asked: argparse.Namespace = make_parser().parse_args(shlex.split(line)[3:])
        misplaced = [
            name for name, of in BELONGS_TO.items() if getattr(asked, name) is not None and asked.mode not in of
        ]
        assert misplaced == [], line
        modes.add(asked.mode)
    assert modes == set(MODES)
    assert not any(re.search(r"[;&|]", line) for line in documented())
