"""What the documents name is there: links, files, dev.py's commands and options, URLs of the app."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests import documents
from tests.documents import DOCUMENTS, ROOT
from tools import command_line

# These are made by running; they are in no checkout.
MADE_BY_RUNNING = {".venv", "node_modules", ".demo", ".devhost"}
_PATH = re.compile(r"[\w.-]+(/[\w.-]*)+|[\w-]*\.(py|md|json|txt|ipynb|env|yml|svg|toml)")
_DEV_PY = re.compile(r"(?:python3?|py -3\.11) dev\.py ?(.*)")


def named(paths: list[Path]) -> list[object]:
    return [pytest.param(path, id=path.name) for path in paths]


@pytest.mark.parametrize("document", named(DOCUMENTS))
def test_links_lead_somewhere(document: Path) -> None:
    for link in documents.links(document):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        assert target.exists(), link
        assert not anchor or anchor in documents.anchors(target), link


@pytest.mark.parametrize("document", named(DOCUMENTS))
def test_files_that_are_named_exist(document: Path) -> None:
    names = [name for name in documents.code(document) if _PATH.fullmatch(name)]
    missing = [name for name in names if not (ROOT / name).exists() and name.strip("/") not in MADE_BY_RUNNING]
    assert missing == []


@pytest.mark.parametrize("document", named(DOCUMENTS))
def test_commands_of_dev_py_are_understood(document: Path) -> None:
    written = [*documents.commands(document), *documents.code(document)]
    arguments = [found[1].split() for line in written if (found := _DEV_PY.fullmatch(line))]
    for given in arguments:
        if given != ["--help"]:
            command_line.parser().parse_known_args(given)


@pytest.mark.parametrize("document", named(DOCUMENTS))
def test_modules_that_are_run_exist(document: Path) -> None:
    for line in [*documents.commands(document), *documents.code(document)]:
        if (found := re.match(r"python -m ([\w.]+)", line)) and found[1] != "ipykernel":
            place = ROOT / found[1].replace(".", "/")
            assert place.with_suffix(".py").is_file() or (place / "__main__.py").is_file(), line


def test_the_two_commands_come_first() -> None:
    first = documents.commands(ROOT / "README.md")[:2]
    assert first == ["python dev.py demo", "python dev.py test"]
