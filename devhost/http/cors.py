"""Cross-origin rules (`--cors`, `--cors-credentials`, `Host.CORS`): whose pages may read answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


class Cors:
    """Origins as given, without trailing slash; `*` allows every one."""

    def __init__(self, origins: Sequence[str] = (), *, credentials: bool = False) -> None:
        self._origins = [origin.strip().rstrip("/") for origin in origins if origin.strip()]
        self._any = "*" in self._origins
        self._credentials = credentials

    def is_preflight(self, method: str, headers: Mapping[str, str]) -> bool:
        """Whether the browser only asks for permission; such a request never reaches a function."""
        asks = "Origin" in headers and "Access-Control-Request-Method" in headers
        return bool(self._origins) and method == "OPTIONS" and asks

    def headers(self, headers: Mapping[str, str], *, preflight: bool = False) -> list[tuple[str, str]]:
        """The headers to add to an answer; none if the request has no origin, or one that is not allowed."""
        origin = headers.get("Origin")
        if origin is None or not (self._any or self._allows(origin)):
            return []
        everybody = self._any and not self._credentials
        answer = [("Access-Control-Allow-Origin", "*" if everybody else origin)]
        if not everybody and (self._any or len(self._origins) > 1):
            answer.append(("Vary", "Origin"))
        if self._credentials:
            answer.append(("Access-Control-Allow-Credentials", "true"))
        if preflight:
            answer.append(("Access-Control-Allow-Methods", headers["Access-Control-Request-Method"]))
            asked = headers.get("Access-Control-Request-Headers")
            if asked:
                answer.append(("Access-Control-Allow-Headers", asked))
        return answer

    def _allows(self, origin: str) -> bool:
        return any(origin.lower() == allowed.lower() for allowed in self._origins)
