"""The guide's code is that of files that run as tests, and none of them is left out."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests import documents
from tests.documents import ROOT

GUIDE = ROOT / "doc" / "testing-durable-functions.md"
EXAMPLES = ROOT / "tests" / "examples"
DEVHOST_README = ROOT / "devhost" / "README.md"
_PART = re.compile(r"^ *# \[example: ([^\]\n]+)\]\n(.*?)^ *# \[end\]$", re.MULTILINE | re.DOTALL)
_SHOWN = re.compile(r"^<!-- example: (\S+): ([^\n]+) -->\n```python\n(.*?)\n```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"^<!-- file: (\S+) -->\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def marked() -> dict[tuple[str, str], str]:
    """The marked parts of the examples, by file (its path below their folder) and name, without their indentation."""
    found: dict[tuple[str, str], str] = {}
    for file in sorted(EXAMPLES.rglob("*.py")):
        for name, text in _PART.findall(file.read_text("utf-8")):
            key = file.relative_to(EXAMPLES).as_posix(), name
            assert key not in found, f"two examples of one name: {key}"
            found[key] = textwrap.dedent(text).strip("\n")
    return found


def test_each_example_is_shown_as_it_is() -> None:
    shown = {(file, name): text for file, name, text in _SHOWN.findall(GUIDE.read_text("utf-8"))}
    assert len(shown) > 20
    assert shown == marked()


def test_each_mark_of_an_example_is_closed() -> None:
    for file in EXAMPLES.rglob("*.py"):
        text = file.read_text("utf-8")
        assert text.count("# [example: ") == text.count("# [end]") == len(_PART.findall(text)), file


def test_the_set_up_works_in_a_folder_of_its_own(tmp_path: Path) -> None:
    app = next(block for block in documents.blocks(DEVHOST_README) if block.language == "python")
    files = {"my_app/function_app.py": "\n".join(app.lines), "my_app/host.json": '{"version": "2.0"}'}
    files |= dict(_FILE.findall(GUIDE.read_text("utf-8")))
    assert len(files) == 5
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    try:
        (tmp_path / "devhost").symlink_to(ROOT / "devhost", target_is_directory=True)
    except OSError:
        pytest.skip("this user may not make links")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert "1 passed" in ended.stdout, ended.stdout + ended.stderr
