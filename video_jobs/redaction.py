"""Text that people may read: one line, and no secrets in it."""

import logging
import re
from typing import Any

MAX_LINE = 500

# What follows these names opens storage or functions to whoever reads it. In a URL or a connection string a name may
# stand behind an ampersand that was encoded, and so may its value end.
_VALUE = r"(?:(?!%26|%3b)[^&;,\s\"'<>\\])+"
_IN_URLS = re.compile(
    r"(?i)(?P<name>(?:(?<![a-z0-9_])|(?<=u0026)|(?<=%26)|(?<=%3f))"
    rf"(?:sig|code|accountkey|sharedaccesskey|sharedaccesssignature|password|pwd|token)(?:=|%3d)){_VALUE}"
)
# Also as JSON within JSON, with backslashes before the quotes.
_TO = r"\\*[\"']?\s*[:=]\s*\\*[\"']?"
_IN_HEADERS_AND_JSON = re.compile(
    rf"(?i)(?P<name>\b(?:(?:accountkey|sharedaccesskey|sharedaccesssignature|password|x-functions-key){_TO}"
    rf"|authorization{_TO}(?:bearer|sharedkey|basic)\s+)){_VALUE}"
)
_USER_INFO = re.compile(r"(?P<scheme>[a-zA-Z][a-zA-Z0-9+.-]*://)[^/\s@\"']+@")
HIDDEN = "hidden"
_FORMATTER = logging.Formatter()


def hide_secrets(text: str) -> str:
    """The text with SAS signatures, keys and passwords replaced by `hidden`."""
    for pattern in (_IN_URLS, _IN_HEADERS_AND_JSON):
        text = pattern.sub(rf"\g<name>{HIDDEN}", text)
    return _USER_INFO.sub(r"\g<scheme>", text)


def hide_secrets_in(value: Any) -> Any:
    """A JSON value with the secrets hidden in each of its strings; the keys stay."""
    if isinstance(value, str):
        return hide_secrets(value)
    if isinstance(value, list):
        return [hide_secrets_in(item) for item in value]
    if isinstance(value, dict):
        return {key: hide_secrets_in(item) for key, item in value.items()}
    return value


def guard_logs() -> None:
    """Hide the secrets in whatever this process logs from now on, libraries and tracebacks included."""
    make_record = logging.getLogRecordFactory()
    if getattr(make_record, "hides_secrets", False):
        return

    def make_guarded(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = make_record(*args, **kwargs)
        _hide_secrets_of(record)
        return record

    make_guarded.hides_secrets = True  # type: ignore[attr-defined]
    logging.setLogRecordFactory(make_guarded)


def _hide_secrets_of(record: logging.LogRecord) -> None:
    try:
        text = record.getMessage()
    except Exception:
        # A line with the wrong arguments: logging tells of it when it comes to write the line.
        return
    if (hidden := hide_secrets(text)) != text:
        record.msg, record.args = hidden, ()
    if record.exc_info:
        trace = _FORMATTER.formatException(record.exc_info)
        if (hidden := hide_secrets(trace)) != trace:
            # Formatters take this for the exception's text when it is there.
            record.exc_text = hidden
    if record.stack_info:
        record.stack_info = hide_secrets(record.stack_info)


def one_line(what: object) -> str:
    """The first line that says something, without secrets, at most `MAX_LINE` characters.

    An activity's failure reaches the orchestrator as one readable line followed by kilobytes of a serialised
    exception of the host: only that first line is for people.
    """
    lines = (line.strip() for line in str(what).splitlines())
    first = next((line for line in lines if line), type(what).__name__)
    readable = "".join(character if character.isprintable() else " " for character in hide_secrets(first))
    return readable if len(readable) <= MAX_LINE else readable[: MAX_LINE - 1] + "…"
