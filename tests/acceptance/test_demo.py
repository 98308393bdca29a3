"""`dev.py demo` in a copy of the project: what it shows, what it says when something breaks, what it leaves behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.processes import DevPy, copy_of_project, json_in, run
from tools.parts import StoragePorts, free_ports


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_of_project(tmp_path_factory.mktemp("project"))


def result(output: str) -> dict[str, Any]:
    shown: dict[str, Any] = json.loads("\n".join(json_in(output)))
    return shown


def test_the_demo_shows_the_motion_of_its_video(project: Path) -> None:
    code, output = run(project, "demo")
    assert code == 0, output
    shown = result(output)
    assert shown["status"] == "processed"
    segments = shown["report"]["details"]["segments"]
    assert [round(one["start_seconds"]) for one in segments] == [1, 4]
    assert (project / ".demo" / "contact-sheet.jpg").read_bytes().startswith(b"\xff\xd8")
    assert f"Contact sheet: {project / '.demo' / 'contact-sheet.jpg'}" in output
    assert list((project / ".demo").glob("run-*")) == []


def test_a_video_without_motion_has_no_segments(project: Path) -> None:
    code, output = run(project, "demo", "--still")
    assert code == 0, output
    assert result(output)["report"]["details"]["segments"] == []
    assert "Nothing moves in this video." in output


def test_a_file_that_is_no_video_ends_with_the_reason(project: Path, tmp_path: Path) -> None:
    text = tmp_path / "holiday.avi"
    text.write_text("this is no video")
    code, output = run(project, "demo", "--video", str(text))
    assert code == 1
    assert result(output)["status"] == "failed"
    assert "The video was not processed: failed" in output


def test_a_file_that_is_not_there_is_one_line(project: Path) -> None:
    code, output = run(project, "demo", "--video", "none.avi")
    assert (code, output) == (2, "dev.py: There is no file none.avi; --video needs the path of a video file.\n")


@pytest.mark.parametrize(
    ("when", "number"),
    [
        ("Video:", signal.SIGTERM),
        ("are ready", signal.SIGINT),
        ("started.", signal.SIGINT),
        ("started.", signal.SIGHUP),
    ],
)
def test_stopped_half_way_it_leaves_nothing_behind(project: Path, when: str, number: signal.Signals) -> None:
    with DevPy(project, ["demo"]) as dev:
        dev.until(when)
        dev.send(number)
        assert dev.end() == 130
        assert f"dev.py: Stopped by {number.name}." in dev.output
        assert dev.mark.commands() == []
    assert list((project / ".demo").glob("run-*")) == []


@pytest.mark.parametrize(("word", "name"), [("azurite", "azurite"), ("-m devhost", "devhost"), ("-m worker", "worker")])
def test_a_part_that_dies_ends_the_demo_with_the_reason(project: Path, word: str, name: str) -> None:
    with DevPy(project, ["demo"]) as dev:
        dev.until("are ready")
        dev.part(word).kill()
        assert dev.end() == 1
        assert (
            f"dev.py: {name} ended with exit code -9. The log is {project / '.demo' / 'logs' / name}.log" in dev.output
        )
        assert dev.mark.commands() == []


def test_storage_that_is_down_is_one_clear_line(project: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "tools.storage", "README.md", "videos/a.avi"],
        cwd=project,
        env={**os.environ, "VideoStorage": StoragePorts(*free_ports(3)).connection_string()},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stderr.startswith("The upload of README.md failed: ")
    assert ended.stderr.count("\n") == 1


def test_a_busy_port_is_one_clear_line(project: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        code, output = run(project, "up", "--port", str(port), "--storage-port", "0")
    assert code == 2
    assert output == f"dev.py: Port {port} is in use. Close what uses it, or choose another with --port (0 = any).\n"
