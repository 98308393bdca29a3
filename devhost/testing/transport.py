"""HTTP without ports: the real client and the real server, joined by a pair of sockets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler

Servers = Callable[[], dict[int, Callable[[], asyncio.BaseProtocol]]]
"""By port: what makes the server's side of a connection."""


class MemoryConnector(aiohttp.BaseConnector):
    """Connects an `aiohttp.ClientSession` with servers of this process that listen on no port."""

    def __init__(self, servers: Servers) -> None:
        super().__init__()
        self._servers = servers

    async def _create_connection(self, req: Any, traces: Any, timeout: Any) -> ResponseHandler:  # noqa: ASYNC109
        server = self._servers().get(req.url.port)
        if server is None:
            raise aiohttp.ClientConnectionError(f"Nothing listens at {req.url}: the host in memory is not running.")
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.connect_accepted_socket(server, theirs)
        _, protocol = await loop.create_connection(lambda: ResponseHandler(loop), sock=ours)
        if self._servers().get(req.url.port) is not server:
            protocol.abort()
            raise aiohttp.ClientConnectionError(f"The host at {req.url} died.")
        return protocol
