"""The request target as the host's web server reads it: percent-decoding of path and query, and back."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote

_PATH_ESCAPES = re.compile(r"(?:%(?!2[fF])[0-9a-fA-F]{2})+")
_ESCAPES = re.compile(r"(?:%[0-9a-fA-F]{2})+")
_KEPT = re.compile(r"%[0-9a-fA-F]{2}|[A-Za-z0-9\-._~!$&'()*+,;=:@/]+")
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*://[^/?#]*")


class TargetError(ValueError):
    """The request line's target can't be read: 400."""


@dataclass(frozen=True)
class Target:
    """`path` is decoded (but `%2F` stays) and starts with `/`, or is empty; `query` is raw, without `?`."""

    path: str
    query: str

    @property
    def shown(self) -> str:
        """Path and query as a function sees them in `req.url`."""
        return encode_path(self.path) + ("?" + self.query.replace("#", "%23") if self.query else "")


def read_target(raw: str) -> Target:
    """The target of a request line. Raises TargetError for characters outside ASCII and for `%00`."""
    if not raw.isascii():
        raise TargetError("the request line holds characters outside ASCII")
    absolute = _ABSOLUTE.match(raw)
    if absolute is not None:
        raw = raw[absolute.end() :] or "/"
    path, _, query = raw.partition("?")
    if not path.startswith("/"):
        return Target("", query)
    path = _PATH_ESCAPES.sub(lambda found: decode_run(found.group()), path)
    if "\0" in path:
        raise TargetError("the path holds a null character")
    return Target(_without_dots(path), query)


def decode_run(run: str) -> str:
    """`%C3%A9` -> `é`; escapes that are no UTF-8 stay as they are."""
    data = bytes.fromhex(run.replace("%", ""))
    pieces: list[str] = []
    at = 0
    while at < len(data):
        try:
            pieces.append(data[at:].decode())
            break
        except UnicodeDecodeError as problem:
            bad, end = at + problem.start, at + problem.end
            pieces.append(data[at:bad].decode() + run[3 * bad : 3 * end])
            at = end
    return "".join(pieces)


def _without_dots(path: str) -> str:
    """`/a/./b/../c` -> `/a/c`."""
    if "/." not in path:
        return path
    kept: list[str] = []
    pieces = path.split("/")[1:]
    for piece in pieces:
        if piece == "..":
            del kept[-1:]
        elif piece != ".":
            kept.append(piece)
    ends_in_folder = pieces[-1] in (".", "..")
    return "/" + "/".join(kept) + ("/" if ends_in_folder and kept else "")


def encode_path(path: str) -> str:
    """A decoded path as text of a URL: escapes that are left in it stay, everything unsafe is escaped."""
    pieces: list[str] = []
    at = 0
    for found in _KEPT.finditer(path):
        pieces += [quote(path[at : found.start()], safe=""), found.group()]
        at = found.end()
    return "".join([*pieces, quote(path[at:], safe="")])


def _decode_query(text: str) -> str:
    return _ESCAPES.sub(lambda found: decode_run(found.group()), text.replace("+", " "))


def query_values(query: str) -> dict[str, list[str]]:
    """All values by name. Names equal but for case are one, under the last spelling seen."""
    spelling: dict[str, str] = {}
    values: dict[str, list[str]] = {}
    for pair in query.split("&"):
        if not pair:
            continue
        name, _, value = pair.partition("=")
        name = _decode_query(name)
        spelling[name.lower()] = name
        values.setdefault(name.lower(), []).append(_decode_query(value))
    return {spelling[key]: found for key, found in values.items()}


def query_params(query: str) -> dict[str, str]:
    """What a function sees in `req.params`: values joined with `,`, empty ones dropped."""
    joined = {name: ",".join(filter(None, values)) for name, values in query_values(query).items()}
    return {name: value for name, value in joined.items() if value}


def query_value(query: str, name: str) -> str | None:
    """The value of one query parameter, its name in any case; None when absent or empty."""
    return next((value for key, value in query_params(query).items() if key.lower() == name.lower()), None)
