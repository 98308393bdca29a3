"""The shapes that go in and out: what is accepted, and how what is not is named."""

import base64
import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from video_jobs.contract import (
    ContractError,
    ProcessingRequest,
    decode_report,
    decode_request,
    decode_start,
    encode_report,
    encode_request,
    is_instance_id,
)
from video_jobs.redaction import hide_secrets, one_line

GOOD: dict[str, Any] = {"blobURL": "https://a.example/v/a.avi?sig=x", "blobName": "v/a.avi"}
REPORT: dict[str, Any] = {
    "instance_id": "job-1",
    "blobUrl": "http://a/v/a.avi",
    "blobName": "v/a.avi",
    "status": "PROCESSED",
    "start_timestamp": "2025-12-14T18:00:30.761319",
    "stop_timestamp": "2025-12-14T18:00:37.427266",
    "details": {"segments": []},
    "somebody's own key": [1],
}


def start_error(**changes: Any) -> ContractError:
    body = {key: value for key, value in {**GOOD, **changes}.items() if value is not ...}
    with pytest.raises(ContractError) as caught:
        decode_start(json.dumps(body).encode())
    return caught.value


def test_start() -> None:
    start = decode_start(json.dumps({**GOOD, "timeoutSeconds": 432_000, "maxAttempts": 5}).encode())
    assert (start.blob_url, start.blob_name) == (GOOD["blobURL"], GOOD["blobName"])
    assert (start.timeout_seconds, start.max_attempts) == (432_000, 5)


def test_start_with_defaults() -> None:
    start = decode_start(json.dumps(GOOD).encode())
    assert start.timeout_seconds is msgspec.UNSET
    assert start.max_attempts == 1


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"blobURL": ...}, "$.blobURL"),
        ({"blobName": ...}, "$.blobName"),
        ({"blobURL": 5}, "$.blobURL"),
        ({"blobURL": ""}, "$.blobURL"),
        ({"blobURL": "ftp://a/b"}, "$.blobURL"),
        ({"blobURL": "http://"}, "$.blobURL"),
        ({"blobURL": "http://a:99999/b"}, "$.blobURL"),
        ({"blobURL": "http://a/b c"}, "$.blobURL"),
        ({"blobURL": "http://a/b\n"}, "$.blobURL"),
        ({"blobURL": "http://[a/b"}, "$.blobURL"),
        ({"blobName": ""}, "$.blobName"),
        ({"blobName": "a" * 1025}, "$.blobName"),
        ({"timeoutSeconds": 0}, "$.timeoutSeconds"),
        ({"timeoutSeconds": 432_001}, "$.timeoutSeconds"),
        ({"timeoutSeconds": "360"}, "$.timeoutSeconds"),
        ({"timeoutSeconds": True}, "$.timeoutSeconds"),
        ({"timeoutSeconds": None}, "$.timeoutSeconds"),
        ({"timeoutSeconds": 1.5}, "$.timeoutSeconds"),
        ({"maxAttempts": 0}, "$.maxAttempts"),
        ({"maxAttempts": 6}, "$.maxAttempts"),
        ({"bloburl": "http://a/b"}, "$.bloburl"),
    ],
)
def test_start_names_the_field_that_is_wrong(changes: dict[str, Any], path: str) -> None:
    error = start_error(**changes)
    assert error.code == "breaks_contract"
    assert error.path == path
    assert "\n" not in error.message


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"nonsense", b'{"blobURL": NaN}'])
def test_start_that_is_not_json(body: bytes) -> None:
    with pytest.raises(ContractError) as caught:
        decode_start(body)
    assert caught.value.code == "not_json"


@pytest.mark.parametrize("body", [b"[]", b"null", b'"text"', b"5", b"[" * 30_000])
def test_start_that_is_no_object(body: bytes) -> None:
    with pytest.raises(ContractError):
        decode_start(body)


def test_request_is_plain_json_in_the_contracts_order() -> None:
    moment = datetime(2025, 12, 14, 18, 0, 30, 761319, UTC)
    request = ProcessingRequest("http://a/b", "v/ä.avi", moment, "job-1", 1, moment, "video-processed")
    text = encode_request(request)
    assert list(json.loads(text)) == [
        "blobUrl",
        "blobName",
        "posted",
        "instance_id",
        "attempt",
        "deadline",
        "reply_queue",
    ]
    assert '"posted":"2025-12-14T18:00:30.761319Z"' in text
    assert "ä" in text
    assert decode_request(text) == request


@pytest.mark.parametrize(
    "raw",
    [
        encode_report(REPORT),
        json.dumps(REPORT),
        json.dumps(REPORT, indent=2),
        "\ufeff" + json.dumps(REPORT),
        base64.b64encode(b"\xef\xbb\xbf" + json.dumps(REPORT).encode()).decode(),
        "\n" + base64.encodebytes(json.dumps(REPORT).encode()).decode(),
    ],
)
def test_report_in_each_encoding(raw: str) -> None:
    for text in (raw, raw.encode()):
        report = decode_report(text)
        assert report.instance_id == "job-1"
        assert report.status == "PROCESSED"
        assert report.error is None
        assert report.body == REPORT, "unknown keys are kept"


@pytest.mark.parametrize("status", ["processed", "Processed", "PROCESSED", "failed", "FAILED"])
def test_status_in_any_case(status: str) -> None:
    report = decode_report(json.dumps({"instance_id": "job-1", "status": status}))
    assert report.status == status.upper() == report.body["status"]


@pytest.mark.parametrize(
    ("error", "code", "message", "retryable"),
    [
        ({"code": "empty", "message": "no bytes", "retryable": True}, "empty", "no bytes", True),
        (
            {"code": "empty", "of": "their own"},
            "empty",
            "The worker reported FAILED and gave no reason.",
            False,
        ),
        ("it broke", "worker_failed", "it broke", False),
        (None, "worker_failed", "The worker reported FAILED and gave no reason.", False),
        (
            {"code": "", "message": ""},
            "worker_failed",
            "The worker reported FAILED and gave no reason.",
            False,
        ),
    ],
)
def test_why_a_worker_failed(error: Any, code: str, message: str, retryable: bool) -> None:
    report = decode_report(json.dumps({"instance_id": "job-1", "status": "FAILED", "error": error}))
    assert report.error is not None
    assert (report.error.code, report.error.message, report.error.retryable) == (code, message, retryable)


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"instance_id": None}, "$.instance_id"),
        ({"instance_id": ""}, "$.instance_id"),
        ({"instance_id": "../x"}, "$.instance_id"),
        ({"instance_id": ".."}, "$.instance_id"),
        ({"instance_id": 5}, "$.instance_id"),
        ({"status": None}, "$.status"),
        ({"status": "DONE"}, "$.status"),
        ({"attempt": 0}, "$.attempt"),
        ({"attempt": "1"}, "$.attempt"),
        ({"attempt": True}, "$.attempt"),
        ({"status": "FAILED", "error": 5}, "$.error"),
        ({"status": "FAILED", "error": {"retryable": "yes"}}, "$.error.retryable"),
    ],
)
def test_report_that_breaks_the_contract(changes: dict[str, Any], path: str) -> None:
    with pytest.raises(ContractError) as caught:
        decode_report(json.dumps({**REPORT, **changes}))
    assert (caught.value.code, caught.value.path) == ("breaks_contract", path)


@pytest.mark.parametrize("raw", ["", "hello", "aGVsbG8=", "{", "\x00\x01", "e30", "<xml/>"])
def test_report_that_is_not_json(raw: str) -> None:
    with pytest.raises(ContractError) as caught:
        decode_report(raw)
    assert caught.value.code == "not_json"


def test_report_encoded_twice_is_refused() -> None:
    twice = base64.b64encode(encode_report(REPORT).encode())
    with pytest.raises(ContractError) as caught:
        decode_report(twice)
    assert caught.value.code == "nested_base64"


def test_report_nested_too_deep_is_refused() -> None:
    deep: Any = 1
    for _ in range(100):
        deep = [deep]
    with pytest.raises(ContractError):
        decode_report(json.dumps({**REPORT, "details": deep}))
    with pytest.raises(ContractError):
        decode_report('{"details":' + "[" * 20_000 + "]" * 20_000 + "}")


@pytest.mark.parametrize("number", [10**301, -(10**301)])
def test_report_with_a_number_that_the_host_can_not_read_is_refused(number: int) -> None:
    assert decode_report(json.dumps({**REPORT, "details": {"frames": 10**299}})).body["details"]["frames"] == 10**299
    with pytest.raises(ContractError, match="300 digits"):
        decode_report(json.dumps({**REPORT, "details": {"frames": number}}))


@given(
    st.one_of(
        st.binary(),
        st.text().map(str.encode),
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        ).map(lambda value: json.dumps(value).encode()),
    )
)
def test_any_bytes_give_a_contract_error_of_one_line(raw: bytes) -> None:
    for decode in (decode_start, decode_report, decode_request):
        with pytest.raises(ContractError) as caught:
            decode(raw)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("good", ["a", "job-1", "A_b.c", "9" * 100])
def test_instance_ids(good: str) -> None:
    assert is_instance_id(good)


@pytest.mark.parametrize("bad", ["", "a/b", "a b", ".", "..", "ä", "9" * 101, "a\n", "a?b", "@x"])
def test_what_is_no_instance_id(bad: str) -> None:
    assert not is_instance_id(bad)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://a/b?sv=1&sig=abc%2F+d&se=2", "http://a/b?sv=1&sig=hidden&se=2"),
        ("http://h/x?code=k==", "http://h/x?code=hidden"),
        (
            "AccountName=n;AccountKey=a/b+c==;EndpointSuffix=s",
            "AccountName=n;AccountKey=hidden;EndpointSuffix=s",
        ),
        ("https://user:pw@h/x", "https://h/x"),
        ("nothing to hide", "nothing to hide"),
        ("the code: 5 and encode=1", "the code: 5 and encode=1"),
    ],
)
def test_secrets_are_hidden(text: str, shown: str) -> None:
    assert hide_secrets(text) == shown


def test_one_line_is_the_first_that_says_something() -> None:
    assert one_line("\n  \n Activity failed:  ValueError: x \n {'$type': 1}") == "Activity failed:  ValueError: x"
    assert one_line(ValueError()) == "ValueError"
    assert one_line("a\x1b[31mb") == "a [31mb"
    assert len(one_line("x" * 9000)) == 500
