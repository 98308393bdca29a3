"""No secret reaches a line that people may read."""

import logging
import sys
from collections.abc import Iterator

import pytest

from video_jobs import redaction
from video_jobs.redaction import guard_logs, hide_secrets

SECRETS = [
    "https://a.blob.core.windows.net/v/a.avi?sv=2026&sig=SeCrEt%2Fx%3D&se=2027",
    "https://a/v?sig=SeCrEt",
    '{"blobURL": "https://a/v?sv=1\\u0026sig=SeCrEt"}',
    "https://a/redirect?to=https%3A%2F%2Fa%2Fv%3Fsv%3D1%26sig%3DSeCrEt%26se%3D2",
    "https://a/redirect?to=%3Fsig%3dSeCrEt",
    "DefaultEndpointsProtocol=https;AccountName=x;AccountKey=SeCrEt+/==;EndpointSuffix=core.windows.net",
    "Endpoint=sb://x/;SharedAccessKeyName=n;SharedAccessKey=SeCrEt=",
    "BlobEndpoint=https://x/;SharedAccessSignature=sv=SeCrEt&sig=SeCrEt",
    "http://localhost:7071/runtime/webhooks/durabletask/instances/a?taskHub=x&connection=Storage&code=SeCrEt",
    "https://user:SeCrEt@host/path",
    "Password=SeCrEt;Pwd=SeCrEt",
    "headers: {'x-functions-key': 'SeCrEt'}",
    "x-functions-key: SeCrEt",
    "Authorization: Bearer SeCrEt.SeCrEt",
    "{'Authorization': 'SharedKey account:SeCrEt='}",
    '{"AccountKey": "SeCrEt"}',
    '"{\\"AccountKey\\": \\"SeCrEt\\"}"',
]
HARMLESS = [
    "Job job-1 ended as failed in step worker: bad_video: no frames",
    '{"error": {"code": "no_space", "message": "full"}}',
    "design=1 resign=2 barcode=3 decode=4",
    "the password was not asked for",
    "https://a.example/v/a.avi?sv=2026&se=2027",
    "AccountName=x;EndpointSuffix=core.windows.net",
]


@pytest.mark.parametrize("text", SECRETS)
def test_secret_is_hidden(text: str) -> None:
    shown = hide_secrets(text)
    assert "SeCrEt" not in shown
    assert hide_secrets(shown) == shown


@pytest.mark.parametrize("text", HARMLESS)
def test_what_is_no_secret_stays(text: str) -> None:
    assert hide_secrets(text) == text


def test_what_stands_around_a_secret_stays() -> None:
    assert hide_secrets(SECRETS[0]).endswith("?sv=2026&sig=hidden&se=2027")
    assert hide_secrets(SECRETS[5]) == (
        "DefaultEndpointsProtocol=https;AccountName=x;AccountKey=hidden;EndpointSuffix=core.windows.net"
    )


@pytest.fixture
def guarded() -> Iterator[logging.Logger]:
    """A logger as a library has it, in a process with the guard."""
    before = logging.getLogRecordFactory()
    guard_logs()
    yield logging.getLogger("some.library")
    logging.setLogRecordFactory(before)


@pytest.mark.parametrize("text", SECRETS)
def test_record_of_a_library(guarded: logging.Logger, caplog: pytest.LogCaptureFixture, text: str) -> None:
    guarded.warning("GET %s took %d ms", text, 7)
    guarded.warning(text)
    assert "SeCrEt" not in caplog.text
    assert "took 7 ms" in caplog.text


def test_traceback_of_a_library(guarded: logging.Logger, caplog: pytest.LogCaptureFixture) -> None:
    try:
        raise ValueError(SECRETS[0])
    except ValueError:
        guarded.exception("it failed", stack_info=True)
    assert "SeCrEt" not in caplog.text
    assert "ValueError: https://a.blob.core.windows.net/v/a.avi?sv=2026&sig=hidden" in caplog.text
    assert "test_traceback_of_a_library" in caplog.text


def test_harmless_records_are_left_as_they_are(guarded: logging.Logger, caplog: pytest.LogCaptureFixture) -> None:
    guarded.warning("%s and %s", "one", "two")
    (record,) = caplog.records
    assert (record.msg, record.args) == ("%s and %s", ("one", "two"))


def test_record_with_the_wrong_arguments_is_left_to_logging(
    guarded: logging.Logger, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    handler = logging.StreamHandler(sys.stderr)
    monkeypatch.setattr(guarded, "handlers", [handler])
    monkeypatch.setattr(guarded, "propagate", False)
    guarded.warning("%s and %s", "one")
    assert "not enough arguments" in capsys.readouterr().err


def test_guard_is_set_up_once(guarded: logging.Logger) -> None:
    factory = logging.getLogRecordFactory()
    redaction.guard_logs()
    assert logging.getLogRecordFactory() is factory
