"""Text that people may read: one line, and no secrets in it."""

import re
from typing import Any

MAX_LINE = 500

# What follows these names in a URL or a connection string opens storage or functions to whoever reads it.
_SECRETS = re.compile(
    r"(?i)(?P<name>\b(?:sig|code|accountkey|sharedaccesskey|sharedaccesssignature|password|pwd|token)=)"
    r"[^&;\s\"'<>]+"
)
_USER_INFO = re.compile(r"(?P<scheme>[a-zA-Z][a-zA-Z0-9+.-]*://)[^/\s@\"']+@")
HIDDEN = "hidden"


def hide_secrets(text: str) -> str:
    """The text with SAS signatures, keys and passwords replaced by `hidden`."""
    return _USER_INFO.sub(r"\g<scheme>", _SECRETS.sub(rf"\g<name>{HIDDEN}", text))


def hide_secrets_in(value: Any) -> Any:
    """A JSON value with the secrets hidden in each of its strings; the keys stay."""
    if isinstance(value, str):
        return hide_secrets(value)
    if isinstance(value, list):
        return [hide_secrets_in(item) for item in value]
    if isinstance(value, dict):
        return {key: hide_secrets_in(item) for key, item in value.items()}
    return value


def one_line(what: object) -> str:
    """The first line that says something, without secrets, at most `MAX_LINE` characters.

    An activity's failure reaches the orchestrator as one readable line followed by kilobytes of a serialised
    exception of the host: only that first line is for people.
    """
    lines = (line.strip() for line in str(what).splitlines())
    first = next((line for line in lines if line), type(what).__name__)
    readable = "".join(character if character.isprintable() else " " for character in hide_secrets(first))
    return readable if len(readable) <= MAX_LINE else readable[: MAX_LINE - 1] + "…"
