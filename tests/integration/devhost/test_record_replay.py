"""`python -m devhost record` and `replay`, with real apps and real state."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from devhost.cli import main
from devhost.testing import TestHost
from tests.record_histories import HISTORIES, NOW, record, version

ROOT = Path(__file__).parents[3]
APPS = ROOT / "tests" / "apps"
HUB = {"human_interaction": ("expense", {"amount": 80, "seconds": 60})}


@pytest.fixture
async def recorded(tmp_path: Path) -> Path:
    """The recording of an expense that nobody decided about, made by the command while the host runs."""
    file = tmp_path / "expense.json"
    async with TestHost(APPS / "human_interaction", now=NOW, state=tmp_path / "state") as host:
        job = await host.start_orchestration("expense", {"amount": 80, "seconds": 60}, instance_id="e1")
        await job.result()
        assert main(_record("e1", tmp_path, "-o", str(file))) == 0
    return file


def _record(instance: str, folder: Path, *more: str) -> list[str]:
    return ["record", instance, "--app", str(APPS / "human_interaction"), "--state", str(folder / "state"), *more]


def _changed_app(folder: Path, *changes: tuple[str, str]) -> Path:
    app = folder / "changed"
    shutil.copytree(APPS / "human_interaction", app)
    text = (app / "function_app.py").read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (app / "function_app.py").write_text(text, encoding="utf-8")
    return app


def test_a_recording_tells_all_of_an_execution(recorded: Path) -> None:
    content = json.loads(recorded.read_text(encoding="utf-8"))
    assert (content["format"], content["orchestrator"], content["instance_id"]) == (1, "expense", "e1")
    assert json.loads(json.loads(content["input"])) == {"amount": 80, "seconds": 60}
    assert (content["status"], json.loads(content["output"])) == ("Completed", "escalated: nobody decided about 80")
    assert content["history"][0]["EventType"] == 12


def test_the_same_code_replays_it(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(recorded), "--app", str(APPS / "human_interaction")]) == 0
    assert capsys.readouterr().out.endswith(f"ok   {recorded} (expense, 4 episodes)\n")


WRONG: dict[str, tuple[tuple[str, str], str]] = {
    "another activity": (
        ('call_activity("ask_manager"', 'call_activity("escalate"'),
        "event id 0: the history holds activity 'ask_manager', but the code now asks for activity 'escalate'",
    ),
    "one step more": (
        (
            "    context.set_custom_status(",
            '    yield context.call_activity("escalate", 1)\n    context.set_custom_status(',
        ),
        "at episode 2, event id 1: the history holds a timer, but the code now asks for activity 'escalate'",
    ),
    "one step less": (
        (
            '        outcome: str = yield context.call_activity("escalate", claim["amount"])\n',
            '        outcome = "late"\n',
        ),
        "event id 2: the history holds activity 'escalate', but the code no longer asks for it",
    ),
    "another end": (
        ("        return outcome", '        raise ValueError("no")'),
        "the history ends here as Completed, but the code now ends as Failed",
    ),
    "another orchestrator": (
        ("def expense(", "def claim("),
        "the app has no orchestrator 'expense' any more; it has 'claim'",
    ),
}


@pytest.mark.parametrize("change", WRONG)
def test_code_that_goes_another_way_is_told(
    change: str, recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    replacement, failure = WRONG[change]
    app = _changed_app(tmp_path, replacement)
    capsys.readouterr()
    assert main(["replay", str(recorded), "--app", str(app)]) == 1
    output = capsys.readouterr().out
    assert f"FAIL {recorded}: " in output
    assert failure in output
    assert "1 of 1 recordings do not replay. Jobs that are in flight would fail" in output


def test_another_output_is_only_a_note(recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    app = _changed_app(tmp_path, ("        return outcome", '        return "late"'))
    assert main(["replay", str(recorded), "--app", str(app)]) == 0
    assert 'note: the output is another one now: "late"' in capsys.readouterr().out


BAD: dict[str, tuple[str, str]] = {
    "not JSON": ("{", "is no JSON"),
    "no recording": ('{"hello": "world"}', "is no recording of format 1"),
    "half of one": ('{"format": 1, "orchestrator": "x"}', "lacks version, instance_id"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_file_that_is_no_recording(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text, problem = BAD[kind]
    (tmp_path / "x.json").write_text(text)
    assert main(["replay", str(tmp_path)]) == 2
    assert problem in (error := capsys.readouterr().err)
    assert "python -m devhost record INSTANCE" in error


def test_what_can_not_be_replayed_or_recorded_is_told(
    recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    tries: list[tuple[list[str], str]] = [
        (["replay", str(tmp_path / "none.json")], "can't be read"),
        (["replay", str(tmp_path / "empty")], "There is no recording (*.json) in"),
        (_record("e2", tmp_path), "There is no instance 'e2'. The newest are: 'e1'."),
        (_record("e1", tmp_path, "-o", str(recorded)), "is there already"),
        (_record("e1", tmp_path, "--hub", "Other"), "There is no task hub in"),
    ]
    for arguments, problem in tries:
        assert main(arguments) == 2, arguments
        assert problem in capsys.readouterr().err


def test_settings_that_can_not_be_read_are_told(
    recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    app = _changed_app(tmp_path)
    (app / "local.settings.json").write_text("{")
    for arguments in (
        ["replay", str(recorded), "--app", str(app)],
        ["record", "e1", "--app", str(app), "--state", str(tmp_path / "state"), "-o", "-"],
    ):
        capsys.readouterr()
        assert main(arguments) == 2, arguments
        assert "local.settings.json" in (error := capsys.readouterr().err)
        assert "Traceback" not in error


def test_what_the_app_prints_is_not_among_the_results(
    recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    app = _changed_app(
        tmp_path, ("    context.set_custom_status(", '    print("hello")\n    context.set_custom_status(')
    )
    capsys.readouterr()
    assert main(["replay", str(recorded), "--app", str(app)]) == 0
    output = capsys.readouterr()
    assert output.out == f"ok   {recorded} (expense, 4 episodes)\n"
    assert "hello" in output.err


def test_recording_leaves_the_state_as_it_is(recorded: Path, tmp_path: Path) -> None:
    (state,) = (tmp_path / "state").glob("*.db")
    before = state.read_bytes()
    assert main(_record("e1", tmp_path, "-o", "-")) == 0
    assert state.read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"this is no database, and never was one"])
def test_what_is_no_state_is_told_and_left_alone(
    content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "state").mkdir()
    file = tmp_path / "state" / "other.db"
    file.write_bytes(content)
    assert main(_record("e1", tmp_path, "--hub", "other")) == 2
    assert "other.db can't be read" in capsys.readouterr().err
    assert file.read_bytes() == content


def test_every_recorded_history_of_our_app_still_replays(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(HISTORIES), "--app", str(ROOT)]) == 0, capsys.readouterr().out


async def test_the_recordings_of_the_version_in_work_are_those_of_today(tmp_path: Path) -> None:
    def contents(folder: Path) -> dict[str, Any]:
        return {file.name: json.loads(file.read_text(encoding="utf-8")) for file in folder.glob("*.json")}

    await record(tmp_path)
    assert contents(tmp_path) == contents(HISTORIES / version()), "run python -m tests.record_histories"
