"""What a function sees of a request, and what its result becomes."""

from __future__ import annotations

import json
from typing import Any

import azure.functions as func
import pytest
from azure.functions.http import HttpRequestConverter, HttpResponseConverter
from azure.functions.meta import Datum
from hypothesis import given
from hypothesis import strategies as st

from devhost.http.json_text import NotJsonError, bare_text, double_text, read_json, write_json
from devhost.http.messages import TEXT, Incoming, Reply, ReplyError, reply_of, request_datum
from devhost.http.urls import TargetError, encode_path, query_params, query_value, read_target


def seen(target: str, *headers: tuple[str, str], body: bytes = b"", **route: str) -> func.HttpRequest:
    """The request as the SDK hands it to a function."""
    incoming = Incoming("GET", "http", "localhost:7071", read_target(target), headers, body)
    decoded = HttpRequestConverter.decode(request_datum(incoming, route), trigger_metadata={})
    assert isinstance(decoded, func.HttpRequest)
    return decoded


def sent(value: Any) -> Reply:
    """The reply for what a function returns."""
    return reply_of(HttpResponseConverter.encode(value, expected_type=None))


def header(reply: Reply, name: str) -> list[str]:
    return [value for key, value in reply.headers if key.lower() == name.lower()]


@pytest.mark.parametrize(
    ("raw", "path", "shown"),
    [
        ("/api/plain", "/api/plain", "/api/plain"),
        ("/a%2Fb/c%20d", "/a%2Fb/c d", "/a%2Fb/c%20d"),
        ("/a%252Fb", "/a%2Fb", "/a%2Fb"),
        ("/%C5%BElu%C5%A5/x+y", "/žluť/x+y", "/%C5%BElu%C5%A5/x+y"),
        ("/pre-%25X%25-post", "/pre-%X%-post", "/pre-%25X%25-post"),
        ("/bad%zz%ff", "/bad%zz%ff", "/bad%25zz%ff"),
        ("/a/./b/../c", "/a/c", "/a/c"),
        ("/a/..", "/", "/"),
        ("/a/b/.", "/a/b/", "/a/b/"),
        ("/../x", "/x", "/x"),
        ("/.well-known/x", "/.well-known/x", "/.well-known/x"),
        ("http://other:80/api/x?y=1", "/api/x", "/api/x?y=1"),
        ("http://other", "/", "/"),
        ("*", "", ""),
        ("/x?a=%zz#f", "/x", "/x?a=%zz%23f"),
    ],
)
def test_the_path_is_decoded_as_the_web_server_does(raw: str, path: str, shown: str) -> None:
    target = read_target(raw)
    assert (target.path, target.shown) == (path, shown)


@pytest.mark.parametrize("raw", ["/ž", "/a\udcff", "/a%00b"])
def test_a_target_that_cannot_be_read_is_refused(raw: str) -> None:
    with pytest.raises(TargetError):
        read_target(raw)


@given(st.text(st.characters(max_codepoint=127)))
def test_any_ascii_target_is_read_or_refused(raw: str) -> None:
    try:
        target = read_target(raw)
    except TargetError:
        return
    assert target.shown.isascii()


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="%\0")))
def test_what_is_encoded_is_read_again(text: str) -> None:
    path = "/x" + text.replace("/.", "/")
    assert read_target(encode_path(path)).path == path


@pytest.mark.parametrize(
    ("query", "params"),
    [
        ("", {}),
        ("a=1&a=2&b=", {"a": "1,2"}),
        ("a=1&a=&c&d", {"a": "1"}),
        ("D=x&d=y", {"d": "x,y"}),
        ("e=%20+%C3%A9&=z&f=a,b", {"e": "  é", "": "z", "f": "a,b"}),
        ("q=%2F%3F%26&x=%zz&y=%ff", {"q": "/?&", "x": "%zz", "y": "%ff"}),
        ("&&a=b=c&", {"a": "b=c"}),
        ("x=%C3%28%E2%82%AC", {"x": "%C3(€"}),
    ],
)
def test_query_parameters(query: str, params: dict[str, str]) -> None:
    assert query_params(query) == params


def test_a_query_parameter_is_found_in_any_case() -> None:
    assert query_value("CODE=k", "code") == "k"
    assert query_value("code=", "code") is None


def test_headers_arrive_lower_cased_and_joined() -> None:
    request = seen("/api/x", ("X-One", "1"), ("x-one", "2"), ("X-Two", " a , b "), ("Cookie", "a=b"), ("X-Empty", ""))
    assert dict(request.headers) == {"x-one": "1,2", "x-two": "a , b", "cookie": "a=b", "x-empty": ""}


def test_the_request_has_url_params_route_and_body() -> None:
    request = seen("/api/x?a=1&b=", body=b"\x00\xff", id="7")
    assert request.url == "http://localhost:7071/api/x?a=1&b="
    assert (dict(request.params), dict(request.route_params)) == ({"a": "1"}, {"id": "7"})
    assert request.get_body() == b"\x00\xff"


@pytest.mark.parametrize("body", [b"", b"{", b"\xef\xbb\xbf{}", b"\xff"])
def test_a_body_that_is_no_json_raises_value_error(body: bytes) -> None:
    with pytest.raises(ValueError, match="HTTP request does not contain valid JSON data"):
        seen("/x", body=body).get_json()


@pytest.mark.parametrize(
    ("text", "body"),
    [
        ("hi", "hi"),
        ("", ""),
        ("  ", ""),
        ('{"a": 1}', '{\n  "a": 1\n}'),
        ('{"a": {"b": []}, "c": [{}]}', '{\n  "a": {\n    "b": []\n  },\n  "c": [\n    {}\n  ]\n}'),
        ("[1, 2]", "[\n  1,\n  2\n]"),
        ("true", "True"),
        ("1.50", "1.5"),
        ("1.0", "1"),
        ("[1.0, 1e5, 1e-7]", "[\n  1.0,\n  100000.0,\n  1E-07\n]"),
        ("123456789012345678901234567890", "123456789012345678901234567890"),
        ("null", ""),
        ('"q"', "q"),
        ('["žluť"]', '[\n  "žluť"\n]'),
        ("{'a': 1, b: [1,],}", '{\n  "a": 1,\n  "b": [\n    1\n  ]\n}'),
        ("0123", "83"),
        ("/* only this */", ""),
        ("True", "True"),
        ("2024-01-31", "2024-01-31"),
        ('["2024-01-31T10:00:00.500000+00:00"]', '[\n  "2024-01-31T10:00:00.5+00:00"\n]'),
        ('["2024-01-31T10:00:00Z"]', '[\n  "2024-01-31T10:00:00Z"\n]'),
        ("[1] x", "[1] x"),
        ("[" * 5000, "[" * 5000),
    ],
)
def test_a_text_is_written_as_the_host_writes_it(text: str, body: str) -> None:
    assert sent(text) == Reply(200, [("Content-Type", TEXT)], body.encode())


@pytest.mark.parametrize(
    ("text", "status", "content_type", "body"),
    [
        ('{"status": 203, "body": "Z"}', 203, TEXT, b"Z"),
        ('{"statusCode": "201", "status": 404, "body": null}', 201, TEXT, b""),
        ('{"Body": {"k": 1}}', 200, TEXT, b'{"k":1}'),
        ('{"body": "B", "headers": {"content-type": "a/b"}}', 200, "a/b; charset=utf-8", b"B"),
        ('{"body": "B", "headers": {"Content-Type": "a/b; charset=x"}}', 200, "a/b; charset=x", b"B"),
        ('{"body": "c", "cookies": [{"name": "n", "value": "v"}]}', 200, TEXT, b"c"),
    ],
)
def test_a_json_object_with_a_body_is_a_response(text: str, status: int, content_type: str, body: bytes) -> None:
    reply = sent(text)
    assert (reply.status, header(reply, "content-type"), reply.body) == (status, [content_type], body)
    assert header(reply, "set-cookie") == []


def test_an_http_response_is_sent_as_it_is() -> None:
    reply = sent(func.HttpResponse('{"a": 1}', status_code=418, headers={"X-MiXed": "v"}, mimetype="application/json"))
    assert (reply.status, reply.body) == (418, b'{"a": 1}')
    assert ("X-MiXed", "v") in reply.headers
    assert header(reply, "content-type") == ["application/json"]


def test_cookies_are_written_in_the_servers_order() -> None:
    response = func.HttpResponse("c")
    for line in [
        'a="b c"; HttpOnly; Max-Age=5; Path=/',
        "c=d; SameSite=None; Secure; Domain=x.y; Expires=Thu, 12-Jan-40 13:55:08 GMT",
        "e=f; Max-Age=soon; Expires=never",
    ]:
        response.headers.add("Set-Cookie", line)
    assert header(sent(response), "set-cookie") == [
        "a=b%20c; max-age=5; domain=; path=/; httponly",
        "c=d; expires=Thu, 12 Jan 2040 13:55:08 GMT; domain=x.y; path=; secure; samesite=none",
        "e=f; domain=; path=",
    ]


def test_what_only_the_server_may_say_is_dropped_and_of_equal_names_the_last_wins() -> None:
    response = func.HttpResponse("x", headers={"Date": "x", "Transfer-Encoding": "gzip", "Server": "mine"})
    response.headers.add("X-D", "1")
    response.headers.add("x-d", "2")
    reply = sent(response)
    assert (header(reply, "date"), header(reply, "transfer-encoding")) == ([], [])
    assert (header(reply, "server"), header(reply, "x-d")) == (["mine"], ["2"])


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"X-Name": "žluť"}, 200),
        ({"X Name": "x"}, 200),
        ({"X-Name": "a\x01b"}, 200),
        ({"Content-Length": "5"}, 200),
        ({}, 42),
    ],
)
def test_a_reply_that_http_does_not_allow_says_what_to_change(headers: dict[str, str], status: int) -> None:
    with pytest.raises(ReplyError, match=r"header|Content-Length|status code"):
        sent(func.HttpResponse("x", headers=headers, status_code=status))


def test_no_result_is_an_empty_200() -> None:
    assert reply_of(None) == reply_of(Datum(None, None)) == Reply()


def test_a_result_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ReplyError, match="collection_string"):
        reply_of(Datum(["a"], "collection_string"))


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(JSON_VALUES)
def test_strict_json_is_read_as_python_reads_it_and_written_without_loss(value: Any) -> None:
    text = json.dumps(value)
    assert read_json(text) == json.loads(text)
    assert json.loads(write_json(read_json(text))) == value
    assert json.loads(write_json(value, indent=False)) == value


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_double_keeps_its_value(value: float) -> None:
    assert float(double_text(value)) == value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "-0"),
        (123.456, "123.456"),
        (0.0001, "0.0001"),
        (0.00001, "1E-05"),
        (1e14, "100000000000000"),
        (1e15, "1E+15"),
        (1.2345678901234568e17, "1.2345678901234568E+17"),
        (5e-324, "5E-324"),
        (float("nan"), "NaN"),
        (float("-inf"), "-Infinity"),
    ],
)
def test_a_double_is_spelt_as_dot_net_spells_it(value: float, text: str) -> None:
    assert double_text(value) == text
    assert bare_text(value) == text


@given(st.text(alphabet="{}[]\"':,.-+/*eExX0123abtruefalsnN \\u\n", max_size=20))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        value = read_json(text)
    except NotJsonError:
        return
    assert isinstance(bare_text(value), str)
