"""Motion in generated clips: what moves is found, when it moves; what does not is not."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from worker import contact_sheet, sample
from worker.failures import StopRequestedError, VideoError
from worker.motion import Motion, detect
from worker.segments import Segment


def look_at(path: Path) -> Motion:
    return detect(path, lambda: None)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clips") / "motion.avi"
    sample.write(path)
    return path


def assert_near(found: list[Segment], expected: list[Segment]) -> None:
    assert len(found) == len(expected), found
    for one, other in zip(found, expected, strict=True):
        assert one.start_seconds == pytest.approx(other.start_seconds, abs=0.2)
        assert one.stop_seconds == pytest.approx(other.stop_seconds, abs=0.2)


@pytest.mark.parametrize("seconds", [4.0, 8.0, 12.0])
def test_segments_are_right_to_a_fifth_of_a_second(seconds: float, tmp_path: Path) -> None:
    path = tmp_path / "clip.avi"
    sample.write(path, seconds)
    motion = look_at(path)
    assert_near(motion.segments, sample.crossings(seconds))
    assert (motion.duration_seconds, motion.fps, motion.frames) == (seconds, 25.0, seconds * 25)


def test_still_clip_has_no_segments(tmp_path: Path) -> None:
    path = tmp_path / "still.avi"
    sample.write(path, 4, motion=False)
    motion = look_at(path)
    assert motion.segments == []
    assert motion.frames == 100


@pytest.mark.parametrize(("codec", "ending"), [("MJPG", "avi"), ("mp4v", "mp4")])
def test_noisy_clip_in_another_codec_and_size(codec: str, ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"noisy.{ending}"
    noise = np.random.default_rng(3)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), 30, (480, 270))
    for number in range(150):
        frame = noise.normal(100, 4, (270, 480, 3)).clip(0, 255).astype(np.uint8)
        if 60 <= number < 105:
            cv2.circle(frame, (60 + number * 3, 130), 20, (0, 0, 255), -1)
        writer.write(frame)
    writer.release()
    assert_near(look_at(path).segments, [Segment(2.0, 3.5)])


def test_sample_is_the_same_on_every_run(clip: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.avi"
    assert sample.main([str(again)]) == 0
    assert again.read_bytes() == clip.read_bytes()


def test_sample_that_cannot_be_written(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        sample.main([str(tmp_path / "no" / "such" / "folder.avi"), "--still"])
    assert caught.value.code == 1
    assert "can't write" in capfd.readouterr().err


def test_truncated_video(clip: Path, tmp_path: Path) -> None:
    path = tmp_path / "truncated.avi"
    whole = clip.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(VideoError, match="of 200 frames") as caught:
        look_at(path)
    assert (caught.value.code, caught.value.retryable) == ("truncated", False)


@pytest.mark.parametrize("content", [b"\x00" * 5000, b"this is no video\n" * 200, b"RIFF\xff\xff\xff\xffAVI LIST"])
def test_what_is_no_video(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "junk.avi"
    path.write_bytes(content)
    with pytest.raises(VideoError) as caught:
        look_at(path)
    assert caught.value.code == "not_a_video"


def test_decoding_stops_when_it_is_told_to(clip: Path) -> None:
    calls: Iterator[int] = iter(range(1000))

    def check() -> None:
        if next(calls) == 10:
            raise StopRequestedError

    with pytest.raises(StopRequestedError):
        detect(clip, check)
    assert next(calls) == 11


def test_contact_sheet_shows_each_segment(clip: Path) -> None:
    motion = look_at(clip)
    assert len(motion.pictures) == 2
    for picture, segment in zip(motion.pictures, motion.segments, strict=True):
        assert segment.start_seconds <= picture.seconds <= segment.stop_seconds
    sheet = cv2.imdecode(np.frombuffer(contact_sheet.draw(motion.pictures), np.uint8), cv2.IMREAD_COLOR)
    assert sheet is not None
    assert sheet.shape == (180, 640, 3)


@pytest.mark.parametrize(("frames", "moving"), [(1, 0), (5, 0), (1000, 0), (1000, 40)])
def test_contact_sheet_is_never_empty_and_never_huge(frames: int, moving: int) -> None:
    chosen = contact_sheet.Highlights()
    tile = np.zeros((20, 20, 3), np.uint8)
    for number in range(frames):
        in_segment = number < moving * 10 and number % 10 < 5
        chosen.add(contact_sheet.Picture(number / 25, tile), 9.0 if in_segment else 0.0, in_segment)
    pictures = chosen.finish()
    assert 1 <= len(pictures) <= contact_sheet.MOST_PICTURES
    assert [picture.seconds for picture in pictures] == sorted(picture.seconds for picture in pictures)
    assert contact_sheet.draw(pictures)[:2] == b"\xff\xd8"
