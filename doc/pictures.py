"""Draws the pictures of the documents: `python -m doc.pictures` writes flow.svg and local.svg beside it."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from xml.sax.saxutils import escape

FOLDER = Path(__file__).resolve().parent
FONT = "system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif"
INK, MUTED, PAPER = "#1f2937", "#6b7280", "#ffffff"
# Fill and edge of each kind of box.
KINDS = {
    "person": ("#f3f4f6", "#6b7280"),
    "function": ("#e0ecff", "#2563eb"),
    "storage": ("#fff3d6", "#b7791f"),
    "program": ("#e3f6e8", "#2f855a"),
    "group": ("#fafafa", "#9ca3af"),
    "result": ("#ffffff", "#2563eb"),
}
LINE_HEIGHT = 18


@dataclass(frozen=True)
class Box:
    """A rectangle with lines of text, the first one bold; measures in pixels."""

    left: int
    top: int
    width: int
    height: int

    @property
    def right(self) -> int:
        return self.left + self.width

    @property
    def bottom(self) -> int:
        return self.top + self.height

    def at_left(self, share: float = 0.5) -> tuple[int, int]:
        return self.left, round(self.top + self.height * share)

    def at_right(self, share: float = 0.5) -> tuple[int, int]:
        return self.right, round(self.top + self.height * share)

    def at_top(self, share: float = 0.5) -> tuple[int, int]:
        return round(self.left + self.width * share), self.top

    def at_bottom(self, share: float = 0.5) -> tuple[int, int]:
        return round(self.left + self.width * share), self.bottom


@dataclass
class Picture:
    width: int
    height: int
    title: str
    _parts: list[str] = field(default_factory=list)

    def box(self, kind: str, place: Box, *lines: str, heading_on_top: bool = False) -> Box:
        fill, edge = KINDS[kind]
        dashes = ' stroke-dasharray="6 4"' if kind == "group" else ""
        self._parts.append(
            f'<rect x="{place.left}" y="{place.top}" width="{place.width}" height="{place.height}" rx="8" '
            f'fill="{fill}" stroke="{edge}" stroke-width="1.5"{dashes}/>'
        )
        block = LINE_HEIGHT * (len(lines) - 1)
        first = place.top + 22 if heading_on_top else place.top + (place.height - block) // 2 + 5
        for number, line in enumerate(lines):
            weight = "600" if number == 0 else "400"
            self.text(place.left + place.width // 2, first + number * LINE_HEIGHT, line, weight=weight)
        return place

    def text(self, x: int, y: int, text: str, *, weight: str = "400", color: str = INK, size: int = 13) -> None:
        self._parts.append(
            f'<text x="{x}" y="{y}" font-size="{size}" font-weight="{weight}" fill="{color}" '
            f'text-anchor="middle">{escape(text)}</text>'
        )

    def arrow(self, start: tuple[int, int], end: tuple[int, int], *labels: str, both: bool = False) -> None:
        """A straight arrow; the labels stand above its middle."""
        tail = ' marker-start="url(#head)"' if both else ""
        self._parts.append(
            f'<line x1="{start[0]}" y1="{start[1]}" x2="{end[0]}" y2="{end[1]}" stroke="{INK}" '
            f'stroke-width="1.5" marker-end="url(#head)"{tail}/>'
        )
        x, y = (start[0] + end[0]) // 2, (start[1] + end[1]) // 2
        if start[0] == end[0]:
            x, y = x + 60, y + 12  # beside an upright arrow instead of across it
        for number, label in enumerate(reversed(labels)):
            self.text(x, y - 7 - number * 15, label, color=MUTED, size=12)

    def svg(self) -> str:
        marker = f'viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" fill="{INK}"'
        lines = [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{self.width}" height="{self.height}" '
            f'viewBox="0 0 {self.width} {self.height}" font-family="{FONT}" role="img">',
            f"<title>{escape(self.title)}</title>",
            f'<defs><marker id="head" {marker} orient="auto-start-reverse"><path d="M0 0L10 5L0 10z"/></marker></defs>',
            f'<rect width="{self.width}" height="{self.height}" rx="10" fill="{PAPER}"/>',
            *self._parts,
            "</svg>",
        ]
        return "\n".join(lines) + "\n"


def flow() -> str:
    """How one job goes, from the POST to one of three results."""
    picture = Picture(1120, 560, "A job: start, request, report or deadline, one of three results")
    client = picture.box("person", Box(20, 30, 150, 56), "Your program", "or curl, Postman")
    starter = picture.box("function", Box(300, 30, 260, 56), "video_orchestration_starter", "checks the request")
    picture.arrow(client.at_right(), starter.at_left(), "POST blobURL,", "blobName")

    orchestrator = picture.box(
        "function", Box(300, 134, 260, 300), "video_orchestrator", "one job = one instance", heading_on_top=True
    )
    picture.arrow(starter.at_bottom(), orchestrator.at_top(), "starts")
    publish = picture.box("result", Box(320, 196, 220, 50), "1  publish the request")
    wait = picture.box("result", Box(320, 276, 220, 50), "2  wait: report or deadline")
    picture.box("result", Box(320, 356, 220, 50), "3  end with one result")

    requests = picture.box("storage", Box(730, 193, 190, 56), "video-to-processing", "queue")
    reports = picture.box("storage", Box(730, 273, 190, 56), "video-processed", "queue")
    worker = picture.box("program", Box(970, 193, 130, 136), "Video worker", "decodes,", "finds motion,", "reports")
    picture.arrow((orchestrator.right, publish.at_right()[1]), requests.at_left(), "send_processing_request")
    picture.arrow(requests.at_right(), (worker.left, requests.at_right()[1]))
    picture.arrow((worker.left, reports.at_right()[1]), reports.at_right())
    picture.arrow(reports.at_left(), (orchestrator.right, wait.at_right()[1]), "client_function")
    blobs = picture.box("storage", Box(945, 390, 155, 70), "Blob containers", "videos", "video-results")
    below_worker = worker.at_bottom()[0]
    picture.arrow(worker.at_bottom(), (below_worker, blobs.top), both=True)

    ends = [(name, Box(left, 480, 84, 44)) for name, left in (("processed", 300), ("timeout", 388), ("failed", 476))]
    for name, place in ends:
        end = picture.box("result", place, name)
        picture.arrow((end.at_top()[0], orchestrator.bottom), end.at_top())
    told = picture.box("function", Box(730, 474, 190, 56), "SendFailureNotification", "to queue video-failed")
    picture.arrow((ends[-1][1].right, 502), told.at_left(), "of timeout and failed")
    return picture.svg()


def local() -> str:
    """What runs on a developer's machine, and what stands for it in Azure."""
    picture = Picture(940, 380, "On your machine: dev.py starts Azurite, devhost and the worker")
    you = picture.box("person", Box(20, 90, 140, 80), "You", "curl, Postman,", "notebook")
    picture.box("group", Box(260, 20, 660, 290), "python dev.py up", heading_on_top=True)
    devhost = picture.box(
        "function", Box(290, 70, 200, 120), "devhost", "port 7071", "runs function_app.py", "state: SQLite"
    )
    azurite = picture.box("storage", Box(610, 80, 280, 100), "Azurite", "blobs 10000, queues 10001,", "tables 10002")
    worker = picture.box("program", Box(610, 220, 280, 64), "Reference worker", "python -m worker")
    picture.arrow(you.at_right(), devhost.at_left(), "HTTP", both=True)
    picture.arrow(devhost.at_right(), azurite.at_left(), "queues", both=True)
    picture.arrow(azurite.at_bottom(), worker.at_top(), "queues, blobs", both=True)
    in_azure = "In Azure: devhost = Azure Functions, Azurite = a storage account, the worker runs where you like"
    picture.text(470, 346, in_azure, color=MUTED)
    return picture.svg()


PICTURES = {"flow.svg": flow, "local.svg": local}


def main() -> int:
    for name, draw in PICTURES.items():
        (FOLDER / name).write_text(draw(), "utf-8", newline="\n")
        print(FOLDER / name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
