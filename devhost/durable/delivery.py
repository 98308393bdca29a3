"""What a transaction left for the engine to act on, once it is committed."""

from __future__ import annotations

from dataclasses import dataclass, field

from .store import Activity, Message, Timer


@dataclass
class Delivery:
    """`forgotten` are instances whose mailbox and timers are void; they come first. `warnings` are for the log."""

    forgotten: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    activities: list[Activity] = field(default_factory=list)
    timers: list[Timer] = field(default_factory=list)
