"""The HTTP session that the Durable Functions SDK keeps for all clients of the process."""

from __future__ import annotations

import asyncio
import sys
from typing import Final

_MODULE: Final = "azure.durable_functions.models.utils.http_utils"


class SdkSession:
    """Closes the session with the host.

    The SDK never does: at the end of the process it would complain, and a host on another loop (as each test
    has one) would get a session whose loop is gone.
    """

    async def start(self) -> None:
        """Nothing to do: the SDK opens the session when an app first needs it."""

    async def stop(self) -> None:
        module = sys.modules.get(_MODULE)
        session = getattr(module, "_client_session", None)
        if module is None or session is None:
            return
        module._client_session = None  # type: ignore[attr-defined] # no public name for it
        module._session_lock = asyncio.Lock()  # type: ignore[attr-defined] # bound to the loop that ends
        await session.close()
