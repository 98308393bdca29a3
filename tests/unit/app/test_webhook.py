"""The webhook, against a real HTTPS server on this machine: what is sent, and what each way to fail is called."""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import json
import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.unit.app.fakes import FakeQueues
from video_jobs.contract import FailureNotification, JobError
from video_jobs.notifications import notify
from video_jobs.queues import QueueError
from video_jobs.settings import SettingError, failure_webhook, status_link
from video_jobs.webhook import WebhookError, message, post

SECRET_PATH = "/hooks/SeCrEt?sig=SeCrEt"
FAILURE = FailureNotification(
    instance_id="job-1",
    blob_name="videos/<!channel> [a](http://evil).avi",
    blob_url="https://a/v/a.avi",
    status="failed",
    attempts=2,
    requested_at=dt.datetime(2026, 11, 24, tzinfo=dt.UTC),
    error=JobError("worker", "no_space", "the disk & its brother are <full>"),
)
GIVEN: dict[str, Any] = {
    "failure": {
        "instance_id": "job-1",
        "blobName": "v/a.avi",
        "blobUrl": "https://a/v/a.avi",
        "status": "timeout",
        "attempts": 1,
        "requested_at": "2026-11-23T20:00:00Z",
        "error": {"step": "waiting", "code": "timeout", "message": "No report"},
    },
    "told": [],
}
STATUS = "https://jobs.azurewebsites.net/runtime/webhooks/durabletask/instances/job-1"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of this machine, with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder(issuer_name=name, subject_name=name, public_key=key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("tls") / "server.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return file


class Webhook:
    """A webhook whose answers a test chooses; `taken` is what was posted."""

    def __init__(self, certificate: Path) -> None:
        self.url = ""
        self.trust = ssl.create_default_context(cafile=str(certificate))
        self.answer: Handler = self.takes
        self.taken: list[Any] = []

    async def takes(self, request: web.Request) -> web.StreamResponse:
        self.taken.append(await request.json())
        return web.Response(text="1")

    async def handle(self, request: web.Request) -> web.StreamResponse:
        return await self.answer(request)

    async def post(self, seconds: float = 10.0) -> None:
        await post(self.url, FAILURE, seconds=seconds, ssl=self.trust)


@asynccontextmanager
async def serving(certificate: Path) -> AsyncIterator[Webhook]:
    webhook = Webhook(certificate)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", webhook.handle)
    server_side = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server_side.load_cert_chain(certificate)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=server_side)
        await site.start()
        port = runner.addresses[0][1]
        webhook.url = f"https://127.0.0.1:{port}{SECRET_PATH}"
        yield webhook
    finally:
        await runner.cleanup()


@pytest.fixture
async def webhook(certificate: Path) -> AsyncIterator[Webhook]:
    async with serving(certificate) as made:
        yield made


async def missed(webhook: Webhook, **options: Any) -> WebhookError:
    with pytest.raises(WebhookError) as caught:
        await webhook.post(**options)
    assert "SeCrEt" not in str(caught.value)
    assert "\n" not in str(caught.value)
    return caught.value


async def test_message_is_posted_once(webhook: Webhook) -> None:
    await webhook.post()
    assert webhook.taken == [message(webhook.url, FAILURE)]


@pytest.mark.parametrize(
    ("status", "again"),
    [(400, False), (401, False), (404, False), (410, False), (408, True), (429, True), (500, True), (503, True)],
)
async def test_answer_that_is_a_failure(webhook: Webhook, status: int, again: bool) -> None:
    async def refuses(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text="SeCrEt")

    webhook.answer = refuses
    error = await missed(webhook)
    assert (str(error), error.again) == (f"The webhook answered {status}", again)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirect_is_not_followed(webhook: Webhook, status: int) -> None:
    asked: list[str] = []

    async def redirects(request: web.Request) -> web.StreamResponse:
        asked.append(request.path)
        return web.Response(status=status, headers={"Location": "/elsewhere?sig=SeCrEt"})

    webhook.answer = redirects
    error = await missed(webhook)
    assert ("redirect" in str(error), error.again) == (True, False)
    assert asked == ["/hooks/SeCrEt"]


async def test_answer_that_takes_too_long(webhook: Webhook) -> None:
    over = asyncio.Event()

    async def says_nothing(_: web.Request) -> web.StreamResponse:
        await over.wait()
        return web.Response()

    webhook.answer = says_nothing
    try:
        error = await missed(webhook, seconds=0.2)
    finally:
        over.set()
    assert (str(error), error.again) == ("The webhook gave no answer within 0.2 s", True)


async def test_certificate_that_nobody_trusts(webhook: Webhook) -> None:
    webhook.trust = ssl.create_default_context()
    error = await missed(webhook)
    assert (str(error), error.again) == ("The webhook could not be reached: its certificate is not trusted", True)
    assert webhook.taken == []


async def test_nobody_there(certificate: Path) -> None:
    async with serving(certificate) as gone:
        pass
    error = await missed(gone)
    assert ("could not be reached: Connect" in str(error), error.again) == (True, True)


async def test_name_that_nobody_has(webhook: Webhook) -> None:
    webhook.url = "https://nobody.invalid/hooks/SeCrEt"
    error = await missed(webhook)
    assert (str(error), error.again) == ("The webhook could not be reached: its host name is not known", True)


def test_slack_gets_text_without_mentions_and_links() -> None:
    body = message("https://hooks.slack.com/services/T/B/x", FAILURE)
    assert list(body) == ["text"]
    assert body["text"].splitlines() == [
        "A video job failed",
        "videos/&lt;!channel&gt; [a](http://evil).avi: no_space in the step worker",
        "the disk &amp; its brother are &lt;full&gt;",
        "Job job-1, attempts: 2",
    ]


@pytest.mark.parametrize("url", ["https://prod-1.westeurope.logic.azure.com/x", "https://notslack.com/x"])
def test_others_get_an_adaptive_card_whose_foreign_text_is_no_markdown(url: str) -> None:
    body = message(url, FAILURE)
    assert body["type"] == "message"
    assert "no_space" in body["text"]
    (attachment,) = body["attachments"]
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    title, *lines = attachment["content"]["body"]
    assert title["text"] == "A video job failed"
    assert {line["type"] for line in lines} == {"RichTextBlock"}
    assert lines[0]["inlines"][0]["text"] == "videos/<!channel> [a](http://evil).avi: no_space in the step worker"


@pytest.mark.parametrize(
    "url",
    [
        "http://a.example/hook",
        "a.example/hook",
        "https://",
        "https://user:SeCrEt@a.example/hook",
        "https://a.example:0/",
        "https://a.example:x/",
        "https://a.example/a b",
        "https://[::1",
    ],
)
def test_url_that_may_not_be_used(url: str) -> None:
    with pytest.raises(SettingError) as caught:
        failure_webhook({"VIDEO_FAILURE_WEBHOOK_URL": url})
    assert "https URL" in str(caught.value)
    assert "example" not in str(caught.value)
    assert "SeCrEt" not in str(caught.value)


@pytest.mark.parametrize(
    ("host", "link"),
    [
        ("jobs.azurewebsites.net", STATUS),
        ("localhost:7071", "http://localhost:7071/runtime/webhooks/durabletask/instances/job-1"),
        ("", None),
    ],
)
def test_link_to_the_status(host: str, link: str | None) -> None:
    assert status_link({"WEBSITE_HOSTNAME": host}, "job-1") == link


class Posts:
    """Stands for `webhook.post`; `error` is what it raises."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error, self.posted = error, list[tuple[str, FailureNotification]]()

    async def __call__(self, url: str, failure: FailureNotification) -> None:
        if self.error:
            raise self.error
        self.posted.append((url, failure))


ENVIRON = {"VIDEO_FAILURE_WEBHOOK_URL": f"https://a.example{SECRET_PATH}", "WEBSITE_HOSTNAME": "jobs.azurewebsites.net"}


async def test_both_channels_have_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    queues, posts = FakeQueues(), Posts()
    assert await notify(GIVEN, send=queues, post=posts, environ=ENVIRON) == {"told": ["queue", "webhook"], "failed": []}
    ((queue, text, seconds_to_live),) = queues.sent
    assert (queue, seconds_to_live) == ("video-failed", -1)
    assert json.loads(text) == {**GIVEN["failure"], "links": {"status": STATUS}}
    ((url, failure),) = posts.posted
    assert (url, failure.links) == (ENVIRON["VIDEO_FAILURE_WEBHOOK_URL"], {"status": STATUS})
    assert "SeCrEt" not in caplog.text


async def test_without_a_webhook_the_queue_alone_has_it() -> None:
    queues, posts = FakeQueues(), Posts()
    assert await notify(GIVEN, send=queues, post=posts, environ={}) == {"told": ["queue"], "failed": []}
    assert posts.posted == []
    assert json.loads(queues.sent[0][1])["links"] == {}


async def test_channel_that_has_it_is_not_told_twice() -> None:
    queues, posts = FakeQueues(), Posts()
    given = {**GIVEN, "told": ["queue"]}
    told = await notify(given, send=queues, post=posts, environ=ENVIRON)
    assert told == {"told": ["queue", "webhook"], "failed": []}
    assert (queues.sent, len(posts.posted)) == ([], 1)


@pytest.mark.parametrize("again", [True, False])
async def test_webhook_that_fails(again: bool) -> None:
    posts = Posts(WebhookError("The webhook answered 500", again=again))
    assert await notify(GIVEN, send=FakeQueues(), post=posts, environ=ENVIRON) == {
        "told": ["queue"],
        "failed": [{"channel": "webhook", "message": "The webhook answered 500", "again": again}],
    }


@pytest.mark.parametrize(("code", "again"), [("storage_unavailable", True), ("bad_setting", False)])
async def test_queue_that_is_down_leaves_the_webhook(code: str, again: bool) -> None:
    queues, posts = FakeQueues(QueueError(code, "AccountKey=SeCrEt refused")), Posts()
    assert await notify(GIVEN, send=queues, post=posts, environ=ENVIRON) == {
        "told": ["webhook"],
        "failed": [{"channel": "queue", "message": "AccountKey=hidden refused", "again": again}],
    }


async def test_setting_that_is_no_https_url_is_said_and_not_tried_again() -> None:
    environ = {"VIDEO_FAILURE_WEBHOOK_URL": "http://a.example/SeCrEt"}
    told = await notify(GIVEN, send=FakeQueues(), post=Posts(), environ=environ)
    assert told["told"] == ["queue"]
    (failed,) = told["failed"]
    assert (failed["channel"], failed["again"]) == ("webhook", False)
    assert "VIDEO_FAILURE_WEBHOOK_URL must be an https URL" in failed["message"]
    assert "SeCrEt" not in failed["message"]
