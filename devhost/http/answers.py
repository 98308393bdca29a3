"""A response as it stands on the wire: the headers of the host's web server and none of aiohttp's own."""

from __future__ import annotations

from aiohttp import HttpVersion11, web

from devhost.http.messages import Reply

SERVER = "Kestrel"
_REASONS = {
    413: "Payload Too Large",
    414: "URI Too Long",
    416: "Range Not Satisfiable",
    418: "I'm a teapot",
    419: "Authentication Timeout",
    499: "Client Closed Request",
}
_CANONICAL = {
    name.lower(): name
    for name in [
        "Accept-Ranges",
        "Access-Control-Allow-Credentials",
        "Access-Control-Allow-Headers",
        "Access-Control-Allow-Methods",
        "Access-Control-Allow-Origin",
        "Access-Control-Expose-Headers",
        "Access-Control-Max-Age",
        "Age",
        "Allow",
        "Alt-Svc",
        "Cache-Control",
        "Connection",
        "Content-Encoding",
        "Content-Language",
        "Content-Length",
        "Content-Location",
        "Content-MD5",
        "Content-Range",
        "Content-Type",
        "Date",
        "ETag",
        "Expires",
        "Keep-Alive",
        "Last-Modified",
        "Location",
        "Pragma",
        "Proxy-Authenticate",
        "Retry-After",
        "Server",
        "Set-Cookie",
        "Trailer",
        "Transfer-Encoding",
        "Upgrade",
        "Vary",
        "Via",
        "WWW-Authenticate",
        "Warning",
    ]
}


class Answer(web.Response):
    """A response that gets no Content-Type unless somebody gave it one."""

    async def _prepare_headers(self) -> None:
        typed = "Content-Type" in self.headers
        await super()._prepare_headers()
        if not typed:
            self.headers.popall("Content-Type", None)


def answer(request: web.BaseRequest, reply: Reply) -> Answer:
    """Chunked when there is a body of no stated length; HEAD keeps the headers, without body and length."""
    headers = [(_CANONICAL.get(name.lower(), name), value) for name, value in reply.headers]
    names = {name for name, _ in headers}
    if "Server" not in names:
        headers.append(("Server", SERVER))
    head = request.method == "HEAD"
    if head and reply.body and reply.sized and "Content-Length" not in names:
        headers.append(("Content-Length", str(len(reply.body))))
    body = b"" if head else reply.body
    response = Answer(status=reply.status, reason=_REASONS.get(reply.status), headers=headers, body=body)
    stated = reply.sized or "Content-Length" in names
    if body and not stated and request.version >= HttpVersion11:
        response.enable_chunked_encoding()
    if response.headers.get("Connection", "").lower() == "close":
        response.force_close()
    return response
