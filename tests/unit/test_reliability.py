"""doc/reliability.md names tests that exist, and each of its faults has one."""

import ast
import re
from pathlib import Path
from typing import get_args

from video_jobs.rejected import Reason

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "doc" / "reliability.md").read_text("utf-8")
LINK = re.compile(r"\[`(test_\w+|Test\w+)`\]\(\.\./(tests/[\w/]+\.py)\)")


def test_each_test_that_is_named_exists() -> None:
    named = LINK.findall(TEXT)
    assert len(named) > 40
    for name, file in named:
        tree = ast.parse((ROOT / file).read_text("utf-8"))
        found = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
        found |= {target.id for node in tree.body if isinstance(node, ast.Assign) for target in _names(node)}
        assert name in found, f"{name} is not in {file}"


def _names(node: ast.Assign) -> list[ast.Name]:
    return [target for target in node.targets if isinstance(target, ast.Name)]


def test_each_fault_names_its_test() -> None:
    faults = TEXT.split("## Faults")[1].split("\n## ")[0]
    rows = [line for line in faults.splitlines() if line.startswith("| ") and not line.startswith(("| **", "| fault"))]
    assert len(rows) > 30
    assert [row for row in rows if not re.search(r"\[`?\w+`?\]\(\.\./tests/", row)] == []


def test_the_sixteen_things_a_live_host_does_are_all_there() -> None:
    rows = re.findall(r"^\| (\d+)\. ", TEXT, re.MULTILINE)
    assert rows == [str(number) for number in range(1, 17)]


def test_each_reason_is_explained() -> None:
    table = TEXT.split("## Rejected reports")[1].split("\n## ")[0]
    assert set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)))) == set(
        get_args(Reason)
    )
