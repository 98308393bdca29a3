"""Route templates as ASP.NET Core reads them: literals, `{p}`, `{p?}`, `{p=default}`, `{*rest}`, `{p:int}`.

Pure text in, matches out. `/` separates segments; a segment is a literal, one parameter, or a mix of both
(`pre-{x}.{y}`), which is matched from its right end as ASP.NET does.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from devhost.http.constraints import Constraint, constraint_of


class BadTemplate(ValueError):
    """The route template is malformed; the text says where."""


@dataclass(frozen=True)
class Parameter:
    """One `{...}` of a template."""

    name: str
    constraints: tuple[Constraint, ...] = ()
    optional: bool = False
    default: str | None = None
    catch_all: bool = False

    def accepts(self, value: str) -> bool:
        return all(holds(value) for holds in self.constraints)


Part = str | Parameter


@dataclass(frozen=True)
class Segment:
    """What stands between two slashes: parts in order, and for a mix of parts the patterns that split it, the
    one with the optional end first."""

    parts: tuple[Part, ...]
    patterns: tuple[re.Pattern[str], ...] = ()

    @property
    def parameter(self) -> Parameter | None:
        """The parameter, when the segment is nothing else."""
        only = self.parts[0]
        return only if len(self.parts) == 1 and isinstance(only, Parameter) else None

    def match(self, text: str) -> dict[str, str] | None:
        """The parameters' values for one path segment, or None."""
        if self.patterns:
            found = next(filter(None, (pattern.fullmatch(text) for pattern in self.patterns)), None)
            names = [part.name for part in self.parts if isinstance(part, Parameter)]
            return None if found is None else dict(zip(names, found.groups(), strict=False))
        only = self.parts[0]
        if isinstance(only, Parameter):
            return {only.name: text} if text else None
        return {} if only.lower() == text.lower() else None


@dataclass(frozen=True)
class Template:
    """A parsed route. `match` takes a path without its leading slash, already percent-decoded."""

    segments: tuple[Segment, ...]

    def match(self, path: str) -> dict[str, str] | None:
        """Route values by parameter name; optional ones that are not there are left out. None: no match."""
        values = self._values(path)
        if values is None:
            return None
        for parameter in self.parameters():
            if parameter.name not in values and parameter.default is not None:
                values[parameter.name] = parameter.default
            value = values.get(parameter.name)
            if value is not None and not parameter.accepts(value):
                return None
        return values

    def parameters(self) -> list[Parameter]:
        return [part for segment in self.segments for part in segment.parts if isinstance(part, Parameter)]

    def _values(self, path: str) -> dict[str, str] | None:
        pieces = path.split("/") if path else []
        if pieces and not pieces[-1]:
            pieces.pop()
        values: dict[str, str] = {}
        start = 0
        for index, piece in enumerate(pieces):
            if not piece or index >= len(self.segments):
                return None
            segment = self.segments[index]
            parameter = segment.parameter
            if parameter is not None and parameter.catch_all:
                values[parameter.name] = path[start:]
                return values
            found = segment.match(piece)
            if found is None:
                return None
            values |= found
            start += len(piece) + 1
        return values if all(map(_may_be_absent, self.segments[len(pieces) :])) else None


def _may_be_absent(segment: Segment) -> bool:
    parameter = segment.parameter
    if parameter is None:
        return False
    return parameter.catch_all or parameter.optional or parameter.default is not None


def parse_template(text: str) -> Template:
    """The template of a route, its leading and trailing slash ignored. Raises BadTemplate."""
    text = text.strip("/")
    if not text:
        return Template(())
    parts_of = _split(text)
    seen: set[str] = set()
    for position, parts in enumerate(parts_of):
        _check_segment(text, parts, last=position == len(parts_of) - 1)
        for part in parts:
            if isinstance(part, Parameter):
                if part.name.lower() in seen:
                    raise BadTemplate(f"The route parameter name '{part.name}' appears more than one time in '{text}'.")
                seen.add(part.name.lower())
    return Template(tuple(_segment(parts) for parts in parts_of))


def _split(text: str) -> list[list[Part]]:
    """Segments of parts. A slash inside braces is the parameter's, doubled braces are one literal brace."""
    segments: list[list[Part]] = [[]]
    literal = ""
    at = 0

    def flush() -> None:
        nonlocal literal
        if literal:
            segments[-1].append(literal)
            literal = ""

    while at < len(text):
        char = text[at]
        if text[at : at + 2] in ("{{", "}}"):
            literal += char
            at += 2
        elif char == "{":
            flush()
            inside, at = _braces(text, at)
            segments[-1].append(_parameter(inside, text))
        elif char == "}":
            raise BadTemplate(f"There is an incomplete parameter in the route template '{text}': a '}}' without '{{'.")
        elif char == "?":
            raise BadTemplate(f"The literal section '{literal}?' of '{text}' is invalid: it can't contain a '?'.")
        elif char == "/":
            flush()
            segments.append([])
            at += 1
        else:
            literal += char
            at += 1
    flush()
    return segments


def _braces(text: str, start: int) -> tuple[str, int]:
    """What stands between the brace at `start` and its partner, and the position after that."""
    at = start + 1
    inside = ""
    while at < len(text):
        pair = text[at : at + 2]
        if pair in ("{{", "}}"):
            inside += pair[0]
            at += 2
        elif text[at] == "}":
            return inside, at + 1
        elif text[at] == "{":
            break
        else:
            inside += text[at]
            at += 1
    raise BadTemplate(f"There is an incomplete parameter in the route template '{text}': a '{{' is not closed.")


def _parameter(inside: str, text: str) -> Parameter:
    rest = inside.lstrip("*")
    stars = len(inside) - len(rest)
    named = re.match(r"[^:=?*/{}]+", rest)
    if stars > 2 or named is None:
        raise BadTemplate(f"The route parameter name '{inside}' in '{text}' is invalid.")
    name, rest = named.group(), rest[named.end() :]
    constraints: list[Constraint] = []
    while rest.startswith(":"):
        word, rest = _constraint_text(rest[1:])
        try:
            constraints.append(constraint_of(word))
        except (ValueError, re.error) as problem:
            raise BadTemplate(f"The constraint '{word}' of '{name}' in '{text}' is invalid: {problem}") from None
    default = None
    optional = rest.endswith("?")
    if rest.startswith("="):
        default = rest[1:]
        if optional:
            raise BadTemplate(f"An optional parameter cannot have a default value: '{name}' in '{text}'.")
    elif rest not in ("", "?"):
        raise BadTemplate(f"The route parameter name '{inside}' in '{text}' is invalid.")
    if stars and optional:
        raise BadTemplate(f"A catch-all parameter cannot be marked optional: '{name}' in '{text}'.")
    return Parameter(name, tuple(constraints), optional, default, bool(stars))


def _constraint_text(rest: str) -> tuple[str, str]:
    """`int?` -> (`int`, `?`); `regex(a:b):alpha` -> (`regex(a:b)`, `:alpha`): parentheses hold together."""
    depth = 0
    for at, char in enumerate(rest):
        if char == "(":
            depth += 1
        elif char == ")":
            depth -= 1
        elif depth <= 0 and (char in ":=" or (char == "?" and at == len(rest) - 1)):
            return rest[:at], rest[at:]
    return rest, ""


def _check_segment(text: str, parts: Sequence[Part], *, last: bool) -> None:
    if not parts:
        raise BadTemplate(f"The separator '/' appears twice in a row in the route template '{text}'.")
    for left, right in pairwise(parts):
        if isinstance(left, Parameter) and isinstance(right, Parameter):
            raise BadTemplate(f"Two parameters must be separated by a literal: '{text}'.")
    for position, part in enumerate(parts):
        if not isinstance(part, Parameter):
            continue
        if part.catch_all and (len(parts) > 1 or not last):
            raise BadTemplate(f"A catch-all parameter can only be the last segment of the route template '{text}'.")
        if part.optional and len(parts) > 1 and (position != len(parts) - 1 or parts[position - 1] != "."):
            raise BadTemplate(f"The optional parameter '{part.name}' in '{text}' must come last, after a period.")


def _segment(parts: list[Part]) -> Segment:
    if len(parts) == 1:
        return Segment(tuple(parts))
    last = parts[-1]
    patterns = [_pattern(parts)]
    if isinstance(last, Parameter) and last.optional:
        patterns.append(_pattern(parts[:-2]))
    return Segment(tuple(parts), tuple(patterns))


def _pattern(parts: list[Part]) -> re.Pattern[str]:
    text = "".join("(.+)" if isinstance(part, Parameter) else re.escape(part) for part in parts)
    return re.compile(text, re.IGNORECASE | re.DOTALL)
