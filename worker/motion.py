"""Finds motion in a video: what differs from the learnt background (MOG2) and is no speck."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from cv2.typing import MatLike

from worker.contact_sheet import Highlights, Picture
from worker.failures import VideoError
from worker.segments import Segment, SegmentBuilder

WIDTH = 320
LEAST_AREA = 0.0005  # of the picture
FALLBACK_FPS = 25.0
# Containers may count a frame or two that no decoder gives.
COUNT_SLACK = 2


@dataclass(frozen=True)
class Motion:
    """What was found. Times in seconds; `pictures` are for the contact sheet."""

    segments: list[Segment]
    duration_seconds: float
    fps: float
    frames: int
    pictures: list[Picture]


def detect(path: Path, check: Callable[[], None]) -> Motion:
    """Decode a whole clip and find its motion; `check` is called for each frame and may raise to stop.

    Raises `VideoError` with the code `not_a_video`, or `truncated` for fewer frames than the file claims.
    """
    capture = cv2.VideoCapture(str(path))
    try:
        if not capture.isOpened():
            raise VideoError("not_a_video", "The blob is no video that can be decoded")
        claimed = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        fps = _frame_rate(capture)
        segments, highlights, frames = SegmentBuilder(fps), Highlights(), 0
        for picture, area in _moving_areas(capture):
            check()
            in_segment = segments.add(frames, area > 0)
            highlights.add(Picture(frames / fps, picture), area, in_segment)
            frames += 1
    finally:
        capture.release()
    if frames == 0:
        raise VideoError("not_a_video", "No picture of the video can be decoded")
    if frames < claimed - COUNT_SLACK:
        raise VideoError("truncated", f"The video breaks off: {frames} of {claimed} frames can be decoded")
    return Motion(segments.finish(), round(frames / fps, 3), fps, frames, highlights.finish())


def _frame_rate(capture: cv2.VideoCapture) -> float:
    fps = float(capture.get(cv2.CAP_PROP_FPS))
    return fps if np.isfinite(fps) and 0 < fps <= 1000 else FALLBACK_FPS


def _moving_areas(capture: cv2.VideoCapture) -> Iterator[tuple[MatLike, float]]:
    """Each frame, scaled down, with the area in pixels of the largest thing that moves in it, or 0."""
    subtractor = cv2.createBackgroundSubtractorMOG2(varThreshold=32, detectShadows=False)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
    first = True
    while True:
        good, frame = capture.read()
        if not good:
            return
        height = max(1, round(frame.shape[0] * WIDTH / frame.shape[1]))
        small = cv2.resize(frame, (WIDTH, height), interpolation=cv2.INTER_AREA)
        mask = subtractor.apply(small, learningRate=1.0 if first else -1.0)
        opened = cv2.morphologyEx(mask, cv2.MORPH_OPEN, kernel)
        contours, _ = cv2.findContours(opened, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        area = max((cv2.contourArea(contour) for contour in contours), default=0.0)
        # All of the first frame is new, which is not what motion means.
        yield small, 0.0 if first or area < LEAST_AREA * WIDTH * height else area
        first = False
