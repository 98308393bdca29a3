"""Messages that a careless worker sends in place of a good report: garbage, and a report in odd encodings."""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from video_jobs.contract import encode_report

# What an instance id may have at most.
LONGEST_ID = 100


@dataclass(frozen=True)
class Encoding:
    """How the JSON of a report becomes the text of a message, and whether the application reads that."""

    encode: Callable[[str], str]
    accepted: bool


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def not_json(report: dict[str, Any]) -> str:
    """Plain JSON that breaks off in the middle."""
    text = json.dumps(report)
    return text[: len(text) // 2]


def wrong_shape(report: dict[str, Any]) -> str:
    """A list with the report in it."""
    return _base64(json.dumps([report]).encode())


def unknown_job(report: dict[str, Any]) -> str:
    """A good report, for a job that nobody started."""
    return encode_report({**report, "instance_id": f"no-such-job-{report['instance_id']}"[:LONGEST_ID]})


def empty_object(_: dict[str, Any]) -> str:
    """Not a single key."""
    return encode_report({})


def wrong_status(report: dict[str, Any]) -> str:
    """A status that the contract does not know."""
    return encode_report({**report, "status": "DONE"})


GARBAGE: dict[str, Callable[[dict[str, Any]], str]] = {
    "not-json": not_json,
    "wrong-shape": wrong_shape,
    "unknown-job": unknown_job,
    "empty-object": empty_object,
    "wrong-status": wrong_status,
}

ENCODINGS = {
    "plain": Encoding(lambda text: text, accepted=True),
    "bom": Encoding(lambda text: f"\ufeff{text}", accepted=True),
    "nested-base64": Encoding(lambda text: _base64(_base64(text.encode()).encode()), accepted=False),
    "utf-16": Encoding(lambda text: _base64(text.encode("utf-16")), accepted=False),
    # What this alphabet lacks becomes a question mark, as such a worker would have it.
    "latin-1": Encoding(lambda text: _base64(text.encode("latin-1", "replace")), accepted=False),
}


def encoded(report: dict[str, Any], name: str) -> str:
    """The report in one of `ENCODINGS`, with text in it that no two alphabets write alike."""
    details = {**report["details"], "note": "Bewegung in der Nähe"}
    return ENCODINGS[name].encode(json.dumps({**report, "details": details}, ensure_ascii=False))
