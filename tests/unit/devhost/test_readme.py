"""devhost/README.md tells the truth: its options, files, tests, commands and examples are there and work."""

from __future__ import annotations

import ast
import json
import re
import shlex
from argparse import ArgumentParser, _SubParsersAction
from functools import cache
from pathlib import Path

import pytest

from devhost import cli
from tests import documents
from tests.documents import ROOT
from tests.integration.devhost.test_sdk_surface import SURFACE, members

README = ROOT / "devhost" / "README.md"
TESTS = ROOT / "tests"
_TEST = re.compile(r"(?:(\w+\.py)::)?(test_\w+)")
_OPTION = re.compile(r"--?[A-Za-z][\w-]*")
_ROW = re.compile(r"^\| `(\w+)` \| `(test_\w+)` \|$", re.MULTILINE)
OF_PIP = "pip install "
# Paths of the reader's own project, or made by running.
OF_THE_READER = {"function_app.py", "my_app/function_app.py", "my_app/host.json", "host.json", "local.settings.json"}
OF_THE_READER |= {".vscode/launch.json", "timers.json", "keys.json", "api/greet"}


def start_parser() -> ArgumentParser:
    commands = next(action for action in cli.build_parser()._actions if isinstance(action, _SubParsersAction))
    parser = commands.choices["start"]
    assert isinstance(parser, ArgumentParser)
    return parser


@cache
def defined_tests() -> dict[str, set[str]]:
    """The tests of each file, by its name."""
    found: dict[str, set[str]] = {}
    for path in TESTS.rglob("test_*.py"):
        kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
        names = {node.name for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, kinds)}
        found.setdefault(path.name, set()).update(names)
    return found


def test_each_test_that_is_named_exists() -> None:
    named = [_TEST.fullmatch(code) for code in documents.code(README)]
    tests = [(found[1] or "test_sdk_surface.py", found[2]) for found in named if found]
    assert len(tests) > 60
    for file, test in tests:
        assert test in defined_tests()[file], (file, test)


def test_each_member_of_the_sdk_is_in_the_tables_with_its_test() -> None:
    rows = set(_ROW.findall(README.read_text("utf-8")))
    assert rows == {(name, f"test_{which}_{name}") for which, kind in SURFACE.items() for name in members(kind)}


def test_each_option_is_told_and_no_other() -> None:
    known = {option for action in start_parser()._actions for option in action.option_strings}
    table = README.read_text("utf-8").split("## Options\n")[1].split("\n## ")[0]
    assert set(_OPTION.findall(" ".join(re.findall(r"`([^`]+)`", table)))) == known


def test_each_link_leads_somewhere() -> None:
    for link in documents.links(README):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        assert (README.parent / path).exists(), link
        assert not anchor or anchor in documents.anchors(README), link


def test_each_file_that_is_named_exists() -> None:
    paths = [code for code in documents.code(README) if re.fullmatch(r"[\w./-]+\.(py|json|txt|md)", code)]
    assert [path for path in paths if path not in OF_THE_READER and not (ROOT / path).exists()] == []


def test_the_commands_are_understood() -> None:
    started = [line for line in documents.commands(README) if line.startswith("python -m devhost ")]
    assert started
    for line in started:
        cli.build_parser().parse_args(shlex.split(line)[3:])
    [installed] = [line.removeprefix(OF_PIP) for line in documents.commands(README) if line.startswith(OF_PIP)]
    pinned = "\n".join((ROOT / name).read_text("utf-8") for name in ("requirements.txt", "requirements-dev.txt"))
    for package in installed.split():
        assert re.search(rf"^{package}==", pinned, re.MULTILINE), package


def test_the_launch_configuration_starts_devhost() -> None:
    [text] = ["\n".join(block.lines) for block in documents.blocks(README) if block.language == "json"]
    [configuration] = json.loads(text)["configurations"]
    assert configuration["module"] == "devhost"
    cli.build_parser().parse_args(configuration["args"])


def test_the_app_and_the_test_that_it_shows_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app, test = ["\n".join(block.lines) for block in documents.blocks(README) if block.language == "python"]
    (tmp_path / "my_app").mkdir()
    (tmp_path / "my_app" / "function_app.py").write_text(app, encoding="utf-8")
    (tmp_path / "my_app" / "host.json").write_text('{"version": "2.0"}', encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    exec(compile(test, str(README), "exec"), {"__name__": "readme"})
