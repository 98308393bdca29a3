"""From moving frames to segments."""

from worker.segments import Segment, SegmentBuilder


def segments(*moving: tuple[int, int], frames: int = 250, fps: float = 25) -> list[Segment]:
    builder = SegmentBuilder(fps)
    for number in range(frames):
        builder.add(number, any(first <= number < last for first, last in moving))
    return builder.finish()


def test_still_clip_has_none() -> None:
    assert segments() == []


def test_motion_from_the_first_to_the_last_frame() -> None:
    assert segments((0, 250)) == [Segment(0.0, 10.0)]


def test_short_pause_does_not_end_a_segment() -> None:
    assert segments((25, 50), (60, 75)) == [Segment(1.0, 3.0)]


def test_long_pause_does() -> None:
    assert segments((25, 50), (75, 100)) == [Segment(1.0, 2.0), Segment(3.0, 4.0)]


def test_single_frame_is_noise() -> None:
    assert segments((25, 27)) == []


def test_other_frame_rates() -> None:
    assert segments((30, 60), fps=30) == [Segment(1.0, 2.0)]
