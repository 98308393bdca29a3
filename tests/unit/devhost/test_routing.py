"""Which function answers which path, and which routes are refused."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devhost.http.routing import RouteCheck, check_routes, full_route, route_of, route_table
from devhost.http.templates import BadTemplate, parse_template


@dataclass
class Named:
    name: str
    trigger: dict[str, Any] = field(default_factory=dict)


def http(name: str, route: str | None = None, *methods: str) -> Named:
    trigger: dict[str, Any] = {"type": "httpTrigger", "name": "req"}
    if route is not None:
        trigger["route"] = route
    if methods:
        trigger["methods"] = list(methods)
    return Named(name, trigger)


def values(template: str, path: str) -> dict[str, str] | None:
    return parse_template(template).match(path)


@pytest.mark.parametrize(
    ("template", "path", "expected"),
    [
        ("a/b", "A/B", {}),
        ("a/b", "a/b/", {}),
        ("a/b", "a//b", None),
        ("a/b", "a", None),
        ("a", "a/b", None),
        ("", "", {}),
        ("", "a", None),
        ("/lead/", "lead", {}),
        ("a/{p}", "a/x", {"p": "x"}),
        ("a/{p}", "a/X%2Fy", {"p": "X%2Fy"}),
        ("a/{p}", "a", None),
        ("a/{p}", "a/x/y", None),
        ("a/{p?}", "a", {}),
        ("a/{p?}", "a/x", {"p": "x"}),
        ("a/{p=seven}", "a", {"p": "seven"}),
        ("a/{p=seven}", "a/q", {"p": "q"}),
        ("a/{p=1}/{q?}", "a", {"p": "1"}),
        ("a/{p=1}/b", "a", None),
        ("rest/{*r}", "rest", {}),
        ("rest/{*r}", "rest/", {}),
        ("rest/{*r}", "rest/a/b%2Fc/d", {"r": "a/b%2Fc/d"}),
        ("rest/{**r}", "rest/a/b/", {"r": "a/b/"}),
        ("rest/{*r}", "rest/a//b", {"r": "a//b"}),
        ("rest/{*r}", "rest//b", None),
        ("rest/{*r=x}", "rest", {"r": "x"}),
        ("{*all}", "a/b", {"all": "a/b"}),
        ("pre-{p}-post", "PRE-x-post", {"p": "x"}),
        ("pre-{p}-post", "pre--post", None),
        ("{a}-{b}", "x-y-z", {"a": "x-y", "b": "z"}),
        ("{file}.{ext?}", "a.b", {"file": "a", "ext": "b"}),
        ("{file}.{ext?}", "a", {"file": "a"}),
        ("{file}.{ext?}", "a.b.c", {"file": "a.b", "ext": "c"}),
        ("{{x}}", "{x}", {}),
        ("a%20b", "a%20b", {}),
        ("x.y/{p}", "xzy/1", None),
    ],
)
def test_a_template_matches_as_asp_net_does(template: str, path: str, expected: dict[str, str] | None) -> None:
    assert values(template, path) == expected


@pytest.mark.parametrize(
    ("constraint", "good", "bad"),
    [
        ("int", ["7", "-7", "+7", "2147483647"], ["x", "99999999999", "1.0", ""]),
        ("long", ["99999999999"], ["9223372036854775808", "x"]),
        ("bool", ["true", "FALSE"], ["1", "yes"]),
        ("datetime", ["2024-01-31", "2024-01-31T10:00:00Z", "31 January 2024", "10:20"], ["x", "20240131"]),
        ("decimal", ["1.5", "-3", "1,000.5"], ["1e5", "x", "9" * 40]),
        ("double", ["1.5", "1e5", "-.5"], ["x", "1.5.6"]),
        ("float", ["1.5"], ["one"]),
        (
            "guid",
            ["0f8fad5b-d9cb-469f-a165-70867728950e", "{0f8fad5b-d9cb-469f-a165-70867728950e}", "0" * 32],
            ["0f8fad5b", "0f8fad5b-d9cb-469f-a165-70867728950z"],
        ),
        ("alpha", ["abcXYZ"], ["a1", "é"]),
        ("minlength(2)", ["ab", "abc"], ["a"]),
        ("maxlength(2)", ["a", "ab"], ["abc"]),
        ("length(2)", ["ab"], ["a", "abc"]),
        ("length(2,3)", ["ab", "abc"], ["a", "abcd"]),
        ("min(5)", ["5", "6"], ["4", "x"]),
        ("max(5)", ["5", "-1"], ["6", "x"]),
        ("range(1,3)", ["1", "3"], ["0", "4", "x"]),
        ("regex(^a.c$)", ["abc", "ABC"], ["abcd"]),
        (r"regex(^\d{{3}}$)", ["123"], ["12", "1234"]),
        ("regex(^x:y$)", ["x:y"], ["xy"]),
        ("required", ["a"], []),
        ("int:min(3)", ["3"], ["2", "x"]),
        ("INT", ["3"], ["x"]),
    ],
)
def test_a_constraint_decides_whether_a_value_fits(constraint: str, good: list[str], bad: list[str]) -> None:
    template = parse_template("v/{p:" + constraint + "}")
    assert [value for value in good if template.match(f"v/{value}") != {"p": value}] == []
    assert [value for value in bad if template.match(f"v/{value}") is not None] == []


def test_an_optional_value_must_fit_only_when_it_is_there() -> None:
    assert values("v/{p:int?}", "v") == {}
    assert values("v/{p:int?}", "v/7") == {"p": "7"}
    assert values("v/{p:int?}", "v/x") is None
    assert values("v/{p:int=5}", "v") == {"p": "5"}


@pytest.mark.parametrize(
    "template",
    [
        "x/{",
        "x/}",
        "x/{}",
        "x/{a",
        "{a}{b}",
        "{a}/{A}",
        "a//b",
        "a?",
        "{*r}/x",
        "x{*r}",
        "{*r?}",
        "{a=1?}",
        "{a:nosuch}",
        "{a:int(3)}",
        "{a:length}",
        "{a:min(x)}",
        "{a:regex([)}",
        "{a?}x",
        "x{a?}",
        "{a b:}",
        "{***r}",
        "{a{b}",
    ],
)
def test_a_malformed_template_is_refused_with_its_text(template: str) -> None:
    with pytest.raises(BadTemplate) as refused:
        parse_template(template)
    assert len(str(refused.value)) > 20


@given(st.text(alphabet="ab/{}?*=:().-", max_size=12), st.text(alphabet="ab/.-", max_size=8))
def test_no_template_and_no_path_breaks_the_matcher(template: str, path: str) -> None:
    try:
        parsed = parse_template(template)
    except BadTemplate:
        return
    found = parsed.match(path)
    assert found is None or set(found) <= {parameter.name for parameter in parsed.parameters()}


def test_functions_are_asked_in_order_of_their_names_and_a_literal_is_not_preferred() -> None:
    table = route_table([http("prec2", "prec/lit"), http("Prec1", "prec/{p}")], "api")
    function, found = table.match("GET", "/api/prec/lit") or (None, {})
    assert function is not None
    assert (function.name, found) == ("Prec1", {"p": "lit"})


def test_a_verb_that_does_not_fit_leaves_the_path_to_the_next_function() -> None:
    table = route_table([http("a", "verb", "get"), http("b", "verb", "POST")], "")
    assert [(table.match(verb, "/verb") or (None,))[0] is not None for verb in ("GET", "POST", "PUT")] == [
        True,
        True,
        False,
    ]


def test_without_methods_every_verb_answers() -> None:
    table = route_table([http("a")], "api")
    assert table.match("FOO", "/api/a") is not None
    assert table.match("FOO", "/a") is None


def test_a_function_without_route_has_its_name() -> None:
    assert route_of(http("plain")) == route_of(http("plain", " ")) == "plain"
    assert full_route(http("plain"), "/api/") == "api/plain"
    assert full_route(http("plain", "/lead/"), "") == "lead"


def test_the_later_of_two_equal_routes_is_in_error_when_a_verb_is_common() -> None:
    text = "The route specified conflicts with the route defined by function 'same_a'."
    assert check_routes([http("same_b", "/Same/"), http("same_a", "same")], "api") == RouteCheck({"same_b": text})
    assert check_routes([http("same_a", "s", "GET"), http("same_b", "s", "POST", "get")], "api").errors == {
        "same_b": text
    }
    assert check_routes([http("same_a", "s", "GET"), http("same_b", "s", "POST")], "api") == RouteCheck()
    assert check_routes([http("same_a", "s/{x}"), http("same_b", "s/{y}")], "api") == RouteCheck()


@pytest.mark.parametrize("route", ["admin/x", "Runtime/x", "/admin", "administration"])
def test_routes_of_the_host_are_refused(route: str) -> None:
    text = "The specified route conflicts with one or more built in routes."
    assert check_routes([http("x", route)], "api") == RouteCheck({"x": text})


def test_a_malformed_route_fails_the_whole_host() -> None:
    checked = check_routes([http("x", "x/{"), http("ok", "ok")], "api")
    assert checked.errors == {}
    assert checked.host_error is not None
    assert "'x'" in checked.host_error
    assert "api/x/{" in checked.host_error


def test_other_triggers_have_no_route() -> None:
    queue = Named("q", {"type": "queueTrigger", "name": "msg", "queueName": "admin"})
    assert check_routes([queue], "api") == RouteCheck()
    assert route_table([queue], "api").match("GET", "/api/q") is None
