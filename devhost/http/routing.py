"""Which HTTP function answers a method and a path, and which routes can't be had at all. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from devhost.http.templates import BadTemplate, Template, parse_template

_RESERVED = ("admin", "runtime")


class Routed(Protocol):
    """What routing needs of a function."""

    @property
    def name(self) -> str: ...

    @property
    def trigger(self) -> Mapping[str, Any]: ...


def route_of(function: Routed) -> str:
    """The function's own route, without prefix; a function that names none has its name."""
    route = function.trigger.get("route")
    return str(route) if route is not None and str(route).strip() else function.name


def verbs_of(function: Routed) -> frozenset[str]:
    """Upper-case verbs; empty means every verb."""
    return frozenset(str(verb).upper() for verb in function.trigger.get("methods") or ())


def is_http(function: Routed) -> bool:
    return str(function.trigger.get("type", "")).lower() == "httptrigger"


def by_name(functions: Iterable[Any]) -> list[Any]:
    """The host's order: by name, ignoring case."""
    return sorted(functions, key=lambda function: str(function.name).lower())


@dataclass(frozen=True)
class RouteCheck:
    """`errors`: function name -> why it can't run. `host_error`: why the whole host can't (state Error)."""

    errors: dict[str, str] = field(default_factory=dict)
    host_error: str | None = None


def check_routes(functions: Iterable[Routed], prefix: str) -> RouteCheck:
    """Reserved, doubled and malformed routes among the HTTP functions given (without those already in error).

    Of two with the same route and a verb in common the later one (by name) is in error, with all its verbs.
    """
    errors: dict[str, str] = {}
    kept: list[Routed] = []
    host_error: str | None = None
    for function in by_name(function for function in functions if is_http(function)):
        route = route_of(function).strip("/").lower()
        if route.startswith(_RESERVED):
            errors[function.name] = "The specified route conflicts with one or more built in routes."
            continue
        rival = next((other for other in kept if _conflict(function, other)), None)
        if rival is not None:
            errors[function.name] = f"The route specified conflicts with the route defined by function '{rival.name}'."
            continue
        kept.append(function)
        try:
            parse_template(full_route(function, prefix))
        except BadTemplate as problem:
            host_error = host_error or f"The route of function '{function.name}' is malformed: {problem}"
    return RouteCheck(errors, host_error)


def _conflict(one: Routed, other: Routed) -> bool:
    if route_of(one).strip("/").lower() != route_of(other).strip("/").lower():
        return False
    verbs, others = verbs_of(one), verbs_of(other)
    return not verbs or not others or bool(verbs & others)


def full_route(function: Routed, prefix: str) -> str:
    """Prefix and route with single slashes between them and none around them."""
    return "/".join(part for part in (prefix.strip("/"), route_of(function).strip("/")) if part)


F = TypeVar("F")


@dataclass(frozen=True)
class Route(Generic[F]):
    function: F
    template: Template
    verbs: frozenset[str]


class RouteTable(Generic[F]):
    """Routes in the order of their functions' names: the first whose template, constraints and verb fit wins.

    A literal is not preferred to a parameter: the host does not prefer it either.
    """

    def __init__(self, routes: Sequence[Route[F]]) -> None:
        self._routes = routes

    def match(self, method: str, path: str) -> tuple[F, dict[str, str]] | None:
        """The function and its route values for an upper-case method and a decoded path with leading `/`."""
        bare = path.removeprefix("/")
        for route in self._routes:
            if route.verbs and method not in route.verbs:
                continue
            values = route.template.match(bare)
            if values is not None:
                return route.function, values
        return None


def route_table(functions: Iterable[Any], prefix: str) -> RouteTable[Any]:
    """A table of the HTTP functions given. Raises BadTemplate: call `check_routes` first."""
    http = [function for function in by_name(functions) if is_http(function)]
    return RouteTable([Route(each, parse_template(full_route(each, prefix)), verbs_of(each)) for each in http])
