"""Loading an app: what is found, what is refused, and that another app can follow in the same process."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from devhost.functions import AppIndex, index_app, start_up_lines
from devhost.settings import HostSettings

HEAD = "import azure.functions as func, azure.durable_functions as df\napp = df.DFApp()\n"
Load = Callable[..., AppIndex]


@pytest.fixture
def load(tmp_path: Path) -> Iterator[Load]:
    """Index an app of these lines; `files` are further ones, `settings` its environment."""
    indexes: list[AppIndex] = []

    def load_app(lines: str, files: dict[str, str] | None = None, **settings: str) -> AppIndex:
        folder = tmp_path / f"app{len(indexes)}"
        for name, text in {"host.json": '{"version": "2.0"}', **(files or {})}.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
        (folder / "function_app.py").write_text(HEAD + lines, encoding="utf-8")
        environment = {"AzureWebJobsStorage": "UseDevelopmentStorage=true", **settings}
        index = index_app(HostSettings(folder, environment=environment))
        indexes.append(index)
        return index

    yield load_app
    for index in indexes:
        index.unload()


def test_functions_come_by_name_with_their_bindings(load: Load) -> None:
    index = load(
        "@app.queue_trigger(arg_name='msg', queue_name='q', connection='')\n"
        "@app.durable_client_input(client_name='client')\n"
        "async def zeta(msg, client): pass\n"
        "@app.orchestration_trigger(context_name='context')\ndef Beta(context): yield\n"
        "@app.activity_trigger(input_name='x')\ndef alpha(x): return x"
    )
    assert index.error is None
    assert [each.name for each in index.functions] == ["alpha", "Beta", "zeta"]
    zeta = index.functions[2]
    assert zeta.trigger_type == "queueTrigger"
    assert (zeta.is_async, zeta.entry_point, zeta.script_file) == (True, "zeta", "function_app.py")
    assert zeta.binding("CLIENT") == {"direction": "IN", "type": "durableClient", "name": "client"}
    assert [each.name for each in index.by_trigger("orchestrationtrigger")] == ["Beta"]


def test_two_apps_may_follow_each_other_with_modules_of_the_same_name(load: Load) -> None:
    lines = "from helper import answer\n@app.route()\ndef f(req): return answer"
    first = load(lines, {"helper.py": "answer = 'one'"})
    before = list(sys.path)
    assert first.functions[0].call(None) == "one"
    first.unload()
    assert "helper" not in sys.modules
    assert list(sys.path) != before
    second = load(lines, {"helper.py": "answer = 'two'"})
    assert second.functions[0].call(None) == "two"


def test_a_module_of_the_app_does_not_hide_the_standard_library(load: Load) -> None:
    index = load(
        "import colorsys\n@app.route()\ndef f(req): return colorsys.__file__",
        {"colorsys.py": "raise RuntimeError('not this one')"},
    )
    assert index.error is None


def test_the_script_may_have_another_name(load: Load) -> None:
    other = "import azure.functions as func\nfa = func.FunctionApp()\n@fa.route()\ndef f(req): return 'x'"
    index = load("raise RuntimeError('not read')", {"main_app.py": other}, PYTHON_SCRIPT_FILE_NAME="main_app.py")
    assert [each.script_file for each in index.functions] == ["main_app.py"]


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        ("import nope", "ModuleNotFoundError: No module named 'nope'"),
        ("def (", "SyntaxError"),
        ("import sys; sys.exit(2)", "SystemExit: 2"),
        ("other = app", "More than one DFApp or other top level function app instances are defined."),
        ("del app", "Could not find top level function app instances in function_app.py."),
        (
            "@app.route()\ndef f(req, other): pass",
            "cannot load the f function: the following parameters are declared in Python but not in "
            "function.json: {'other'}",
        ),
        (
            "@app.route()\n@app.queue_output(arg_name='out', queue_name='q', connection='')\ndef f(req): pass",
            "the following parameters are declared in function.json but not in Python: {'out'}",
        ),
        (
            "@app.route()\ndef f(req: func.QueueMessage): pass",
            '\'req\' binding type "httpTrigger" and dataType "None" in function.json do not match the '
            'corresponding function parameter\'s Python type annotation "QueueMessage"',
        ),
        ("@app.route()\ndef f(req: func.Out[str]): pass", 'declared to have the "in" direction'),
        (
            "@app.route()\n@app.queue_output(arg_name='out', queue_name='q', connection='')\n"
            "def f(req, out: str): pass",
            'declared to have the "out" direction',
        ),
        (
            "@app.route()\n@app.queue_output(arg_name='out', queue_name='q', connection='')\n"
            "def f(req, out: func.Out[list[str]]): pass",
            "binding out has invalid non-type annotation",
        ),
        (
            "@app.activity_trigger(input_name='x')\ndef f(x: dict[str, str]): pass",
            "binding x has invalid non-type annotation dict[str, str]",
        ),
        ("@app.route()\ndef f(req, context: int): pass", 'the "context" parameter is expected to be'),
        ("@app.route()\ndef f(req) -> int: pass", 'return annotation "int" does not match binding type "http"'),
        ("@app.orchestration_trigger(context_name='ctx')\ndef f(ctx): yield", "cannot load the f function"),
    ],
)
def test_what_the_worker_refuses_loses_the_app(load: Load, lines: str, text: str) -> None:
    index = load(lines)
    assert index.functions == []
    assert text in (index.error or "")


def test_a_missing_script_is_told_with_the_remedy(tmp_path: Path) -> None:
    index = index_app(HostSettings(tmp_path, environment={}))
    assert "There is no function_app.py" in (index.error or "")


@pytest.mark.parametrize("annotation", ["func.Out[str]", "func.Out[bytes]", "func.Out[func.QueueMessage]"])
def test_output_annotations_of_queues(load: Load, annotation: str) -> None:
    index = load(
        "@app.route()\n@app.queue_output(arg_name='out', queue_name='q', connection='')\n"
        f"def f(req, out: {annotation}): pass"
    )
    assert index.error is None
    converter = "generic" if "QueueMessage" not in annotation else "queue"
    assert index.functions[0].signature.outputs["out"].binding_type == converter


@pytest.mark.parametrize(
    ("queue", "connection", "text"),
    [
        ("%Q%", "", "Microsoft.Azure.WebJobs.Host: '%Q%' does not resolve to a value."),
        ("a", "", 'A queue name must have 3 to 63 characters - "a"'),
        ("a--b", "", "may not have two dashes in a row"),
        ("abc", "Nope", "connection string 'AzureWebJobsNope' does not exist."),
    ],
)
def test_what_the_host_refuses_loses_one_function(load: Load, queue: str, connection: str, text: str) -> None:
    index = load(
        f"@app.queue_trigger(arg_name='m', queue_name='{queue}', connection='{connection}')\ndef bad(m): pass\n"
        "@app.route()\ndef good(req): return 'x'"
    )
    bad, good = index.functions
    assert text in bad.errors[0]
    assert good.runs
    assert index.by_trigger("queueTrigger") == []


def test_a_bad_schedule_is_told_in_the_hosts_words(load: Load) -> None:
    index = load("@app.timer_trigger(arg_name='t', schedule='bogus')\ndef bad(t): pass")
    assert index.functions[0].errors == [
        "Microsoft.Azure.WebJobs.Host: Error indexing method 'Functions.bad'. "
        "Microsoft.Azure.WebJobs.Extensions: The schedule expression 'bogus' was not recognized as a valid "
        "cron expression or timespan string."
    ]


def test_disabled_and_filtered_functions_do_not_run(load: Load) -> None:
    settings = {
        "AzureWebJobs.one.Disabled": "true",
        "AzureWebJobs_two_Disabled": "1",
        "AzureFunctionsJobHost__functions__0": "ONE",
        "AzureFunctionsJobHost__functions__1": "three",
    }
    routes = "".join(f"@app.route()\ndef {name}(req): return 'x'\n" for name in ("one", "two", "three", "four"))
    index = load(routes, **settings)
    assert [each.name for each in index.by_trigger("httpTrigger")] == ["three"]
    assert {each.name for each in index.functions if each.disabled} == {"one", "two"}
    assert {each.name for each in index.functions if each.filtered_out} == {"two", "four"}


def test_a_name_asked_for_that_the_app_does_not_have_is_told(load: Load) -> None:
    index = load("@app.route()\ndef one(req):\n    return 'x'\n", AzureFunctionsJobHost__functions__0="nosuch")
    told = [text for _, _, text in start_up_lines(index, "api")]
    assert "Asked to run the function 'nosuch' only, but the app has none of that name." in told
