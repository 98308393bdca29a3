"""Which orchestrators, activities and entities an app has; looked up without regard to case."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Names:
    """Registered names by their lower-case form, each kind for itself."""

    orchestrators: frozenset[str]
    activities: frozenset[str]
    entities: frozenset[str]

    @classmethod
    def of(cls, orchestrators: Iterable[str], activities: Iterable[str], entities: Iterable[str]) -> Names:
        return cls(
            frozenset(name.lower() for name in orchestrators),
            frozenset(name.lower() for name in activities),
            frozenset(name.lower() for name in entities),
        )
