"""Apps, settings and states that can't be used: `python -m devhost start` says why, and runs what can run.

The texts are those of the real host where it has one.
"""

from __future__ import annotations

import json
import re
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import requests

from devhost.durable import sql
from devhost.durable.store import Store
from tests.acceptance.host_under_test import ROOT, RunningHost, assert_clean_stop, free_port, stop, wait_until

HEAD = """
import azure.functions as func
import azure.durable_functions as df

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)

@app.route(route="good")
def good(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse("good")
"""
HOST_JSON = '{"version": "2.0"}'
_SECONDS = 20


def app_folder(folder: Path, files: Mapping[str, str | None]) -> Path:
    """An app of one good function; `files` are laid over it, None takes one away."""
    for name, text in {"function_app.py": HEAD, "host.json": HOST_JSON, **files}.items():
        if text is not None:
            (folder / name).write_text(text, encoding="utf-8")
    return folder


def command(app: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "devhost", "start", "--app", str(app), *options]


def refusal(app: Path, *options: str, state: str = ":memory:") -> str:
    """What devhost says before it ends by itself with exit code 1; its own insides are not in it."""
    port = [] if "--port" in options else ["--port", str(free_port())]
    ended = subprocess.run(
        command(app, "--state", state, *port, *options),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=_SECONDS,
        encoding="utf-8",
        check=False,
    )
    assert ended.returncode == 1, ended.stdout
    assert f"{ROOT / 'devhost'}" not in ended.stdout
    return ended.stdout


class RunningDevhost(RunningHost):
    """devhost with its output so far."""

    def __init__(self, url: str, log: Path) -> None:
        super().__init__(url, None)
        self._log = log

    @property
    def output(self) -> str:
        return self._log.read_text(encoding="utf-8")


@contextmanager
def running(app: Path, log: Path) -> Iterator[RunningDevhost]:
    """devhost with this app, which can't be used in part; at the end it stops as a healthy one does."""
    port = free_port()
    with log.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(
            command(app, "--state", ":memory:", "--port", str(port)),
            cwd=ROOT,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
        host = RunningDevhost(f"http://127.0.0.1:{port}", log)
        try:

            def look() -> bool:
                assert process.poll() is None, host.output
                try:
                    return host.request("GET", "/admin/host/status").ok
                except requests.ConnectionError:
                    return False

            wait_until(look, "devhost answers", _SECONDS)
            yield host
        finally:
            host.close()
            stop(process)
    assert_clean_stop(process, log)
    assert "Traceback" not in host.output


# --- nothing can run ---------------------------------------------------------------------------------------------

LOST_APPS = {
    "a syntax error": ("def (", r"SyntaxError: invalid syntax \(function_app\.py, line 1\)"),
    "a missing module": ("import no_such_module", r"ModuleNotFoundError: No module named 'no_such_module'"),
    "a missing name": ("from json import nothing", r"ImportError: cannot import name 'nothing' from 'json'"),
    "an error at import": ("raise ValueError('no config')", r"ValueError: no config"),
    "an exit at import": ("import sys; sys.exit(3)", r"SystemExit: 3"),
    "no app": ("answer = 42", r"Could not find top level function app instances in function_app\.py\."),
    "two apps": (
        HEAD + "other = func.FunctionApp()",
        r"More than one \w+ or other top level function app instances are defined\.",
    ),
    "one app under two names": (
        HEAD + "application = app",
        r"More than one \w+ or other top level function app instances are defined\.",
    ),
    "two functions of one name": (
        HEAD + "@app.route(route='again')\ndef good(req): return 'again'",
        r"Function good does not have a unique function name\. "
        r"Please change @app\.function_name\(\) or the function method name to be unique\.",
    ),
    "a function without trigger": (
        HEAD + "@app.queue_output(arg_name='out', queue_name='abc', connection='')\ndef bad(out): pass",
        r"Function bad does not have a trigger\. A valid function must have one and only one trigger registered\.",
    ),
    "a parameter of another name": (
        HEAD + "@app.activity_trigger(input_name='given')\ndef bad(taken): pass",
        r"cannot load the bad function: the following parameters are declared in Python but not in function\.json: "
        r"\{'taken'\}",
    ),
    "an annotation that the worker refuses": (
        HEAD + "@app.activity_trigger(input_name='given')\ndef bad(given: dict[str, str]): pass",
        r"cannot load the bad function: binding given has invalid non-type annotation dict\[str, str\]",
    ),
}


@pytest.mark.parametrize(("source", "text"), LOST_APPS.values(), ids=LOST_APPS)
def test_an_app_that_cannot_be_loaded_ends_devhost_with_the_reason(tmp_path: Path, source: str, text: str) -> None:
    said = refusal(app_folder(tmp_path, {"function_app.py": source}))
    assert "No job functions found." in said  # the real host's only word on it
    assert re.search(text, said)


def test_an_error_in_another_file_is_told_with_file_and_line(tmp_path: Path) -> None:
    app = app_folder(tmp_path, {"function_app.py": HEAD + "import orders", "orders.py": "\n\nraise KeyError('shop')"})
    assert f'File "{app / "orders.py"}", line 3' in refusal(app)


# --- some functions can run --------------------------------------------------------------------------------------

INDEXING = "Microsoft.Azure.WebJobs.Host: Error indexing method 'Functions.{}'. "
STORAGE = "Microsoft.Azure.WebJobs.Extensions.Storage: "
BAD_FUNCTIONS = {
    "underscore": (
        "@app.activity_trigger(input_name='my_input')\ndef underscore(my_input): pass",
        "The binding name my_input is invalid. Please assign a valid name to the binding.",
    ),
    "1st": (
        "@app.function_name(name='1st')\n@app.route(route='first')\ndef first(req): pass",
        "'1st' is not a valid function name.",
    ),
    "unset": (
        "@app.queue_trigger(arg_name='msg', queue_name='%NOT_SET%', connection='AzureWebJobsStorage')\n"
        "def unset(msg): pass",
        INDEXING.format("unset") + "Microsoft.Azure.WebJobs.Host: '%NOT_SET%' does not resolve to a value.",
    ),
    "unconnected": (
        "@app.queue_trigger(arg_name='msg', queue_name='orders', connection='Nowhere')\ndef unconnected(msg): pass",
        INDEXING.format("unconnected") + STORAGE + "Storage account connection string 'AzureWebJobsNowhere' does not "
        "exist. Make sure that it is a defined App Setting.",
    ),
    "misnamed": (
        "@app.queue_trigger(arg_name='msg', queue_name='no_good!', connection='')\ndef misnamed(msg): pass",
        INDEXING.format("misnamed") + STORAGE + "A queue name can contain only letters, numbers, and dash(-) "
        "characters - \"no_good!\" (Parameter 'name').",
    ),
    "never": (
        "@app.timer_trigger(arg_name='timer', schedule='bogus')\ndef never(timer): pass",
        INDEXING.format("never") + "Microsoft.Azure.WebJobs.Extensions: The schedule expression 'bogus' was not "
        "recognized as a valid cron expression or timespan string.",
    ),
    "unknown": (
        "@app.generic_trigger(arg_name='it', type='noSuchTrigger')\ndef unknown(it): pass",
        "The binding type(s) 'noSuchTrigger' are not registered. Please ensure the type is correct and the binding "
        "extension is installed.",
    ),
    "late": (
        "@app.route(route='good')\ndef late(req): pass",
        "The route specified conflicts with the route defined by function 'good'.",
    ),
}
# A bad name also takes the function out of the list.
UNLISTED = {"underscore", "1st"}


@pytest.fixture(scope="module")
def partly_good(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDevhost]:
    """An app with all of these, and one good function."""
    folder = tmp_path_factory.mktemp("partly_good")
    source = "\n\n".join([HEAD, *(lines for lines, _ in BAD_FUNCTIONS.values())])
    local = {"IsEncrypted": False, "Values": {"AzureWebJobsStorage": "UseDevelopmentStorage=true"}}
    app = app_folder(folder, {"function_app.py": source, "local.settings.json": json.dumps(local)})
    with running(app, folder / "log.txt") as host:
        yield host


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, (_, text) in BAD_FUNCTIONS.items()])
def test_a_function_in_error_is_told_and_left_out(partly_good: RunningDevhost, name: str, text: str) -> None:
    assert f"The '{name}' function is in error: {text}\n" in partly_good.output
    assert partly_good.json("GET", f"/admin/functions/{name}/status") == {"errors": [text]}
    listed = f"\n\t{name}:" in partly_good.output
    assert not listed


def test_the_good_function_beside_them_runs(partly_good: RunningDevhost) -> None:
    assert partly_good.request("GET", "/api/good").text == "good"
    assert partly_good.json("GET", "/admin/functions/good/status") == {}
    assert partly_good.functions() == {"good", *BAD_FUNCTIONS} - UNLISTED
    assert partly_good.json("GET", "/admin/host/status")["state"] == "Running"


# --- the host is in state Error ----------------------------------------------------------------------------------

BROKEN_HOSTS = {
    "host.json is no JSON": ({"host.json": "{nope"}, "host.json is not valid JSON: "),
    "host.json is empty": ({"host.json": ""}, "host.json is not valid JSON: Expecting value, line 1, column 1"),
    "host.json is no object": ({"host.json": "[]"}, "host.json must hold one JSON object"),
    "another version": (
        {"host.json": '{"version": "3.0"}'},
        "'3.0' is an invalid value for host.json 'version' property.",
    ),
    "no version": ({"host.json": "{}"}, "The host.json file is missing the required 'version' property."),
    "a bad value": (
        {"host.json": '{"version": "2.0", "functionTimeout": "soon"}'},
        "host.json: functionTimeout must be a time span such as 00:05:00, not 'soon'.",
    ),
    "a task hub's setting is unset": (
        {"host.json": '{"version": "2.0", "extensions": {"durableTask": {"hubName": "%NOT_SET%"}}}'},
        "'%NOT_SET%' does not resolve to a value.",
    ),
    "names that differ in case only": (
        {"function_app.py": HEAD + "@app.route(route='again')\ndef Good(req): pass"},
        "The names 'good' and 'Good' differ in case only: rename one of the two functions.",
    ),
    "a malformed route": (
        {"function_app.py": HEAD + "@app.route(route='a/{b')\ndef bad(req): pass"},
        "The route of function 'bad' is malformed: ",
    ),
}


@pytest.mark.parametrize(("files", "text"), BROKEN_HOSTS.values(), ids=BROKEN_HOSTS)
def test_a_host_in_error_answers_503_and_says_why(tmp_path: Path, files: dict[str, str | None], text: str) -> None:
    with running(app_folder(tmp_path, files), tmp_path / "log.txt") as host:
        status = host.json("GET", "/admin/host/status")
        assert status["state"] == "Error"
        assert status["errors"]
        assert host.request("GET", "/api/good").status_code == 503
        assert text in host.output
        assert "The host is in state Error and answers every request with 503:" in host.output
        assert "No job functions found." not in host.output


# --- devhost can't start -----------------------------------------------------------------------------------------

BAD_STARTS: dict[str, tuple[dict[str, str | None], str]] = {
    "local.settings.json is no JSON": (
        {"local.settings.json": "{nope"},
        "local.settings.json is not valid JSON: Expecting property name enclosed in double quotes, line 1, column 2",
    ),
    "local.settings.json is encrypted": ({"local.settings.json": "{}"}, 'Set "IsEncrypted": false in it'),
    "a value is no text": (
        {"local.settings.json": '{"IsEncrypted": false, "Values": {"A": {}}}'},
        "the value of 'A' must be a text, not an object or a list.",
    ),
    "LocalHttpPort is no port": (
        {"local.settings.json": '{"IsEncrypted": false, "Host": {"LocalHttpPort": "x"}}'},
        "local.settings.json: Host.LocalHttpPort: 'x' is not a port (0 to 65535).",
    ),
    "there is no host.json": ({"host.json": None}, "Unable to find project root. Expecting to find host.json in "),
}


@pytest.mark.parametrize(("files", "text"), BAD_STARTS.values(), ids=BAD_STARTS)
def test_a_start_that_cannot_be_is_told_in_one_line(tmp_path: Path, files: dict[str, str | None], text: str) -> None:
    app = app_folder(tmp_path, files)
    # LocalHttpPort counts only without --port.
    ended = subprocess.run(command(app), cwd=ROOT, capture_output=True, timeout=_SECONDS, encoding="utf-8", check=False)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert text in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_an_app_without_function_app_is_told_with_the_remedy(tmp_path: Path) -> None:
    said = refusal(app_folder(tmp_path, {"function_app.py": None}))
    assert f"There is no function_app.py in {tmp_path}. Start in the folder of the app, or name it with --app" in said


def test_a_missing_app_folder_is_told(tmp_path: Path) -> None:
    said = refusal(tmp_path / "nowhere")
    assert said == (
        f"Unable to find project root. Expecting to find host.json in {tmp_path / 'nowhere'}. "
        "Start in the folder of the app, or name it with --app.\n"
    )


def test_a_taken_port_is_told_as_func_does(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = refusal(app_folder(tmp_path, {}), "--port", str(port))
    assert said == (
        f"Port {port} is unavailable. Close the process using that port, or specify another port using --port [-p].\n"
    )


def test_an_address_of_another_machine_is_told(tmp_path: Path) -> None:
    said = refusal(app_folder(tmp_path, {}), "--address", "203.0.113.1")
    assert said.startswith("Can't listen on 203.0.113.1: ")
    assert said.endswith("See --address.\n")


def test_a_state_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    app, state = app_folder(tmp_path, {}), tmp_path / "state"
    file = state / "testhubname.db"
    Store(file).close()
    newer = sql.SCHEMA_VERSION + 1
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("UPDATE meta SET value = ? WHERE key = 'schema'", (str(newer),))
    before = file.read_bytes()
    assert refusal(app, state=str(state)) == (
        f"The state in {file} has version {newer}, this devhost knows {sql.SCHEMA_VERSION}. "
        "Update devhost, or choose another folder with --state.\n"
    )
    assert file.read_bytes() == before


def test_keys_that_cannot_be_read_are_told_with_the_remedy(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    (state / "keys.json").write_text("{nope", encoding="utf-8")
    said = refusal(app_folder(tmp_path, {}), state=str(state))
    assert said.startswith(f"The keys in {state / 'keys.json'} can't be read")
    assert said.endswith("delete the file for new keys.\n")
