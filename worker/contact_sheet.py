"""The contact sheet: one JPEG with the moments that a person should see."""

from dataclasses import dataclass

import cv2
import numpy as np
from cv2.typing import MatLike

COLUMNS = 4
MOST_PICTURES = 12


@dataclass(frozen=True)
class Picture:
    """A frame, scaled down, and when it is in the clip."""

    seconds: float
    image: MatLike


class Highlights:
    """Chooses the pictures while frames go by.

    Of motion: the fullest moment of each of the largest segments. Of a clip without: moments at even
    distances. Never holds more than two sheets.
    """

    def __init__(self) -> None:
        self._best: tuple[float, Picture] | None = None
        self._peaks: list[tuple[float, Picture]] = []
        self._samples: list[Picture] = []
        self._stride = 1
        self._seen = 0

    def add(self, picture: Picture, area: float, in_segment: bool) -> None:
        """The next frame, with the area that moves in it."""
        if not in_segment:
            self._close()
        elif area and (self._best is None or area > self._best[0]):
            self._best = (area, picture)
        if self._seen % self._stride == 0:
            self._samples.append(picture)
            if len(self._samples) > 2 * MOST_PICTURES:
                self._samples = self._samples[::2]
                self._stride *= 2
        self._seen += 1

    def finish(self) -> list[Picture]:
        """The chosen pictures, in the order of the clip."""
        self._close()
        chosen = [picture for _, picture in self._peaks]
        if not chosen:
            step = max(1, -(-len(self._samples) // MOST_PICTURES))
            chosen = self._samples[::step]
        return sorted(chosen, key=lambda picture: picture.seconds)

    def _close(self) -> None:
        if self._best is not None:
            self._peaks = sorted([*self._peaks, self._best], key=lambda peak: -peak[0])[:MOST_PICTURES]
        self._best = None


def draw(pictures: list[Picture]) -> bytes:
    """The sheet as JPEG, at most four pictures a row, the time written on each."""
    tiles = [_caption(picture) for picture in pictures]
    columns = min(COLUMNS, len(tiles))
    blank = np.zeros_like(tiles[0])
    rows = [tiles[start : start + columns] for start in range(0, len(tiles), columns)]
    sheet = np.vstack([np.hstack(row + [blank] * (columns - len(row))) for row in rows])
    good, encoded = cv2.imencode(".jpg", sheet, [cv2.IMWRITE_JPEG_QUALITY, 85])
    if not good:
        raise RuntimeError("OpenCV could not encode the contact sheet as JPEG")
    return encoded.tobytes()


def _caption(picture: Picture) -> MatLike:
    tile = picture.image.copy()
    minutes, seconds = divmod(picture.seconds, 60)
    text = f"{int(minutes)}:{seconds:04.1f}"
    for colour, thickness in (((0, 0, 0), 3), ((255, 255, 255), 1)):
        cv2.putText(tile, text, (6, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.5, colour, thickness, cv2.LINE_AA)
    return tile
