"""The worker's command line: help, and misuse told in one line."""

from pathlib import Path

import pytest

from worker.cli import main


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    return capsys.readouterr().err


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    assert "--once" in capsys.readouterr().out


@pytest.mark.parametrize(
    "option", [("--poll", "0"), ("--poll", "soon"), ("--visibility", "0"), ("--visibility", "1.5"), ("--nonsense",)]
)
def test_bad_options(option: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert option[0] in refused(capsys, *option)


def test_no_account(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("VideoStorage", "STORAGE_CONNECTION_STRING"):
        monkeypatch.delenv(name, raising=False)
    assert "--connection" in refused(capsys, "--once")


def test_malformed_connection_string(capsys: pytest.CaptureFixture[str]) -> None:
    assert "connection string" in refused(capsys, "--connection", "nonsense")
