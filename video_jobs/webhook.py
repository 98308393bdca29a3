"""Telling people through a webhook of Teams or Slack, or of anything that takes their JSON."""

from typing import Any, Literal
from urllib.parse import urlsplit

import aiohttp

from video_jobs.contract import FailureNotification

# All of it: connecting, sending, and the head of the answer.
SECONDS = 10.0
_MAY_PASS = (408, 425, 429)
_SLACK = ("slack.com", "slack-gov.com")
_TITLES: dict[Literal["timeout", "failed"], str] = {"timeout": "A video job timed out", "failed": "A video job failed"}


class WebhookError(Exception):
    """The webhook did not take the message; `again` says whether it may another time. The text has no URL in it."""

    def __init__(self, message: str, *, again: bool) -> None:
        self.again = again
        super().__init__(message)


async def post(url: str, failure: FailureNotification, *, seconds: float = SECONDS, ssl: Any = True) -> None:
    """Post a failure to a webhook; any 2xx is a success, a redirect is not followed. Raises `WebhookError`.

    `seconds` is the limit for all of it; `ssl` is what aiohttp takes.
    """
    limit = aiohttp.ClientTimeout(total=seconds)
    try:
        async with (
            aiohttp.ClientSession(timeout=limit, cookie_jar=aiohttp.DummyCookieJar()) as session,
            session.post(url, json=message(url, failure), allow_redirects=False, ssl=ssl) as response,
        ):
            status = response.status
    except TimeoutError as error:
        raise WebhookError(f"The webhook gave no answer within {seconds:g} s", again=True) from error
    except (aiohttp.ClientError, OSError) as error:
        raise WebhookError(f"The webhook could not be reached: {_why(error)}", again=True) from error
    if 300 <= status < 400:
        raise WebhookError(f"The webhook answered with a redirect ({status}), which is not followed", again=False)
    if not 200 <= status < 300:
        raise WebhookError(f"The webhook answered {status}", again=status >= 500 or status in _MAY_PASS)


def _why(error: Exception) -> str:
    """In words of our own: the error's may name the URL, and whoever knows that may post."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientSSLError):
        return "its certificate is not trusted"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "its host name is not known"
    if isinstance(error, aiohttp.ClientConnectorError):
        return error.os_error.strerror or "it does not answer"
    return type(error).__name__


def message(url: str, failure: FailureNotification) -> dict[str, Any]:
    """The JSON for a webhook.

    Slack gets `text` alone: it knows `attachments` too, and means something else by them. Teams' workflows post the
    adaptive cards in `attachments` and fail without; its older connectors, and many others, read `text`.
    """
    host = (urlsplit(url).hostname or "").lower()
    lines = [
        _TITLES[failure.status],
        f"{failure.blob_name or 'no name'}: {failure.error.code} in the step {failure.error.step}",
        failure.error.message,
        f"Job {failure.instance_id}, attempts: {failure.attempts}",
        *(f"{name}: {link}" for name, link in failure.links.items()),
    ]
    text = "\n".join(_plain_for_slack(line) for line in lines)
    if host.endswith(tuple(f".{domain}" for domain in _SLACK)):
        return {"text": text}
    card = {"$schema": "http://adaptivecards.io/schemas/adaptive-card.json", "type": "AdaptiveCard", "version": "1.2"}
    body = [
        {"type": "TextBlock", "text": lines[0], "weight": "Bolder", "wrap": True},
        *map(_plain_for_teams, lines[1:]),
    ]
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "content": {**card, "body": body}}
    return {"type": "message", "text": text, "attachments": [attachment]}


def _plain_for_slack(text: str) -> str:
    """As Slack asks for, so that nothing in it is a mention or a link of its own."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _plain_for_teams(text: str) -> dict[str, Any]:
    """A text run knows no Markdown, which a text block does."""
    return {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": text}]}
