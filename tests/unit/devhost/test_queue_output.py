"""What the output binding `queue` makes of a value, without a storage."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from azure.functions.meta import Datum
from hypothesis import given
from hypothesis import strategies as st

from devhost.functions import Function
from devhost.settings import HostSettings, MissingConnection
from devhost.testing.clock import VirtualClock
from devhost.testing.queues import MemoryAccount
from devhost.triggers.queue_output import LARGEST_MESSAGE, OutputError, messages, send

FUNCTION = cast(Function, SimpleNamespace(name="f"))
BINDING = {"type": "queue", "name": "out", "queueName": "Q-%SUFFIX%", "connection": "C"}


@pytest.fixture
def account() -> MemoryAccount:
    return MemoryAccount(VirtualClock())


async def sent(folder: Path, account: MemoryAccount, datum: Datum, encoding: str = "base64", **binding: Any) -> None:
    (folder / "host.json").write_text(
        f'{{"version": "2.0", "extensions": {{"queues": {{"messageEncoding": "{encoding}"}}}}}}', encoding="utf-8"
    )
    settings = HostSettings(folder, environment={"SUFFIX": "Out", "C": "UseDevelopmentStorage=true"})
    await send(settings, FUNCTION, {**BINDING, **binding}, datum, open_account=lambda connection: account)


@pytest.mark.parametrize(
    ("value", "kind", "bodies"),
    [
        ("text", "string", ["text"]),
        ('["a", "b"]', "string", ["a", "b"]),
        (' {"a":1,"b":{"c":[]}} ', "string", ['{\n  "a": 1,\n  "b": {\n    "c": []\n  }\n}']),
        ('{"ž": "☃"}', "json", ['{\n  "ž": "☃"\n}']),
        ('[1, 2.5, true, null, {"a": 1}]', "json", ["1", "2.5", "True", "", '{\n  "a": 1\n}']),
        ('"text"', "json", ["text"]),
        (5, "int", ["5"]),
        (2.5, "double", ["2.5"]),
        ("[]", "json", []),
        (None, "string", []),
        (None, None, []),
    ],
)
def test_the_messages_of_a_value(value: Any, kind: str | None, bodies: list[str]) -> None:
    assert messages(Datum(value, kind)) == [body.encode() for body in bodies]


@given(st.binary())
def test_bytes_are_sent_as_they_are(value: bytes) -> None:
    assert messages(Datum(value, "bytes")) == [value]


@given(st.lists(st.text()))
def test_a_list_is_one_message_an_item(items: list[str]) -> None:
    assert messages(Datum(json.dumps(items), "json")) == [item.encode() for item in items]


async def test_the_queue_is_made_and_its_name_resolved(tmp_path: Path, account: MemoryAccount) -> None:
    await sent(tmp_path, account, Datum('["a", "b"]', "json"))
    assert account.texts("q-out") == ["YQ==", "Yg=="]
    assert account.closed


async def test_nothing_to_send_asks_no_storage(tmp_path: Path, account: MemoryAccount) -> None:
    await sent(tmp_path, account, Datum("[]", "json"))
    assert (account.requests, account.queues) == (0, {})


async def test_without_encoding_text_is_sent_as_it_is(tmp_path: Path, account: MemoryAccount) -> None:
    await sent(tmp_path, account, Datum("žluť", "string"), encoding="none")
    assert account.texts("q-out") == ["žluť"]


@pytest.mark.parametrize(
    ("datum", "encoding", "reason"),
    [
        (Datum("{'a': 1}", "string"), "base64", "Expecting property name"),
        (Datum(b"\xff", "bytes"), "none", "it is bytes that are not UTF-8 text"),
        (Datum("x" * (LARGEST_MESSAGE + 1), "string"), "none", "the message is 65537 bytes long"),
        (Datum(object(), "model_binding_data"), "none", "has no form as a queue message"),
    ],
)
async def test_what_can_not_be_sent_is_named(
    tmp_path: Path, account: MemoryAccount, datum: Datum, encoding: str, reason: str
) -> None:
    with pytest.raises(OutputError, match=f"^Output 'out' of 'f' can't be sent: .*{reason}"):
        await sent(tmp_path, account, datum, encoding)
    assert account.queues == {}


async def test_a_message_of_just_the_largest_size_passes(tmp_path: Path, account: MemoryAccount) -> None:
    await sent(tmp_path, account, Datum(b"x" * (LARGEST_MESSAGE // 4 * 3), "bytes"))
    (text,) = account.texts("q-out")
    assert len(base64.b64decode(text)) == LARGEST_MESSAGE // 4 * 3


async def test_a_binding_expression_is_refused(tmp_path: Path, account: MemoryAccount) -> None:
    with pytest.raises(OutputError, match=r"devhost knows no binding expressions such as '\{queuetrigger\}'"):
        await sent(tmp_path, account, Datum("x", "string"), queueName="{queueTrigger}")


async def test_an_unknown_connection_is_named(tmp_path: Path, account: MemoryAccount) -> None:
    with pytest.raises(MissingConnection, match="'AzureWebJobsNowhere' does not exist"):
        await sent(tmp_path, account, Datum("x", "string"), connection="Nowhere")
