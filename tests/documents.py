"""Reads the project's Markdown: its fenced blocks, and the places that it links to or names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "doc").glob("*.md"))]

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_CODE = re.compile(r"`([^`\n]+)`")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block: its language (maybe none) and its lines."""

    language: str
    lines: tuple[str, ...]


def blocks(document: Path) -> list[Block]:
    """All fenced blocks, in order."""
    return [Block(found[1], tuple(found[2].splitlines())) for found in _FENCE.finditer(_text(document))]


def commands(document: Path) -> list[str]:
    """The lines of all shell blocks, in order: one line, one command."""
    return [line for block in blocks(document) if block.language == "sh" for line in block.lines if line]


def links(document: Path) -> list[str]:
    """The targets of all links and pictures, outside of fenced blocks."""
    return _LINK.findall(_prose(document))


def code(document: Path) -> list[str]:
    """What stands between backticks in the text."""
    return _CODE.findall(_prose(document))


def anchors(document: Path) -> set[str]:
    """The names that a link may end in, as GitHub makes them from the headings."""
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in _HEADING.findall(_prose(document))}


def _prose(document: Path) -> str:
    return _FENCE.sub("", _text(document))


def _text(document: Path) -> str:
    return document.read_text("utf-8")
