"""Writes a sample clip: the same bytes on every run, so that no media has to be kept."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from cv2.typing import MatLike

from worker.segments import Segment

SIZE = (640, 360)
FPS = 25
# When something crosses the picture, as shares of the clip.
CROSSINGS = ((0.125, 0.375), (0.5625, 0.8125))


def crossings(seconds: float) -> list[Segment]:
    """When something moves in a clip of this length."""
    return [Segment(_at_frame(start, seconds), _at_frame(stop, seconds)) for start, stop in CROSSINGS]


def write(path: Path, seconds: float = 8.0, *, motion: bool = True) -> None:
    """Write an XVID AVI of 640 by 360 at 25 frames a second. Raises OSError when it can't be written."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"XVID"), FPS, SIZE)
    if not writer.isOpened():
        raise OSError(f"OpenCV can't write an XVID clip to {path}")
    try:
        background = _background()
        for number in range(round(seconds * FPS)):
            writer.write(_frame(background, number / FPS, crossings(seconds) if motion else []))
    finally:
        writer.release()


def _at_frame(share: float, seconds: float) -> float:
    return round(share * seconds * FPS) / FPS


def _background() -> MatLike:
    noise = np.random.default_rng(7).integers(0, 256, (SIZE[1], SIZE[0], 3), dtype=np.uint8)
    blurred = cv2.GaussianBlur(noise, (0, 0), 9)
    return cv2.normalize(blurred, blurred, 40, 160, cv2.NORM_MINMAX)


def _frame(background: MatLike, seconds: float, moves: list[Segment]) -> MatLike:
    frame = background.copy()
    for number, move in enumerate(moves):
        if move.start_seconds <= seconds < move.stop_seconds:
            share = (seconds - move.start_seconds) / (move.stop_seconds - move.start_seconds)
            x = int(share * (SIZE[0] - 80))
            if number % 2 == 0:
                cv2.rectangle(frame, (x, 210), (x + 80, 270), (40, 220, 250), -1)
            else:
                cv2.circle(frame, (SIZE[0] - 40 - x, 120), 35, (240, 240, 240), -1)
    return frame


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m worker.sample", description="Writes a sample clip (XVID AVI).")
    parser.add_argument("out", type=Path, metavar="OUT.avi")
    parser.add_argument("--seconds", type=float, default=8.0, help="length of the clip (8)")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--motion", action="store_true", default=True, help="two things cross the picture (default)")
    kind.add_argument("--still", dest="motion", action="store_false", help="nothing moves")
    asked = parser.parse_args(arguments)
    if not 1 <= asked.seconds <= 3600:
        parser.error("--seconds must be from 1 to 3600")
    try:
        write(asked.out, asked.seconds, motion=asked.motion)
    except OSError as error:
        parser.exit(1, f"{error}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
