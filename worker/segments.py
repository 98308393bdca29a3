"""Joins moving frames to segments of motion."""

from dataclasses import dataclass

MERGE_SECONDS = 0.5
SHORTEST_SECONDS = 0.12


@dataclass(frozen=True)
class Segment:
    """A stretch of motion, in seconds from the start of the clip."""

    start_seconds: float
    stop_seconds: float


class SegmentBuilder:
    """Takes one frame after the other.

    A pause of up to half a second does not end a segment; what moves for less than an eighth is noise.
    """

    def __init__(self, fps: float) -> None:
        self._fps = fps
        self._first: int | None = None
        self._last = 0
        self._segments: list[Segment] = []

    def add(self, frame: int, moving: bool) -> bool:
        """The next frame; whether it lies in a segment that is still open."""
        if self._first is not None and not moving and (frame - self._last) / self._fps > MERGE_SECONDS:
            self._close()
        if moving:
            self._first = frame if self._first is None else self._first
            self._last = frame
        return self._first is not None

    def finish(self) -> list[Segment]:
        """All segments, in order."""
        self._close()
        return self._segments

    def _close(self) -> None:
        if self._first is not None:
            start, stop = self._first / self._fps, (self._last + 1) / self._fps
            if stop - start >= SHORTEST_SECONDS:
                self._segments.append(Segment(round(start, 3), round(stop, 3)))
        self._first = None
