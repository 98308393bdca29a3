"""The commands of the documents, run as they are written, on other ports and with a state folder of their own."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from devhost.testing import TestHost
from tests.acceptance.processes import DevPy, copy_of_project, places, run
from tests.azurite import Azurite
from tests.documents import DOCUMENTS, ROOT, blocks
from tests.test_utils import DurableHelper
from tools.parts import StoragePorts, free_ports, is_open
from tools.supervisor import Part, Supervisor

README = ROOT / "README.md"
# The first line of each shell block of the documents; each of them is run by a test below.
DEMO = "python dev.py demo"
TEST = "python dev.py test"
UP = "python dev.py up"
UP_ALONE = "python dev.py up --no-worker"
CHECK = "python dev.py check"
START_JOB = 'curl -X POST "http://localhost:7071/api/orchestrators/video_orchestrator?instanceId=job-{}"'
FUNC = "npx azurite"
KERNEL = "python -m ipykernel install"
FAKE = "python -m worker.fake"
RECORD = "python -m devhost record"
BLOCKS = [DEMO, TEST, UP, UP_ALONE, CHECK, KERNEL, FUNC, FAKE, RECORD, START_JOB.format(1), START_JOB.format(2)]
GUIDE = ROOT / "doc" / "testing-durable-functions.md"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_of_project(tmp_path_factory.mktemp("project"))


def block(first: str, document: Path = README) -> list[str]:
    """The commands of the one block that begins with this one."""
    (found,) = [lines for lines in shell_blocks(document) if _begins(lines, first)]
    return found


def shell_blocks(document: Path) -> list[list[str]]:
    return [list(each.lines) for each in blocks(document) if each.language == "sh"]


def arguments_of_dev(first: str) -> list[str]:
    (line,) = block(first)
    return shlex.split(line)[2:]


@pytest.mark.parametrize("document", [pytest.param(each, id=each.name) for each in DOCUMENTS])
def test_each_block_is_run_by_a_test_here(document: Path) -> None:
    unknown = [lines for lines in shell_blocks(document) if not any(_begins(lines, first) for first in BLOCKS)]
    assert unknown == []


def test_the_demo_prints_what_the_readme_shows(project: Path) -> None:
    code, output = run(project, *arguments_of_dev(DEMO))
    assert code == 0, output
    (shown,) = [each.lines for each in blocks(README) if each.language == "text"]
    printed = iter([_without_what_varies(line, project) for line in output.splitlines()])
    for line in shown:
        assert line == "..." or _without_what_varies(line, project) in printed, line


def test_the_test_command_finds_the_tests(project: Path) -> None:
    code, output = run(project, *arguments_of_dev(TEST), "--collect-only", "-q", "tests/unit/test_readme.py")
    assert code == 0, output
    assert "test_the_two_commands_come_first" in output


async def _play(app: Path) -> None:
    async with TestHost(app, state=app / ".devhost") as host:
        await (await host.start_orchestration("expense", {"amount": 80, "seconds": 60}, "job-1")).result()


def test_a_history_is_recorded_and_replayed(tmp_path: Path) -> None:
    app = shutil.copytree(ROOT / "tests" / "apps" / "human_interaction", tmp_path / "my_app")
    asyncio.run(_play(app))
    folder = tmp_path / "histories" / "1.0.0"
    folder.mkdir(parents=True)
    for line in block(RECORD, GUIDE):
        command = [sys.executable, *shlex.split(line)[1:]]
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("ok   ")


def test_the_checks_pass(project: Path) -> None:
    code, output = run(project, *arguments_of_dev(CHECK))
    assert code == 0, output
    assert "All is well." in output


@pytest.mark.parametrize(("command", "number"), [(UP, 1), (UP_ALONE, 2)])
def test_a_job_by_curl(project: Path, tmp_path: Path, command: str, number: int) -> None:
    (port,) = free_ports(1)
    options = ["--port", str(port), "--storage-port", "0", "--state", str(tmp_path)]
    with DevPy(project, [*arguments_of_dev(command), *options]) as dev:
        dev.until("video_orchestration_starter: [POST]")
        blob_port = re.search(r"BlobEndpoint=http://[^:]*:(\d+)", dev.until("Storage is on other ports."))
        assert blob_port is not None
        payload = (project / "tests" / "data" / "payload.local.json").read_text("utf-8")
        (tmp_path / "payload.json").write_text(payload.replace(":10000/", f":{blob_port[1]}/"), "utf-8")

        here = {"7071": str(port), "tests/data/payload.local.json": str(tmp_path / "payload.json")}
        start, *reports, status = [_replaced(line, here) for line in block(START_JOB.format(number))]
        helper = DurableHelper(f"http://localhost:{port}", "unused")
        helper.links = _curl(start, project)
        assert helper.instance_id == f"job-{number}"
        for report in reports:
            assert _curl(report, project)["ok"] is True
        helper.monitor()
        shown = _curl(status, project)
        assert (shown["runtimeStatus"], shown["output"]["status"]) == ("Completed", "processed")

        dev.send(signal.SIGINT)
        assert dev.end() == 130
        assert dev.mark.commands() == []


@pytest.mark.parametrize("document", [README, ROOT / "doc" / "run-locally.md"], ids=["README", "run-locally"])
def test_the_parts_beside_func_start_on_their_own(document: Path, tmp_path: Path) -> None:
    azurite, func, worker = block(FUNC, document)
    # Core Tools are a download of their own and need .NET: what the app meets there is recorded in tests/data/golden.
    assert func == "func start"
    storage = StoragePorts(*free_ports(3))
    command = [*shlex.split(azurite.replace(".azurite", str(tmp_path))), "--blobPort", str(storage.blob)]
    command += ["--queuePort", str(storage.queue), "--tablePort", str(storage.table)]
    command[0] = shutil.which(command[0]) or command[0]
    part = Part("azurite", command, places().node_modules.parent, ready=lambda: all(map(is_open, storage.all())))
    with Supervisor(tmp_path / "logs") as supervisor:
        supervisor.start(part)
        environment = {"VideoStorage": storage.connection_string()}
        once = [sys.executable, *shlex.split(worker)[1:], "--once"]
        assert supervisor.run(Part("worker", once, ROOT, environment)) == 0
    assert "There is no request" in (tmp_path / "logs" / "worker.log").read_text("utf-8")


def test_the_misbehaving_worker_runs_until_it_is_stopped(azurite: Azurite) -> None:
    (line,) = block(FAKE, ROOT / "doc" / "run-locally.md")
    command = [sys.executable, *shlex.split(line)[1:], "--connection", azurite.connection_string]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as worker:
        assert worker.stderr is not None
        assert "Waiting for requests" in worker.stderr.readline()
        worker.send_signal(signal.SIGINT)
        assert "Stopped" in worker.communicate(timeout=60)[1]
    assert worker.returncode == 0


def test_the_kernel_of_the_notebook_is_installed_under_its_name(tmp_path: Path) -> None:
    (line,) = block(KERNEL, ROOT / "doc" / "run-locally.md")
    arguments = [each for each in shlex.split(line)[1:] if each != "--user"]
    subprocess.run([sys.executable, *arguments, "--prefix", str(tmp_path)], check=True, capture_output=True)
    spec = json.loads((tmp_path / "share/jupyter/kernels/my-durable-env/kernel.json").read_text("utf-8"))
    assert spec["display_name"] == "Python (Durable Project)"


def _begins(lines: list[str], first: str) -> bool:
    # The commands of dev.py are told apart by their options, the others are long and vary at their end.
    return lines[0] == first if first.startswith("python dev.py") else lines[0].startswith(first)


def _curl(line: str, folder: Path) -> dict[str, Any]:
    ended = subprocess.run(
        [*shlex.split(line), "--silent", "--show-error"], cwd=folder, check=True, capture_output=True, timeout=60
    )
    answer: dict[str, Any] = json.loads(ended.stdout)
    return answer


def _replaced(line: str, changes: dict[str, str]) -> str:
    for old, new in changes.items():
        line = line.replace(old, new)
    return line


def _without_what_varies(line: str, project: Path) -> str:
    line = line.replace(f"{project}/", "")
    line = re.sub(r"(after |\()\d+\.\d s", r"\1N s", line)
    line = re.sub(r":\d{4,5}/", ":PORT/", line)
    return re.sub(r"\b[0-9a-f]{32}\b", "ID", line)
