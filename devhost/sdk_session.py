"""The HTTP session that the Durable Functions SDK keeps for all clients of the process."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Final

import aiohttp

_MODULE: Final = "azure.durable_functions.models.utils.http_utils"


class SdkSession:
    """Closes the session with the host.

    The SDK never does: at the end of the process it would complain, and a host on another loop (as each test
    has one) would get a session whose loop is gone.
    """

    def __init__(self, opened: Callable[[], aiohttp.ClientSession] | None = None) -> None:
        """`opened` gives the session for the SDK; without it the SDK opens one when an app first needs it."""
        self._opened = opened

    async def start(self) -> None:
        if self._opened is not None:
            from azure.durable_functions.models.utils import http_utils  # noqa: PLC0415 - not every app is durable

            http_utils._client_session = self._opened()

    async def stop(self) -> None:
        module = sys.modules.get(_MODULE)
        session = getattr(module, "_client_session", None)
        if module is None or session is None:
            return
        module._client_session = None  # type: ignore[attr-defined] # no public name for it
        module._session_lock = asyncio.Lock()  # type: ignore[attr-defined] # bound to the loop that ends
        await session.close()
