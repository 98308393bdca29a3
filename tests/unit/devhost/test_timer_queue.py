"""All deadlines of a hub in one structure: in order, cheap to cancel, and no bigger than what is live."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

from devhost.durable.store import Timer
from devhost.durable.timer_queue import TimerQueue

NOW = datetime(2026, 11, 23, 20, 0, 0, tzinfo=UTC)


def timer(seconds: float, instance_id: str = "i", event_id: int = 0, execution_id: str = "e") -> Timer:
    return Timer(NOW + timedelta(seconds=seconds), instance_id, execution_id, event_id, NOW)


def queue_of(*timers: Timer) -> TimerQueue:
    queue = TimerQueue()
    for one in timers:
        queue.add(one)
    return queue


def test_an_empty_queue_has_nothing_due() -> None:
    queue = TimerQueue()
    assert (queue.next_due(), queue.pop_due(NOW), len(queue)) == (None, [], 0)


def test_timers_come_out_when_due_the_earliest_first() -> None:
    late, early, later = timer(3, "a"), timer(1, "b"), timer(9, "c")
    queue = queue_of(late, early, later)
    assert queue.next_due() == early.fire_at
    assert queue.pop_due(NOW) == []
    assert queue.pop_due(NOW + timedelta(seconds=3)) == [early, late]
    assert (queue.next_due(), len(queue)) == (later.fire_at, 1)


def test_a_timer_of_the_past_is_due_at_once() -> None:
    past = timer(-60)
    assert queue_of(past).pop_due(NOW) == [past]


def test_a_timer_comes_out_once() -> None:
    queue = queue_of(timer(1))
    assert len(queue.pop_due(NOW + timedelta(seconds=1))) == 1
    assert queue.pop_due(NOW + timedelta(seconds=1)) == []


def test_timers_of_one_instance_and_moment_all_come_out() -> None:
    queue = queue_of(timer(1, event_id=0), timer(1, event_id=1), timer(1, event_id=0, execution_id="next"))
    assert len(queue) == 3
    assert len(queue.pop_due(NOW + timedelta(seconds=1))) == 3


def test_a_timer_added_again_counts_once_and_the_last_word_holds() -> None:
    moved = timer(5)
    queue = queue_of(timer(1), moved)
    assert (len(queue), queue.next_due()) == (1, moved.fire_at)
    assert queue.pop_due(NOW + timedelta(seconds=4)) == []
    assert queue.pop_due(NOW + timedelta(seconds=5)) == [moved]


def test_discarding_an_instance_forgets_all_its_timers_and_no_others() -> None:
    other = timer(2, "other")
    queue = queue_of(timer(1, event_id=0), timer(3, event_id=1), other)
    queue.discard("i")
    queue.discard("nobody")
    assert (len(queue), queue.next_due()) == (1, other.fire_at)
    assert queue.pop_due(NOW + timedelta(seconds=9)) == [other]


def test_an_instance_that_was_discarded_may_have_timers_again() -> None:
    queue = queue_of(timer(1))
    queue.discard("i")
    again = timer(2)
    queue.add(again)
    assert queue.pop_due(NOW + timedelta(seconds=9)) == [again]


def test_the_timers_of_an_instance_are_told_in_order() -> None:
    first, second = timer(1, event_id=4), timer(2, event_id=3)
    queue = queue_of(second, timer(0, "other"), first)
    assert queue.of_instance("i") == [first, second]
    assert queue.of_instance("nobody") == []


def test_cancelled_timers_do_not_pile_up() -> None:
    """Each instance waits an hour for an event that comes at once, 10,000 times over."""
    queue = TimerQueue()
    for number in range(10_000):
        queue.add(timer(3600, f"i{number}"))
        queue.discard(f"i{number}")
    assert len(queue) == 0
    assert len(queue._heap) < 200


def test_many_timers_with_many_cancelled_come_out_in_order() -> None:
    chance = random.Random(1)
    timers = [timer(chance.randrange(1000), f"i{number}") for number in range(2000)]
    queue = queue_of(*timers)
    dropped = {one.instance_id for one in chance.sample(timers, 1500)}
    for instance_id in dropped:
        queue.discard(instance_id)
    left = [one for one in timers if one.instance_id not in dropped]
    assert len(queue) == len(left)
    assert queue.pop_due(NOW + timedelta(seconds=1000)) == sorted(left)
