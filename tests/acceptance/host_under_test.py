"""The host that the acceptance tests of apps meet: devhost, a real `func`, or one that runs already.

`--functions-host` chooses it. The tests talk to it over HTTP (and Storage queues) only.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
import requests

from tests.azurite import Azurite

ROOT = Path(__file__).parents[2]
APPS = ROOT / "tests" / "apps"
MANAGEMENT = "/runtime/webhooks/durabletask"
DEVHOST, FUNC = "devhost", "func"
OPTION = "--functions-host"
STORAGE_SETTING = "AzureWebJobsStorage"
STORAGE_SETTINGS = (STORAGE_SETTING, "VideoStorage")
# A real host takes 9 to 13 s on two cores, and longer when it fetches its extensions first.
_START_SECONDS = {DEVHOST: 20, FUNC: 180}
_PATIENCE = 30
_STOP_SECONDS = 20
_PAUSE = 0.02
_FINAL = ("Completed", "Failed", "Terminated", "Canceled")
_FUNCTION_NAME = re.compile(r"^(?:async )?def (\w+)\(", re.MULTILINE)

Found = TypeVar("Found")
Json = dict[str, Any]


def wait_until(look: Callable[[], Found | None], what: str, seconds: float = _PATIENCE) -> Found:
    """What `look` returns once that is true. Fails with `what` (or what `what` led to last) after `seconds`."""
    end = time.monotonic() + seconds
    while not (found := look()):
        if time.monotonic() > end:
            pytest.fail(f"not within {seconds} s: {what}")
        time.sleep(_PAUSE)
    return found


@dataclass(frozen=True)
class Instance:
    """An orchestration instance as its status URL shows it."""

    host: RunningHost
    id: str

    def status(self, **options: str) -> Json:
        """The status; `showHistory="true"` and the like are passed on."""
        shown: Json = self.host.json("GET", f"{MANAGEMENT}/instances/{self.id}", params=options)
        return shown

    def until(self, reached: Callable[[Json], object], what: str) -> Json:
        """The status once `reached` is true of it; fails as soon as the instance has ended without that."""
        seen: Json = {}

        def look() -> bool:
            seen.clear()
            seen.update(self.status())
            if reached(seen):
                return True
            if seen["runtimeStatus"] in _FINAL:
                pytest.fail(f"ended before {what}: {seen}")
            return False

        wait_until(look, f"{what}, instance {self.id}")
        return seen

    def end(self) -> Json:
        """The status once the instance has ended, however it ended."""
        return self.until(lambda status: status["runtimeStatus"] in _FINAL, "the end")

    def output(self) -> Any:
        """The output, once it is Completed."""
        status = self.end()
        assert status["runtimeStatus"] == "Completed", status
        return status["output"]

    def history(self) -> list[Json]:
        """The rows of the history with outputs."""
        rows: list[Json] = self.status(showHistory="true", showHistoryOutput="true")["historyEvents"]
        return rows


class RunningHost:
    """HTTP client of a running app. `storage` is the connection string of the storage it uses, if any."""

    def __init__(self, url: str, storage: str | None) -> None:
        self.url, self.storage = url.rstrip("/"), storage
        self._session = requests.Session()

    def close(self) -> None:
        self._session.close()

    def request(self, method: str, path: str, **options: Any) -> requests.Response:
        return self._session.request(method, self.url + path, timeout=_PATIENCE, **options)

    def json(self, method: str, path: str, **options: Any) -> Any:
        """The JSON of an answer that is a success."""
        answer = self.request(method, path, **options)
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json()

    def start(self, path: str, **options: Any) -> Instance:
        """POST to a route that starts an orchestration and answers with its check-status response."""
        answer = self.request("POST", path, **options)
        assert answer.status_code == 202, f"POST {path}: {answer.status_code} {answer.text}"
        links = answer.json()
        assert answer.headers["Location"].split("?")[0].endswith(f"/instances/{links['id']}")
        return self.instance(links["id"])

    def instance(self, instance_id: str) -> Instance:
        return Instance(self, instance_id)

    def functions(self) -> set[str]:
        """The names of the functions the host runs."""
        return {each["name"] for each in self.json("GET", "/admin/functions")}


@contextmanager
def running_app(app: str | Path, choice: str, folder: Path, storage: str | None) -> Iterator[RunningHost]:
    """The app of `tests/apps/<app>`, or of a whole path, on the chosen host: `devhost`, `func` or a URL.

    `folder` takes the state and the log of a host that is started here; `storage` is the connection string of the
    storage for it. Skips when there is no `func`, or when the URL runs another app.
    """
    if choice in (DEVHOST, FUNC):
        with _started(APPS / app, choice, folder, storage) as host:
            yield host
        return
    with _client(choice, storage) as host:
        if (found := host.functions()) != (wanted := _names(APPS / app)):
            pytest.skip(f"{choice} runs another app: it has {sorted(found)}, not {sorted(wanted)}")
        yield host


@contextmanager
def _started(app_dir: Path, choice: str, folder: Path, storage: str | None) -> Iterator[RunningHost]:
    port = free_port()
    command, cwd = _command(choice, app_dir, port, folder)
    # func takes the first `python` of the path as the one for the functions.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, **(dict.fromkeys(STORAGE_SETTINGS, storage) if storage else {})}
    log_file = folder / "log.txt"
    with log_file.open("w", encoding="utf-8") as log:
        process = subprocess.Popen(command, cwd=cwd, env=environment, stdout=log, stderr=log, start_new_session=True)
        try:
            with _client(f"http://127.0.0.1:{port}", storage) as host:
                _await_start(process, host, _names(app_dir), choice, log_file)
                yield host
        finally:
            stop(process)
    if choice == DEVHOST:
        assert_clean_stop(process, log_file)


def local_storage() -> str:
    """For a host that runs already: what AzureWebJobsStorage says here, else Azurite on its usual ports."""
    usual = Azurite(Path(), {"blob": 10000, "queue": 10001, "table": 10002}).connection_string
    return os.environ.get(STORAGE_SETTING, usual)


def stop(process: subprocess.Popen[Any]) -> None:
    """End a host and what it started; a kill if it does not listen."""
    if process.poll() is not None:
        return
    _signal(process, signal.SIGTERM)
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def assert_clean_stop(process: subprocess.Popen[Any], log_file: Path) -> None:
    """devhost ended by itself when it was asked to; Windows can only end it by force."""
    if os.name == "posix":
        assert process.returncode == 0, log_file.read_text(encoding="utf-8")


def free_port() -> int:
    """A port that was free just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _signal(process: subprocess.Popen[Any], number: signal.Signals) -> None:
    if os.name == "posix":
        os.killpg(process.pid, number)  # func has workers of its own
    else:
        process.terminate()


def _command(choice: str, app_dir: Path, port: int, folder: Path) -> tuple[list[str], Path]:
    """The command line and the folder to run it in."""
    if choice == FUNC:
        func = shutil.which("func")
        if func is None:
            pytest.skip("Azure Functions Core Tools (func) is not on PATH")
        return [func, "start", "--port", str(port)], app_dir
    options = ["--app", str(app_dir), "--port", str(port), "--state", str(folder / "state")]
    return [sys.executable, "-m", "devhost", "start", *options], ROOT


@contextmanager
def _client(url: str, storage: str | None) -> Iterator[RunningHost]:
    host = RunningHost(url, storage)
    try:
        yield host
    finally:
        host.close()


def _await_start(
    process: subprocess.Popen[Any], host: RunningHost, wanted: set[str], choice: str, log_file: Path
) -> None:
    def look() -> bool:
        if process.poll() is not None:
            pytest.fail(f"{choice} ended with {process.returncode}: {log_file.read_text(encoding='utf-8')}")
        try:
            status = host.request("GET", "/admin/host/status")
        except requests.ConnectionError:
            return False
        return status.ok and status.json()["state"] == "Running" and host.functions() == wanted

    wait_until(look, f"{choice} runs {sorted(wanted)}", _START_SECONDS[choice])


def _names(app_dir: Path) -> set[str]:
    """The functions of an app, all of which are named as in Python."""
    files = [app_dir / "function_app.py"] if app_dir == ROOT else app_dir.rglob("*.py")
    return {name for file in files for name in _FUNCTION_NAME.findall(file.read_text("utf-8"))}
