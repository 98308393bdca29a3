"""Listing, setting, making and deleting access keys over the admin API."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from devhost.http.keys import HOST_KEYS, MASTER, SYSTEM_KEYS, KeyStore, function_scope
from devhost.http.messages import Reply
from devhost.http.parts import Call, empty, json_reply
from devhost.http.request_json import RequestJsonError, read_request_json
from devhost.http.urls import encode_path


async def host_key_ring(call: Call, values: Mapping[str, str]) -> Reply:
    """`/admin/host/keys`, `/functionkeys`, `/systemkeys`."""
    return _list(call, _host_scope(values["ring"]))


async def one_host_key(call: Call, values: Mapping[str, str]) -> Reply:
    return await _one(call, _host_scope(values["ring"]), values["key"])


async def function_key_ring(call: Call, values: Mapping[str, str]) -> Reply:
    """`/admin/functions/<name>/keys`."""
    function = call.host.index.function(values["name"])
    return empty(404) if function is None else _list(call, function_scope(function.name))


async def one_function_key(call: Call, values: Mapping[str, str]) -> Reply:
    function = call.host.index.function(values["name"])
    return empty(404) if function is None else await _one(call, function_scope(function.name), values["key"])


def _host_scope(ring: str) -> str:
    return SYSTEM_KEYS if ring.lower() == SYSTEM_KEYS else HOST_KEYS


def _shown(keys: KeyStore, scope: str) -> dict[str, str]:
    """A ring as it is shown; the master key stands among the system's."""
    master = {MASTER: keys.master} if scope == SYSTEM_KEYS else {}
    return {**keys.ring(scope), **master}


def _here(call: Call) -> str:
    return call.base + encode_path(call.target.path)


def _list(call: Call, scope: str) -> Reply:
    keys = [{"name": name, "value": value} for name, value in _shown(call.host.keys, scope).items()]
    return json_reply({"keys": keys, "links": [{"rel": "self", "href": _here(call)}]})


def _key_reply(call: Call, name: str, value: str, *, new: bool = False) -> Reply:
    shown = {"name": name, "value": value, "links": [{"rel": "self", "href": _here(call)}]}
    return json_reply(shown, 201, ("Location", _here(call))) if new else json_reply(shown)


async def _one(call: Call, scope: str, name: str) -> Reply:
    return await _VERBS[call.request.method](call, scope, name)


async def _get(call: Call, scope: str, name: str) -> Reply:
    value = _shown(call.host.keys, scope).get(name)
    return empty(404) if value is None else _key_reply(call, name, value)


async def _put(call: Call, scope: str, name: str) -> Reply:
    try:
        sent = {key.lower(): value for key, value in (await read_request_json(call)).items()}
    except RequestJsonError as problem:
        return empty(problem.status)
    value = sent.get("value")
    if not _may_set(scope, name) or sent.get("name", name) != name or not isinstance(value, str) or not value:
        return empty(400)
    stored, new = call.host.keys.set(scope, name, value)
    return _key_reply(call, name, stored, new=new)


async def _post(call: Call, scope: str, name: str) -> Reply:
    if not _may_set(scope, name):
        return empty(400)
    stored, new = call.host.keys.set(scope, name)
    return _key_reply(call, name, stored, new=new)


async def _delete(call: Call, scope: str, name: str) -> Reply:
    if name.startswith("_"):
        return empty(400)
    return empty(204 if call.host.keys.delete(scope, name) else 404)


def _may_set(scope: str, name: str) -> bool:
    """Names with a leading underscore are the host's; of them only the master key can be renewed."""
    return not name.startswith("_") or (scope == SYSTEM_KEYS and name == MASTER)


_VERBS: dict[str, Callable[[Call, str, str], Awaitable[Reply]]] = {
    "GET": _get,
    "PUT": _put,
    "POST": _post,
    "DELETE": _delete,
}
